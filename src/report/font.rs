//! The embedded font, and text on pictures.

use ab_glyph::{Font, FontRef, PxScale, ScaleFont};
use image::{Rgb, RgbImage};
use imageproc::drawing::draw_text_mut;

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
        let scale = PxScale::from(pixels);
        Ok(Text { font, scale })
    }

    /// `text` with what has no ink made visible: a line break as a return arrow, a tabulator as its arrow, any other
    /// control character as its escape, and what the font lacks as U+FFFD.
    pub fn visible(&self, text: &str) -> String {
        let mut shown = String::with_capacity(text.len());
        for c in text.chars() {
            match c {
                '\n' => shown.push('\u{23ce}'),
                '\t' => shown.push('\u{21e5}'),
                c if c.is_control() => shown.extend(c.escape_default()),
                c if self.font.glyph_id(c).0 == 0 => shown.push('\u{fffd}'),
                c => shown.push(c),
            }
        }
        shown
    }

    /// Width in pixels of visible text, its spaces included.
    pub fn width(&self, text: &str) -> u32 {
        text.chars().map(|c| self.advance(c)).sum::<f32>().ceil() as u32
    }

    fn advance(&self, c: char) -> f32 {
        self.font
            .as_scaled(self.scale)
            .h_advance(self.font.glyph_id(c))
    }

    /// Visible text cut into pieces, each at most `width` pixels wide; one piece at least.
    pub fn pieces(&self, text: &str, width: u32) -> Vec<String> {
        let mut pieces = vec![String::new()];
        let mut used = 0.0;
        for c in text.chars() {
            let advance = self.advance(c);
            if used > 0.0 && used + advance > width as f32 {
                pieces.push(String::new());
                used = 0.0;
            }
            used += advance;
            if let Some(piece) = pieces.last_mut() {
                piece.push(c);
            }
        }
        pieces
    }

    /// Draws visible text with its top left corner at (x, y).
    pub fn draw(&self, canvas: &mut RgbImage, x: u32, y: u32, colour: Rgb<u8>, text: &str) {
        let (x, y) = (x as i32, y as i32);
        draw_text_mut(canvas, colour, x, y, self.scale, &self.font, text);
    }
}
