//! Shares: of two groups, and of pairs.

use statrs::distribution::{Binomial, Discrete, DiscreteCDF, Hypergeometric};

use super::Test;

/// By how much two probabilities that are equal but for rounding may differ.
const ROUNDING: f64 = 1e-7;

/// Fisher's exact test of two shares, `yes` of `of` each. The p-value adds up all tables with the
/// same margins that are no likelier than this one; the statistic is the first group's `yes`.
/// `None` where a group is empty or a `yes` is larger than its `of`.
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

/// McNemar's test of paired shares, exact: of the pairs that differ, as many should go one way as
/// the other (binomial). `first` counts the pairs with yes and no, which is the statistic, `second`
/// those with no and yes. Without either the p-value is 1.
pub fn mcnemar(first: u64, second: u64) -> Test {
    // One half is a probability: the error cannot happen.
    let p = Binomial::new(0.5, first + second).map_or(1.0, |b| 2.0 * b.cdf(first.min(second)));
    Test {
        name: "McNemar, exact binomial",
        statistic: first as f64,
        p: p.min(1.0),
    }
}
