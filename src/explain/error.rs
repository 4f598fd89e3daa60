//! Errors of the method.

use crate::blend::MaskError;
use crate::lvlm::LvlmError;

/// An error of the method.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExplainError {
    /// The model returned an error.
    #[error(transparent)]
    Model(LvlmError),
    /// [`Progress::cancelled`](super::Progress::cancelled) returned true.
    #[error("the explanation was given up before its end")]
    Cancelled,
    /// The number of pixels does not match the view.
    #[error("pixels: expected 3 x {height} x {width} values, found {found}")]
    Pixels {
        /// The view's height.
        height: usize,
        /// The view's width.
        width: usize,
        /// The number of values.
        found: usize,
    },
    /// The cells do not form a square, or contain NaN.
    #[error(transparent)]
    Mask(#[from] MaskError),
    /// A setting is out of range.
    #[error("{setting}: expected {expected}, found {found}")]
    Setting {
        /// The setting, by the name of its option.
        setting: &'static str,
        /// Its range.
        expected: String,
        /// The value given.
        found: String,
    },
    /// The answer has no such key token.
    #[error("keys: expected numbers of answer tokens, 0 to {last}, found {found}")]
    Key {
        /// The index of the answer's last token.
        last: usize,
        /// The index given.
        found: usize,
    },
    /// The model returned an empty answer.
    #[error(
        "answer: the model ended its answer at once, so there is nothing to \
         explain; give one with --answer"
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
