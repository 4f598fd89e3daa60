//! A saliency map over its picture.

use colorous::{Gradient, INFERNO};
use image::{GrayImage, Luma, Rgb, RgbImage};

use super::font::{REGULAR, Text};
use super::{ReportError, Result};

/// Perceptually uniform, dark to bright.
const COLOURS: Gradient = INFERNO;
/// The share of the map's colour in the overlay where the map is 0, and how much it grows up to 1.
const SHARE: (f32, f32) = (0.35, 0.35);
/// Narrower pictures are enlarged, so that the legend is legible.
const NARROWEST: u32 = 480;
/// A side that enlarging may not exceed.
const LONGEST: u32 = 1600;

/// The map in the plane of the picture: bilinear, corners on corners.
struct Map<'a> {
    saliency: &'a [f32],
    size: usize,
}

impl Map<'_> {
    fn new(saliency: &[f32], size: usize) -> Result<Map<'_>> {
        if size == 0 || saliency.len() != size * size {
            return Err(ReportError::Length {
                what: "saliency",
                expected: size * size,
                found: saliency.len(),
            });
        }
        Ok(Map { saliency, size })
    }

    /// Lower cell, upper cell and the upper one's weight, for pixel `i` of `n`.
    fn tap(&self, i: u32, n: u32) -> (usize, usize, f32) {
        let at = if n > 1 {
            i as f32 / (n - 1) as f32 * (self.size - 1) as f32
        } else {
            0.0
        };
        let low = (at as usize).min(self.size - 1);
        (low, (low + 1).min(self.size - 1), at - low as f32)
    }

    /// A row of samples at `row` of `height`, for columns 0 to `taps.len()`.
    fn sample(&self, row: (usize, usize, f32), column: (usize, usize, f32)) -> f32 {
        let at = |i: usize, j: usize| self.saliency[i * self.size + j];
        let along = |i: usize| at(i, column.0) + column.2 * (at(i, column.1) - at(i, column.0));
        let value = along(row.0) + row.2 * (along(row.1) - along(row.0));
        if value.is_finite() {
            value.clamp(0.0, 1.0)
        } else {
            0.0
        }
    }
}

/// The map in grey at `width x height`, 255 where it is 1. `saliency` is `size x size`, row by row.
///
/// # Errors
/// [`ReportError::Length`].
pub fn saliency_grey(saliency: &[f32], size: usize, width: u32, height: u32) -> Result<GrayImage> {
    let map = Map::new(saliency, size)?;
    let columns: Vec<_> = (0..width).map(|j| map.tap(j, width)).collect();
    let mut out = GrayImage::new(width, height);
    for (i, row) in out.rows_mut().enumerate() {
        let tap = map.tap(i as u32, height);
        for (pixel, &column) in row.zip(&columns) {
            *pixel = Luma([(map.sample(tap, column) * 255.0).round() as u8]);
        }
    }
    Ok(out)
}

fn colour(value: f32) -> Rgb<u8> {
    let c = COLOURS.eval_continuous(f64::from(value));
    Rgb([c.r, c.g, c.b])
}

/// The picture (RGB, row by row) under the colours of the map, with a legend below. Small pictures are enlarged.
///
/// # Errors
/// [`ReportError::Length`].
pub fn overlay(
    rgb: &[u8],
    width: u32,
    height: u32,
    saliency: &[f32],
    size: usize,
) -> Result<RgbImage> {
    let map = Map::new(saliency, size)?;
    let expected = width as usize * height as usize * 3;
    if rgb.len() != expected || expected == 0 {
        return Err(ReportError::Length {
            what: "picture",
            expected,
            found: rgb.len(),
        });
    }
    let factor = NARROWEST
        .div_ceil(width)
        .min(LONGEST / width.max(height))
        .max(1);
    let (shown_width, shown_height) = (width * factor, height * factor);
    let total_width = shown_width.max(NARROWEST);
    let text_height = (total_width as f32 / 34.0).clamp(16.0, 96.0);
    let legend = (text_height * 4.2) as u32;
    let mut out = RgbImage::from_pixel(total_width, shown_height + legend, Rgb([255, 255, 255]));
    let left = (total_width - shown_width) / 2;
    let columns: Vec<_> = (0..shown_width).map(|j| map.tap(j, shown_width)).collect();
    for i in 0..shown_height {
        let tap = map.tap(i, shown_height);
        for j in 0..shown_width {
            let value = map.sample(tap, columns[j as usize]);
            let at = ((i / factor) as usize * width as usize + (j / factor) as usize) * 3;
            let (pixel, heat) = (&rgb[at..at + 3], colour(value));
            // The picture turns grey where the map is low, so that its own colours are not taken for the map's.
            let grey = 0.299 * f32::from(pixel[0])
                + 0.587 * f32::from(pixel[1])
                + 0.114 * f32::from(pixel[2]);
            let share = SHARE.0 + SHARE.1 * value;
            let mix = |c: usize| {
                let picture = grey + value * (f32::from(pixel[c]) - grey);
                (share * f32::from(heat.0[c]) + (1.0 - share) * picture).round() as u8
            };
            out.put_pixel(left + j, i, Rgb([mix(0), mix(1), mix(2)]));
        }
    }
    draw_legend(&mut out, shown_height, text_height)?;
    Ok(out)
}

/// The colour ramp from 0 to 1 with its meaning, below `top`.
fn draw_legend(out: &mut RgbImage, top: u32, text_height: f32) -> Result<()> {
    let text = Text::new(REGULAR, text_height)?;
    let ink = Rgb([30, 30, 30]);
    let margin = text_height as u32;
    let (left, right) = (margin, out.width() - margin);
    let title = "saliency: what the answer needs";
    text.draw(out, left, top + margin / 3, ink, title);
    let ramp_top = top + margin / 3 + (text_height * 1.3) as u32;
    let ramp_height = (text_height * 0.9) as u32;
    for x in left..right {
        let c = colour((x - left) as f32 / (right - left - 1) as f32);
        for y in ramp_top..ramp_top + ramp_height {
            out.put_pixel(x, y, c);
        }
    }
    let below = ramp_top + ramp_height + 2;
    for (label, place) in [("0", 0.0), ("0.5", 0.5), ("1", 1.0)] {
        let width = text.width(label);
        let x = left as f32 + place * ((right - left) as f32 - width as f32);
        text.draw(out, x as u32, below, ink, label);
    }
    Ok(())
}
