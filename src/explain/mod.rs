//! The method: which tokens of an answer depend on the picture, and the smallest part of the
//! picture that they need.
//!
//! It uses a model only through [`crate::lvlm::Lvlm`], [`crate::lvlm::Session`],
//! [`crate::lvlm::Scorer`] and [`crate::lvlm::Internals`], independent of device and architecture.

mod attention_rollout;
mod attribution;
mod clock;
mod curves;
mod each;
mod eagle;
mod error;
mod explainer;
mod faithfulness;
mod foreign;
mod fovea;
mod grad_cam;
mod gradients;
mod igos;
mod input_x_gradient;
mod integrated_gradients;
mod key_tokens;
pub mod lvlm_interpretation;
mod occlusion;
mod perturbation;
mod ranking;
mod relevance;
mod rise;
mod saliency;
mod settings;
mod smoothgrad;
mod t_mm;
mod tam;

#[cfg(test)]
mod tests;

pub use crate::blend::{Mask, MaskError};
pub use crate::checkpoint::Compat;
pub use attribution::{Attribution, FoundMask, Method, Pass, Schedule};
#[cfg(feature = "cli")]
pub(crate) use curves::schedule as curves_schedule;
pub use curves::{CurvePoints, Curves, LEAST_RANGE, deletion_insertion};
#[cfg(feature = "report")]
pub(crate) use each::whole_words;
pub use each::{Each, Unit, UnitMap};
pub use error::ExplainError;
pub use explainer::{
    AnswerToken, Cost, Explanation, Prepared, Progress, Request, Silent, Stage, explain,
    explain_prepared, prepare,
};
#[cfg(feature = "cli")]
pub(crate) use faithfulness::schedule as faithfulness_schedule;
pub use faithfulness::{Faithfulness, SufficientRegion};
pub use foreign::{Attributed, AttributionError, attribute};
pub use igos::{Iteration, Regulariser, Terms};
pub use key_tokens::{is_function_word, key_tokens};
pub use settings::{OptimizerKind, Preset, Settings};

/// Result of the method.
pub type Result<T> = std::result::Result<T, ExplainError>;
