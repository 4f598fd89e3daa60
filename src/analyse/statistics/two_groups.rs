//! Test of two groups of numbers.

use super::ranks::{doubled, ranks, tie_term};
use super::{Test, normal_two_sided, two_sided};

/// The largest total of numbers in both groups for the exact distribution; more use the normal
/// approximation.
const EXACT: usize = 40;

/// Performs the Mann-Whitney U test of two groups. The statistic is U of the first: the number of
/// pairs in which its number is the larger, equal ones counting half. Up to 40 numbers in total the
/// p-value is exact, given the ranks including ties; beyond, it is that of the normal approximation
/// with ties and continuity correction. Returns `None` if a group is empty.
pub fn rank_sum(a: &[f64], b: &[f64]) -> Option<Test> {
    if a.is_empty() || b.is_empty() {
        return None;
    }
    let all = [a, b].concat();
    let ranks = ranks(&all);
    let (n, m) = (a.len() as f64, b.len() as f64);
    let sum: f64 = ranks[..a.len()].iter().sum();
    let statistic = sum - n * (n + 1.0) / 2.0;
    if all.len() <= EXACT {
        let at = (2.0 * sum).round() as usize;
        return Some(Test {
            name: "Mann-Whitney U, exact",
            statistic,
            p: two_sided(&distribution(&doubled(&ranks), a.len()), at),
        });
    }
    let total = n + m;
    let ties = tie_term(&all) / (total * (total - 1.0));
    let deviation = (n * m / 12.0 * (total + 1.0 - ties)).sqrt();
    let distance = ((statistic - n * m / 2.0).abs() - 0.5).max(0.0);
    Some(Test {
        name: "Mann-Whitney U, normal approximation",
        statistic,
        // If all numbers are equal, the deviation is 0, and so is the distance.
        p: if deviation > 0.0 {
            normal_two_sided(distance / deviation)
        } else {
            1.0
        },
    })
}

/// Returns the probability of every sum of `taken` of the `ranks`, all choices being equally
/// likely.
fn distribution(ranks: &[usize], taken: usize) -> Vec<f64> {
    let total: usize = ranks.iter().sum();
    // ways[k][s]: number of choices of k ranks with sum s; at most 40 choose 20, exact in f64.
    let mut ways = vec![vec![0.0; total + 1]; taken + 1];
    ways[0][0] = 1.0;
    for &rank in ranks {
        for k in (1..=taken).rev() {
            let (fewer, more) = ways.split_at_mut(k);
            let (from, to) = (&fewer[k - 1], &mut more[0]);
            for sum in rank..=total {
                to[sum] += from[sum - rank];
            }
        }
    }
    let choices: f64 = ways[taken].iter().sum();
    ways[taken].iter().map(|w| w / choices).collect()
}
