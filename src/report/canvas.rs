//! Canvas, embedded font and lengths shared by all plots.

use std::fmt::Display;

use image::{RgbImage, imageops};
use plotters::coord::Shift;
use plotters::element::{Drawable, PointCollection};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{FontStyle, register_font};
use plotters_backend::{BackendCoord, DrawingErrorKind};

use super::font::{BOLD, Neighbours, REGULAR, Text};
use super::{ReportError, Result};

/// The factor of enlargement while drawing; the result is averaged, since the plotting library does
/// not antialias lines.
pub(super) const FINER: u32 = 2;
/// Colour of text and axes.
pub(super) const INK: RGBColor = RGBColor(30, 30, 30);
/// Colour of the grid lines.
pub(super) const GRID: RGBColor = RGBColor(215, 215, 215);
/// One colour per kind, distinguishable without red and green (Okabe and Ito's palette).
pub(super) const COLOURS: [RGBColor; 4] = [
    RGBColor(213, 94, 0),
    RGBColor(0, 114, 178),
    RGBColor(0, 158, 115),
    RGBColor(120, 120, 120),
];
/// The name under which the embedded font is registered, distinct from other fonts of the program.
const FAMILY: &str = "foveate DejaVu Sans";

/// The drawing area of a plot.
pub(super) type Area<'a> = DrawingArea<BitMapBackend<'a>, Shift>;

/// Draws on a white canvas of this size.
pub(super) fn canvas(
    width: u32,
    height: u32,
    draw: impl FnOnce(&Area) -> Result<()>,
) -> Result<RgbImage> {
    // Registering the same font again has no effect.
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

/// Converts an error of the plotting library.
pub(super) fn failed(reason: impl Display) -> ReportError {
    ReportError::Plot {
        reason: reason.to_string(),
    }
}

/// The largest absolute value on an axis, and the smallest span as a part of it: beyond these, the
/// numbers of the ticks are no longer distinct.
const FARTHEST: f64 = 1e15;
const LEAST_SPAN: f64 = 1e-9;

/// Checks that an axis can range from `low` to `high`.
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

/// Converts a length in the result to one on the canvas.
pub(super) fn px(length: u32) -> u32 {
    length * FINER
}

/// Writes a panel's heading and, below it, what the panel means, both centred.
pub(super) fn titles(area: &Area, heading: &str, colour: &RGBColor, meaning: &str) -> Result<()> {
    let centre = (area.dim_in_pixel().0 / 2) as i32;
    let middle = Pos::new(HPos::Center, VPos::Top);
    let bold = font(28, FontStyle::Bold).color(colour).pos(middle);
    area.draw_text(heading, &bold, (centre, px(14) as i32))
        .map_err(failed)?;
    let small = font(19, FontStyle::Normal).pos(middle);
    area.draw_text(meaning, &small, (centre, px(52) as i32))
        .map_err(failed)
}

/// Returns the embedded font at a height.
pub(super) fn font(height: u32, style: FontStyle) -> TextStyle<'static> {
    (FAMILY, px(height), style).into_font().color(&INK)
}

/// Text in all the embedded fonts, for user-defined names in any script; the plotting library uses
/// only one font.
pub(super) struct Writing<C> {
    text: String,
    at: C,
    font: Text,
}

impl<C> Writing<C> {
    /// Creates visible text with its top left corner at `at`, as large as the plotting library's
    /// text of that size.
    pub fn new(text: &str, at: C, size: u32) -> Result<Writing<C>> {
        // The plotting library's em is this part of the size, and a line of the font is 1.164 em.
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
            .ink(&self.text, Neighbours::default(), |right, down, share| {
                if share > 0.0 && drawn.is_ok() {
                    let colour = INK.mix(f64::from(share)).to_backend_color();
                    drawn = backend.draw_pixel((x + right, y + down), colour);
                }
            });
        drawn
    }
}
