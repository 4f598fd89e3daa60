//! What can go wrong in the method.

use crate::blend::MaskError;
use crate::lvlm::LvlmError;

/// Errors of the method.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExplainError {
    /// The model reports a fault.
    #[error(transparent)]
    Model(LvlmError),
    /// [`Progress::cancelled`](super::Progress::cancelled) said so.
    #[error("the explanation was given up before its end")]
    Cancelled,
    /// Pixels that are not those of the view.
    #[error("pixels: expected 3 x {height} x {width} values, found {found}")]
    Pixels {
        /// The view's rows.
        height: usize,
        /// The view's columns.
        width: usize,
        /// How many values there are.
        found: usize,
    },
    /// Cells that make no square, or hold what is no number.
    #[error(transparent)]
    Mask(#[from] MaskError),
    /// A setting outside its range.
    #[error("{setting}: expected {expected}, found {found}")]
    Setting {
        /// The setting, as its option is called.
        setting: &'static str,
        /// Its range.
        expected: String,
        /// What was given.
        found: String,
    },
    /// A key token that the answer does not have.
    #[error("keys: expected numbers of answer tokens, 0 to {last}, found {found}")]
    Key {
        /// The answer's last token.
        last: usize,
        /// What was given.
        found: usize,
    },
    /// The model answered with nothing.
    #[error(
        "answer: the model ended its answer at once, so there is nothing to explain; give one with --answer"
    )]
    NoAnswer,
}

impl From<LvlmError> for ExplainError {
    fn from(error: LvlmError) -> ExplainError {
        match error {
            LvlmError::Cancelled => ExplainError::Cancelled,
            error => ExplainError::Model(error),
        }
    }
}
