//! What all plots share: a canvas, the embedded font, lengths.

use std::fmt::Display;

use image::{RgbImage, imageops};
use plotters::coord::Shift;
use plotters::element::{Drawable, PointCollection};
use plotters::prelude::*;
use plotters::style::{FontStyle, register_font};
use plotters_backend::{BackendCoord, DrawingErrorKind};

use super::font::{BOLD, Beside, REGULAR, Text};
use super::{ReportError, Result};

/// Drawn this many times as large and averaged, since the plotting library's lines have no smooth
/// edges.
pub(super) const FINER: u32 = 2;
/// Text and axes.
pub(super) const INK: RGBColor = RGBColor(30, 30, 30);
/// The lines behind a plot.
pub(super) const GRID: RGBColor = RGBColor(215, 215, 215);
/// One colour per kind, told apart without red and green (Okabe and Ito's palette).
pub(super) const COLOURS: [RGBColor; 4] = [
    RGBColor(213, 94, 0),
    RGBColor(0, 114, 178),
    RGBColor(0, 158, 115),
    RGBColor(120, 120, 120),
];
/// The embedded font's name, which no font of the program's others has.
const FAMILY: &str = "foveate DejaVu Sans";

/// Where a plot is drawn.
pub(super) type Area<'a> = DrawingArea<BitMapBackend<'a>, Shift>;

/// Draws on a white canvas of this size.
pub(super) fn canvas(
    width: u32,
    height: u32,
    draw: impl FnOnce(&Area) -> Result<()>,
) -> Result<RgbImage> {
    // Registering the same font again changes nothing.
    for (style, data) in [(FontStyle::Normal, REGULAR), (FontStyle::Bold, BOLD)] {
        register_font(FAMILY, style, data)
            .map_err(|_| failed("the embedded font is not a font"))?;
    }
    let size = (width * FINER, height * FINER);
    let mut pixels = RgbImage::new(size.0, size.1);
    {
        let area = BitMapBackend::with_buffer(&mut pixels, size).into_drawing_area();
        area.fill(&WHITE).map_err(failed)?;
        draw(&area)?;
        area.present().map_err(failed)?;
    }
    Ok(imageops::thumbnail(&pixels, width, height))
}

/// The plotting library's error as ours.
pub(super) fn failed(reason: impl Display) -> ReportError {
    ReportError::Plot {
        reason: reason.to_string(),
    }
}

/// The farthest from 0 that an axis goes, and the least part of that which it must span: beyond,
/// the numbers of its ticks are no longer apart.
const FARTHEST: f64 = 1e15;
const LEAST_SPAN: f64 = 1e-9;

/// Whether an axis can go from `low` to `high`.
pub(super) fn axis(what: &'static str, low: f64, high: f64) -> Result<()> {
    let farthest = low.abs().max(high.abs());
    let apart = high - low > LEAST_SPAN * farthest;
    // NaN is in no range.
    if apart && (-FARTHEST..=FARTHEST).contains(&low) && (-FARTHEST..=FARTHEST).contains(&high) {
        Ok(())
    } else {
        Err(ReportError::Axis { what, low, high })
    }
}

/// A length of the result on the canvas.
pub(super) fn px(length: u32) -> u32 {
    length * FINER
}

/// The embedded font at a height.
pub(super) fn font(height: u32, style: FontStyle) -> TextStyle<'static> {
    (FAMILY, px(height), style).into_font().color(&INK)
}

/// Text in all the embedded fonts, where the plotting library has one alone: for what users name,
/// in any script.
pub(super) struct Writing<C> {
    text: String,
    at: C,
    font: Text,
}

impl<C> Writing<C> {
    /// Visible text with its top left corner at a place, as large as the plotting library's text of
    /// that size.
    pub fn new(text: &str, at: C, size: u32) -> Result<Writing<C>> {
        // That library's em is this part of the size, and a line of the font is 1.164 em.
        let font = Text::new(REGULAR, size as f32 / 1.24 * 1.164)?;
        let text = text.to_owned();
        Ok(Writing { text, at, font })
    }
}

impl<'a, C: 'a> PointCollection<'a, C> for &'a Writing<C> {
    type Point = &'a C;
    type IntoIter = std::iter::Once<&'a C>;

    fn point_iter(self) -> Self::IntoIter {
        std::iter::once(&self.at)
    }
}

impl<C, DB: DrawingBackend> Drawable<DB> for Writing<C> {
    fn draw<I: Iterator<Item = BackendCoord>>(
        &self,
        mut places: I,
        backend: &mut DB,
        _: (u32, u32),
    ) -> std::result::Result<(), DrawingErrorKind<DB::ErrorType>> {
        let Some((x, y)) = places.next() else {
            return Ok(());
        };
        let mut drawn = Ok(());
        self.font
            .ink(&self.text, Beside::default(), |right, down, share| {
                if share > 0.0 && drawn.is_ok() {
                    let colour = INK.mix(f64::from(share)).to_backend_color();
                    drawn = backend.draw_pixel((x + right, y + down), colour);
                }
            });
        drawn
    }
}
