//! `foveate merge`: the shards of a run as one run.

use std::path::PathBuf;

use super::error::CliError;
use super::output::expect_folder;
use super::print;
use crate::run::merge;

#[derive(clap::Args)]
pub(super) struct Options {
    /// Folders of shards, or the folder that `foveate run` was given, which holds them
    #[arg(required = true, value_name = "DIR")]
    shards: Vec<PathBuf>,
    /// Folder for the whole run; it must not exist, or be empty
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

pub(super) fn run(options: &Options) -> Result<(), CliError> {
    expect_folder(&options.out)?;
    let manifest = merge(&options.shards, &options.out)?;
    print(&format!(
        "{} samples\nwritten to {}",
        manifest.data.samples,
        options.out.display()
    ))
}
