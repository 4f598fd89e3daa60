//! Log-probability of one token per row of logits, and its vjp.

use rayon::prelude::*;

use super::norm::{largest, sum};
use super::simd::vectorize;
use super::{Cpu, CpuMatrix, CpuReal, CpuWeight};
use crate::blend::Score;
use crate::device::ops::Logits;
use crate::device::{Gemm, LogProb, Matrix, Real, Result};

/// A score, and one weight per row.
pub struct CpuWeights {
    values: Vec<f64>,
    score: Score,
}

/// Returns log(sum exp) of one row.
fn log_sum_exp<T: Real>(row: &[T]) -> f64 {
    vectorize(
        #[inline(always)]
        || {
            let largest = largest(row);
            largest.to_f64() + sum(row, |v| (v - largest).exp()).to_f64().ln()
        },
    )
}

/// Returns log_softmax(row)[target] of every row.
pub(super) fn forward<T: Real>(logits: &[T], vocabulary: usize, targets: &[u32]) -> Vec<f64> {
    logits
        .par_chunks(vocabulary.max(1))
        .zip(targets)
        .map(|(row, &t)| row[t as usize].to_f64() - log_sum_exp(row))
        .collect()
}

/// Replaces logits with `weight * factor * (one_hot(target) - q)`: q is the softmax over the other
/// logits, and the factor 1 for log-odds, 1 - p for log-probabilities.
pub(super) fn vjp<T: Real>(
    logits: &mut [T],
    vocabulary: usize,
    targets: &[u32],
    weights: &CpuWeights,
) {
    logits
        .par_chunks_mut(vocabulary.max(1))
        .zip(targets)
        .zip(&weights.values)
        .for_each(|((row, &target), &weight)| {
            let target = target as usize;
            let own = std::mem::replace(&mut row[target], T::of(f64::NEG_INFINITY)).to_f64();
            let others = match row.len() {
                1 => f64::NEG_INFINITY,
                _ => log_sum_exp(row),
            };
            let w = T::of(match weights.score {
                Score::LogProbability => weight / (1.0 + (own - others).exp()),
                Score::LogOdds => weight,
            });
            let others = T::of(others);
            vectorize(
                #[inline(always)]
                || {
                    for v in row.iter_mut() {
                        *v = -w * (*v - others).exp();
                    }
                },
            );
            row[target] = w;
        });
}

impl<T: CpuReal> LogProb for Cpu<T> {
    type Weights = CpuWeights;
    type Values = Vec<f64>;
    type Logits = CpuMatrix<T>;

    fn weigh(&self, weights: &[f64], score: Score) -> Result<CpuWeights> {
        Ok(CpuWeights {
            values: weights.to_vec(),
            score,
        })
    }

    fn weight_count(&self, weights: &CpuWeights) -> usize {
        weights.values.len()
    }

    fn reweigh_impl(&self, place: &mut CpuWeights, weights: &[f64]) -> Result<()> {
        place.values.copy_from_slice(weights);
        Ok(())
    }

    fn log_probability_impl(
        &self,
        x: &CpuMatrix<T>,
        head: &CpuWeight,
        targets: &[u32],
    ) -> Result<(Vec<f64>, CpuMatrix<T>)> {
        let logits = self.linear_impl(x, head, None, None)?;
        let values = self.run(|| forward(&logits.values, head.rows, targets));
        Ok((values, logits))
    }

    fn values(&self, values: &Vec<f64>) -> Result<Vec<f64>> {
        Ok(values.clone())
    }

    fn log_probability_vjp_impl(
        &self,
        mut logits: CpuMatrix<T>,
        head: &CpuWeight,
        targets: &[u32],
        weights: &CpuWeights,
    ) -> Result<CpuMatrix<T>> {
        self.run(|| vjp(&mut logits.values, head.rows, targets, weights));
        self.linear_vjp_impl(&logits, head, None)
    }
}

impl<T: CpuReal> Logits for CpuMatrix<T> {
    fn rows(&self) -> usize {
        Matrix::rows(self)
    }
    fn are_of(&self, vocabulary: usize, _: usize) -> bool {
        self.columns() == vocabulary
    }
}
