//! Position embeddings for another number of patches than a checkpoint has.

/// Added to the new number before it is divided by the old, as the original DINOv2 does against
/// rounding.
const OFFSET: f64 = 0.1;

/// A grid of `from x from` positions of `width` values, row by row, made `to x to`: bicubic (a =
/// -0.75) without antialiasing, as `torch.nn.functional.interpolate` does with a scale factor of
/// `(to + 0.1) / from`. As it is where the sizes are the same.
pub(super) fn resized(grid: &[f32], width: usize, from: usize, to: usize) -> Vec<f32> {
    if from == to {
        return grid.to_vec();
    }
    let taps: Vec<[(usize, f64); 4]> = (0..to).map(|i| taps(i, from, to)).collect();
    let mut out = Vec::with_capacity(to * to * width);
    for rows in &taps {
        for columns in &taps {
            let mut sums = vec![0.0_f64; width];
            for (y, a) in rows {
                for (x, b) in columns {
                    let values = &grid[(y * from + x) * width..][..width];
                    let pairs = sums.iter_mut().zip(values);
                    pairs.for_each(|(sum, &v)| *sum += a * b * f64::from(v));
                }
            }
            out.extend(sums.iter().map(|&sum| sum as f32));
        }
    }
    out
}

/// The four positions that number `i` of the new line is made of, and their weights. Beyond an end
/// there is the end.
fn taps(i: usize, from: usize, to: usize) -> [(usize, f64); 4] {
    let scale = (to as f64 + OFFSET) / from as f64;
    let at = (i as f64 + 0.5) / scale - 0.5;
    let low = at.floor();
    [-1.0, 0.0, 1.0, 2.0].map(|step| {
        let place = low + step;
        let inside = place.clamp(0.0, (from - 1) as f64) as usize;
        (inside, cubic((at - place).abs()))
    })
}

/// Keys' cubic kernel with a = -0.75.
fn cubic(t: f64) -> f64 {
    const A: f64 = -0.75;
    if t <= 1.0 {
        ((A + 2.0) * t - (A + 3.0)) * t * t + 1.0
    } else {
        ((A * t - 5.0 * A) * t + 8.0 * A) * t - 4.0 * A
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By hand, from Keys' formula: half-way between two positions they weigh 19/32 each, and those
    /// beyond -3/32.
    #[test]
    fn kernel() {
        let found = [0.0, 0.5, 1.0, 1.5, 2.0].map(cubic);
        let expected = [1.0, 0.59375, 0.0, -0.09375, 0.0];
        let pairs = found.iter().zip(expected);
        assert!(
            pairs.clone().all(|(f, e)| (f - e).abs() < 1e-15),
            "{found:?}"
        );
    }

    #[test]
    fn constants_stay() {
        for (from, to) in [(7, 5), (5, 9), (37, 27)] {
            let made = resized(&vec![2.5; from * from * 2], 2, from, to);
            assert_eq!(made.len(), to * to * 2);
            assert!(
                made.iter().all(|v| (v - 2.5).abs() < 1e-5),
                "{from} to {to}"
            );
        }
    }
}
