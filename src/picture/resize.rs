//! Resizing, bit-identical to Pillow's `Image.resize` on 8-bit RGB.
//!
//! The models' processors were made with Pillow, and its rounding affects their input. Its
//! algorithm (`libImaging/Resample.c`, `libImaging/Geometry.c`):
//!
//! - Along each axis an output pixel is a weighted sum of the input pixels around its centre. When
//!   shrinking, the filter is stretched by the scale, so that every input pixel counts. The weights
//!   are normalised in f64 and then rounded, half away from zero, to fixed point with
//!   [`PRECISION_BITS`] fractional bits.
//! - First the rows are resized, rounded and clipped to u8, then the columns; in the other order if
//!   the height is reduced by more than twice the pixels that the width is (from Pillow 13 on). An
//!   axis that keeps its size is skipped.
//! - Nearest neighbour takes the input pixel under the output pixel's centre; the centres are found
//!   by repeated addition of the scale, whose rounding is kept.

use std::f64::consts::PI;

use rayon::prelude::*;

use super::decode::check_size;
use super::{Picture, PictureError};

/// Fractional bits of a weight: 32, less 8 of the sample, less 2 for sums of weights beyond
/// `[0,1]`.
const PRECISION_BITS: u32 = 32 - 8 - 2;

/// Approximate size in bytes of the rows between the two passes.
const WORK_BYTES: usize = 64 << 20;

/// A resampling filter, numbered as Pillow's `Resampling` and as the `resample` field of a
/// processor's config.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Filter {
    /// 0: the input pixel under the output pixel's centre.
    Nearest,
    /// 1: a sinc windowed by a sinc, radius 3.
    Lanczos,
    /// 2: a triangle, radius 1.
    Bilinear,
    /// 3: Keys' cubic with a = -0.5, radius 2.
    Bicubic,
    /// 4: equal weights, radius 0.5.
    Box,
    /// 5: a sinc under a Hamming window, radius 1.
    Hamming,
}

impl Filter {
    /// Returns the filter of this number in Pillow's `Resampling`, if any.
    pub fn from_pillow(number: u64) -> Option<Self> {
        [
            Self::Nearest,
            Self::Lanczos,
            Self::Bilinear,
            Self::Bicubic,
            Self::Box,
            Self::Hamming,
        ]
        .get(usize::try_from(number).ok()?)
        .copied()
    }

    /// Returns the distance, in pixels of the coarser grid, beyond which the weight is zero.
    fn radius(self) -> f64 {
        match self {
            Self::Nearest | Self::Box => 0.5,
            Self::Bilinear | Self::Hamming => 1.0,
            Self::Bicubic => 2.0,
            Self::Lanczos => 3.0,
        }
    }

    fn weight(self, x: f64) -> f64 {
        // The system's sine and cosine, as in Pillow: another library's last bit can change a
        // pixel.
        let sinc = |x: f64| {
            if x == 0.0 {
                1.0
            } else {
                (x * PI).sin() / (x * PI)
            }
        };
        let distance = x.abs();
        match self {
            Self::Nearest | Self::Box => f64::from(u8::from(x > -0.5 && x <= 0.5)),
            Self::Bilinear => (1.0 - distance).max(0.0),
            // Pillow's window is given in f32, where 0.54 + 0.46 is not 1.
            Self::Hamming if distance == 0.0 => 1.0,
            Self::Hamming if distance < 1.0 => {
                sinc(distance) * (f64::from(0.54_f32) + f64::from(0.46_f32) * (distance * PI).cos())
            }
            Self::Bicubic if distance < 1.0 => (1.5 * distance - 2.5) * distance * distance + 1.0,
            Self::Bicubic if distance < 2.0 => {
                (((distance - 5.0) * distance + 8.0) * distance - 4.0) * -0.5
            }
            Self::Lanczos if (-3.0..3.0).contains(&x) => sinc(x) * sinc(x / 3.0),
            _ => 0.0,
        }
    }
}

/// A part of a resized picture, in its pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// First column.
    pub left: u32,
    /// First row.
    pub top: u32,
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

/// Resizes a picture to `width` x `height` pixels, as Pillow's
/// `Image.resize((width, height), filter)`.
///
/// # Errors
/// [`PictureError::Size`] if the result has no pixel or more than [`Picture::MAX_PIXELS`].
pub fn resize(
    picture: &Picture,
    width: u32,
    height: u32,
    filter: Filter,
) -> Result<Picture, PictureError> {
    resize_window(
        picture,
        width,
        height,
        filter,
        Window {
            left: 0,
            top: 0,
            width,
            height,
        },
    )
}

/// Computes only the part `window` of the picture resized to `width` x `height` pixels: the same
/// bytes as a crop of [`resize`]'s result. The whole may be far larger than memory.
///
/// # Errors
/// [`PictureError::Size`] if the window has no pixel, more than [`Picture::MAX_PIXELS`], or is not
/// inside the whole.
pub fn resize_window(
    picture: &Picture,
    width: u32,
    height: u32,
    filter: Filter,
    window: Window,
) -> Result<Picture, PictureError> {
    check_size("resized picture", window.width.into(), window.height.into())?;
    let end = |first: u32, length: u32| u64::from(first) + u64::from(length);
    if end(window.left, window.width) > width.into()
        || end(window.top, window.height) > height.into()
    {
        return Err(PictureError::Size {
            name: "part of a resized picture".to_owned(),
            width: end(window.left, window.width),
            height: end(window.top, window.height),
            limit: u64::from(width) * u64::from(height),
        });
    }
    let out = match filter {
        _ if (picture.width(), picture.height()) == (width, height) => crop(picture, window),
        Filter::Nearest => nearest(picture, width, height, window),
        _ => {
            let columns = Axis::new(picture.width(), width, window.left, window.width, filter);
            let rows = Axis::new(picture.height(), height, window.top, window.height, filter);
            let reduction = |before: u32, after: u32| i64::from(before) - i64::from(after);
            let lines = reduction(picture.height(), height);
            if lines > 0 && lines > 2 * reduction(picture.width(), width) {
                resample_columns_first(picture, &columns, &rows)
            } else {
                resample(picture, &columns, &rows)
            }
        }
    };
    Ok(Picture::from_checked(window.width, window.height, out))
}

fn crop(picture: &Picture, window: Window) -> Vec<u8> {
    let (left, bytes) = (window.left as usize * 3, window.width as usize * 3);
    let mut out = Vec::with_capacity(bytes * window.height as usize);
    for y in window.top..window.top + window.height {
        out.extend_from_slice(&picture.row(y as usize)[left..left + bytes]);
    }
    out
}

fn nearest(picture: &Picture, width: u32, height: u32, window: Window) -> Vec<u8> {
    let columns = nearest_indices(picture.width(), width, window.left, window.width);
    let rows = nearest_indices(picture.height(), height, window.top, window.height);
    let mut out = vec![0; window.width as usize * window.height as usize * 3];
    out.par_chunks_exact_mut(window.width as usize * 3)
        .zip(&rows)
        .for_each(|(out, &y)| {
            let row = picture.row(y);
            for (out, &x) in out.chunks_exact_mut(3).zip(&columns) {
                out.copy_from_slice(&row[x * 3..x * 3 + 3]);
            }
        });
    out
}

fn nearest_indices(input: u32, output: u32, first: u32, length: u32) -> Vec<usize> {
    // Pillow keeps the box to be resized in f32.
    let scale = f64::from(input as f32) / f64::from(output);
    let mut position = scale * 0.5;
    for _ in 0..first {
        position += scale;
    }
    (0..length)
        .map(|_| {
            let index = (position as usize).min(input as usize - 1);
            position += scale;
            index
        })
        .collect()
}

/// The weights of one axis, for a range of its output pixels.
struct Axis {
    /// For each output pixel: its first input pixel, and the start and end of its weights.
    spans: Vec<(usize, usize, usize)>,
    weights: Vec<i32>,
    /// Whether the axis keeps its size, and nothing is computed along it.
    same: bool,
}

impl Axis {
    fn new(input: u32, output: u32, first: u32, length: u32, filter: Filter) -> Self {
        let scale = f64::from(input as f32) / f64::from(output);
        let stretch = scale.max(1.0);
        let radius = filter.radius() * stretch;
        let inverse = 1.0 / stretch;
        let same = input == output;
        let mut axis = Self {
            spans: Vec::with_capacity(length as usize),
            weights: Vec::new(),
            same,
        };
        let mut exact = Vec::new();
        for index in first..first + length {
            if same {
                axis.spans.push((index as usize, 0, 1));
                continue;
            }
            let centre = (f64::from(index) + 0.5) * scale;
            // A cast clips below zero and otherwise rounds towards it, as intended.
            let low = (centre - radius + 0.5) as usize;
            let high = ((centre + radius + 0.5) as usize).min(input as usize);
            exact.clear();
            exact.extend((low..high).map(|x| filter.weight((x as f64 - centre + 0.5) * inverse)));
            let sum: f64 = exact.iter().sum();
            let start = axis.weights.len();
            axis.weights.extend(
                exact
                    .iter()
                    .map(|&weight| fixed_point(if sum == 0.0 { weight } else { weight / sum })),
            );
            axis.spans.push((low, start, axis.weights.len()));
        }
        axis
    }

    fn len(&self) -> usize {
        self.spans.len()
    }

    /// Returns the input pixels that the output pixels `range` need; `range` is not empty.
    fn inputs(&self, range: std::ops::Range<usize>) -> std::ops::Range<usize> {
        // Both ends of the spans never decrease.
        let (last, start, end) = self.spans[range.end - 1];
        self.spans[range.start].0..last + (end - start)
    }

    /// Resizes a row of RGB pixels, which starts with input pixel `origin`, to the output pixels
    /// from `first` on.
    fn resize_row(&self, row: &[u8], origin: usize, first: usize, out: &mut [u8]) {
        if self.same {
            out.copy_from_slice(&row[(self.spans[first].0 - origin) * 3..][..out.len()]);
            return;
        }
        for (out, &(low, start, end)) in out.chunks_exact_mut(3).zip(&self.spans[first..]) {
            let mut sums = [HALF; 3];
            for (pixel, &weight) in row[(low - origin) * 3..]
                .chunks_exact(3)
                .zip(&self.weights[start..end])
            {
                for (sum, &value) in sums.iter_mut().zip(pixel) {
                    *sum += i32::from(value) * weight;
                }
            }
            for (out, sum) in out.iter_mut().zip(sums) {
                *out = clip(sum);
            }
        }
    }

    /// Computes output row `index` from the input rows, all of the same length.
    fn resize_column<'a>(
        &self,
        row: impl Fn(usize) -> &'a [u8],
        index: usize,
        sums: &mut [i32],
        out: &mut [u8],
    ) {
        let (low, start, end) = self.spans[index];
        if self.same {
            out.copy_from_slice(row(low));
            return;
        }
        sums.fill(HALF);
        for (y, &weight) in (low..).zip(&self.weights[start..end]) {
            for (sum, &value) in sums.iter_mut().zip(row(y)) {
                *sum += i32::from(value) * weight;
            }
        }
        for (out, &sum) in out.iter_mut().zip(&*sums) {
            *out = clip(sum);
        }
    }
}

/// One half, in fixed point.
const HALF: i32 = 1 << (PRECISION_BITS - 1);

fn fixed_point(weight: f64) -> i32 {
    let scaled = weight * f64::from(1 << PRECISION_BITS);
    (if weight < 0.0 {
        scaled - 0.5
    } else {
        scaled + 0.5
    }) as i32
}

fn clip(sum: i32) -> u8 {
    (sum >> PRECISION_BITS).clamp(0, 255) as u8
}

/// Runs both passes, the columns' first. It works row by row, since every row needs the whole of
/// its input rows anyway.
fn resample_columns_first(picture: &Picture, columns: &Axis, rows: &Axis) -> Vec<u8> {
    let inputs = columns.inputs(0..columns.len());
    let room = || (vec![0; inputs.len() * 3], vec![0; inputs.len() * 3]);
    let mut out = vec![0; columns.len() * rows.len() * 3];
    let lines = out.par_chunks_exact_mut(columns.len() * 3).enumerate();
    lines.for_each_init(room, |(sums, line), (index, out)| {
        let input = |y: usize| &picture.row(y)[inputs.start * 3..inputs.end * 3];
        rows.resize_column(input, index, sums, line);
        columns.resize_row(line, inputs.start, 0, out);
    });
    out
}

/// Runs both passes, the rows' first, in tiles whose rows between the passes take about
/// [`WORK_BYTES`].
fn resample(picture: &Picture, columns: &Axis, rows: &Axis) -> Vec<u8> {
    let (width, height) = (columns.len(), rows.len());
    let mut out = vec![0; width * height * 3];
    // The largest number of input rows that one output row needs limits the width of a tile.
    let deepest = rows
        .spans
        .iter()
        .map(|span| span.2 - span.1)
        .max()
        .unwrap_or(1);
    let tile_width = (WORK_BYTES / (deepest * 3)).clamp(1, width);
    let mut between = Vec::new();
    for left in (0..width).step_by(tile_width) {
        let tile = tile_width.min(width - left) * 3;
        let mut top = 0;
        while top < height {
            let mut bottom = top + 1;
            while bottom < height && rows.inputs(top..bottom + 1).len() * tile <= WORK_BYTES {
                bottom += 1;
            }
            let inputs = rows.inputs(top..bottom);
            between.resize(inputs.len() * tile, 0);
            between
                .par_chunks_exact_mut(tile)
                .enumerate()
                .for_each(|(row, out)| {
                    columns.resize_row(picture.row(inputs.start + row), 0, left, out);
                });
            let lines = out[top * width * 3..bottom * width * 3]
                .par_chunks_exact_mut(width * 3)
                .enumerate();
            lines.for_each_init(
                || vec![0; tile],
                |sums, (row, line)| {
                    let input = |y: usize| &between[(y - inputs.start) * tile..][..tile];
                    rows.resize_column(
                        input,
                        top + row,
                        sums,
                        &mut line[left * 3..left * 3 + tile],
                    );
                },
            );
            top = bottom;
        }
    }
    out
}

#[cfg(test)]
mod tests;
