//! Log-probabilities of tokens under a vocabulary projection.

use super::{Gemm, Matrix, below, same_shape};
use crate::blend::Score;
use crate::device::Result;
use crate::device::error::expect;

/// The values that `log_probability` saves for `log_probability_vjp`.
pub trait Logits: Send + Sync {
    /// Returns the number of rows that were scored.
    fn rows(&self) -> usize;
    /// Returns whether they may be of a vocabulary projection `[vocabulary, hidden]`.
    fn are_of(&self, vocabulary: usize, hidden: usize) -> bool;
}

/// Log-probabilities and their vjp.
pub trait LogProb: Gemm {
    /// A score, and one weight per row.
    type Weights: Send + Sync;
    /// Log-probabilities, one per row.
    type Values: Send + Sync;
    /// The forward pass's values that the vjp needs.
    type Logits: Logits;

    /// Copies weights to the device, one per row, of this score.
    fn weigh(&self, weights: &[f64], score: Score) -> Result<Self::Weights>;
    /// Returns the number of weights.
    fn weight_count(&self, weights: &Self::Weights) -> usize;
    /// Replaces weights with the same number of others of the same score.
    ///
    /// # Errors
    /// [`DeviceError::Shape`](crate::device::DeviceError::Shape) if their number differs.
    fn reweigh(&self, place: &mut Self::Weights, weights: &[f64]) -> Result<()> {
        let (expected, found) = (self.weight_count(place), weights.len());
        let say = |count: usize| move || format!("{count} weights");
        expect(expected == found, "reweigh", say(expected), say(found))?;
        self.reweigh_impl(place, weights)
    }
    /// Implements [`LogProb::reweigh`].
    fn reweigh_impl(&self, place: &mut Self::Weights, weights: &[f64]) -> Result<()>;

    /// Computes the log-probability of one token per row: `log_softmax(x W^T)[target]`, in f32 or
    /// better.
    ///
    /// # Errors
    /// An error for operands of other sizes, or a target outside the vocabulary.
    fn log_probability(
        &self,
        x: &Self::Matrix,
        head: &Self::Weight,
        targets: &[u32],
    ) -> Result<(Self::Values, Self::Logits)> {
        same_shape("log_probability", (x.rows(), head.columns()), x)?;
        check_targets(x.rows(), head.rows(), targets)?;
        self.log_probability_impl(x, head, targets)
    }
    /// Implements [`LogProb::log_probability`].
    fn log_probability_impl(
        &self,
        x: &Self::Matrix,
        head: &Self::Weight,
        targets: &[u32],
    ) -> Result<(Self::Values, Self::Logits)>;
    /// Copies log-probabilities from the device.
    fn values(&self, values: &Self::Values) -> Result<Vec<f64>>;

    /// Returns `dx` of `sum over rows of weights[row] * score[row]`. With q the softmax over the
    /// logits other than the target's, the gradient of a log-odds by the logits is `one_hot(target)
    /// - q`, and that of a log-probability is `1 - p` times as much: nothing cancels near p = 1.
    ///
    /// # Errors
    /// An error if the number of targets or weights is not that of the rows, a target is outside
    /// the vocabulary, or the head is not that of the forward pass.
    fn log_probability_vjp(
        &self,
        logits: Self::Logits,
        head: &Self::Weight,
        targets: &[u32],
        weights: &Self::Weights,
    ) -> Result<Self::Matrix> {
        let (rows, found) = (logits.rows(), self.weight_count(weights));
        check_targets(rows, head.rows(), targets)?;
        let fits = logits.are_of(head.rows(), head.columns());
        let expected = || "the projection of the forward pass".to_string();
        expect(fits, "log_probability_vjp", expected, || {
            format!("{:?}", head.shape())
        })?;
        let say = |count: usize| move || format!("{count} weights");
        expect(found == rows, "log_probability_vjp", say(rows), say(found))?;
        self.log_probability_vjp_impl(logits, head, targets, weights)
    }
    /// Implements [`LogProb::log_probability_vjp`].
    fn log_probability_vjp_impl(
        &self,
        logits: Self::Logits,
        head: &Self::Weight,
        targets: &[u32],
        weights: &Self::Weights,
    ) -> Result<Self::Matrix>;

    /// Returns `x W^T` row by row, in f32 or better.
    ///
    /// # Errors
    /// [`DeviceError::Shape`](crate::device::DeviceError::Shape) for operands of other sizes.
    fn logits(&self, x: &Self::Matrix, head: &Self::Weight) -> Result<Vec<Self::Host>> {
        same_shape("logits", (x.rows(), head.columns()), x)?;
        self.logits_impl(x, head)
    }
    /// Implements [`LogProb::logits`].
    fn logits_impl(&self, x: &Self::Matrix, head: &Self::Weight) -> Result<Vec<Self::Host>> {
        self.download(&self.linear_impl(x, head, None, None)?)
    }
}

/// Checks that there is one target per row, inside the vocabulary.
fn check_targets(rows: usize, vocabulary: usize, targets: &[u32]) -> Result<()> {
    let say = |count: usize| move || format!("{count} targets");
    let found = targets.len();
    expect(found == rows, "log_probability", say(rows), say(found))?;
    let tokens = targets.iter().map(|&t| t as usize);
    below("log_probability", tokens, vocabulary)
}
