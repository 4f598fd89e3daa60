//! Bilinear changes of size of grids: of tokens, of pixels and of masks.

/// Combines the taps of a row and of a column into those of one place of a grid: row, column and
/// weight of every input.
pub(in crate::lvlm) fn crossed(
    rows: &[(usize, f64)],
    columns: &[(usize, f64)],
) -> impl Iterator<Item = (usize, usize, f64)> {
    rows.iter()
        .flat_map(move |&(i, a)| columns.iter().map(move |&(j, b)| (i, j, a * b)))
}

/// Returns the taps of a bilinear change of size without antialiasing, as
/// `torch.nn.functional.interpolate` with `align_corners=False`: inputs and weights of every
/// output.
pub(in crate::lvlm) fn taps(from: usize, to: usize) -> Vec<Vec<(usize, f64)>> {
    if from == to {
        return (0..to).map(|i| vec![(i, 1.0)]).collect();
    }
    let scale = from as f64 / to as f64;
    let place = |i: usize| ((i as f64 + 0.5) * scale - 0.5).max(0.0);
    (0..to).map(|i| around(place(i), from - 1)).collect()
}

/// Returns the taps of a bilinear change of size that keeps both ends, as
/// `torch.nn.functional.interpolate` with `align_corners=True`: inputs and weights of every output.
/// Places are computed in f32, as transformers does (`_interpolation_axis_taps_weights`).
pub(in crate::lvlm) fn aligned_taps(from: usize, to: usize) -> Vec<Vec<(usize, f64)>> {
    let last = from.saturating_sub(1);
    let place = |i: usize| i as f32 * last as f32 / to.saturating_sub(1).max(1) as f32;
    let tap = |i| around(f64::from(place(i)), last);
    (0..to).map(tap).collect()
}

/// Returns the inputs on both sides of a place among those up to `last`, and their weights.
fn around(place: f64, last: usize) -> Vec<(usize, f64)> {
    let low = (place as usize).min(last);
    let weight = if low == last { 0.0 } else { place - low as f64 };
    let taps = [(low, 1.0 - weight), (low + 1, weight)];
    taps.into_iter().filter(|&(_, w)| w != 0.0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By hand: 5 places over 3 lie at 0, 1/2, 1, 3/2 and 2; the only place over several is the
    /// first.
    #[test]
    fn both_ends_are_kept() {
        let half = |low: usize| vec![(low, 0.5), (low + 1, 0.5)];
        let whole = |at: usize| vec![(at, 1.0)];
        let expected = [whole(0), half(0), whole(1), half(1), whole(2)];
        assert_eq!(aligned_taps(3, 5), expected);
        assert_eq!(aligned_taps(3, 1), [whole(0)]);
        assert_eq!(aligned_taps(48, 2), [whole(0), whole(47)]);
        assert_eq!(aligned_taps(1, 2), [whole(0), whole(0)]);
    }
}
