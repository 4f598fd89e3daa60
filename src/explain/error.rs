//! What can go wrong in the method.

use crate::lvlm::LvlmError;

/// Errors of the method.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExplainError {
    /// The model reports a fault.
    #[error(transparent)]
    Model(#[from] LvlmError),
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
