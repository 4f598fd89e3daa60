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
mod tests;
