//! Mapping of an encoder's input pixels to the plane of the original picture.

use super::{Extent, MaskError};

/// The geometry of one view: a tensor of `height` x `width` pixels cut from the picture after it
/// was resized to `resized_height` x `resized_width`.
///
/// The mask lies in the plane of the original picture, `[0,1] x [0,1]`. The view's pixel (row `i`,
/// column `j`) lies at
///
/// ```text
/// px = (j + offset_x) / (resized_width - 1)        py = (i + offset_y) / (resized_height - 1)
/// ```
///
/// and sees the bilinear sample of the S x S grid at `(px * (S-1), py * (S-1))`. Where `px` or `py`
/// is outside `[0,1]` there is padding, and the mask is 1. If the resized picture is one pixel
/// wide, that pixel lies at `px = 0`.
///
/// Resized sizes and offsets are in pixels and need not be whole: the fields count them in units of
/// `1 / unit` pixel. For example, a picture of W x H that is padded to a square of side L and then
/// resized to s x s has `s W / L` pixels of its own width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct View {
    /// Rows of the view.
    pub height: usize,
    /// Columns of the view.
    pub width: usize,
    /// Rows of the whole picture, resized.
    pub resized_height: usize,
    /// Columns of the whole picture, resized.
    pub resized_width: usize,
    /// Row of the resized picture at the view's first row: positive for a crop, negative for
    /// padding.
    pub offset_y: isize,
    /// Column of the resized picture at the view's first column: positive for a crop, negative for
    /// padding.
    pub offset_x: isize,
    /// Units per pixel in which the four fields above are counted, at least 1.
    pub unit: usize,
}

/// The sample of a mask's rows (or columns) for one row (or column) of a view:
/// `(1 - weight_high) * mask[low] + weight_high * mask[high]`. Combined with the taps of the other
/// axis this gives the bilinear sample; if either tap is outside, the sample is 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tap {
    /// The grid's index at or below the position.
    pub low: u32,
    /// The next index, or the same index at the grid's end.
    pub high: u32,
    /// The weight of `high`, in `[0,1)`.
    pub weight_high: f64,
    /// Whether the position is inside the picture. If not, the other fields are zero.
    pub inside: bool,
}

impl View {
    /// Returns a view of `height` x `width` pixels that a mask covers from corner to corner.
    pub fn whole(height: usize, width: usize) -> View {
        View {
            height,
            width,
            resized_height: height,
            resized_width: width,
            offset_y: 0,
            offset_x: 0,
            unit: 1,
        }
    }

    /// Returns the part of the picture's plane from the centre of the view's first pixel to that of
    /// its last.
    pub fn extent(&self) -> Extent {
        let axis = |length: usize, resized: usize, offset: isize| {
            let parts = resized.saturating_sub(self.unit).max(1) as f64;
            let last = length.saturating_sub(1) * self.unit;
            (offset as f64 / parts, (last as f64 + offset as f64) / parts)
        };
        let (top, bottom) = axis(self.height, self.resized_height, self.offset_y);
        let (left, right) = axis(self.width, self.resized_width, self.offset_x);
        Extent {
            left,
            top,
            right,
            bottom,
        }
    }

    /// Returns the taps of a mask of `size` x `size`, `size >= 1`: one for each of the view's rows,
    /// and one for each column.
    pub fn taps(&self, size: usize) -> (Vec<Tap>, Vec<Tap>) {
        (
            self.axis(self.height, self.resized_height, self.offset_y, size),
            self.axis(self.width, self.resized_width, self.offset_x, size),
        )
    }

    fn axis(&self, length: usize, resized: usize, offset: isize, size: usize) -> Vec<Tap> {
        axis_taps(length, self.unit, resized, offset, size)
    }

    /// Samples a mask at the view's pixels: `height * width`, row-major. `mask` is `size * size`,
    /// row-major.
    ///
    /// # Errors
    /// [`MaskError`] if `mask` does not have `size * size` values, or has none.
    pub fn sample(&self, mask: &[f64], size: usize) -> Result<Vec<f64>, MaskError> {
        if size == 0 || size.checked_mul(size) != Some(mask.len()) {
            return Err(MaskError {
                expected: format!("{size} x {size} values, one at least"),
                found: mask.len().to_string(),
            });
        }
        Ok(self.sampled(mask, size))
    }

    /// [`View::sample`] of a mask whose size is known to be correct.
    pub(crate) fn sampled(&self, mask: &[f64], size: usize) -> Vec<f64> {
        let (rows, cols) = self.taps(size);
        let mut out = Vec::with_capacity(self.height * self.width);
        for row in &rows {
            let low = &mask[row.low as usize * size..][..size];
            let high = &mask[row.high as usize * size..][..size];
            out.extend(cols.iter().map(|col| {
                if !(row.inside && col.inside) {
                    return 1.0;
                }
                let mix = |line: &[f64]| {
                    (1.0 - col.weight_high) * line[col.low as usize]
                        + col.weight_high * line[col.high as usize]
                };
                (1.0 - row.weight_high) * mix(low) + row.weight_high * mix(high)
            }));
        }
        out
    }

    /// The adjoint of [`View::sample`]: given the gradient `grad` with respect to the sampled mask
    /// (`height * width`), adds the gradient with respect to the mask to `out` (`size * size`).
    ///
    /// # Panics
    /// If `grad` or `out` does not have that number of values.
    pub(crate) fn accumulate(&self, grad: &[f64], size: usize, out: &mut [f64]) {
        assert_eq!(
            grad.len(),
            self.height * self.width,
            "a gradient of {} x {}",
            self.height,
            self.width
        );
        assert_eq!(out.len(), size * size, "a mask of {size} x {size}");
        let (rows, cols) = self.taps(size);
        let mut line = vec![0.0; size];
        for (row, grad) in rows.iter().zip(grad.chunks_exact(self.width.max(1))) {
            if !row.inside {
                continue;
            }
            line.fill(0.0);
            for (col, value) in cols.iter().zip(grad).filter(|(col, _)| col.inside) {
                line[col.low as usize] += (1.0 - col.weight_high) * value;
                line[col.high as usize] += col.weight_high * value;
            }
            for (column, value) in line.iter().enumerate() {
                out[row.low as usize * size + column] += (1.0 - row.weight_high) * value;
                out[row.high as usize * size + column] += row.weight_high * value;
            }
        }
    }
}

fn axis_taps(length: usize, unit: usize, resized: usize, offset: isize, size: usize) -> Vec<Tap> {
    let last_pixel = resized.saturating_sub(unit);
    let last_cell = size.saturating_sub(1);
    (0..length)
        .map(|index| {
            let position = (index * unit)
                .checked_add_signed(offset)
                .filter(|&position| position <= last_pixel);
            let Some(position) = position else {
                return Tap {
                    low: 0,
                    high: 0,
                    weight_high: 0.0,
                    inside: false,
                };
            };
            // Divided before multiplied, so that the last pixel lies exactly on the last cell.
            let cell = position as f64 / last_pixel.max(1) as f64 * last_cell as f64;
            let low = (cell as usize).min(last_cell);
            let high = (low + 1).min(last_cell);
            let weight_high = if high == low { 0.0 } else { cell - low as f64 };
            Tap {
                low: low as u32,
                high: high as u32,
                weight_high,
                inside: true,
            }
        })
        .collect()
}

/// The pixels of picture and baseline in one view, each `3 x height x width`, channel by channel,
/// normalised.
#[derive(Clone, Copy, Debug)]
pub struct ViewPair<'a> {
    /// The view's size and its position in the picture.
    pub view: View,
    /// The view's pixels from the picture.
    pub picture: &'a [f32],
    /// The view's pixels from the baseline.
    pub baseline: &'a [f32],
}

#[cfg(test)]
mod tests {
    use super::super::random::{key, philox4x32};
    use super::*;

    fn uniform(count: usize, seed: u64) -> Vec<f64> {
        let word = |index: usize| philox4x32([index as u32, 0, 0, 0], key(seed))[0];
        (0..count)
            .map(|index| f64::from(word(index)) / 4294967296.0)
            .collect()
    }

    fn view(sizes: (usize, usize, usize, usize, isize, isize), unit: usize) -> View {
        let (height, width, resized_height, resized_width, offset_y, offset_x) = sizes;
        View {
            height,
            width,
            resized_height,
            resized_width,
            offset_y,
            offset_x,
            unit,
        }
    }

    /// Returns views that are square, not square, cropped, padded on one side or both, one pixel
    /// thin, or of fractional pixel sizes.
    fn views() -> Vec<View> {
        [
            (56, 56, 56, 84, 0, 14),
            (24, 24, 24, 24, 0, 0),
            (20, 20, 20, 5, 0, -8),
            (9, 13, 40, 60, 30, 50),
            (12, 7, 8, 3, -2, -1),
            (5, 6, 1, 9, 0, 1),
            (4, 4, 1, 1, -2, -1),
        ]
        .map(|sizes| view(sizes, 1))
        .into_iter()
        // A picture of 30 x 20 in a square of 30, resized to 13 x 13; and its right half at twice
        // that size.
        .chain([
            view((13, 13, 13 * 20, 13 * 30, -13 * 5, 0), 30),
            view((13, 13, 26 * 20, 26 * 30, -26 * 5, 13 * 30), 30),
        ])
        .collect()
    }

    /// Samples by the definition, with hat functions around every cell instead of taps.
    fn by_definition(view: &View, mask: &[f64], size: usize, i: usize, j: usize) -> f64 {
        let place = |index: usize, offset: isize, resized: usize| {
            let unit = view.unit as f64;
            let position = index as f64 + offset as f64 / unit;
            if resized == view.unit {
                position
            } else {
                position / (resized as f64 / unit - 1.0)
            }
        };
        let (px, py) = (
            place(j, view.offset_x, view.resized_width),
            place(i, view.offset_y, view.resized_height),
        );
        let thin = |resized: usize, p: f64| resized == view.unit && p != 0.0;
        let unit = 0.0..=1.0;
        let outside = thin(view.resized_width, px) || thin(view.resized_height, py);
        if !unit.contains(&px) || !unit.contains(&py) || outside {
            return 1.0;
        }
        let hat =
            |p: f64, cell: usize| (1.0 - (p * (size as f64 - 1.0) - cell as f64).abs()).max(0.0);
        (0..size * size)
            .map(|cell| mask[cell] * hat(py, cell / size) * hat(px, cell % size))
            .sum()
    }

    #[test]
    fn a_sample_is_what_the_definition_says() {
        for view in views() {
            for size in [1, 2, 5, 8, 33] {
                let mask = uniform(size * size, 11);
                let sampled = view.sampled(&mask, size);
                assert_eq!(sampled.len(), view.height * view.width);
                for (index, value) in sampled.iter().enumerate() {
                    let expected =
                        by_definition(&view, &mask, size, index / view.width, index % view.width);
                    assert!(
                        (value - expected).abs() < 1e-12,
                        "{view:?}, size {size}, pixel {index}"
                    );
                }
            }
        }
    }

    #[test]
    fn accumulate_is_the_adjoint_of_sample() {
        for view in views() {
            for size in [1, 2, 7, 16] {
                let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
                let (mask, grad) = (
                    uniform(size * size, 21),
                    uniform(view.height * view.width, 22),
                );
                // The sample is affine; minus the sample of zeros it is linear.
                let constant = view.sampled(&vec![0.0; size * size], size);
                let linear: Vec<f64> = view
                    .sampled(&mask, size)
                    .iter()
                    .zip(&constant)
                    .map(|(a, b)| a - b)
                    .collect();
                let mut back = vec![0.0; size * size];
                view.accumulate(&grad, size, &mut back);
                let (left, right) = (dot(&linear, &grad), dot(&mask, &back));
                assert!(
                    (left - right).abs() <= 1e-12 * left.abs().max(1.0),
                    "{view:?}, size {size}: {left} {right}"
                );
                let once = back.clone();
                view.accumulate(&grad, size, &mut back);
                let twice = back
                    .iter()
                    .zip(&once)
                    .all(|(back, once)| (back - 2.0 * once).abs() < 1e-12);
                assert!(twice, "accumulate adds");
            }
        }
    }

    #[test]
    fn an_extent_is_where_the_corner_pixels_lie() {
        assert_eq!(View::whole(24, 24).extent(), Extent::PICTURE);
        // The middle 56 of 84 columns: pixels 14 to 69 of 0 to 83.
        let crop = view((56, 56, 56, 84, 0, 14), 1).extent();
        assert_eq!((crop.top, crop.bottom), (0.0, 1.0));
        assert_eq!((crop.left, crop.right), (14.0 / 83.0, 69.0 / 83.0));
        // 30 x 20 in the middle of a square of 30, resized to 13 x 13: the picture has 26/3 rows,
        // below 13/6 rows of padding.
        let padded = view((13, 13, 13 * 20, 13 * 30, -13 * 5, 0), 30).extent();
        let last = 26.0 / 3.0 - 1.0;
        for (found, expected) in [
            (padded.left, 0.0),
            (padded.right, 1.0),
            (padded.top, -13.0 / 6.0 / last),
            (padded.bottom, (12.0 - 13.0 / 6.0) / last),
        ] {
            assert!((found - expected).abs() < 1e-12, "{padded:?}");
        }
    }

    #[test]
    fn the_corners_of_a_whole_view_are_the_corners_of_the_mask() {
        let view = View::whole(7, 9);
        let mask = uniform(36, 31);
        let sampled = view.sampled(&mask, 6);
        assert_eq!(
            [sampled[0], sampled[8], sampled[54], sampled[62]],
            [mask[0], mask[5], mask[30], mask[35]]
        );
    }
}
