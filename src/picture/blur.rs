//! The baseline picture, and its Gaussian blur, bit-identical to OpenCV's `GaussianBlur` on u8.
//!
//! The blur follows OpenCV's fixed-point path (`modules/imgproc/src/smooth.*`): the kernel is
//! computed in f64 and rounded to 8 fractional bits (256 is one), carrying the rounding error to
//! the next weight; the remainder goes to the middle. Rows are filtered to 16 bits (8 of them
//! fractional) without any rounding, then columns to 32 bits, which are rounded.
//!
//! The kernels here are long and flat: a few neighbouring integers that alternate. So
//! `kernel[i] - kernel[i + lag]` is zero nearly everywhere for a suitable lag, and an output is the
//! output `lag` before it plus a few differences. All arithmetic is in integers, so this is exact.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{Picture, PictureError};
use crate::blend::random::{BASELINE_STREAM, key, philox4x32};

/// The picture that masked pixels are replaced with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Baseline {
    /// The picture, strongly blurred: [`gaussian_blur`] with [`blur_kernel_size`].
    Blur,
    /// Black.
    Zero,
    /// Uniformly distributed u8.
    Noise,
}

impl Baseline {
    /// Returns the baseline of a picture, of the same size. Only [`Baseline::Noise`] depends on the
    /// seed.
    pub fn of(self, picture: &Picture, seed: u64) -> Picture {
        let bytes = picture.rgb().len();
        let rgb = match self {
            Self::Blur => return blurred(picture, blur_kernel_size(picture.width())),
            Self::Zero => vec![0; bytes],
            Self::Noise => {
                let mut rgb = vec![0; bytes];
                rgb.par_chunks_mut(16)
                    .enumerate()
                    .with_min_len(1024)
                    .for_each(|(index, out)| {
                        let counter = [
                            index as u32,
                            (index as u64 >> 32) as u32,
                            0,
                            BASELINE_STREAM,
                        ];
                        let words = philox4x32(counter, key(seed)).map(u32::to_le_bytes);
                        for (out, value) in out.iter_mut().zip(words.as_flattened()) {
                            *out = *value;
                        }
                    });
                rgb
            }
        };
        Picture::from_checked(picture.width(), picture.height(), rgb)
    }
}

/// Returns the side of the blur's kernel for a picture of this width: 501, 301, 201 or 101 pixels
/// (Xing et al., arXiv 2503.13891, public code).
pub fn blur_kernel_size(width: u32) -> usize {
    match width {
        2000.. => 501,
        800.. => 301,
        500.. => 201,
        _ => 101,
    }
}

/// Blurs the picture like OpenCV's `GaussianBlur(picture, (size, size), size - 1)`: standard
/// deviation `size - 1` pixels, borders reflected without repeating the edge. `size` is odd; an
/// even value is rounded up to the next odd one.
///
/// # Errors
/// [`PictureError::Kernel`] for a size beyond 65535.
pub fn gaussian_blur(picture: &Picture, size: usize) -> Result<Picture, PictureError> {
    match size {
        0..=MAX_KERNEL => Ok(blurred(picture, size)),
        found => Err(PictureError::Kernel {
            found,
            limit: MAX_KERNEL,
        }),
    }
}

/// The largest kernel size.
const MAX_KERNEL: usize = 65535;

fn blurred(picture: &Picture, size: usize) -> Picture {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let kernel = Kernel::new(size | 1);
    let row_length = width * 3;
    let mut out = vec![0; row_length * height];

    // The filtered rows that a block of output rows needs, starting with row `low`.
    let block = (WORK_BYTES / (row_length * 2))
        .saturating_sub(size)
        .clamp(64, height.max(64));
    let mut rows: Vec<u16> = Vec::new();
    let (mut low, mut high) = (0, 0);
    for (index, out) in out.chunks_mut(block * row_length).enumerate() {
        let top = index * block;
        let count = out.len() / row_length;
        let new_low = top.saturating_sub(kernel.radius());
        let new_high = (top + count + kernel.radius()).min(height);
        rows.copy_within((new_low - low) * row_length.., 0);
        rows.resize((new_high - new_low) * row_length, 0);
        let fresh = &mut rows[(high - new_low) * row_length..];
        fresh
            .par_chunks_exact_mut(row_length)
            .enumerate()
            .for_each_init(Vec::new, |padded, (row, out)| {
                kernel.filter_row(picture.row(high + row), padded, out);
            });
        (low, high) = (new_low, new_high);

        let filtered = Filtered {
            rows: &rows,
            row_length,
            low,
            height,
        };
        let starts: Vec<usize> = (0..row_length).step_by(TILE).collect();
        let tiles: Vec<Vec<u8>> = starts
            .par_iter()
            .map(|&start| {
                kernel.filter_columns(&filtered, top, count, start, TILE.min(row_length - start))
            })
            .collect();
        out.par_chunks_exact_mut(row_length)
            .enumerate()
            .for_each(|(row, line)| {
                for (part, tile) in line.chunks_mut(TILE).zip(&tiles) {
                    let length = part.len();
                    part.copy_from_slice(&tile[row * length..(row + 1) * length]);
                }
            });
    }
    Picture::from_checked(picture.width(), picture.height(), out)
}

/// Approximate size in bytes of the filtered rows.
const WORK_BYTES: usize = 128 << 20;

/// Number of values of a row whose columns are filtered together.
const TILE: usize = 512;

/// A symmetric kernel whose weights sum to 256.
struct Kernel {
    weights: Vec<u16>,
    lag: usize,
    /// The non-zero differences between the kernel and the kernel shifted by `lag`, as pairs of
    /// positions: one to add and one to subtract. A difference of more than one occurs more than
    /// once. They pair up since they sum to zero.
    pairs: Vec<(usize, usize)>,
}

/// Rows after the horizontal pass, the input of the columns' pass.
struct Filtered<'a> {
    rows: &'a [u16],
    row_length: usize,
    /// The picture's row that comes first.
    low: usize,
    /// Number of rows of the picture.
    height: usize,
}

impl Kernel {
    fn new(size: usize) -> Self {
        let weights = fixed_point_gaussian(size);
        let pairs = |lag: usize| {
            let weight = |position: isize| {
                usize::try_from(position)
                    .ok()
                    .and_then(|position| weights.get(position))
                    .map_or(0, |&w| i32::from(w))
            };
            let (mut plus, mut minus) = (Vec::new(), Vec::new());
            for position in 0..size + lag {
                let here = position as isize - lag as isize;
                let difference = weight(here) - weight(here + lag as isize);
                let list = if difference > 0 {
                    &mut plus
                } else {
                    &mut minus
                };
                list.extend(std::iter::repeat_n(
                    position,
                    difference.unsigned_abs() as usize,
                ));
            }
            plus.into_iter().zip(minus).collect::<Vec<_>>()
        };
        let lag = (1..=16).min_by_key(|&lag| pairs(lag).len()).unwrap_or(1);
        let pairs = pairs(lag);
        Self {
            weights,
            lag,
            pairs,
        }
    }

    fn radius(&self) -> usize {
        self.weights.len() / 2
    }

    /// Filters one row of RGB pixels. `padded` is working memory.
    fn filter_row(&self, row: &[u8], padded: &mut Vec<u8>, out: &mut [u16]) {
        let (width, radius) = (row.len() / 3, self.radius());
        padded.clear();
        let pixel = |x: isize| &row[reflect(x, width) * 3..][..3];
        padded.extend((-(radius as isize)..0).flat_map(pixel));
        padded.extend_from_slice(row);
        padded.extend((width as isize..(width + radius) as isize).flat_map(pixel));
        let (first, rest) = out.split_at_mut((self.lag * 3).min(row.len()));
        for (index, out) in first.iter_mut().enumerate() {
            let values = padded[index..].iter().step_by(3);
            *out = self
                .weights
                .iter()
                .zip(values)
                .map(|(&weight, &value)| weight * u16::from(value))
                .sum();
        }
        // Sums of these differences wrap around, and are correct once they are added up.
        for (index, out) in rest.chunks_mut(TILE).enumerate() {
            let at = |position: usize| &padded[index * TILE + position * 3..][..out.len()];
            let mut sums = [0_u16; TILE];
            for &(plus, minus) in &self.pairs {
                for ((sum, &plus), &minus) in sums.iter_mut().zip(at(plus)).zip(at(minus)) {
                    *sum = sum
                        .wrapping_add(u16::from(plus))
                        .wrapping_sub(u16::from(minus));
                }
            }
            out.copy_from_slice(&sums[..out.len()]);
        }
        for index in self.lag * 3..out.len() {
            out[index] = out[index].wrapping_add(out[index - self.lag * 3]);
        }
    }

    /// Filters `length` columns of values from `start` on, for `count` rows from `top` on:
    /// `count * length` u8.
    fn filter_columns(
        &self,
        from: &Filtered,
        top: usize,
        count: usize,
        start: usize,
        length: usize,
    ) -> Vec<u8> {
        let line = |y: usize, position: usize, before: usize| {
            let row = reflect((y + position) as isize - before as isize, from.height) - from.low;
            &from.rows[row * from.row_length + start..][..length]
        };
        let mut out = Vec::with_capacity(count * length);
        let mut recent = vec![0_u32; self.lag * length];
        for y in top..top + count {
            let sums = &mut recent[(y - top) % self.lag * length..][..length];
            if y - top < self.lag {
                for (position, &weight) in self.weights.iter().enumerate() {
                    for (sum, &value) in sums.iter_mut().zip(line(y, position, self.radius())) {
                        *sum += u32::from(weight) * u32::from(value);
                    }
                }
            } else {
                let before = self.radius() + self.lag;
                for &(plus, minus) in &self.pairs {
                    let values = line(y, plus, before).iter().zip(line(y, minus, before));
                    for (sum, (&plus, &minus)) in sums.iter_mut().zip(values) {
                        *sum = sum
                            .wrapping_add(u32::from(plus))
                            .wrapping_sub(u32::from(minus));
                    }
                }
            }
            out.extend(sums.iter().map(|&sum| ((sum + (1 << 15)) >> 16) as u8));
        }
        out
    }
}

/// Returns a Gaussian of standard deviation `size - 1` on `size` (odd) pixels, in 256ths.
fn fixed_point_gaussian(size: usize) -> Vec<u16> {
    if size == 1 {
        return vec![256];
    }
    let deviation = (size - 1) as f64;
    // Distances from the middle are counted in half pixels, hence an eighth instead of a half.
    let scale = -0.125 / (deviation * deviation);
    let half: Vec<f64> = (0..size / 2)
        .map(|index| {
            let distance = (size - 1 - 2 * index) as f64;
            libm::exp(distance * distance * scale)
        })
        .collect();
    let total = 1.0 / (half.iter().sum::<f64>() * 2.0 + 1.0);
    let mut error = 0.0;
    let mut weights: Vec<u16> = half
        .iter()
        .map(|value| {
            let exact = value * total * 256.0 + error;
            let rounded = exact.round_ties_even();
            error = exact - rounded;
            rounded as u16
        })
        .collect();
    let middle = 256 - 2 * weights.iter().sum::<u16>();
    let other_half: Vec<u16> = weights.iter().rev().copied().collect();
    weights.push(middle);
    weights.extend(other_half);
    weights
}

/// Returns the pixel at `index` of a line of `length` pixels that is reflected repeatedly at its
/// first and last pixel.
fn reflect(index: isize, length: usize) -> usize {
    let last = length as isize - 1;
    if last == 0 {
        return 0;
    }
    let index = index.rem_euclid(2 * last);
    index.min(2 * last - index) as usize
}

#[cfg(test)]
mod tests;
