//! What the method sees of a picture and a prompt on a device: answers, log-probabilities and their gradients.

use std::ops::ControlFlow;

use super::error::Result;
use super::plan::BatchPlan;
use super::resampling::Resampling;
use crate::device::{Blend, Direction, Masks};
use crate::picture::{Extent, View};

/// What a session is prepared for.
#[derive(Clone, Copy, Debug)]
pub struct SessionOptions {
    /// Cells per side of the masks.
    pub mask_size: usize,
    /// The most bytes that activations may take, the mapped weights not counted.
    pub memory_budget: usize,
}

/// Log-probabilities per blend and token.
pub type LogProbabilities = Vec<Vec<f64>>;

/// Called between pieces of work with how many blends or tokens are done since the last time; [`ControlFlow::Break`] gives the work up.
pub type Callback<'a> = dyn FnMut(usize) -> ControlFlow<()> + 'a;

/// The [`Callback`] of those who neither listen nor stop.
pub fn go_on(_: usize) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// A picture, its baseline and a prompt on the device, and an answer once there is one.
///
/// `evaluated` is called after every batch with the number of blends in it, `produced` after every token. Where one of them breaks, the
/// call ends with [`LvlmError::Cancelled`] and the session can go on to be used.
pub trait Session {
    /// The first view's geometry and its pixels of the picture, `3 x height x width`, normalised.
    fn first_view(&self) -> (&View, &[f32]);
    /// What a mask is made into before views sample it; the geometry of [`Session::first_view`] is then that of what is made.
    fn resampling(&self) -> Option<&Resampling> {
        None
    }
    /// The part of the picture that a mask covers, where that is not the whole.
    fn mask_extent(&self) -> Option<Extent> {
        None
    }
    /// The greedy answer to the picture ([`Direction::Keep`]) or to the baseline ([`Direction::Reveal`]), without its end marker; the
    /// image token is never produced.
    ///
    /// # Errors
    /// [`crate::nn::NnError::NotFinite`] when the model's output is.
    fn generate(
        &self,
        direction: Direction,
        max_new_tokens: usize,
        produced: &mut Callback,
    ) -> Result<Vec<u32>>;
    /// Fixes the answer that the following calls are about.
    ///
    /// # Errors
    /// When it is empty, has tokens the model lacks, or does not fit the context.
    fn set_answer(&mut self, answer: &[u32]) -> Result<()>;
    /// log p of the answer's tokens `tokens` (ascending) for every blend, each given the tokens before it.
    ///
    /// # Errors
    /// When the model's output is not finite: the first such layer is named. When `tokens` are not the answer's.
    fn log_probabilities(
        &self,
        masks: Masks,
        blends: &[Blend],
        tokens: &[usize],
        evaluated: &mut Callback,
    ) -> Result<LogProbabilities>;
    /// As [`Session::log_probabilities`], and the gradient of `sum over blends of weight * score` with respect to every
    /// mask, score being the sum over `tokens`.
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
    /// Gradient of the score of `tokens` at the whole picture, by pixel of every view: `3 x height x width` each, encoder by
    /// encoder. Rows and columns of a view that its encoder does not see have none.
    ///
    /// # Errors
    /// As [`Session::log_probabilities`].
    fn pixel_gradients(&self, tokens: &[usize]) -> Result<Vec<Vec<f64>>>;
    /// How the batch is cut for gradients of the answer up to token `last`.
    ///
    /// # Errors
    /// [`LvlmError::Memory`].
    fn plan(&self, blends: usize, tokens: &[usize]) -> Result<BatchPlan>;
}
