//! `foveate export`: a run as Parquet files.

use std::path::PathBuf;

use super::error::CliError;
use super::output::expect_folder;
use super::{note, print};
use crate::run::{Run, export};

#[derive(clap::Args)]
pub(super) struct Options {
    /// Folder of a run, of a shard, or of shards merged
    #[arg(value_name = "DIR")]
    run: PathBuf,
    /// Folder for samples.parquet and tokens.parquet [default: the run's]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub(super) fn run(options: &Options) -> Result<(), CliError> {
    let run = Run::open(&options.run)?;
    let out = options.out.as_ref().unwrap_or(&options.run);
    expect_folder(out)?;
    let exported = export(&run, out)?;
    if exported.samples < run.manifest().samples() {
        note(&format!(
            "the run is not finished: {} of {} samples",
            exported.samples,
            run.manifest().samples()
        ));
    }
    print(&format!(
        "{} samples, {} tokens\nwritten to {}",
        exported.samples,
        exported.tokens,
        out.display()
    ))
}
