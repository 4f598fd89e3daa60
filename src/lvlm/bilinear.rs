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
    let tap = |i: usize| {
        let at = ((i as f64 + 0.5) * scale - 0.5).max(0.0);
        let low = (at as usize).min(from - 1);
        let high = (low + 1).min(from - 1);
        let weight = if high == low { 0.0 } else { at - low as f64 };
        let taps = [(low, 1.0 - weight), (high, weight)];
        taps.into_iter().filter(|&(_, w)| w != 0.0).collect()
    };
    (0..to).map(tap).collect()
}
