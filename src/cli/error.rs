//! Errors of the command line, and their exit codes.

use crate::analyse::AnalyseError;
use crate::checkpoint::CheckpointError;
use crate::device::DeviceError;
use crate::explain::ExplainError;
use crate::lvlm::LvlmError;
use crate::nn::NnError;
use crate::picture::PictureError;
use crate::report::ReportError;
use crate::run::{FileAction, RunError};

use super::signals::Signal;

/// An error of a command.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    #[error(transparent)]
    Analyse(#[from] AnalyseError),
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    #[error(transparent)]
    Device(#[from] DeviceError),
    #[error(transparent)]
    Explain(#[from] ExplainError),
    #[error(transparent)]
    Model(#[from] LvlmError),
    #[error(transparent)]
    Picture(#[from] PictureError),
    #[error(transparent)]
    Report(#[from] ReportError),
    #[error(transparent)]
    Run(#[from] RunError),
    /// Samples of a run failed; the others are done.
    #[error(
        "{failed} of {done} samples failed: {causes}{}",
        if *.stopped { "; stopped, since more failed than --max-failures allows" } else { "" }
    )]
    Samples {
        failed: usize,
        done: usize,
        causes: String,
        stopped: bool,
    },
    /// An output folder cannot be used.
    #[error("{path}: expected a folder to write to: {reason}")]
    Folder { path: String, reason: String },
    /// A file cannot be written at this path.
    #[error("{path}: expected a file to write: {reason}")]
    File { path: String, reason: String },
    /// A signal ended the work early.
    #[error("stopped by {signal}: {state}")]
    Stopped { signal: Signal, state: String },
    /// A file could not be written.
    #[error("{path}: could not be written: {reason}")]
    Write { path: String, reason: String },
    /// A family of operations does not exist.
    #[error("--only: expected some of {expected}, found {found}")]
    Family { found: String, expected: String },
    /// The selftest was not given a GPU.
    #[error("--device: expected a GPU, cuda:N, to compare with the processor")]
    NotAGpu,
    /// A GPU computes wrong results.
    #[error("selftest: {failed} of {total} checks failed")]
    Selftest { failed: usize, total: usize },
    /// An option contradicts the others or the model.
    #[error("--{option}: expected {expected}, found {found}")]
    Option {
        option: &'static str,
        expected: String,
        found: String,
    },
    /// A keyword does not exist, or has a wrong value.
    #[error("{0}")]
    Keyword(String),
    /// The page cannot be served.
    #[error("the page cannot be served: {reason}")]
    Serve { reason: String },
    /// A checkpoint is incomplete, according to `inspect`.
    #[error("{path}: the checkpoint is not complete")]
    Incomplete { path: String },
}

impl CliError {
    /// Returns the exit code: 3 if a run ended with failed samples, 2 if the command line or an
    /// input is wrong, 1 if the work failed, 128 plus its number for a signal.
    pub fn exit_code(&self) -> u8 {
        match self {
            // The requested device is not available.
            CliError::Device(DeviceError::Unavailable { .. }) => 2,
            CliError::Device(_) | CliError::Report(_) | CliError::Write { .. } => 1,
            CliError::Serve { .. } => 1,
            CliError::Analyse(AnalyseError::Report(_)) | CliError::Selftest { .. } => 1,
            CliError::Samples { .. } => 3,
            CliError::Stopped { signal, .. } => signal.exit_code(),
            CliError::Run(RunError::Io {
                action: FileAction::Write,
                ..
            }) => 1,
            CliError::Explain(ExplainError::NoAnswer)
            | CliError::Run(RunError::Explain(ExplainError::NoAnswer)) => 1,
            CliError::Model(e)
            | CliError::Explain(ExplainError::Model(e))
            | CliError::Run(RunError::Explain(ExplainError::Model(e))) => match e {
                LvlmError::Layer(NnError::NotFinite { .. }) => 2,
                LvlmError::Layer(_) | LvlmError::Gradient { .. } => 1,
                _ => 2,
            },
            _ => 2,
        }
    }
}
