//! Errors as exceptions of `foveate._errors`, with the messages of the command line.

use foveate::cli::CliError;
use foveate::report::ReportError;
use foveate::run::{Cause, Failure, RunError};
use foveate::{ExplainError, LvlmError, PictureError};
use pyo3::prelude::*;

/// Returns the exception `class` of `foveate._errors`. `cause` is the word for a sample's failure
/// in a run's records, if it is one.
pub fn raise(class: &str, message: &str, cause: Option<&str>) -> PyErr {
    Python::attach(|py| {
        let made = py
            .import("foveate._errors")
            .and_then(|module| module.getattr(class))
            .and_then(|class| class.call1((message, cause)));
        made.map_or_else(|error| error, PyErr::from_value)
    })
}

/// Converts an error of an explanation.
pub fn explain(error: ExplainError) -> PyErr {
    match Failure::of(error) {
        Ok(failure) => {
            let class = match failure.cause {
                Cause::Picture | Cause::Data => "PictureError",
                Cause::Question | Cause::Length => "QuestionError",
                Cause::Answer => "AnswerError",
                Cause::Memory => "MemoryBudgetError",
                Cause::NotFinite => "NotFiniteError",
            };
            raise(class, &failure.message, Some(&failure.cause.to_string()))
        }
        Err(error) => {
            let class = match &error {
                ExplainError::Setting { .. } => "SettingError",
                ExplainError::Model(LvlmError::TooThin { .. }) => "PictureError",
                ExplainError::Model(LvlmError::Layer(_)) => "DeviceError",
                _ => "Error",
            };
            raise(class, &error.to_string(), None)
        }
    }
}

/// Converts an error of a picture.
pub fn picture(error: PictureError) -> PyErr {
    raise("PictureError", &error.to_string(), Some("picture"))
}

/// Converts an error of drawing.
pub fn report(error: ReportError) -> PyErr {
    raise("Error", &error.to_string(), None)
}

/// Converts an error of a run's folder.
pub fn run(error: RunError) -> PyErr {
    raise("RunError", &error.to_string(), None)
}

/// Converts an error of the command line's parts.
pub fn command(error: CliError) -> PyErr {
    let class = match error {
        CliError::Explain(error) => return explain(error),
        CliError::Picture(error) => return picture(error),
        CliError::Keyword(_) | CliError::Option { .. } => "SettingError",
        CliError::Device(_) => "DeviceError",
        CliError::Checkpoint(_) => "CheckpointError",
        CliError::Model(ref error) => model(error),
        CliError::Folder { .. } | CliError::File { .. } | CliError::Write { .. } => "OutputError",
        _ => "Error",
    };
    raise(class, &error.to_string(), None)
}

/// Returns the exception's class for an error of opening a model.
fn model(error: &LvlmError) -> &'static str {
    match error {
        LvlmError::Compat { .. } => "SettingError",
        LvlmError::Layer(_) => "DeviceError",
        _ => "CheckpointError",
    }
}
