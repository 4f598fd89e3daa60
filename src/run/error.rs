//! What can go wrong with a run as a whole. What goes wrong with one sample is a
//! [`Failure`](super::Failure) in its record.

use crate::explain::ExplainError;
use crate::lvlm::LvlmError;

/// Errors of runs.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The method, the model or the device is at fault, not a sample.
    #[error(transparent)]
    Explain(#[from] ExplainError),
    /// A file that could not be read or written.
    #[error("{path}: could not be {action}: {reason}")]
    Io {
        /// The file.
        path: String,
        /// What was being done, as a participle: `read`, `written`.
        action: &'static str,
        /// The system's reason.
        reason: String,
    },
    /// A folder that cannot be made, or written to.
    #[error("{path}: expected a folder to write to: {reason}")]
    Folder {
        /// The folder.
        path: String,
        /// Why not.
        reason: String,
    },
    /// A file that is not what it should be.
    #[error("{path}: expected {expected}, found {found}")]
    Data {
        /// The file.
        path: String,
        /// What it should have.
        expected: String,
        /// What it has.
        found: String,
    },
    /// A folder whose run is another one than that asked for.
    #[error("{path}: expected the run that is recorded there, found other settings:\n{}", .differences.join("\n"))]
    Different {
        /// The folder.
        path: String,
        /// Every field that differs, with both values.
        differences: Vec<String>,
    },
    /// A folder that another process writes to.
    #[error(
        "{path}: another process writes to this run; wait for it, choose another folder, or take another shard (--shard I/N)"
    )]
    Locked {
        /// The folder.
        path: String,
    },
    /// A run's file that is not as it was written.
    #[error("{path}: line {line}: expected a whole record: {reason}")]
    Record {
        /// The file.
        path: String,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// A run's masks that are not as they were written.
    #[error("{path}: expected {expected}, found {found}")]
    Masks {
        /// The file.
        path: String,
        /// What should be there.
        expected: String,
        /// What is.
        found: String,
    },
    /// A shard that cannot be.
    #[error("{place}: expected {expected}, found {found}")]
    Shard {
        /// The option or the variables of the environment.
        place: String,
        /// What it should say.
        expected: String,
        /// What it says.
        found: String,
    },
    /// Shards that do not make a whole.
    #[error("{path}: cannot be merged: {reason}")]
    Merge {
        /// The shard, or the folder that was to be written.
        path: String,
        /// Why not.
        reason: String,
    },
}

impl From<LvlmError> for RunError {
    fn from(error: LvlmError) -> Self {
        RunError::Explain(error.into())
    }
}

impl RunError {
    /// A file that cannot be read, for `map_err`.
    pub(crate) fn reading<E: ToString>(path: &std::path::Path) -> impl Fn(E) -> RunError {
        Self::io(path, "read")
    }

    /// A file that cannot be written, for `map_err`.
    pub(crate) fn writing<E: ToString>(path: &std::path::Path) -> impl Fn(E) -> RunError {
        Self::io(path, "written")
    }

    fn io<E: ToString>(path: &std::path::Path, action: &'static str) -> impl Fn(E) -> RunError {
        let path = path.display().to_string();
        move |error| RunError::Io {
            path: path.clone(),
            action,
            reason: error.to_string(),
        }
    }
}
