//! Masks resampled to more cells before views sample them.

use super::bilinear::taps;
use crate::blend::View;

/// A bilinear change of a square mask to more rows or more columns, as
/// `torch.nn.functional.interpolate` with `align_corners=False`. The result lies in the first rows
/// and columns of a square, since devices take square masks.
#[derive(Clone, Debug, PartialEq)]
pub struct Resampling {
    size: usize,
    rows: Vec<Vec<(usize, f64)>>,
    columns: Vec<Vec<(usize, f64)>>,
}

impl Resampling {
    /// Resamples masks of `size` cells a side to `rows` and `columns`, each at least `size`.
    /// Returns `None` where that changes nothing.
    pub(in crate::lvlm) fn new(size: usize, (rows, columns): (usize, usize)) -> Option<Resampling> {
        // A single cell is the same everywhere.
        (size > 1 && (rows, columns) != (size, size)).then(|| Resampling {
            size,
            rows: taps(size, rows),
            columns: taps(size, columns),
        })
    }

    /// Returns the cells per side of the masks.
    pub(in crate::lvlm) fn size(&self) -> usize {
        self.size
    }

    /// Returns the cells per side of the square.
    pub fn side(&self) -> usize {
        self.rows.len().max(self.columns.len())
    }

    /// Resamples a mask to the square: `side * side` values, row by row; those beyond its rows and
    /// columns are 1.
    ///
    /// # Panics
    /// When `mask` has not as many values as the masks that this is for.
    pub fn square(&self, mask: &[f64]) -> Vec<f64> {
        assert_eq!(
            mask.len(),
            self.size * self.size,
            "a mask of {} cells a side",
            self.size
        );
        let side = self.side();
        let mut out = vec![1.0; side * side];
        for (i, down) in self.rows.iter().enumerate() {
            for (j, across) in self.columns.iter().enumerate() {
                let line = |y: usize| -> f64 {
                    let terms = across.iter().map(|&(x, w)| w * mask[y * self.size + x]);
                    terms.sum()
                };
                out[i * side + j] = down.iter().map(|&(y, w)| w * line(y)).sum();
            }
        }
        out
    }

    /// Maps a gradient with respect to the square to the one with respect to the mask.
    ///
    /// # Panics
    /// When `gradient` has not `side * side` values.
    pub fn adjoint(&self, gradient: &[f64]) -> Vec<f64> {
        let side = self.side();
        assert_eq!(
            gradient.len(),
            side * side,
            "a gradient of {side} cells a side"
        );
        let mut out = vec![0.0; self.size * self.size];
        for (down, line) in self.rows.iter().zip(gradient.chunks_exact(side)) {
            for (across, value) in self.columns.iter().zip(line) {
                for &(y, down) in down {
                    for &(x, across) in across {
                        out[y * self.size + x] += down * across * value;
                    }
                }
            }
        }
        out
    }

    /// Returns the geometry of a view whose corners are those of the resampled rows and columns.
    pub(in crate::lvlm) fn under(&self, view: &View) -> View {
        let (side, unit) = (self.side(), self.size - 1);
        // In parts of 1 / unit pixel: the last pixel lies on the last made cell, which is not the
        // square's last on every axis.
        let resized = |length: usize, cells: usize| match cells == side {
            true => unit * length,
            false => unit + length.saturating_sub(1) * (side - 1),
        };
        View {
            resized_height: resized(view.height, self.rows.len()),
            resized_width: resized(view.width, self.columns.len()),
            unit,
            ..View::whole(view.height, view.width)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By hand: 2 cells become 4 at -1/4, 1/4, 3/4 and 5/4, cut to 0 to 1; the columns stay.
    #[test]
    fn rows_are_made_as_by_interpolate() {
        let resampling = Resampling::new(2, (4, 2)).unwrap();
        let square = resampling.square(&[0.0, 0.4, 1.0, 0.8]);
        let made: Vec<f64> = square.chunks(4).flat_map(|row| row[..2].to_vec()).collect();
        let expected = [0.0, 0.4, 0.25, 0.5, 0.75, 0.7, 1.0, 0.8];
        assert!(
            made.iter()
                .zip(&expected)
                .all(|(a, b)| (a - b).abs() < 1e-12),
            "{made:?}"
        );
        assert_eq!(Resampling::new(2, (2, 2)), None);
        assert_eq!(Resampling::new(1, (3, 1)), None);
    }

    #[test]
    fn the_adjoint_is_one() {
        for cells in [(4, 3), (3, 7), (9, 3)] {
            let resampling = Resampling::new(3, cells).unwrap();
            let side = resampling.side();
            let mask: Vec<f64> = (0..9).map(|i| f64::from(i * 5 % 9) / 9.0).collect();
            let gradient: Vec<f64> = (0..side * side)
                .map(|i| (i * 7 % 11) as f64 - 5.0)
                .collect();
            let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
            let beyond = dot(&resampling.square(&[0.0; 9]), &gradient);
            let left = dot(&resampling.square(&mask), &gradient) - beyond;
            let right = dot(&mask, &resampling.adjoint(&gradient));
            assert!((left - right).abs() < 1e-9, "{cells:?}: {left} {right}");
        }
    }

    /// A mask that grows with the row and with the column is sampled as what was made of it, corner
    /// to corner.
    #[test]
    fn views_see_what_was_made_from_corner_to_corner() {
        for cells in [(4, 3), (3, 7), (9, 3)] {
            let resampling = Resampling::new(3, cells).unwrap();
            let (rows, columns) = cells;
            let side = resampling.side();
            let mut square = vec![f64::NAN; side * side];
            for i in 0..rows {
                for j in 0..columns {
                    square[i * side + j] =
                        (i as f64 / (rows - 1) as f64 + j as f64 / (columns - 1) as f64) / 2.0;
                }
            }
            square
                .iter_mut()
                .filter(|v| v.is_nan())
                .for_each(|v| *v = 1.0);
            let (height, width) = (13, 11);
            let seen = resampling
                .under(&View::whole(height, width))
                .sampled(&square, side);
            for (at, value) in seen.iter().enumerate() {
                let (i, j) = (at / width, at % width);
                let expected =
                    (i as f64 / (height - 1) as f64 + j as f64 / (width - 1) as f64) / 2.0;
                assert!(
                    (value - expected).abs() < 1e-9,
                    "{cells:?}, {i}, {j}: {value} {expected}"
                );
            }
        }
    }
}
