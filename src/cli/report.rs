//! `foveate report`: a run as one HTML file.

mod facts;
mod page;
mod pictures;

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use indicatif::ProgressBar;
use rayon::prelude::*;

use super::error::CliError;
use super::options::PictureOptions;
use super::output::expect_file;
use super::units::bytes;
use super::{note, print};
use crate::report::html::{Detail, Page, write_page};
use crate::run::{Record, Run};
use crate::system::whole::{parent, persist, written};
use pictures::{Pictures, Places};

/// Number of samples whose pictures are reduced at a time.
const TOGETHER: usize = 64;

#[derive(clap::Args)]
pub(super) struct Options {
    /// Folder of a run, of a shard, or of shards merged
    #[arg(value_name = "DIR")]
    run: PathBuf,
    /// The file to write [default: report.html in the run's folder]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Folder of the pictures, as `run` was given it
    #[arg(long, value_name = "DIR")]
    images: Option<PathBuf>,
    /// The data, as `run` was given them: for pictures that are inside the data, or beside them
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
    /// Read pictures also where their names lead out of that folder: by "..", as absolute paths,
    /// through symbolic links
    #[arg(long)]
    images_anywhere: bool,
    #[command(flatten)]
    picture: PictureOptions,
    /// No progress and no notes on standard error
    #[arg(long)]
    quiet: bool,
}

/// A sample with the place of its picture.
type Asked = Result<(Record, Places), CliError>;

/// Counts missing pictures.
#[derive(Default)]
struct Missing {
    count: usize,
    /// The reason for the first one.
    reason: Option<String>,
}

pub(super) fn run(options: &Options) -> Result<(), CliError> {
    let run = Run::open(&options.run)?;
    let out = match &options.out {
        Some(file) => file.clone(),
        None => options.run.join("report.html"),
    };
    expect_file(&out)?;
    let pictures = Pictures::new(
        &run,
        options.images.as_deref(),
        options.data.as_deref(),
        options.images_anywhere,
        options.picture.limits(),
    )?;
    let page = page::page(&run)?;
    let bar = match options.quiet {
        true => ProgressBar::hidden(),
        false => ProgressBar::new(page.entries.len() as u64).with_message("samples"),
    };
    let mut missing = Missing::default();
    let made = details(&run, &pictures, &page, &bar, &mut missing)?;
    let size = write(&out, &page, made);
    bar.finish_and_clear();
    let size = size?;
    if !options.quiet {
        notes(&page, &missing);
    }
    let samples = page.entries.len();
    let size = bytes(size as f64);
    print(&format!(
        "{samples} samples, {size}\nwritten to {}",
        out.display()
    ))
}

fn notes(page: &Page, missing: &Missing) {
    let samples = page.entries.len();
    if samples < page.expected {
        note(&format!(
            "the run is not finished: {samples} of {} samples",
            page.expected
        ));
    }
    if let Some(reason) = &missing.reason {
        let count = missing.count;
        note(&format!(
            "{count} of {samples} samples are shown without their pictures, \
             the first because: {reason}"
        ));
    }
}

/// Returns the details of the page's samples, made in groups by all threads.
fn details<'a>(
    run: &'a Run,
    pictures: &'a Pictures,
    page: &Page,
    bar: &'a ProgressBar,
    missing: &'a mut Missing,
) -> Result<impl Iterator<Item = Result<Detail, CliError>> + 'a, CliError> {
    // Another process may append to the run in the meantime.
    let mut asked = pictures
        .with_records(run.records()?)?
        .take(page.entries.len());
    let mut batch = move || -> Vec<Asked> { asked.by_ref().take(TOGETHER).collect() };
    let batches = std::iter::from_fn(move || Some(batch()).filter(|batch| !batch.is_empty()));
    let made = batches.flat_map(move |batch| {
        let made: Vec<_> = batch
            .into_par_iter()
            .map(|asked| detail(run, pictures, asked))
            .collect();
        made
    });
    Ok(made.inspect(move |detail| {
        bar.inc(1);
        // A sample that failed because of its picture has already reported it.
        if let Ok(Detail {
            missing: Some(reason),
            message,
            ..
        }) = detail
            && message.as_ref() != Some(reason)
        {
            missing.count += 1;
            missing.reason.get_or_insert_with(|| reason.clone());
        }
    }))
}

fn detail(run: &Run, pictures: &Pictures, asked: Asked) -> Result<Detail, CliError> {
    let (record, places) = asked?;
    let mask = run.mask(&record)?;
    let each = run.each_masks(&record)?;
    let pictures = pictures.small(&record, &places);
    let explain_image = run.manifest().settings.explain_image;
    page::detail(&record, mask.as_ref(), &each, pictures, explain_image)
}

/// Writes the file atomically; returns its size in bytes.
fn write(
    path: &Path,
    page: &Page,
    details: impl Iterator<Item = Result<Detail, CliError>>,
) -> Result<u64, CliError> {
    let failed = |e: std::io::Error| CliError::Write {
        path: path.display().to_string(),
        reason: e.to_string(),
    };
    let mut file = written(parent(path), b"").map_err(failed)?;
    let mut buffered = BufWriter::with_capacity(1 << 20, file.as_file_mut());
    write_page(&mut buffered, page, details)?;
    buffered.flush().map_err(failed)?;
    drop(buffered);
    file.as_file().sync_all().map_err(failed)?;
    let size = file.as_file().metadata().map_err(failed)?.len();
    persist(file, path).map_err(failed)?;
    Ok(size)
}
