//! The method: which tokens of an answer rest on the picture, and the smallest part of the picture that they need.
//!
//! It knows a model only through [`crate::lvlm::Lvlm`] and [`crate::lvlm::Session`]: no device and no architecture here.

mod curves;
mod error;
mod explainer;
mod igos;
mod key_tokens;
pub mod lvlm_interpretation;
mod mask;
mod objective;
mod optimiser;
mod regulariser;
mod settings;

#[cfg(test)]
mod tests;

pub use crate::checkpoint::Compat;
pub use curves::{Curves, LEAST_RANGE, deletion_insertion};
#[cfg(feature = "cli")]
pub(crate) use curves::{GROUPS, HELD};
pub use error::ExplainError;
pub use explainer::{
    AnswerToken, Cost, Explanation, Prepared, Progress, Request, Silent, Stage, explain,
    explain_prepared, prepare,
};
pub use igos::{Iteration, igos};
pub use key_tokens::{is_function_word, key_tokens};
pub use mask::Mask;
pub use regulariser::Regulariser;
pub use settings::{Method, OptimizerKind, Settings};

/// Result of the method.
pub type Result<T> = std::result::Result<T, ExplainError>;
