//! `foveate inspect`: the contents of a checkpoint, or the cost of explanations with it.

use std::path::PathBuf;

use serde::Serialize;

use super::error::CliError;
use super::options::{EncoderOptions, MethodOptions};
use super::plan::{self, PlanOptions};
use super::print;
use crate::lvlm::inspect;

#[derive(clap::Args)]
#[command(mut_group("MethodOptions", |group| group.requires("plan")))]
#[command(mut_group("PlanOptions", |group| group.requires("plan")))]
pub(super) struct Options {
    /// Checkpoint folder, or the name of a repository in Hugging Face's cache [with --plan,
    /// default: the built-in demo model]
    #[arg(required_unless_present = "plan")]
    dir: Option<PathBuf>,
    /// Say instead what explanations cost: operations, bytes, memory, batches and time on a GPU
    #[arg(long)]
    plan: bool,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    encoders: EncoderOptions,
    #[command(flatten)]
    costs: PlanOptions,
    #[command(flatten)]
    method: MethodOptions,
}

pub(super) fn run(options: &Options) -> Result<(), CliError> {
    match &options.dir {
        Some(dir) if !options.plan => describe(dir, options),
        dir => {
            let model = options.encoders.options(options.method.compat());
            let report = plan::report(dir.as_deref(), &model, &options.costs, &options.method)?;
            if options.json {
                print_json(&report)
            } else {
                print(&plan::table(&report))
            }
        }
    }
}

fn describe(dir: &std::path::Path, options: &Options) -> Result<(), CliError> {
    let inspection = inspect(dir, &options.encoders.options(None))?;
    if options.json {
        print_json(&inspection)?;
    } else {
        print(inspection.to_string().trim_end())?;
    }
    if inspection.is_complete() {
        Ok(())
    } else {
        Err(CliError::Incomplete {
            path: dir.display().to_string(),
        })
    }
}

fn print_json(value: &impl Serialize) -> Result<(), CliError> {
    let json = serde_json::to_string_pretty(value).map_err(|e| CliError::Write {
        path: "standard output".into(),
        reason: e.to_string(),
    })?;
    print(&json)
}
