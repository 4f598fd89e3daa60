//! Errors of the command line, and their exit codes.

use crate::analyse::AnalyseError;
use crate::checkpoint::CheckpointError;
use crate::device::DeviceError;
use crate::explain::ExplainError;
use crate::lvlm::LvlmError;
use crate::nn::NnError;
use crate::picture::PictureError;
use crate::report::ReportError;
use crate::run::RunError;

use super::signals::Signal;

/// What a command can end with.
#[derive(Debug, thiserror::Error)]
pub(super) enum CliError {
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
    /// Samples of a run that failed; the others are done.
    #[error("{failed} of {done} samples failed: {causes}{}", if *.stopped { "; stopped, since more failed than --max-failures allows" } else { "" })]
    Samples {
        failed: usize,
        done: usize,
        causes: String,
        stopped: bool,
    },
    /// An output folder that cannot be used.
    #[error("{path}: expected a folder to write to: {reason}")]
    Folder { path: String, reason: String },
    /// A place where no file can be written.
    #[error("{path}: expected a file to write: {reason}")]
    File { path: String, reason: String },
    /// A signal that ended the work before its time.
    #[error("stopped by {signal}: {state}")]
    Stopped { signal: Signal, state: String },
    /// A file that could not be written.
    #[error("{path}: could not be written: {reason}")]
    Write { path: String, reason: String },
    /// A family of operations that there is none of.
    #[error("--only: expected some of {expected}, found {found}")]
    Family { found: String, expected: String },
    /// A selftest of no GPU.
    #[error("--device: expected a GPU, cuda:N, to compare with the processor")]
    NotAGpu,
    /// A GPU that does not compute what it should.
    #[error("selftest: {failed} of {total} checks failed")]
    Selftest { failed: usize, total: usize },
    /// An option that contradicts the others or the model.
    #[error("--{option}: expected {expected}, found {found}")]
    Option {
        option: &'static str,
        expected: String,
        found: String,
    },
    /// A checkpoint that lacks something, found by inspection.
    #[error("{path}: the checkpoint is not complete")]
    Incomplete { path: String },
}

impl CliError {
    /// 3 when a run ended with some samples failed, 2 when the command line or an input is wrong, 1
    /// when the work failed, 128 and its number for a signal.
    pub fn exit_code(&self) -> u8 {
        match self {
            // A device that was asked for and is not there.
            CliError::Device(DeviceError::Unavailable { .. }) => 2,
            CliError::Device(_) | CliError::Report(_) | CliError::Write { .. } => 1,
            CliError::Analyse(AnalyseError::Report(_)) | CliError::Selftest { .. } => 1,
            CliError::Samples { .. } => 3,
            CliError::Stopped { signal, .. } => signal.exit_code(),
            CliError::Run(RunError::Io { action, .. }) if *action == "written" => 1,
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
