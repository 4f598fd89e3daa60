//! The trait of sessions that the method sees: answers, log-probabilities and their gradients for
//! one picture and one prompt.

use std::ops::ControlFlow;

use super::error::Result;
use super::plan::BatchPlan;
use super::resampling::Resampling;
use crate::blend::{Blend, Masks, Path};
use crate::blend::{Extent, View};

/// The options of a session.
#[derive(Clone, Copy, Debug)]
pub struct SessionOptions {
    /// Cells per side of the masks.
    pub mask_size: usize,
    /// The most bytes that activations may take, the mapped weights not counted.
    pub memory_budget: usize,
}

/// Log-probabilities per blend and token.
pub type LogProbabilities = Vec<Vec<f64>>;

/// Called between pieces of work with the number of blends or tokens done since the last call;
/// [`ControlFlow::Break`] cancels the work.
pub type Callback<'a> = dyn FnMut(usize) -> ControlFlow<()> + 'a;

/// The [`Callback`] that ignores progress and never cancels.
pub fn go_on(_: usize) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// A picture, its baseline and a prompt on the device, and an answer once there is one.
///
/// `evaluated` is called after every batch with the number of blends in it, `produced` after every
/// token. Where one of them breaks, the call ends with
/// [`LvlmError::Cancelled`](super::LvlmError::Cancelled) and the session can go on to be used.
pub trait Session {
    /// Returns the first view's geometry and its pixels of the picture, `3 x height x width`,
    /// normalised.
    fn first_view(&self) -> (&View, &[f32]);
    /// Returns how masks are resampled before views sample them; the geometry of
    /// [`Session::first_view`] is then that of the resampled mask.
    fn resampling(&self) -> Option<&Resampling> {
        None
    }
    /// Returns the part of the picture that a mask covers, where that is not the whole.
    fn mask_extent(&self) -> Option<Extent> {
        None
    }
    /// Generates the greedy answer to the picture ([`Path::Deletion`]) or to the baseline
    /// ([`Path::Insertion`]), without its end marker; the image token is never produced.
    ///
    /// # Errors
    /// [`crate::nn::NnError::NotFinite`] when the model's output is.
    fn generate(
        &self,
        path: Path,
        max_new_tokens: usize,
        produced: &mut Callback,
    ) -> Result<Vec<u32>>;
    /// Sets the answer whose tokens the following calls score.
    ///
    /// # Errors
    /// When it is empty, has tokens the model lacks, or does not fit the context.
    fn set_answer(&mut self, answer: &[u32]) -> Result<()>;
    /// Returns log p of the answer's tokens `tokens` (ascending) for every blend, each given the
    /// tokens before it.
    ///
    /// # Errors
    /// When the model's output is not finite: the first such layer is named. When `tokens` are not
    /// the answer's.
    fn log_probabilities(
        &self,
        masks: Masks,
        blends: &[Blend],
        tokens: &[usize],
        evaluated: &mut Callback,
    ) -> Result<LogProbabilities>;
    /// Returns the values of [`Session::log_probabilities`], and the gradient of `sum over blends
    /// of weight * score` with respect to every mask, score being the sum over `tokens`.
    ///
    /// # Errors
    /// As [`Session::log_probabilities`], and when `weights` are not one per blend.
    fn gradient(
        &self,
        masks: Masks,
        blends: &[Blend],
        weights: &[f64],
        tokens: &[usize],
        evaluated: &mut Callback,
    ) -> Result<(LogProbabilities, Vec<Vec<f64>>)>;
    /// Returns the gradient of the score of `tokens` at the whole picture, by pixel of every view:
    /// `3 x height x width` each, encoder by encoder. Rows and columns of a view that its encoder
    /// does not see have none.
    ///
    /// # Errors
    /// As [`Session::log_probabilities`].
    fn pixel_gradients(&self, tokens: &[usize]) -> Result<Vec<Vec<f64>>>;
    /// Returns how a batch of `blends` blends is cut for gradients of the score of `tokens`.
    ///
    /// # Errors
    /// [`LvlmError::Memory`](super::LvlmError::Memory).
    fn plan(&self, blends: usize, tokens: &[usize]) -> Result<BatchPlan>;
}
