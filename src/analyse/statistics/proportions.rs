//! Tests of shares: of two groups, and of pairs.

use statrs::distribution::{Binomial, Discrete, DiscreteCDF, Hypergeometric};

use super::Test;

/// The relative difference up to which two probabilities are considered equal.
const ROUNDING: f64 = 1e-7;

/// Performs Fisher's exact test of two shares, `yes` of `of` each. The p-value is the sum over all
/// tables with the same margins that are at most as likely as this one; the statistic is the first
/// group's `yes`. Returns `None` if a group is empty or a `yes` is larger than its `of`.
pub fn fisher(a: (u64, u64), b: (u64, u64)) -> Option<Test> {
    let ((yes, of), (other, others)) = (a, b);
    if of == 0 || others == 0 || yes > of || other > others {
        return None;
    }
    let table = Hypergeometric::new(of + others, yes + other, of).ok()?;
    let limit = table.pmf(yes) * (1.0 + ROUNDING);
    let least = (yes + other).saturating_sub(others);
    let all = (least..=of.min(yes + other)).map(|k| table.pmf(k));
    Some(Test {
        name: "Fisher's exact",
        statistic: yes as f64,
        p: all.filter(|&p| p <= limit).sum::<f64>().min(1.0),
    })
}

/// Performs McNemar's exact test of paired shares: under the null hypothesis, pairs that differ go
/// either way with equal probability (binomial). `first`, the statistic, counts the pairs with yes
/// and no, `second` those with no and yes. If both are 0 the p-value is 1.
pub fn mcnemar(first: u64, second: u64) -> Test {
    // 0.5 is a valid probability, so there is no error.
    let p = Binomial::new(0.5, first + second).map_or(1.0, |b| 2.0 * b.cdf(first.min(second)));
    Test {
        name: "McNemar, exact binomial",
        statistic: first as f64,
        p: p.min(1.0),
    }
}
