//! Ranks, and Spearman's correlation.

/// Returns ranks from 1 in ascending order; equal values share their mean rank.
pub fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut first = 0;
    for group in order.chunk_by(|&a, &b| values[a] == values[b]) {
        let mean = first as f64 + (group.len() + 1) as f64 / 2.0;
        for &at in group {
            ranks[at] = mean;
        }
        first += group.len();
    }
    ranks
}

/// Returns the sum of `t^3 - t` over the groups of `t` equal values, by which ties reduce the
/// variance of rank sums.
pub(super) fn tie_term(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let sizes = sorted.chunk_by(|a, b| a == b).map(|g| g.len() as f64);
    sizes.map(|t| t * t * t - t).sum()
}

/// Returns twice the ranks, which are integers.
pub(super) fn doubled(ranks: &[f64]) -> Vec<usize> {
    ranks.iter().map(|r| (2.0 * r).round() as usize).collect()
}

/// Returns Spearman's rank correlation: Pearson's of the ranks, ties averaged. Returns `None` if
/// all values of a side are equal.
///
/// # Panics
/// Panics if the sides differ in length.
pub fn spearman(a: &[f64], b: &[f64]) -> Option<f64> {
    assert_eq!(a.len(), b.len(), "values to be correlated");
    let (a, b) = (ranks(a), ranks(b));
    // The mean of ranks, averaged or not.
    let mean = (a.len() + 1) as f64 / 2.0;
    let product = |x: &[f64], y: &[f64]| -> f64 {
        let pairs = x.iter().zip(y);
        pairs.map(|(x, y)| (x - mean) * (y - mean)).sum()
    };
    let (aa, bb) = (product(&a, &a), product(&b, &b));
    (aa > 0.0 && bb > 0.0).then(|| (product(&a, &b) / (aa * bb).sqrt()).clamp(-1.0, 1.0))
}
