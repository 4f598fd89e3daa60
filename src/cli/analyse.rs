//! `foveate analyse`: statistics over the records of a run.

use std::path::PathBuf;

use super::error::CliError;
use super::figures::{Statistics, rule, samples, table};
use super::output::OutputFolder;
use super::print;
use crate::analyse::{Analysis, analyse};
use crate::run::Run;

const JSON: &str = "analysis.json";

#[derive(clap::Args)]
pub(super) struct Options {
    /// Folder of a run, of a shard, or of shards merged
    #[arg(value_name = "RUN")]
    run: PathBuf,
    #[command(flatten)]
    statistics: Statistics,
}

pub(super) fn run(options: &Options) -> Result<(), CliError> {
    let run = Run::open(&options.run)?;
    let out = &options.statistics.out;
    let names = [&[JSON], &Analysis::PLOTS[..]].concat();
    let folder = OutputFolder::prepare(out, &names)?;
    let analysis = analyse(&run, &options.statistics.settings())?;
    folder.write(&analysis, &analysis.plots()?)?;
    print(&format!(
        "{}\n\n{}\n{}written to {}",
        samples(&analysis.counts),
        table(&analysis.figures, &analysis.statistics),
        rule(analysis.scores),
        out.display()
    ))
}
