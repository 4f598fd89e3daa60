//! `foveate inspect`: what a checkpoint is.

use std::path::PathBuf;

use super::error::CliError;
use super::print;
use crate::checkpoint::inspect;

#[derive(clap::Args)]
pub(super) struct Options {
    /// Checkpoint folder
    dir: PathBuf,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

pub(super) fn run(options: &Options) -> Result<(), CliError> {
    let inspection = inspect(&options.dir)?;
    if options.json {
        let json = serde_json::to_string_pretty(&inspection).map_err(|e| CliError::Write {
            path: "standard output".into(),
            reason: e.to_string(),
        })?;
        print(&json)?;
    } else {
        print(inspection.to_string().trim_end())?;
    }
    if inspection.is_complete() {
        Ok(())
    } else {
        Err(CliError::Incomplete {
            path: options.dir.display().to_string(),
        })
    }
}
