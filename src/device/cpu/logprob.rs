//! Log-probability of one token per row of logits, and its vjp.

use rayon::prelude::*;

use super::norm::{largest, sum};
use super::simd::vectorize;
use crate::device::Real;

/// log(sum exp) of one row.
fn log_sum_exp<T: Real>(row: &[T]) -> f64 {
    vectorize(
        #[inline(always)]
        || {
            let largest = largest(row);
            largest.to_f64() + sum(row, |v| (v - largest).exp()).to_f64().ln()
        },
    )
}

/// log_softmax(row)[target] of every row.
pub(super) fn forward<T: Real>(logits: &[T], vocabulary: usize, targets: &[u32]) -> Vec<f64> {
    logits
        .par_chunks(vocabulary.max(1))
        .zip(targets)
        .map(|(row, &t)| row[t as usize].to_f64() - log_sum_exp(row))
        .collect()
}

/// logits become weight * (one_hot(target) - softmax(logits)).
pub(super) fn vjp<T: Real>(logits: &mut [T], vocabulary: usize, targets: &[u32], weights: &[f64]) {
    logits
        .par_chunks_mut(vocabulary.max(1))
        .zip(targets)
        .zip(weights)
        .for_each(|((row, &t), &weight)| {
            let (lse, w) = (T::of(log_sum_exp(row)), T::of(weight));
            vectorize(
                #[inline(always)]
                || {
                    for v in row.iter_mut() {
                        *v = -w * (*v - lse).exp();
                    }
                },
            );
            row[t as usize] += w;
        });
}
