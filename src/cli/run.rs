//! `foveate run`: explanations of every sample of a data set.

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use serde_json::json;

use super::error::CliError;
use super::machine::{self, Opened};
use super::options::{
    EncoderOptions, MachineOptions, MethodOptions, PictureOptions, RandomizeOptions, settings,
};
use super::output::expect_folder;
use super::print;
use super::rate::Rate;
use super::record::peak_memory;
use super::signals::Graceful;
use crate::run::{
    AnswerFormat, Ask, Assignment, BoxFormat, Columns, Data, DataOptions, DeviceIdentity, Job,
    Layout, Manifest, ModelIdentity, RecordedAnswers, Run, Shard, Store, Summary, work,
};

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LayoutName {
    /// Found from the columns
    Auto,
    /// Any table; see --image-column and the like
    Table,
    /// MMVP: Questions.csv, pictures in "MMVP Images"
    Mmvp,
    /// CV-Bench: Parquet or JSON lines
    CvBench,
    /// MMStar: Parquet or TSV
    Mmstar,
    /// LLaVA-Bench: JSON lines
    LlavaBench,
    /// VLMEvalKit: TSV, of any data set about pictures
    Vlmevalkit,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum AskName {
    /// Without the options
    Open,
    /// With the options, to be answered by a letter
    Choice,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum BoxFormatName {
    /// Left, top, right, bottom
    Xyxy,
    /// Left, top, width, height
    Xywh,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum AnswerFormatName {
    /// Found from all rows
    Auto,
    /// An option's text, or words
    Text,
    /// An option's letter
    Letter,
    /// An option's index, from 0
    Index,
    /// An option's number, from 1
    Number,
}

/// Where the samples are.
#[derive(clap::Args)]
#[command(next_help_heading = "Data")]
struct DataArguments {
    /// Data: JSON lines (.jsonl, .ndjson), JSON, CSV, TSV or Parquet, or a folder of Parquet files
    /// as published on the Hugging Face hub
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
    /// The configuration of a folder of the hub [default: the only one, or the default one]
    #[arg(long, value_name = "NAME")]
    config: Option<String>,
    /// The split of a folder of the hub [default: the only one]
    #[arg(long, value_name = "NAME")]
    split: Option<String>,
    /// Folder of the pictures that the data name [default: the folder of the data]
    #[arg(long, value_name = "DIR")]
    images: Option<PathBuf>,
    /// Read pictures also where their names lead out of that folder: by "..", as absolute paths,
    /// through symbolic links
    #[arg(long)]
    images_anywhere: bool,
    /// What the columns mean
    #[arg(long, value_enum, default_value = "auto")]
    layout: LayoutName,
    /// How questions that have options are asked
    #[arg(long, value_enum, default_value = "open")]
    ask: AskName,
    /// A table's column of pictures: paths, bytes, or base64 [default: image]
    #[arg(long, value_name = "NAME")]
    image_column: Option<String>,
    /// A table's column of questions [default: question]
    #[arg(long, value_name = "NAME")]
    question_column: Option<String>,
    /// A table's column of names of samples [default: id, index, or the row's number]
    #[arg(long, value_name = "NAME")]
    id_column: Option<String>,
    /// A table's column of right answers [default: answer]
    #[arg(long, value_name = "NAME")]
    answer_column: Option<String>,
    /// How a table's right answers name an option
    #[arg(long, value_enum, default_value = "auto")]
    answer_format: AnswerFormatName,
    /// A table's column of options, a list in JSON or Python, or text such as "(a) Yes (b) No"
    /// [default: choices, options, or columns A, B, ...]
    #[arg(long, value_name = "NAME")]
    choices_column: Option<String>,
    /// A table's column of boxes, JSON arrays of four numbers in pixels [default: boxes, box or
    /// bbox]
    #[arg(long, value_name = "NAME")]
    boxes_column: Option<String>,
    /// A table's column of masks of the evidence: grey pictures of the picture's aspect, white
    /// where the evidence is, or COCO's polygons or run lengths [default: none]
    #[arg(long, value_name = "NAME")]
    evidence_column: Option<String>,
    /// What a box's numbers are
    #[arg(long, value_enum, default_value = "xyxy")]
    box_format: BoxFormatName,
    /// A table's column of kinds of questions [default: category]
    #[arg(long, value_name = "NAME")]
    category_column: Option<String>,
    /// A table's column of answers to explain instead of the model's own
    #[arg(long, value_name = "NAME")]
    explain_column: Option<String>,
    /// Explain the answers and the key tokens that another run of the same data recorded in this
    /// folder, instead of the model's own
    #[arg(long, value_name = "RUN", conflicts_with = "explain_column")]
    answers_of: Option<PathBuf>,
}

#[derive(clap::Args)]
pub(super) struct Options {
    #[command(flatten)]
    data: DataArguments,
    /// Folder for the records, made where it does not exist; a run that is there is taken up where
    /// it ended
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Checkpoint folder, or the name of a repository in Hugging Face's cache [default: the
    /// built-in demo model]
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    /// Work on every N-th sample from sample I on, I from 0; 0/1 is all [default: as Slurm,
    /// torchrun, MPI or Kubernetes say, or all]
    #[arg(long, value_name = "I/N", conflicts_with = "shards")]
    shard: Option<Shard>,
    /// The number of shards, where only the index is in the environment
    #[arg(long, value_name = "N")]
    shards: Option<usize>,
    /// Stop when more samples than this have failed
    #[arg(long, value_name = "N")]
    max_failures: Option<usize>,
    #[command(flatten)]
    encoders: EncoderOptions,
    #[command(flatten)]
    picture: PictureOptions,
    #[command(flatten)]
    method: MethodOptions,
    #[command(flatten)]
    randomize: RandomizeOptions,
    #[command(flatten)]
    machine: MachineOptions,
    /// No progress and no notes on standard error
    #[arg(long, conflicts_with = "verbose")]
    quiet: bool,
    /// More notes on standard error
    #[arg(long)]
    verbose: bool,
}

pub(super) fn run(options: &Options) -> Result<(), CliError> {
    let settings = settings(&options.method, &options.machine)?;
    settings.validate()?;
    let environment = |name: &str| std::env::var(name).ok();
    let assignment = match options.shard {
        Some(shard) => Assignment {
            shard,
            reason: Some(format!("--shard {shard}")),
            note: None,
        },
        None => Assignment::of(&environment, options.shards)?,
    };
    let shard = assignment.shard;
    expect_folder(&options.out)?;
    let folder = shard.folder_in(&options.out)?;
    let data = Data::open(
        &options.data.data,
        options.data.images.as_deref(),
        options.data.options(),
    )?;
    let place = local_place(&environment);
    let opened = machine::open(
        &options.machine,
        &options.encoders.options(settings.compat),
        options.model.as_deref(),
        options.randomize.layers(),
        place,
    )?;
    let model = &*opened.model;
    // Decided once, so that all samples have the same.
    let memory_budget = settings
        .memory_budget
        .unwrap_or_else(|| model.memory_budget());
    let answers = options.data.answers_of.as_deref().map(Run::open);
    let answers = answers
        .transpose()?
        .map(|run| RecordedAnswers::read(&run, &data.identity()))
        .transpose()?;
    let mut manifest = Manifest::new(
        ModelIdentity::of(model)?,
        device(options, &opened),
        settings,
        data.identity(),
        shard,
    );
    manifest.answers = answers
        .as_ref()
        .map(|answers| answers.fingerprint().to_string());
    let mut store = Store::open(&folder, &manifest)?;
    notes(options, &opened, &folder, &store, &assignment);
    let note = |text: &str| {
        if !options.quiet {
            super::note(text);
        }
    };
    data.note().iter().for_each(|text| note(text));
    let job = Job {
        model,
        data: &data,
        manifest: &manifest,
        memory_budget: Some(memory_budget),
        limits: options.picture.limits(),
        answers: answers.as_ref(),
        max_failures: options.max_failures,
    };
    let mut rate = Rate::new(options.quiet);
    let graceful = Graceful::begin(options.quiet);
    let summary = work(&job, &mut store, &mut rate);
    rate.clear();
    let signal = graceful.end();
    let summary = summary?;
    store.note(&json!({
        "worked": summary.worked,
        "shard": assignment.reason,
        "threads": opened.threads,
        "memory_budget": memory_budget,
        "device_choices": model.device_choices(),
        "peak_memory_bytes": peak_memory(),
    }))?;
    if let Some((index, why)) = &summary.unjudged.first {
        note(&format!(
            "{} of {} answers cannot be judged, the first that of sample {index}, since its right \
             answer is unclear: {why}",
            summary.unjudged.count, summary.done
        ));
    }
    if let Some(signal) = signal
        && summary.done < summary.total
    {
        let (done, total) = (summary.done, summary.total);
        let state = format!(
            "{done} of {total} samples are recorded in {}; the same command goes on behind them",
            folder.display()
        );
        return Err(CliError::Stopped { signal, state });
    }
    let of_shard = match shard {
        Shard::WHOLE => String::new(),
        shard => format!(" of shard {shard}"),
    };
    print(&format!(
        "{} of {} samples{of_shard} done\nwritten to {}",
        summary.done,
        summary.total,
        folder.display()
    ))?;
    failed(&summary)
}

/// Returns this process's number among those of its machine, if a launcher sets it.
fn local_place(environment: &dyn Fn(&str) -> Option<String>) -> usize {
    let number = |name: &str| environment(name)?.trim().parse().ok();
    let names = [
        "LOCAL_RANK",
        "OMPI_COMM_WORLD_LOCAL_RANK",
        "MV2_COMM_WORLD_LOCAL_RANK",
        "MPI_LOCALRANKID",
        "SLURM_LOCALID",
    ];
    names.into_iter().find_map(number).unwrap_or(0)
}

fn device(options: &Options, opened: &Opened) -> DeviceIdentity {
    DeviceIdentity {
        name: opened.kind.clone(),
        dtype: opened.model.dtype().to_string(),
        gemm: (opened.kind != "cpu").then(|| options.machine.gemm.name().to_string()),
    }
}

fn notes(
    options: &Options,
    opened: &Opened,
    folder: &Path,
    store: &Store,
    assignment: &Assignment,
) {
    let note = |text: String| {
        if !options.quiet {
            super::note(&text);
        }
    };
    if options.model.is_none() {
        note(
            "no --model given: using the built-in demo model, which knows drawn shapes only".into(),
        );
    }
    if !store.is_locked() {
        note(format!(
            "{}: this file system has no locks: see to it that no other process writes there",
            folder.display()
        ));
    }
    if store.done() > 0 {
        note(format!(
            "{}: {} samples are recorded already",
            folder.display(),
            store.done()
        ));
    }
    if let Some(text) = &assignment.note {
        note(text.clone());
    }
    match (assignment.shard, &assignment.reason) {
        (Shard::WHOLE, _) => {}
        (shard, Some(reason)) => note(format!("shard {shard} of the data, by {reason}")),
        (shard, None) => note(format!("shard {shard} of the data")),
    }
    opened.notes.iter().cloned().for_each(note);
    if options.verbose {
        if let Some(reason) = &opened.no_gpu {
            note(format!("no GPU: {reason}"));
        }
        let model = &opened.model;
        note(format!(
            "{} on {} in {}",
            model.name(),
            model.device(),
            model.dtype()
        ));
    }
}

/// Returns an error if samples failed, after everything else is done.
fn failed(summary: &Summary) -> Result<(), CliError> {
    if summary.failures.is_empty() {
        return Ok(());
    }
    let causes = summary.failures.iter();
    let causes: Vec<String> = causes
        .map(|(cause, count)| format!("{cause} {count}"))
        .collect();
    Err(CliError::Samples {
        failed: summary.failed(),
        done: summary.done,
        causes: causes.join(", "),
        stopped: summary.done < summary.total,
    })
}

impl DataArguments {
    fn options(&self) -> DataOptions {
        DataOptions {
            layout: match self.layout {
                LayoutName::Auto => None,
                LayoutName::Table => Some(Layout::Table),
                LayoutName::Mmvp => Some(Layout::Mmvp),
                LayoutName::CvBench => Some(Layout::CvBench),
                LayoutName::Mmstar => Some(Layout::Mmstar),
                LayoutName::LlavaBench => Some(Layout::LlavaBench),
                LayoutName::Vlmevalkit => Some(Layout::Vlmevalkit),
            },
            ask: match self.ask {
                AskName::Open => Ask::Open,
                AskName::Choice => Ask::Choice,
            },
            config: self.config.clone(),
            split: self.split.clone(),
            images_anywhere: self.images_anywhere,
            columns: Columns {
                id: self.id_column.clone(),
                image: self.image_column.clone(),
                question: self.question_column.clone(),
                right: self.answer_column.clone(),
                choices: self.choices_column.clone(),
                boxes: self.boxes_column.clone(),
                evidence: self.evidence_column.clone(),
                category: self.category_column.clone(),
                explain: self.explain_column.clone(),
                box_format: match self.box_format {
                    BoxFormatName::Xyxy => BoxFormat::Xyxy,
                    BoxFormatName::Xywh => BoxFormat::Xywh,
                },
                answers: match self.answer_format {
                    AnswerFormatName::Auto => AnswerFormat::Auto,
                    AnswerFormatName::Text => AnswerFormat::Text,
                    AnswerFormatName::Letter => AnswerFormat::Letter,
                    AnswerFormatName::Index => AnswerFormat::Index,
                    AnswerFormatName::Number => AnswerFormat::Number,
                },
            },
        }
    }
}
