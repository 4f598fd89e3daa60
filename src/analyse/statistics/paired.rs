//! Tests of paired numbers.

use super::ranks::{doubled, ranks, tie_term};
use super::{Test, normal_two_sided, two_sided};

/// The largest number of differences for the exact distribution; more use the normal approximation.
const EXACT: usize = 50;

/// Performs Wilcoxon's signed-rank test of paired `differences`. Differences of zero are left out;
/// equal sizes share their mean rank. The statistic is the sum of the ranks of the positive
/// differences. Up to 50 differences the p-value is exact, given the ranks including ties; beyond,
/// it is that of the normal approximation with ties and without continuity correction. Without any
/// difference it is 1.
pub fn signed_rank(differences: &[f64]) -> Test {
    let kept: Vec<f64> = differences.iter().copied().filter(|&d| d != 0.0).collect();
    let sizes: Vec<f64> = kept.iter().map(|d| d.abs()).collect();
    let ranks = ranks(&sizes);
    let signed = ranks.iter().zip(&kept);
    let statistic: f64 = signed.filter(|(_, d)| **d > 0.0).map(|(r, _)| r).sum();
    if kept.len() <= EXACT {
        let at = (2.0 * statistic).round() as usize;
        return Test {
            name: "Wilcoxon signed-rank, exact",
            statistic,
            p: two_sided(&distribution(&doubled(&ranks)), at),
        };
    }
    let n = kept.len() as f64;
    let mean = n * (n + 1.0) / 4.0;
    let variance = (n * (n + 1.0) * (2.0 * n + 1.0) - tie_term(&sizes) / 2.0) / 24.0;
    Test {
        name: "Wilcoxon signed-rank, normal approximation",
        statistic,
        p: normal_two_sided((statistic - mean).abs() / variance.sqrt()),
    }
}

/// Returns the probability of every sum of a random subset of `ranks`, each included with
/// probability 1/2.
fn distribution(ranks: &[usize]) -> Vec<f64> {
    let mut probability = vec![0.0; ranks.iter().sum::<usize>() + 1];
    probability[0] = 1.0;
    let mut most = 0;
    for &rank in ranks {
        most += rank;
        for sum in (0..=most).rev() {
            let with = if sum >= rank {
                probability[sum - rank]
            } else {
                0.0
            };
            probability[sum] = (probability[sum] + with) / 2.0;
        }
    }
    probability
}
