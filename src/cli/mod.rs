//! The command line: one file per subcommand.

mod analyse;
mod compare;
mod devices;
mod error;
mod explain;
mod export;
mod figures;
mod inspect;
mod machine;
mod merge;
mod options;
mod output;
mod plan;
mod progress;
mod rate;
mod record;
mod report;
mod run;
mod selftest;
mod signals;
mod terminal;
mod units;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use error::CliError;

/// Shows where a large vision-language model looks when it answers.
#[derive(Parser)]
#[command(name = "foveate", version, about, max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Answer a question about a picture and find the part of the picture that the answer needs
    Explain(Box<explain::Options>),
    /// Explain every sample of a data set, to be taken up again where it was cut off
    Run(Box<run::Options>),
    /// Join the shards of a run
    Merge(merge::Options),
    /// Write a run as Parquet: a row per sample, and a row per token
    Export(export::Options),
    /// Write a run as one HTML file: its numbers, and every sample with picture, map, words and
    /// curves
    Report(report::Options),
    /// Say what a run's records show, with statistics: whether answers rest on the picture, where
    /// the model looks when right and wrong
    Analyse(analyse::Options),
    /// Compare runs of several models on the same data: whether they look at the same place, how
    /// sharply, how faithfully
    Compare(compare::Options),
    /// List what there is to compute on, and what each can run
    Devices(devices::Options),
    /// Prove that a GPU computes what the processor computes, and measure how fast
    Selftest(selftest::Options),
    /// Say what a checkpoint is: family, parts, sizes, dtype, parameters, chat template, what is
    /// missing; or what an explanation costs
    Inspect(Box<inspect::Options>),
}

/// Runs the command line of this process and returns its exit code: 0 done, 1 the work failed, 2
/// the command line or an input is wrong, 3 a run ended with some samples failed, 130 and 143 ended
/// by Ctrl-C and by SIGTERM.
pub fn main() -> ExitCode {
    let command = Cli::parse().command;
    signals::listen();
    let result = match command {
        Command::Explain(options) => explain::run(&options),
        Command::Run(options) => run::run(&options),
        Command::Merge(options) => merge::run(&options),
        Command::Export(options) => export::run(&options),
        Command::Report(options) => report::run(&options),
        Command::Analyse(options) => analyse::run(&options),
        Command::Compare(options) => compare::run(&options),
        Command::Devices(options) => devices::run(&options),
        Command::Selftest(options) => selftest::run(&options),
        Command::Inspect(options) => inspect::run(&options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            note(&error.to_string());
            ExitCode::from(error.exit_code())
        }
    }
}

/// Prints a line to standard error, with control characters escaped. Ignores write errors.
fn note(text: &str) {
    use std::io::Write;
    let line = format!("foveate: {}\n", terminal::visible(text));
    let _ = std::io::stderr().write_all(line.as_bytes());
}

/// Prints to standard output, with control characters escaped. A reader that stops reading, as
/// `head` does, is not an error.
fn print(text: &str) -> Result<(), CliError> {
    use std::io::Write;
    let text = terminal::visible(text);
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(CliError::Write {
            path: "standard output".into(),
            reason: error.to_string(),
        }),
        Ok(()) => Ok(()),
    }
}
