//! The command line: one file per subcommand.

mod analyse;
mod compare;
mod devices;
mod error;
mod explain;
mod export;
mod fault;
mod figures;
mod inspect;
pub mod keywords;
mod machine;
mod merge;
mod methods;
mod options;
mod output;
mod plan;
mod progress;
mod rate;
mod record;
mod report;
mod run;
mod selftest;
mod serve;
mod signals;
mod terminal;
mod units;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use error::CliError;
pub use explain::save;
pub use fault::{Fault, FaultKind};
pub use machine::Opened;
pub use record::{Context, record};

/// Shows where a large vision-language model looks when it answers.
#[derive(Parser)]
// The name is fixed, so that help does not repeat how the program was called.
#[command(
    name = "foveate",
    bin_name = "foveate",
    version,
    about,
    max_term_width = 110
)]
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
    /// Serve a page on this machine on which one asks questions about pictures
    Serve(Box<serve::Options>),
    /// List the attribution methods: what each needs, costs, and is good for
    Methods(methods::Options),
    /// List what there is to compute on, and what each can run
    Devices(devices::Options),
    /// Prove that a GPU computes what the processor computes, and measure how fast
    Selftest(selftest::Options),
    /// Say what a checkpoint is: family, parts, sizes, dtype, parameters, chat template, what is
    /// missing; or what an explanation costs
    Inspect(Box<inspect::Options>),
}

/// Runs the command line of this process; see [`run()`].
pub fn main() -> ExitCode {
    ExitCode::from(run(std::env::args_os()))
}

/// Runs a command line, the program's name first, and returns the exit code of the process: 0 done,
/// 1 the work failed, 2 the command line or an input is wrong, 3 a run ended with some samples
/// failed, 130 and 143 ended by Ctrl-C and by SIGTERM.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    let command = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli.command,
        Err(ended) => return answer(&ended),
    };
    signals::listen();
    let result = match command {
        Command::Explain(options) => explain::run(&options),
        Command::Run(options) => run::run(&options),
        Command::Merge(options) => merge::run(&options),
        Command::Export(options) => export::run(&options),
        Command::Report(options) => report::run(&options),
        Command::Analyse(options) => analyse::run(&options),
        Command::Compare(options) => compare::run(&options),
        Command::Serve(options) => serve::run(&options),
        Command::Methods(options) => methods::run(&options),
        Command::Devices(options) => devices::run(&options),
        Command::Selftest(options) => selftest::run(&options),
        Command::Inspect(options) => inspect::run(&options),
    };
    match result {
        Ok(()) => 0,
        Err(error) => {
            note(&error.to_string());
            error.exit_code()
        }
    }
}

/// Prints help, the version, or an error of the command line, and returns the exit code. An error
/// repeats words of the command line, so it is printed without colours and with control characters
/// escaped. Ignores write errors.
fn answer(ended: &clap::Error) -> u8 {
    use std::io::Write;
    let _ = match ended.use_stderr() {
        true => std::io::stderr().write_all(plain(ended).as_bytes()),
        false => ended.print(),
    };
    u8::try_from(ended.exit_code()).unwrap_or(2)
}

/// Returns the text of an error of the command line for a terminal, with the line's end, which an
/// unfinished escape sequence in it may have taken away.
fn plain(error: &clap::Error) -> String {
    let mut text = terminal::visible(&error.render().to_string());
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_typed_does_not_control_the_terminal() {
        for typed in [
            vec!["--\u{1b}]0;title\u{7}"],
            vec!["explain", "--method", "igos\u{9b}2J\u{202e}"],
            vec!["\u{8}\u{8}\u{8}"],
        ] {
            let arguments = ["foveate"].iter().chain(&typed);
            let Err(error) = Cli::try_parse_from(arguments) else {
                panic!("{typed:?} is accepted")
            };
            let text = plain(&error);
            let steering = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
            assert!(error.use_stderr() && !text.contains(steering), "{text:?}");
            assert!(text.starts_with("error: "), "{text:?}");
        }
    }
}
