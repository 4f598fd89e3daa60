//! Errors of a run as a whole. An error of a single sample is a [`Failure`](super::Failure) in its
//! record.

use std::fmt;

use crate::explain::ExplainError;
use crate::lvlm::LvlmError;

/// An error of a run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The method, the model or the device fails, independent of the sample.
    #[error(transparent)]
    Explain(#[from] ExplainError),
    /// A file cannot be read or written.
    #[error("{path}: could not be {action}: {reason}")]
    Io {
        /// The file.
        path: String,
        /// The action that failed.
        action: FileAction,
        /// The reason that the system gives.
        reason: String,
    },
    /// A folder cannot be created or written to.
    #[error("{path}: expected a folder to write to: {reason}")]
    Folder {
        /// The folder.
        path: String,
        /// The reason.
        reason: String,
    },
    /// A file does not have the expected content.
    #[error("{path}: expected {expected}, found {found}")]
    Data {
        /// The file.
        path: String,
        /// The expected content.
        expected: String,
        /// The content found.
        found: String,
    },
    /// A folder holds a different run from the requested one.
    #[error(
        "{path}: expected the run that is recorded there, found other settings:\n{}",
        .differences.join("\n")
    )]
    Different {
        /// The folder.
        path: String,
        /// Every field that differs, with both values.
        differences: Vec<String>,
    },
    /// Another process writes to the folder.
    #[error(
        "{path}: another process writes to this run; wait for it, choose another folder, or take \
         another shard (--shard I/N)"
    )]
    Locked {
        /// The folder.
        path: String,
    },
    /// A file of a run differs from what was written.
    #[error("{path}: line {line}: expected a whole record: {reason}")]
    Record {
        /// The file.
        path: String,
        /// The line number, from 1.
        line: usize,
        /// The reason.
        reason: String,
    },
    /// The masks of a run differ from what was written.
    #[error("{path}: expected {expected}, found {found}")]
    Masks {
        /// The file.
        path: String,
        /// The expected content.
        expected: String,
        /// The content found.
        found: String,
    },
    /// A shard is invalid.
    #[error("{place}: expected {expected}, found {found}")]
    Shard {
        /// The option or the environment variables.
        place: String,
        /// The expected value.
        expected: String,
        /// The value found.
        found: String,
    },
    /// Shards cannot be merged into a whole run.
    #[error("{path}: cannot be merged: {reason}")]
    Merge {
        /// The shard, or the output folder.
        path: String,
        /// The reason.
        reason: String,
    },
}

/// What is done with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileAction {
    /// It is read.
    Read,
    /// It is written.
    Write,
}

impl fmt::Display for FileAction {
    /// Writes the participle.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FileAction::Read => "read",
            FileAction::Write => "written",
        })
    }
}

impl From<LvlmError> for RunError {
    fn from(error: LvlmError) -> Self {
        RunError::Explain(error.into())
    }
}

impl RunError {
    /// Returns a function that makes the error of a file that cannot be read, for `map_err`.
    pub(crate) fn reading<E: ToString>(path: &std::path::Path) -> impl Fn(E) -> RunError {
        Self::io(path, FileAction::Read)
    }

    /// Returns a function that makes the error of a file that cannot be written, for `map_err`.
    pub(crate) fn writing<E: ToString>(path: &std::path::Path) -> impl Fn(E) -> RunError {
        Self::io(path, FileAction::Write)
    }

    fn io<E: ToString>(path: &std::path::Path, action: FileAction) -> impl Fn(E) -> RunError {
        let path = path.display().to_string();
        move |error| RunError::Io {
            path: path.clone(),
            action,
            reason: error.to_string(),
        }
    }
}
