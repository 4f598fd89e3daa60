//! The embedded fonts, and text on pictures.
//!
//! A character is drawn with the first font that contains it: DejaVu Sans, with Latin, Greek,
//! Cyrillic, Hebrew and Arabic letters; a subset of Noto Sans CJK; a subset of Noto Emoji. System
//! fonts are not used, so that a picture is the same everywhere. Text that runs from right to left
//! is reordered, and its letters are joined.

use std::ops::Range;

use ab_glyph::{Font, FontRef, Glyph, GlyphId, PxScale, point};
use image::{Pixel, Rgb, RgbImage};
use rustybuzz::{Direction, UnicodeBuffer};
use unicode_bidi::{BidiClass, BidiInfo, bidi_class};

use super::{ReportError, Result};

/// DejaVu Sans.
pub(super) const REGULAR: &[u8] = foveate_fonts::SANS;
/// DejaVu Sans Bold.
pub(super) const BOLD: &[u8] = foveate_fonts::SANS_BOLD;
/// Noto Sans CJK, in one weight.
const EAST_ASIAN: &[u8] = foveate_fonts::CJK;
/// Noto Emoji, in one weight and without colours.
const EMOJI: &[u8] = foveate_fonts::EMOJI;

/// Fonts at a size.
pub(super) struct Text {
    /// The requested font, followed by fallback fonts.
    faces: Vec<Face>,
    /// Shapes text in the first font.
    shaper: rustybuzz::Face<'static>,
    /// Distance from the top of a line to its baseline, in pixels.
    ascent: f32,
}

struct Face {
    font: FontRef<'static>,
    scale: PxScale,
    /// Size of a font unit in pixels.
    unit: f32,
}

/// The characters before and after a text, to which its letters are joined.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Neighbours {
    pub before: Option<char>,
    pub after: Option<char>,
}

/// A glyph with its position, in pixels from the start of the baseline.
struct Placed {
    face: usize,
    id: GlyphId,
    x: f32,
    y: f32,
}

impl Text {
    /// Creates fonts with `data` first, at a line height of `pixels`.
    pub fn new(data: &'static [u8], pixels: f32) -> Result<Text> {
        let whole = |reason: String| ReportError::Plot { reason };
        let mut faces: Vec<Face> = Vec::new();
        for data in [data, EAST_ASIAN, EMOJI] {
            let font = FontRef::try_from_slice(data).map_err(|e| whole(e.to_string()))?;
            let em = font.units_per_em().unwrap_or(1000.0);
            let height = font.height_unscaled();
            // All fonts have the same size, independent of their own line heights.
            let unit = match faces.first() {
                Some(first) => first.unit * first.font.units_per_em().unwrap_or(1000.0) / em,
                None => pixels / height,
            };
            faces.push(Face {
                scale: PxScale::from(unit * height),
                font,
                unit,
            });
        }
        let shaper = rustybuzz::Face::from_slice(data, 0)
            .ok_or_else(|| whole("the embedded font is not a font".to_owned()))?;
        let ascent = faces[0].font.ascent_unscaled() * faces[0].unit;
        Ok(Text {
            faces,
            shaper,
            ascent,
        })
    }

    /// Returns `text` with invisible characters replaced: a line break by a return arrow, a tab by
    /// its arrow, any other control character by its escape, and a character that no font contains
    /// by U+FFFD. Marks that only order or join other characters are removed.
    pub fn visible(&self, text: &str) -> String {
        let mut shown = String::with_capacity(text.len());
        for c in text.chars() {
            match c {
                '\n' => shown.push('\u{23ce}'),
                '\t' => shown.push('\u{21e5}'),
                c if c.is_control() => shown.extend(c.escape_default()),
                c if without_glyph(c) => {}
                c if self.face_of(c).is_none() => shown.push('\u{fffd}'),
                c => shown.push(c),
            }
        }
        shown
    }

    /// Returns the first font that contains a character.
    fn face_of(&self, c: char) -> Option<usize> {
        let (face, id) = self.glyph_of(c);
        (id.0 != 0).then_some(face)
    }

    /// Returns the font and the glyph of a character; those of a missing glyph if no font contains
    /// it.
    fn glyph_of(&self, c: char) -> (usize, GlyphId) {
        let ids = self.faces.iter().map(|face| face.font.glyph_id(c));
        let found = ids.enumerate().find(|(_, id)| id.0 != 0);
        found.unwrap_or((0, GlyphId(0)))
    }

    /// Returns the width in pixels of visible text, including its spaces.
    pub fn width(&self, text: &str) -> u32 {
        self.width_between(text, Neighbours::default())
    }

    /// Returns the width in pixels of visible text between other characters.
    pub fn width_between(&self, text: &str, neighbours: Neighbours) -> u32 {
        self.glyphs(text, neighbours).1.ceil() as u32
    }

    fn advance(&self, c: char) -> f32 {
        let (face, id) = self.glyph_of(c);
        self.advance_of(face, id)
    }

    fn advance_of(&self, face: usize, id: GlyphId) -> f32 {
        let face = &self.faces[face];
        face.font.h_advance_unscaled(id) * face.unit
    }

    /// Splits visible text into at least one piece, each at most `width` pixels wide.
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

    /// Returns `text` as [`Text::visible`] does, shortened to a width in pixels, with an ellipsis if
    /// it is cut.
    pub fn fitted(&self, text: &str, width: u32) -> String {
        let shown = self.visible(text);
        if self.width(&shown) <= width {
            return shown;
        }
        let pieces = self.pieces(&shown, width.saturating_sub(self.width("\u{2026}")));
        format!("{}\u{2026}", pieces[0].trim_end())
    }

    /// Returns the glyphs of a text from left to right, and its width.
    fn glyphs(&self, text: &str, neighbours: Neighbours) -> (Vec<Placed>, f32) {
        let (mut glyphs, mut x) = (Vec::new(), 0.0);
        for (range, backwards) in runs(text) {
            let neighbours = Neighbours {
                before: neighbours.before.filter(|_| range.start == 0),
                after: neighbours.after.filter(|_| range.end == text.len()),
            };
            match backwards {
                true => self.backwards(&text[range], neighbours, &mut glyphs, &mut x),
                false => self.forwards(&text[range], &mut glyphs, &mut x),
            }
        }
        (glyphs, x)
    }

    fn forwards(&self, text: &str, glyphs: &mut Vec<Placed>, x: &mut f32) {
        for c in text.chars() {
            let (face, id) = self.glyph_of(c);
            glyphs.push(Placed {
                face,
                id,
                x: *x,
                y: 0.0,
            });
            *x += self.advance_of(face, id);
        }
    }

    /// Adds the glyphs of text that runs from right to left: parts in the first font are shaped
    /// with it, from the end of the text to its start.
    fn backwards(&self, text: &str, neighbours: Neighbours, glyphs: &mut Vec<Placed>, x: &mut f32) {
        let mut parts: Vec<(Range<usize>, bool)> = Vec::new();
        for (at, c) in text.char_indices() {
            let (own, end) = (self.face_of(c) == Some(0), at + c.len_utf8());
            match parts.last_mut() {
                Some((range, same)) if *same == own => range.end = end,
                _ => parts.push((at..end, own)),
            }
        }
        for (range, own) in parts.into_iter().rev() {
            let part = &text[range.clone()];
            if !own {
                let turned: String = part.chars().rev().collect();
                self.forwards(&turned, glyphs, x);
                continue;
            }
            let mut buffer = UnicodeBuffer::new();
            buffer.push_str(part);
            let text_of = |c: Option<char>| c.map(String::from).unwrap_or_default();
            buffer.set_pre_context(&text_of(neighbours.before.filter(|_| range.start == 0)));
            buffer.set_post_context(&text_of(
                neighbours.after.filter(|_| range.end == text.len()),
            ));
            buffer.guess_segment_properties();
            buffer.set_direction(Direction::RightToLeft);
            let shaped = rustybuzz::shape(&self.shaper, &[], buffer);
            let unit = self.faces[0].unit;
            for (info, place) in shaped.glyph_infos().iter().zip(shaped.glyph_positions()) {
                glyphs.push(Placed {
                    face: 0,
                    id: GlyphId(info.glyph_id as u16),
                    x: *x + place.x_offset as f32 * unit,
                    y: -place.y_offset as f32 * unit,
                });
                *x += place.x_advance as f32 * unit;
            }
        }
    }

    /// Calls `pixel` for every pixel of visible text with its coverage; the text's top left corner
    /// is at (0, 0).
    pub fn ink(&self, text: &str, neighbours: Neighbours, mut pixel: impl FnMut(i32, i32, f32)) {
        for placed in self.glyphs(text, neighbours).0 {
            let face = &self.faces[placed.face];
            let glyph = Glyph {
                id: placed.id,
                scale: face.scale,
                position: point(placed.x, self.ascent + placed.y),
            };
            if let Some(outline) = face.font.outline_glyph(glyph) {
                let bounds = outline.px_bounds();
                let (left, top) = (bounds.min.x.round() as i32, bounds.min.y.round() as i32);
                outline.draw(|x, y, share| {
                    pixel(left + x as i32, top + y as i32, share.clamp(0.0, 1.0));
                });
            }
        }
    }

    /// Draws visible text with its top left corner at (x, y).
    pub fn draw(&self, canvas: &mut RgbImage, x: u32, y: u32, colour: Rgb<u8>, text: &str) {
        self.draw_between(canvas, x, y, colour, text, Neighbours::default());
    }

    /// Draws visible text between other characters, with its top left corner at (x, y).
    pub fn draw_between(
        &self,
        canvas: &mut RgbImage,
        x: u32,
        y: u32,
        colour: Rgb<u8>,
        text: &str,
        neighbours: Neighbours,
    ) {
        self.ink(text, neighbours, |right, down, share| {
            let at = |from: u32, by: i32| from.checked_add_signed(by);
            let Some((x, y)) = at(x, right).zip(at(y, down)) else {
                return;
            };
            if let Some(pixel) = canvas.get_pixel_mut_checked(x, y) {
                let mix = |ground: u8, ink: u8| {
                    (f32::from(ground) * (1.0 - share) + f32::from(ink) * share) as u8
                };
                pixel.apply2(&colour, mix);
            }
        });
    }
}

/// Checks whether a character has no glyph of its own: it joins or separates others, orders them,
/// or selects among their forms.
fn without_glyph(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{61c}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{1f3fb}'..='\u{1f3ff}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

/// Checks whether a text has letters or digits that run from right to left, or a mark that orders
/// them so.
pub(super) fn runs_backwards(text: &str) -> bool {
    let backwards = |c| matches!(bidi_class(c), BidiClass::R | BidiClass::AL | BidiClass::AN);
    text.chars().any(backwards)
}

/// Returns the parts of a text with one direction, from left to right, and whether each runs from
/// right to left.
fn runs(text: &str) -> Vec<(Range<usize>, bool)> {
    if !runs_backwards(text) {
        return vec![(0..text.len(), false)];
    }
    let info = BidiInfo::new(text, None);
    let mut runs = Vec::new();
    for paragraph in &info.paragraphs {
        let (levels, ranges) = info.visual_runs(paragraph, paragraph.range.clone());
        runs.extend(ranges.into_iter().map(|range| {
            let backwards = levels[range.start].is_rtl();
            (range, backwards)
        }));
    }
    runs
}
