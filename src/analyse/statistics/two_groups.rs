//! Two groups of numbers.

use super::ranks::{doubled, ranks, tie_term};
use super::{Test, normal_two_sided, two_sided};

/// The most numbers, of both groups together, whose distribution is counted out; more have the
/// normal approximation.
const EXACT: usize = 40;

/// Mann and Whitney's U test of two groups. The statistic is U of the first: the pairs in which its
/// number is the larger, equal ones counting half. Up to 40 numbers in all the p-value is exact,
/// given the ranks, ties included; beyond, it is of the normal approximation with ties and
/// continuity correction. `None` where a group is empty.
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
        // Where all numbers are equal there is no deviation, and no distance either.
        p: if deviation > 0.0 {
            normal_two_sided(distance / deviation)
        } else {
            1.0
        },
    })
}

/// The probability of every sum of `taken` of the `ranks`, all choices being equally likely.
fn distribution(ranks: &[usize], taken: usize) -> Vec<f64> {
    let total: usize = ranks.iter().sum();
    // ways[k][s]: choices of k ranks with sum s; at most 40 choose 20, which an f64 holds exactly.
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
