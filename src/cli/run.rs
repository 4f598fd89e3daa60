//! `foveate run`: every sample of a data set.

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use serde_json::json;

use super::error::CliError;
use super::machine::{self, Opened};
use super::options::{EncoderOptions, MachineOptions, MethodOptions, settings};
use super::print;
use super::rate::Rate;
use super::record::peak_memory;
use crate::run::{
    Ask, BoxFormat, Columns, Data, DataOptions, DeviceIdentity, Job, Layout, Manifest,
    ModelIdentity, Shard, Store, Summary, work,
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

/// Where the samples are.
#[derive(clap::Args)]
#[command(next_help_heading = "Data")]
struct DataArguments {
    /// Data: JSON lines (.jsonl, .ndjson), JSON, CSV, TSV or Parquet
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
    /// Folder of the pictures that the data name [default: the folder of the data]
    #[arg(long, value_name = "DIR")]
    images: Option<PathBuf>,
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
    /// A table's column of options, a JSON array or text such as "(a) Yes (b) No" [default: choices, options, or columns A, B, ...]
    #[arg(long, value_name = "NAME")]
    choices_column: Option<String>,
    /// A table's column of boxes, JSON arrays of four numbers in pixels [default: boxes, box or bbox]
    #[arg(long, value_name = "NAME")]
    boxes_column: Option<String>,
    /// What a box's numbers are
    #[arg(long, value_enum, default_value = "xyxy")]
    box_format: BoxFormatName,
    /// A table's column of kinds of questions [default: category]
    #[arg(long, value_name = "NAME")]
    category_column: Option<String>,
    /// A table's column of answers to explain instead of the model's own
    #[arg(long, value_name = "NAME")]
    explain_column: Option<String>,
}

#[derive(clap::Args)]
pub(super) struct Options {
    #[command(flatten)]
    data: DataArguments,
    /// Folder for the records, made where it does not exist; a run that is there is taken up where it ended
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Checkpoint folder, or the name of a repository in Hugging Face's cache [default: the built-in demo model]
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    /// Work on every N-th sample from sample I on, I from 0 [default: as a Slurm job, RANK or JOB_COMPLETION_INDEX says, or all]
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
    method: MethodOptions,
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
    let mut settings = settings(&options.method, &options.machine);
    settings.validate()?;
    let environment = |name: &str| std::env::var(name).ok();
    let shard = match options.shard {
        Some(shard) => shard,
        None => Shard::from_environment(&environment, options.shards)?,
    };
    let folder = shard.folder_in(&options.out)?;
    let data = Data::open(
        &options.data.data,
        options.data.images.as_deref(),
        options.data.options(),
    )?;
    let place = local_place(&environment);
    let opened = machine::open(
        &options.machine,
        &options.encoders,
        options.model.as_deref(),
        place,
    )?;
    let model = &*opened.model;
    if options.machine.budget().is_none() {
        settings.memory_budget = model.memory_budget();
    }
    let memory_budget = settings.memory_budget;
    let manifest = Manifest::new(
        ModelIdentity::of(model)?,
        device(options, &opened),
        settings,
        data.identity(),
        shard,
    );
    let mut store = Store::open(&folder, &manifest)?;
    notes(options, &opened, &folder, &store, shard);
    let job = Job {
        model,
        data: &data,
        manifest: &manifest,
        memory_budget,
        max_failures: options.max_failures,
    };
    let mut rate = Rate::new(options.quiet);
    let summary = work(&job, &mut store, &mut rate);
    rate.clear();
    let summary = summary?;
    store.note(&json!({
        "worked": summary.worked,
        "threads": opened.threads,
        "memory_budget": memory_budget,
        "device_choices": model.device_choices(),
        "peak_memory_bytes": peak_memory(),
    }))?;
    print(&format!(
        "{} of {} samples done\nwritten to {}",
        summary.done,
        summary.total,
        folder.display()
    ))?;
    failed(&summary)
}

/// This process's number among those of its machine, where a launcher says it.
fn local_place(environment: &dyn Fn(&str) -> Option<String>) -> usize {
    let number = |name: &str| environment(name)?.trim().parse().ok();
    ["LOCAL_RANK", "SLURM_LOCALID"]
        .into_iter()
        .find_map(number)
        .unwrap_or(0)
}

fn device(options: &Options, opened: &Opened) -> DeviceIdentity {
    DeviceIdentity {
        name: opened.kind.clone(),
        dtype: opened.model.dtype().to_string(),
        gemm: (opened.kind != "cpu").then(|| options.machine.gemm.name().to_string()),
    }
}

fn notes(options: &Options, opened: &Opened, folder: &Path, store: &Store, shard: Shard) {
    let note = |text: String| {
        if !options.quiet {
            eprintln!("foveate: {}", super::terminal::visible(&text));
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
    if shard != Shard::WHOLE {
        note(format!("shard {shard}"));
    }
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

/// Failed samples are an error of their own, after everything else is done.
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
            },
            ask: match self.ask {
                AskName::Open => Ask::Open,
                AskName::Choice => Ask::Choice,
            },
            columns: Columns {
                id: self.id_column.clone(),
                image: self.image_column.clone(),
                question: self.question_column.clone(),
                right: self.answer_column.clone(),
                choices: self.choices_column.clone(),
                boxes: self.boxes_column.clone(),
                category: self.category_column.clone(),
                explain: self.explain_column.clone(),
                box_format: match self.box_format {
                    BoxFormatName::Xyxy => BoxFormat::Xyxy,
                    BoxFormatName::Xywh => BoxFormat::Xywh,
                },
            },
        }
    }
}
