//! `foveate serve`: a page on which one asks questions about pictures.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::error::CliError;
use super::explain::save;
use super::keywords::{self, Topic};
use super::machine::{self, Opened};
use super::options::{EncoderOptions, MachineOptions, PictureOptions, RandomizeOptions};
use super::output::expect_folder;
use super::print;
use super::record::{Context, record};
use super::signals::{self, Graceful};
use crate::explain::{Explanation, Request, Settings};
use crate::lvlm::Lvlm;
use crate::picture::Limits;
use crate::report;
use crate::serve::{Address, Choice, Given, PageOption, Program, serve};

/// Options of an explanation that are given when the program starts, and not with a question.
const OF_PROGRAM: [&str; 2] = ["max-pixels", "memory-budget"];

#[derive(clap::Args)]
pub(super) struct Options {
    /// Checkpoint folder, or the name of a repository in Hugging Face's cache [default: the
    /// built-in demo model]
    #[arg(value_name = "MODEL")]
    model: Option<PathBuf>,
    /// Port of 127.0.0.1; 0 for one that is free
    #[arg(long, value_name = "N", default_value_t = 3683)]
    port: u16,
    /// Folder in which the page saves explanations, a folder for each; made where it does not exist
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
    #[command(flatten)]
    encoders: EncoderOptions,
    #[command(flatten)]
    picture: PictureOptions,
    #[command(flatten)]
    randomize: RandomizeOptions,
    #[command(flatten)]
    machine: MachineOptions,
    /// No notes on standard error
    #[arg(long)]
    quiet: bool,
}

pub(super) fn run(options: &Options) -> Result<(), CliError> {
    if let Some(output) = &options.output {
        expect_folder(output)?;
    }
    // Before the model is opened, which takes longer.
    let listener = listen(options.port)?;
    let started = Instant::now();
    let opened = machine::open(
        &options.machine,
        &options.encoders.options(None),
        options.model.as_deref(),
        options.randomize.layers(),
        0,
    )?;
    let note = |text: &str| {
        if !options.quiet {
            super::note(text);
        }
    };
    opened.notes.iter().for_each(|text| note(text));
    let (name, device) = (opened.model.name(), opened.model.device());
    let page = Page {
        opened,
        load_seconds: started.elapsed().as_secs_f64(),
        demo: options.model.is_none(),
        limits: options.picture.limits(),
        memory_budget: options.machine.budget(),
        output: options.output.clone(),
        saving: Mutex::new(()),
    };
    let failed = |error: std::io::Error| CliError::Serve {
        reason: error.to_string(),
    };
    let port = listener.local_addr().map_err(failed)?.port();
    let address = Address::new(port).map_err(failed)?;
    // Begins before the address is printed: then a signal ends the server in order.
    let graceful = Graceful::begin(true);
    print(&address.url())?;
    note(&format!(
        "{name} on {device} answers at this address, for this machine alone; Ctrl-C ends it"
    ));
    let served = serve(listener, address, Arc::new(page));
    if let Some(signal) = graceful.end() {
        return Err(CliError::Stopped {
            signal,
            state: "the page answers no more".into(),
        });
    }
    served.map_err(failed)
}

/// Listens on a port of this machine alone.
fn listen(port: u16) -> Result<TcpListener, CliError> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(|error| CliError::Option {
        option: "port",
        expected: "a port of 127.0.0.1 that is free, or 0 for any".into(),
        found: match error.kind() {
            ErrorKind::AddrInUse => format!("{port}, which another program has"),
            _ => format!("{port}: {error}"),
        },
    })
}

/// What the server knows of the program.
struct Page {
    opened: Opened,
    load_seconds: f64,
    /// Whether the model is the built-in one.
    demo: bool,
    limits: Limits,
    memory_budget: Option<usize>,
    output: Option<PathBuf>,
    /// Held while a new folder is chosen and written.
    saving: Mutex<()>,
}

impl Program for Page {
    fn model(&self) -> &dyn Lvlm {
        &*self.opened.model
    }

    fn remark(&self) -> Option<&str> {
        let remark = "This is the built-in demo model: it knows pictures of drawn shapes only.";
        self.demo.then_some(remark)
    }

    fn limits(&self) -> Limits {
        self.limits
    }

    fn options(&self) -> Vec<PageOption> {
        let options = keywords::options(Topic::Explanation).into_iter();
        let options = options.filter(|option| !OF_PROGRAM.contains(&option.name.as_str()));
        options.map(page_option).collect()
    }

    fn settings(&self, given: &[Given]) -> Result<Settings, String> {
        let of_program = |(name, _): &&Given| OF_PROGRAM.contains(&name.as_str());
        if let Some((name, _)) = given.iter().find(of_program) {
            return Err(format!(
                "{name} is an option of foveate serve, not of a question"
            ));
        }
        let mut given = given.to_vec();
        if let Some(bytes) = self.memory_budget {
            given.push(("memory-budget".into(), Some(bytes.to_string())));
        }
        let settings = keywords::explanation_by(self.model(), &given);
        settings
            .map(|(settings, _)| settings)
            .map_err(|error| error.to_string())
    }

    fn output(&self) -> Option<PathBuf> {
        self.output.clone()
    }

    fn save(&self, request: &Request, explanation: &Explanation) -> Result<PathBuf, String> {
        let Some(output) = &self.output else {
            return Err("expected foveate serve with --output DIR, the folder to save in".into());
        };
        let context = Context {
            model: self.model(),
            images: Vec::new(),
            pictures: request.pictures,
            question: request.question,
            answer: request.answer,
            keys: request.keys,
            settings: request.settings,
            threads: self.opened.threads,
            load_seconds: self.load_seconds,
        };
        let record = record(&context, explanation);
        let files = report::explanation_files(request.pictures, request.question, explanation);
        let files = files.map_err(|error| error.to_string())?;
        let _saving = self.saving.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = unused(output);
        save(&folder, &record, &files).map_err(|error| error.to_string())?;
        Ok(folder)
    }

    fn stopped(&self) -> bool {
        signals::caught()
    }
}

/// Returns the first of `0001`, `0002`, ... that a folder does not have.
fn unused(folder: &Path) -> PathBuf {
    let mut number = 1;
    loop {
        let path = folder.join(format!("{number:04}"));
        if path.symlink_metadata().is_err() {
            return path;
        }
        number += 1;
    }
}

fn page_option(option: keywords::Described) -> PageOption {
    let values = option.values.into_iter();
    PageOption {
        name: option.name,
        help: option.help,
        switch: option.switch,
        default: option.default,
        values: values.map(|(name, help)| Choice { name, help }).collect(),
    }
}
