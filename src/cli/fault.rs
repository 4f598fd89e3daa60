//! Errors for callers in other languages: a message, and one of a few kinds.

use super::CliError;
use crate::explain::ExplainError;
use crate::lvlm::LvlmError;
use crate::picture::PictureError;
use crate::report::ReportError;
use crate::run::{Cause, Failure};

/// What an error is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// The model has no answer, or the given answer or keys do not fit.
    Answer,
    /// The work was stopped.
    Cancelled,
    /// A checkpoint is missing, incomplete or not supported.
    Checkpoint,
    /// A device is not available, or failed.
    Device,
    /// One evaluation does not fit the memory budget, or the device's memory.
    Memory,
    /// The model's output has infinities or NaN.
    NotFinite,
    /// Anything else.
    Other,
    /// A folder or file cannot be written.
    Output,
    /// A picture is missing, does not decode, or cannot be processed.
    Picture,
    /// The question is empty, or longer than the model's context.
    Question,
    /// A setting does not exist, is out of range, or does not go with others.
    Setting,
}

/// An error with the message of the command line.
#[derive(Clone, Debug)]
pub struct Fault {
    /// What it is about.
    pub kind: FaultKind,
    /// The message.
    pub message: String,
    /// The word for it in a run's records, if it is the failure of a sample.
    pub cause: Option<Cause>,
}

impl Fault {
    fn new(kind: FaultKind, error: impl ToString) -> Fault {
        Fault {
            kind,
            message: error.to_string(),
            cause: None,
        }
    }
}

impl From<ExplainError> for Fault {
    fn from(error: ExplainError) -> Fault {
        let failure = match Failure::of(error) {
            Ok(failure) => failure,
            Err(error) => {
                let kind = match &error {
                    ExplainError::Cancelled => FaultKind::Cancelled,
                    ExplainError::Setting { .. } => FaultKind::Setting,
                    ExplainError::Model(LvlmError::Layer(_)) => FaultKind::Device,
                    _ => FaultKind::Other,
                };
                return Fault::new(kind, error);
            }
        };
        Fault {
            kind: match failure.cause {
                Cause::Picture | Cause::Data => FaultKind::Picture,
                Cause::Question | Cause::Length => FaultKind::Question,
                Cause::Answer => FaultKind::Answer,
                Cause::Memory => FaultKind::Memory,
                Cause::NotFinite => FaultKind::NotFinite,
            },
            message: failure.message,
            cause: Some(failure.cause),
        }
    }
}

impl From<PictureError> for Fault {
    fn from(error: PictureError) -> Fault {
        Fault {
            cause: Some(Cause::Picture),
            ..Fault::new(FaultKind::Picture, error)
        }
    }
}

impl From<ReportError> for Fault {
    fn from(error: ReportError) -> Fault {
        Fault::new(FaultKind::Other, error)
    }
}

impl From<CliError> for Fault {
    fn from(error: CliError) -> Fault {
        let kind = match error {
            CliError::Explain(error) => return error.into(),
            CliError::Picture(error) => return error.into(),
            CliError::Keyword(_) | CliError::Option { .. } => FaultKind::Setting,
            CliError::Device(_) => FaultKind::Device,
            CliError::Checkpoint(_) => FaultKind::Checkpoint,
            CliError::Model(ref error) => match error {
                LvlmError::Compat { .. } => FaultKind::Setting,
                LvlmError::Layer(_) => FaultKind::Device,
                _ => FaultKind::Checkpoint,
            },
            CliError::Folder { .. } | CliError::File { .. } | CliError::Write { .. } => {
                FaultKind::Output
            }
            _ => FaultKind::Other,
        };
        Fault::new(kind, error)
    }
}
