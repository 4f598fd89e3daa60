//! The traits that the method sees of a model at work: a session answers a prompt about a picture,
//! a scorer has log-probabilities of an answer and their gradients.

use std::ops::ControlFlow;

use super::error::Result;
use super::internals::Internals;
use super::plan::{BatchPlan, one_each};
use super::resampling::Resampling;
use crate::blend::{Blend, Extent, Masks, Path, Score, View};

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

/// Pictures, their baselines and a prompt on the device.
///
/// It answers; [`Session::scorer`] scores an answer, its own or another.
pub trait Session {
    /// Returns the part of the picture that a mask covers, where that is not the whole.
    fn mask_extent(&self) -> Option<Extent> {
        None
    }
    /// Generates the greedy answer to the pictures ([`Path::Deletion`]) or to the baselines
    /// ([`Path::Insertion`]), without its end marker; the image token is never produced.
    /// `produced` is called after every token.
    ///
    /// # Errors
    /// [`crate::nn::NnError::NotFinite`] when the model's output is;
    /// [`LvlmError::Cancelled`](super::LvlmError::Cancelled) where `produced` breaks.
    fn generate(
        &self,
        path: Path,
        max_new_tokens: usize,
        produced: &mut Callback,
    ) -> Result<Vec<u32>>;
    /// Returns the scorer of an answer. There is one at a time, since each may use the whole memory
    /// budget; buffers and recorded work of an answer are freed with its scorer.
    ///
    /// # Errors
    /// When the answer is empty, has tokens the model lacks, or does not fit the context.
    fn scorer<'s>(&'s mut self, answer: &[u32]) -> Result<Box<dyn Scorer + 's>>;
}

/// Scores the tokens of one answer of a [`Session`] by teacher forcing: each token is predicted
/// from the prompt and the answer's tokens before it.
///
/// `evaluated` is called after every batch with the number of blends in it. Where it breaks, the
/// call ends with [`LvlmError::Cancelled`](super::LvlmError::Cancelled) and the scorer can go on to
/// be used.
pub trait Scorer {
    /// Returns the first view's geometry of each picture that masks cover, and its pixels of the
    /// picture, `3 x height x width`, normalised.
    fn first_views(&self) -> Vec<(&View, &[f32])>;
    /// Returns how masks are resampled before views sample them; the geometry of
    /// [`Scorer::first_views`] is then that of the resampled mask.
    fn resampling(&self) -> Option<&Resampling> {
        None
    }
    /// Returns the number of rows that each picture that masks cover takes among those of the
    /// prompt: its visual tokens.
    fn image_rows(&self) -> Vec<usize>;
    /// Returns the number of pictures that masks cover.
    fn pictures(&self) -> usize {
        self.image_rows().len()
    }
    /// Returns what the model computes on the way to a score.
    ///
    /// # Errors
    /// [`LvlmError::Unreadable`](super::LvlmError::Unreadable) for a model that foveate does not run.
    fn internals(&self) -> Result<&dyn Internals>;
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
    /// Returns the values of [`Scorer::log_probabilities`], and the gradient of `sum over blends
    /// of weight * score` with respect to every mask, where a blend's score is the sum of those of
    /// its `tokens`.
    ///
    /// # Errors
    /// As [`Scorer::log_probabilities`], and when `weights` are not one per blend.
    fn gradient(
        &self,
        masks: Masks,
        blends: &[Blend],
        weights: &[f64],
        tokens: &[usize],
        score: Score,
        evaluated: &mut Callback,
    ) -> Result<(LogProbabilities, Vec<Vec<f64>>)> {
        one_each(weights, "blend", blends.len())?;
        let of_token = |&weight| std::iter::repeat_n(weight, tokens.len());
        let weights: Vec<f64> = weights.iter().flat_map(of_token).collect();
        self.gradient_by_token(masks, blends, &weights, tokens, score, evaluated)
    }
    /// Returns the values of [`Scorer::log_probabilities`], and the gradient of `sum over blends
    /// and tokens of weight * score` with respect to every mask. `weights` are those of the first
    /// blend's tokens, of the second's, and so on.
    ///
    /// # Errors
    /// As [`Scorer::log_probabilities`], and when `weights` are not one per blend and token.
    fn gradient_by_token(
        &self,
        masks: Masks,
        blends: &[Blend],
        weights: &[f64],
        tokens: &[usize],
        score: Score,
        evaluated: &mut Callback,
    ) -> Result<(LogProbabilities, Vec<Vec<f64>>)>;
    /// Returns the gradient of the score of `tokens` at the whole picture, by pixel of every view:
    /// `3 x height x width` each, encoder by encoder. Rows and columns of a view that its encoder
    /// does not see have none.
    ///
    /// # Errors
    /// As [`Scorer::log_probabilities`].
    #[cfg(test)]
    fn pixel_gradients(&self, tokens: &[usize]) -> Result<Vec<Vec<f64>>>;
    /// Returns how a batch of `blends` blends is cut for gradients of the score of `tokens`.
    ///
    /// # Errors
    /// [`LvlmError::Memory`](super::LvlmError::Memory).
    fn plan(&self, blends: usize, tokens: &[usize]) -> Result<BatchPlan>;
}
