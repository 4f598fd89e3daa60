//! Statistics: ranks, average precision, the percentile bootstrap, and tests of paired numbers,
//! paired shares, and two groups.
//!
//! All tests are two-sided. The unit tests compare with the results of scipy and scikit-learn in
//! `tests/data/statistics`.

mod bootstrap;
mod paired;
mod proportions;
mod ranking;
mod ranks;
#[cfg(test)]
mod tests;
mod two_groups;

use serde::Serialize;
use statrs::distribution::{ContinuousCDF, Normal};

#[cfg(test)]
use bootstrap::quantile;
pub use bootstrap::{Bootstrap, Estimate};
pub use paired::signed_rank;
pub use proportions::{fisher, mcnemar};
pub use ranking::{Level, average_precision, levels};
pub use ranks::spearman;
pub use two_groups::rank_sum;

/// The result of a test.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Test {
    /// The test, and whether its p-value is exact.
    #[serde(rename = "test")]
    pub name: &'static str,
    /// The test statistic, as defined by the function that returned it.
    pub statistic: f64,
    /// The two-sided p-value.
    pub p: f64,
}

/// Returns p-values corrected for their number by Holm's step-down method (Scand. J. Statist. 6,
/// 1979), in the order given.
pub fn holm(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|&a, &b| p[a].total_cmp(&p[b]));
    let mut corrected = vec![0.0; p.len()];
    let mut least: f64 = 0.0;
    for (place, &at) in order.iter().enumerate() {
        least = least.max(p[at] * (p.len() - place) as f64).min(1.0);
        corrected[at] = least;
    }
    corrected
}

/// Returns the two-sided p-value of the value `at` in a distribution: `probability[i]` is that of
/// `i`.
fn two_sided(probability: &[f64], at: usize) -> f64 {
    let below: f64 = probability[..=at].iter().sum();
    let above: f64 = probability[at..].iter().sum();
    (2.0 * below.min(above)).min(1.0)
}

/// Returns the two-sided p-value of a standard normal deviate of at least `z >= 0`.
fn normal_two_sided(z: f64) -> f64 {
    (2.0 * Normal::standard().sf(z)).min(1.0)
}
