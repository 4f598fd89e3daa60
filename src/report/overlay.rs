//! A saliency map drawn over its picture.

use colorous::INFERNO;
use image::{GrayImage, ImageBuffer, Pixel, Rgb, RgbImage};

use super::colour::Ramp;
use super::font::{REGULAR, Text};
use super::{ReportError, Result};

/// The share of the map's colour in the overlay where the map is 0, and its increase up to 1.
const SHARE: (f32, f32) = (0.35, 0.2);
/// The width below which pictures are enlarged, so that the legend is legible.
pub(super) const NARROWEST: u32 = 480;
/// The longest side that enlarging may produce.
const LONGEST: u32 = 1600;
/// The longest side that is shown in full; longer ones are reduced, so that the legend of a picture
/// of a few rows stays small.
const WIDEST: u32 = 32_768;
pub(super) const INK: Rgb<u8> = Rgb([30, 30, 30]);

/// The map in the plane of the picture: bilinear, corners on corners.
pub(super) struct Map<'a> {
    saliency: &'a [f32],
    size: usize,
}

/// Lower cell, upper cell and the weight of the upper one.
type Tap = (usize, usize, f32);

impl Map<'_> {
    pub fn new(saliency: &[f32], size: usize) -> Result<Map<'_>> {
        let (what, found) = ("saliency", saliency.len());
        let expected = size.checked_mul(size).filter(|&cells| cells > 0);
        let (width, height) = (size, size);
        match expected.ok_or(ReportError::Size {
            what,
            width,
            height,
        })? {
            expected if expected != found => Err(ReportError::Length {
                what,
                expected,
                found,
            }),
            _ => Ok(Map { saliency, size }),
        }
    }

    /// Returns the position of pixel `i` of `n` among the cells of a side.
    fn tap(&self, i: u32, n: u32) -> Tap {
        let last = self.size - 1;
        // In f64 so that the far corner falls exactly on the last cell.
        let at = if n > 1 {
            f64::from(i) / f64::from(n - 1) * last as f64
        } else {
            0.0
        };
        let low = (at as usize).min(last);
        (low, (low + 1).min(last), (at - low as f64) as f32)
    }

    /// Returns rows of `width` samples in 0..1, from the top; NaN counts as 0.
    fn rows(&self, width: u32, height: u32) -> impl Iterator<Item = Vec<f32>> {
        let columns: Vec<Tap> = (0..width).map(|j| self.tap(j, width)).collect();
        (0..height).map(move |i| {
            let (low, high, weight) = self.tap(i, height);
            let row = |i: usize| &self.saliency[i * self.size..(i + 1) * self.size];
            let cells: Vec<f32> = row(low)
                .iter()
                .zip(row(high))
                .map(|(&a, &b)| mix(unit(a), unit(b), weight))
                .collect();
            columns
                .iter()
                .map(|&(low, high, weight)| mix(cells[low], cells[high], weight))
                .collect()
        })
    }
}

fn unit(value: f32) -> f32 {
    if value.is_nan() {
        0.0
    } else {
        value.clamp(0.0, 1.0)
    }
}

fn mix(a: f32, b: f32, weight: f32) -> f32 {
    a + weight * (b - a)
}

/// Returns the map at the pixels of a picture of `width x height`: `width * height` values in 0..1,
/// row by row. `saliency` is as in [`saliency_grey`].
///
/// # Errors
/// As [`saliency_grey`].
pub fn saliency(saliency: &[f32], size: usize, width: u32, height: u32) -> Result<Vec<f32>> {
    let map = Map::new(saliency, size)?;
    let (what, count) = ("picture", pixels(width, height, 1)?);
    let mut values = Vec::new();
    let there = values.try_reserve_exact(count);
    there.map_err(|_| ReportError::Size {
        what,
        width: width as usize,
        height: height as usize,
    })?;
    values.extend(map.rows(width, height).flatten());
    Ok(values)
}

/// Draws the map in grey at `width x height` pixels, 255 where it is 1. `saliency` is `size x
/// size`, row by row, in the plane of the picture; the corner cells lie on the corner pixels.
/// Values outside 0..1 are clamped, NaN counts as 0.
///
/// # Errors
/// Returns [`ReportError::Length`] if the number of values does not match, and
/// [`ReportError::Size`] for a side of 0 or too large a picture.
pub fn saliency_grey(saliency: &[f32], size: usize, width: u32, height: u32) -> Result<GrayImage> {
    let map = Map::new(saliency, size)?;
    let mut out: GrayImage = blank(width, height)?;
    let rows = out
        .chunks_exact_mut(width as usize)
        .zip(map.rows(width, height));
    for (out, values) in rows {
        for (pixel, value) in out.iter_mut().zip(values) {
            *pixel = (value * 255.0 + 0.5) as u8;
        }
    }
    Ok(out)
}

/// Returns the size of a non-empty picture in bytes.
pub(super) fn pixels(width: u32, height: u32, channels: usize) -> Result<usize> {
    let (width, height) = (width as usize, height as usize);
    width
        .checked_mul(height)
        .and_then(|pixels| pixels.checked_mul(channels))
        .filter(|&bytes| bytes > 0)
        .ok_or(ReportError::Size {
            what: "picture",
            width,
            height,
        })
}

/// Allocates a white picture.
pub(super) fn blank<P: Pixel<Subpixel = u8>>(
    width: u32,
    height: u32,
) -> Result<ImageBuffer<P, Vec<u8>>> {
    let bytes = pixels(width, height, P::CHANNEL_COUNT.into())?;
    let mut values = Vec::new();
    let there = values.try_reserve_exact(bytes).map(|()| {
        values.resize(bytes, 255);
        values
    });
    let picture = there.map(|values| ImageBuffer::from_raw(width, height, values));
    picture.ok().flatten().ok_or(ReportError::Size {
        what: "picture",
        width: width as usize,
        height: height as usize,
    })
}

/// The displayed size of a side: each pixel is repeated `factor` times, or `step` pixels become
/// one.
pub(super) struct Shown {
    pub width: u32,
    pub height: u32,
    factor: u32,
    step: u32,
}

impl Shown {
    fn new(width: u32, height: u32) -> Shown {
        let longest = width.max(height);
        let factor = NARROWEST.div_ceil(width).min(LONGEST / longest).max(1);
        let step = longest.div_ceil(WIDEST);
        let shown = |side: u32| side.div_ceil(step) * factor;
        Shown {
            width: shown(width),
            height: shown(height),
            factor,
            step,
        }
    }

    /// Returns the size of a picture whose pixels are each repeated `factor` times, at least once.
    pub fn enlarged(width: u32, height: u32, factor: u32) -> Shown {
        let factor = factor.max(1);
        Shown {
            width: width * factor,
            height: height * factor,
            factor,
            step: 1,
        }
    }

    /// Returns the picture's row or column for a displayed one.
    fn source(&self, i: u32) -> usize {
        (i / self.factor * self.step) as usize
    }
}

/// A part of the picture whose border is drawn.
#[derive(Clone, Copy, Debug)]
pub struct Outline<'a> {
    /// 1 in the part and 0 elsewhere, as many values as the saliency map has; the border is where
    /// the bilinear sample is 1/2.
    pub region: &'a [f32],
    /// A line of text about the part, drawn below the legend.
    pub caption: &'a str,
}

/// Draws the picture (RGB, row by row, `width * height * 3` bytes) under the colours of the map,
/// with the colours' legend below, and the border of a part of it. `saliency` is as in
/// [`saliency_grey`].
///
/// The result is as wide as the picture, or a multiple of it if the picture is narrower than 480
/// pixels and enlarging leaves its longer side within 1600; a picture that is still narrower is
/// centred in 480 pixels. A side above 32 768 is reduced by an integer factor.
///
/// # Errors
/// Returns [`ReportError::Length`] if a number of values does not match, and [`ReportError::Size`]
/// for a side of 0 or too large a picture.
pub fn overlay(
    rgb: &[u8],
    width: u32,
    height: u32,
    saliency: &[f32],
    size: usize,
    outline: Option<Outline>,
) -> Result<RgbImage> {
    let map = Map::new(saliency, size)?;
    let region = outline
        .map(|outline| Map::new(outline.region, size))
        .transpose()?;
    let (expected, found) = (pixels(width, height, 3)?, rgb.len());
    if found != expected {
        return Err(ReportError::Length {
            what: "picture",
            expected,
            found,
        });
    }
    let shown = Shown::new(width, height);
    let total = shown.width.max(NARROWEST);
    let text_height = (total as f32 / 32.0).clamp(19.0, 96.0);
    let lines = if outline.is_some() { 5.7 } else { 4.3 };
    let legend = (text_height * lines) as u32;
    let mut out: RgbImage = blank(total, shown.height + legend)?;
    let left = (total - shown.width) / 2;
    let ramp = Ramp::new(INFERNO);
    draw_map(&mut out, (left, 0), rgb, width, &shown, &map, &ramp);
    if let Some(region) = region {
        draw_border(&mut out, left, &shown, &region);
    }
    let needed = "saliency: what the answer needs";
    draw_legend(&mut out, shown.height, text_height, needed, &ramp)?;
    if let Some(outline) = outline {
        let top = shown.height + (text_height * 4.3) as u32;
        let text = Text::new(REGULAR, text_height)?;
        text.draw(&mut out, text_height as u32, top, INK, outline.caption);
    }
    Ok(out)
}

/// Draws a picture of `width` pixels per row under the colours of a map, with its left and top at a
/// place of `out`, where there is room for it.
pub(super) fn draw_map(
    out: &mut RgbImage,
    (left, top): (u32, u32),
    rgb: &[u8],
    width: u32,
    shown: &Shown,
    map: &Map,
    ramp: &Ramp,
) {
    let total = out.width() as usize * 3;
    let rows = out
        .chunks_exact_mut(total)
        .skip(top as usize)
        .zip(map.rows(shown.width, shown.height));
    for (i, (out, values)) in (0..).zip(rows) {
        let row = &rgb[shown.source(i) * width as usize * 3..][..width as usize * 3];
        let out = out[left as usize * 3..].chunks_exact_mut(3);
        for (j, (out, value)) in (0..).zip(out.zip(values)) {
            let pixel = &row[shown.source(j) * 3..][..3];
            let heat = ramp.at(value);
            // The picture turns grey where the map is low, so that its own colours are not mistaken
            // for the map's.
            let grey = 0.299 * f32::from(pixel[0])
                + 0.587 * f32::from(pixel[1])
                + 0.114 * f32::from(pixel[2]);
            let share = SHARE.0 + SHARE.1 * value;
            for (out, (&own, heat)) in out.iter_mut().zip(pixel.iter().zip(heat.0)) {
                let picture = mix(grey, f32::from(own), value);
                *out = mix(picture, f32::from(heat), share).round() as u8;
            }
        }
    }
}

/// Draws the border of a region, white inside and dark outside of it, so that it is seen on any
/// colour.
fn draw_border(out: &mut RgbImage, left: u32, shown: &Shown, region: &Map) {
    let (width, height) = (shown.width as usize, shown.height as usize);
    let thick = (width.min(height) / 200).clamp(1, 8);
    let rows = region.rows(shown.width, shown.height);
    let inside: Vec<bool> = rows.flatten().map(|value| value >= 0.5).collect();
    for (at, &own) in inside.iter().enumerate() {
        let (x, y) = (at % width, at / width);
        let near = [
            y * width + x.saturating_sub(thick),
            y * width + (x + thick).min(width - 1),
            y.saturating_sub(thick) * width + x,
            (y + thick).min(height - 1) * width + x,
        ];
        if near.iter().any(|&near| inside[near] != own) {
            let colour = if own { Rgb([255; 3]) } else { INK };
            out.put_pixel(left + x as u32, y as u32, colour);
        }
    }
}

/// Draws the colour ramp from 0 to 1 with a title, below `top`.
pub(super) fn draw_legend(
    out: &mut RgbImage,
    top: u32,
    text_height: f32,
    title: &str,
    ramp: &Ramp,
) -> Result<()> {
    let text = Text::new(REGULAR, text_height)?;
    let margin = text_height as u32;
    let (left, right) = (margin, out.width() - margin);
    let title_top = top + margin / 3;
    text.draw(out, left, title_top, INK, title);
    let ramp_top = title_top + (text_height * 1.25) as u32;
    let ramp_bottom = ramp_top + (text_height * 0.9) as u32;
    for x in left..right {
        let colour = ramp.at((x - left) as f32 / (right - left - 1) as f32);
        (ramp_top..ramp_bottom).for_each(|y| out.put_pixel(x, y, colour));
    }
    let tick = (text_height / 4.0) as u32;
    let thick = (text_height / 16.0).ceil() as u32;
    for (label, place) in [("0 (low)", 0.0), ("0.5", 0.5), ("1 (high)", 1.0)] {
        let at = left + (place * (right - left - thick) as f32) as u32;
        for x in at..at + thick {
            (ramp_bottom..ramp_bottom + tick).for_each(|y| out.put_pixel(x, y, INK));
        }
        let x = left + (place * (right - left - text.width(label)) as f32) as u32;
        text.draw(out, x, ramp_bottom + tick + 1, INK, label);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
