//! Errors of the command line, and their exit codes.

use crate::checkpoint::CheckpointError;
use crate::device::DeviceError;
use crate::explain::ExplainError;
use crate::lvlm::LvlmError;
use crate::nn::NnError;
use crate::picture::PictureError;
use crate::report::ReportError;

/// What a command can end with.
#[derive(Debug, thiserror::Error)]
pub(super) enum CliError {
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
    /// An output folder that cannot be used.
    #[error("{path}: expected a folder to write to: {reason}")]
    Folder { path: String, reason: String },
    /// A file that could not be written.
    #[error("{path}: could not be written: {reason}")]
    Write { path: String, reason: String },
    /// A checkpoint that lacks something, found by inspection.
    #[error("{path}: the checkpoint is not complete")]
    Incomplete { path: String },
}

impl CliError {
    /// 2 when the command line or an input is wrong, 1 when the work failed.
    pub fn exit_code(&self) -> u8 {
        match self {
            CliError::Device(_) | CliError::Report(_) | CliError::Write { .. } => 1,
            CliError::Explain(ExplainError::NoAnswer) => 1,
            CliError::Model(e) | CliError::Explain(ExplainError::Model(e)) => match e {
                LvlmError::Layer(NnError::NotFinite { .. }) => 2,
                LvlmError::Layer(_) => 1,
                _ => 2,
            },
            _ => 2,
        }
    }
}
