//! The embedded font, and text on pictures.

use ab_glyph::{Font, FontRef, PxScale};
use image::{Rgb, RgbImage};
use imageproc::drawing::{draw_text_mut, text_size};

use super::{ReportError, Result};

/// DejaVu Sans.
pub(super) const REGULAR: &[u8] = include_bytes!("../../assets/fonts/DejaVuSans.ttf");
/// DejaVu Sans Bold.
pub(super) const BOLD: &[u8] = include_bytes!("../../assets/fonts/DejaVuSans-Bold.ttf");

/// A font at a size.
pub(super) struct Text {
    font: FontRef<'static>,
    scale: PxScale,
}

impl Text {
    /// `data` at a line height of `pixels`.
    pub fn new(data: &'static [u8], pixels: f32) -> Result<Text> {
        let font = FontRef::try_from_slice(data).map_err(|e| ReportError::Plot {
            reason: e.to_string(),
        })?;
        Ok(Text {
            font,
            scale: PxScale::from(pixels),
        })
    }

    /// `text` with what the font cannot draw made visible: a line break as an arrow, anything else as U+FFFD.
    pub fn visible(&self, text: &str) -> String {
        let show = |c: char| match c {
            '\n' => '\u{21b5}',
            c if c.is_control() || self.font.glyph_id(c).0 == 0 => '\u{fffd}',
            c => c,
        };
        text.chars().map(show).collect()
    }

    /// Width in pixels of visible text, its spaces included.
    pub fn width(&self, text: &str) -> u32 {
        // The last space has no ink: measure it in front of a stop.
        text_size(self.scale, &self.font, &format!("{text}."))
            .0
            .saturating_sub(text_size(self.scale, &self.font, ".").0)
    }

    /// Draws visible text with its top left corner at (x, y).
    pub fn draw(&self, canvas: &mut RgbImage, x: u32, y: u32, colour: Rgb<u8>, text: &str) {
        draw_text_mut(
            canvas, colour, x as i32, y as i32, self.scale, &self.font, text,
        );
    }
}
