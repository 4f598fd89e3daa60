//! From attributions to masks.

use super::{Mask, Result};

/// Returns the mask whose saliency, `1 - mask`, is proportional to the attributions of its cells,
/// row by row, picture by picture, with a largest of 1. Attributions below 0 become 0. If none is
/// above 0, the mask keeps everything.
///
/// # Errors
/// [`ExplainError::Mask`](super::ExplainError::Mask) if there are not `size * size` attributions for
/// each of some pictures.
pub(super) fn mask_of(size: usize, attributions: &[f64]) -> Result<Mask> {
    let largest = attributions.iter().fold(0.0, |m: f64, &a| m.max(a));
    let scale = if largest > 0.0 { 1.0 / largest } else { 1.0 };
    let kept = attributions.iter().map(|a| 1.0 - scale * a);
    let pictures = (attributions.len() / (size * size).max(1)).max(1);
    Ok(Mask::of_pictures(size, pictures, kept.collect())?)
}

/// Returns the values divided by their range, from 0 to 1; zeros if all are equal.
pub(super) fn min_max(values: &[f64]) -> Vec<f64> {
    let (low, high) = values
        .iter()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &v| {
            (low.min(v), high.max(v))
        });
    let range = if high > low { high - low } else { 1.0 };
    values.iter().map(|v| (v - low) / range).collect()
}
