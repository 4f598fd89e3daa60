//! The mask's gradient where it keeps everything, which several methods are made of.

use super::Result;
use crate::blend::{Blend, Masks, Score};
use crate::lvlm::{Callback, Scorer};

/// Returns the gradient, cell by cell, of `sum of weight * log p of the key tokens` over weighted
/// blends of one mask that keeps everything.
///
/// # Errors
/// Returns the scorer's errors.
pub(super) fn at_whole_mask(
    scorer: &dyn Scorer,
    size: usize,
    weighted: impl Iterator<Item = (Blend, f64)>,
    keys: &[usize],
    evaluated: &mut Callback,
) -> Result<Vec<f64>> {
    let (blends, weights): (Vec<Blend>, Vec<f64>) = weighted.unzip();
    let masks = Masks {
        size,
        values: &[vec![1.0; scorer.pictures() * size * size]],
    };
    let (_, gradients) = scorer.gradient(
        masks,
        &blends,
        &weights,
        keys,
        Score::LogProbability,
        evaluated,
    )?;
    Ok(gradients.into_iter().next().unwrap_or_default())
}
