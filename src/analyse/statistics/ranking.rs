//! A ranking against the set that it should put first.

/// Elements of a ranking that have equal scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    /// Their number.
    pub count: usize,
    /// The number of those that belong to the set.
    pub hits: usize,
}

/// Returns the levels of a ranking, the highest score first. `inside` says of each element whether
/// it belongs to the set; both have the same length.
pub fn levels(scores: &[f32], inside: &[bool]) -> Vec<Level> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_unstable_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    let levels = order.chunk_by(|&a, &b| scores[a] == scores[b]);
    let level = |level: &[usize]| Level {
        count: level.len(),
        hits: level.iter().filter(|&&element| inside[element]).count(),
    };
    levels.map(level).collect()
}

/// Returns the area under the precision-recall curve as average precision: the sum over the levels
/// of the precision down to each, weighted by the recall that it adds. Equal scores are one level,
/// so their order has no influence, and nothing is interpolated. Returns `None` if the set is
/// empty. The value of a random ranking is about the set's share of the elements.
pub fn average_precision(levels: &[Level]) -> Option<f64> {
    let all: usize = levels.iter().map(|level| level.hits).sum();
    let (mut above, mut hit, mut sum) = (0, 0, 0.0);
    for level in levels {
        above += level.count;
        hit += level.hits;
        sum += level.hits as f64 * (hit as f64 / above as f64);
    }
    (all > 0).then(|| sum / all as f64)
}
