//! `foveate analyse`: what the records of a run say.

use std::path::PathBuf;

use super::error::CliError;
use super::figures::{Statistics, samples, table};
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
    let folder = OutputFolder::prepare(out)?;
    let analysis = analyse(&run, &options.statistics.settings())?;
    let mut files = analysis.plots()?;
    files.push((JSON, super::figures::json(out, JSON, &analysis)?));
    folder.write(&files, &Analysis::PLOTS)?;
    print(&format!(
        "{}\n\n{}\nwritten to {}",
        samples(&analysis.counts),
        table(&analysis.figures, &analysis.statistics),
        out.display()
    ))
}
