//! `foveate explain`: an explanation of one answer about one picture, or about several.

use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::Value;

use super::error::CliError;
use super::machine;
use super::options::{
    EncoderOptions, MachineOptions, MethodOptions, PictureOptions, RandomizeOptions, settings,
};
use super::output::OutputFolder;
use super::print;
use super::progress::Bars;
use super::record::{Context, record};
use super::signals::Graceful;
use crate::explain::{Explanation, Request, Settings, explain};
use crate::lvlm::MOST_PICTURES;
use crate::picture::Picture;
use crate::report;

/// The record of an explanation, which lists the other files of its folder.
const RECORD: &str = "explanation.json";

#[derive(clap::Args)]
pub(super) struct Options {
    /// Picture (PNG, JPEG, WebP, GIF, BMP, TIFF, PNM); given several times, all of them, in their
    /// order, for models that take several
    #[arg(long, value_name = "FILE", required = true)]
    image: Vec<PathBuf>,
    /// Question about the picture
    #[arg(long, value_name = "TEXT")]
    question: String,
    /// Folder for the results, made where it does not exist
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Checkpoint folder, or the name of a repository in Hugging Face's cache [default: the
    /// built-in demo model]
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    #[command(flatten)]
    encoders: EncoderOptions,
    /// Explain this answer, tokenised exactly as given, instead of the model's own
    #[arg(long, value_name = "TEXT")]
    answer: Option<String>,
    /// Explain these tokens of the answer, counted from 0, instead of the selected ones
    #[arg(long, value_name = "N,N", value_delimiter = ',')]
    keys: Option<Vec<usize>>,
    #[command(flatten)]
    picture: PictureOptions,
    #[command(flatten)]
    method: MethodOptions,
    #[command(flatten)]
    randomize: RandomizeOptions,
    #[command(flatten)]
    machine: MachineOptions,
    /// Print the explanation as JSON, and nothing else, on standard output
    #[arg(long)]
    json: bool,
    /// No progress and no notes on standard error
    #[arg(long, conflicts_with = "verbose")]
    quiet: bool,
    /// More notes on standard error
    #[arg(long)]
    verbose: bool,
}

pub(super) fn run(options: &Options) -> Result<(), CliError> {
    let mut settings = settings(&options.method, &options.machine)?;
    settings.validate()?;
    let names = names();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    if options.image.len() > MOST_PICTURES {
        return Err(CliError::Option {
            option: "image",
            expected: format!("at most {} pictures", MOST_PICTURES),
            found: options.image.len().to_string(),
        });
    }
    let folder = OutputFolder::prepare(&options.out, &names)?;
    let started = Instant::now();
    let mut limits = options.picture.limits();
    let mut pictures = Vec::with_capacity(options.image.len());
    for path in &options.image {
        let picture = Picture::open_within(path, &limits)?;
        limits = limits.after(&picture);
        pictures.push(picture);
    }
    let opened = machine::open(
        &options.machine,
        &options.encoders.options(settings.compat),
        options.model.as_deref(),
        options.randomize.layers(),
        0,
    )?;
    let (model, threads) = (opened.model, opened.threads);
    // A budget of its own depends on the device's state: the record says which it was.
    settings
        .memory_budget
        .get_or_insert_with(|| model.memory_budget());
    let load_seconds = started.elapsed().as_secs_f64();
    let note = |text: &str| {
        if !options.quiet {
            super::note(text);
        }
    };
    if options.model.is_none() {
        note("no --model given: using the built-in demo model, which knows drawn shapes only");
    }
    opened.notes.iter().for_each(|text| note(text));
    // Begins before the notes: once they are written, a signal ends the work in order.
    let graceful = Graceful::begin(options.quiet);
    if options.verbose {
        if let Some(reason) = &opened.no_gpu {
            note(&format!("no GPU: {reason}"));
        }
        note(&format!(
            "{} on {} in {} with {threads} threads",
            model.name(),
            model.device(),
            model.dtype()
        ));
    }
    let request = Request {
        pictures: &pictures,
        question: &options.question,
        answer: options.answer.as_deref(),
        keys: options.keys.as_deref(),
        settings: &settings,
    };
    let mut bars = Bars::new(options.quiet);
    let explanation = explain(&*model, &request, &mut bars);
    bars.clear();
    if let Some(signal) = graceful.end() {
        return Err(CliError::Stopped {
            signal,
            state: "nothing is written; the same command begins anew".into(),
        });
    }
    let explanation = explanation?;
    let context = Context {
        model: &*model,
        images: options
            .image
            .iter()
            .map(|path| Some(path.as_path()))
            .collect(),
        pictures: &pictures,
        question: &options.question,
        answer: options.answer.as_deref(),
        keys: options.keys.as_deref(),
        settings: &settings,
        threads,
        load_seconds,
    };
    let record = record(&context, &explanation);
    let files = report::explanation_files(&pictures, &options.question, &explanation)?;
    let json = folder.write(&record, &files)?;
    if options.verbose {
        let cost = &explanation.cost;
        note(&format!(
            "{} evaluations; seconds: {:?}",
            cost.evaluations, cost.seconds
        ));
        model.device_choices().iter().for_each(|line| note(line));
    }
    if options.json {
        print(&json)
    } else {
        print(&summary(options, &settings, &explanation))
    }
}

/// Returns the names of every file that an explanation's folder can have, its record first.
fn names() -> Vec<String> {
    let mut names = report::explanation_file_names();
    names.insert(0, RECORD.into());
    names
}

/// Writes the record of an explanation, as [`record`] makes it, and the files of
/// [`report::explanation_files`] to a folder, which is created if it does not exist.
///
/// # Errors
/// [`CliError::Folder`] and [`CliError::File`] if the folder cannot be written to;
/// [`CliError::Write`] if a file cannot be written. Nothing is left behind then.
pub fn save(folder: &Path, record: &Value, files: &[(String, Vec<u8>)]) -> Result<(), CliError> {
    let names = names();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    OutputFolder::prepare(folder, &names)?.write(record, files)?;
    Ok(())
}

/// Formats the result as text.
fn summary(options: &Options, settings: &Settings, explanation: &Explanation) -> String {
    let mut lines = vec![format!("answer: {}", explanation.answer.trim())];
    if explanation.image_dependent {
        let keys: Vec<&str> = explanation
            .tokens
            .iter()
            .filter(|t| t.key)
            .map(|t| t.text.trim())
            .collect();
        lines.push(format!("key tokens: {}", keys.join(", ")));
        let each = explanation.each.iter().map(|map| map.unit.text.as_str());
        let each: Vec<&str> = each.collect();
        if !each.is_empty() {
            lines.push(format!("a map for each of: {}", each.join(", ")));
        }
    } else {
        lines.push(format!(
            "the answer does not depend on the picture: no token gains more than {} nats \
             from it, so there is no mask",
            settings.threshold
        ));
    }
    if let Some(curves) = &explanation.curves {
        lines.push(
            match (
                curves.deletion_score,
                curves.insertion_score,
                &curves.reason,
            ) {
                (Some(deletion), Some(insertion), _) => {
                    format!(
                        "deletion {deletion:.3} (low is good), insertion \
                         {insertion:.3} (high is good)"
                    )
                }
                (_, _, reason) => format!(
                    "scores undefined: {}",
                    reason.as_deref().unwrap_or("no range to divide by")
                ),
            },
        );
    }
    let test = explanation.faithfulness.as_ref();
    if test.is_some_and(|test| test.region.cells == 0) {
        lines.push("the baseline alone keeps the answer: the map cannot be tested".into());
    }
    if let Some(faithfulness) = test.filter(|test| test.region.cells > 0) {
        let share = format!("the most salient {:.1} %", 100.0 * faithfulness.fraction);
        lines.push(format!(
            "{share} alone {} the answer (p {:.3}), the rest {} (p {:.3}); {:.1} % is enough \
             (p {:.3})",
            if faithfulness.kept {
                "keeps"
            } else {
                "does not keep"
            },
            faithfulness.revealed,
            if faithfulness.flipped {
                "does not"
            } else {
                "does too"
            },
            faithfulness.removed,
            100.0 * faithfulness.region.fraction,
            faithfulness.region.probability,
        ));
    }
    lines.push(format!("written to {}", options.out.display()));
    lines.join("\n")
}
