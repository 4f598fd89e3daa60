//! The answer's words, shaded by their log-ratio.

use colorous::BLUES;
use image::{Rgb, RgbImage};

use super::Result;
use super::colour::{Ramp, contrast};
use super::font::{BOLD, REGULAR, Text};
use super::layout::{Layout, Placed};
use crate::explain::whole_words;

const WIDTH: u32 = 960;
const MARGIN: u32 = 28;
/// Distance between lines of the answer, in pixels; height of a token's background, and of the line
/// below a key token.
const LINE: u32 = 54;
const GROUND: u32 = 40;
const MARK_HEIGHT: u32 = 5;
/// Distance between lines of the question.
const SMALL_LINE: u32 = 30;
/// The largest number of lines drawn of the question, and of the answer: longer text would not be
/// readable.
const QUESTION_LINES: u32 = 12;
const ANSWER_LINES: u32 = 150;
/// The part of the ramp that is used: up to its end, white text and black text are both legible
/// next to each other.
const RAMP_END: f64 = 0.97;
/// Distance by which a word's background extends beyond it, in pixels; the narrowest space is wider
/// than two.
const REACH: u32 = 3;
const INK: Rgb<u8> = Rgb([0, 0, 0]);
const PAPER: Rgb<u8> = Rgb([255, 255, 255]);
const GREY: Rgb<u8> = Rgb([95, 95, 95]);
const EDGE: Rgb<u8> = Rgb([150, 150, 150]);
const MARK: Rgb<u8> = Rgb([230, 97, 1]);

/// One token of the answer.
#[derive(Clone, Copy, Debug)]
pub struct TokenShade<'a> {
    /// Its text, leading spaces included.
    pub text: &'a str,
    /// Log-probability with the picture minus that with the baseline, in nats.
    pub llr: f64,
    /// Whether it is a key token.
    pub key: bool,
}

/// The answer's fonts, the shades, and the log-ratio with the darkest shade.
struct Style {
    small: Text,
    regular: Text,
    bold: Text,
    ramp: Ramp,
    most: f64,
}

impl Style {
    fn answer(&self, key: bool) -> &Text {
        if key { &self.bold } else { &self.regular }
    }

    fn shade(&self, llr: f64) -> Rgb<u8> {
        self.ramp.at((llr / self.most) as f32)
    }
}

/// Draws the question in grey, then the answer's tokens shaded by their log-ratio (0 or less is the
/// lightest; the darkest is the largest finite one, at least 1 nat), key tokens bold and
/// underlined. Lines break before words if possible, and after every line break of the answer. The
/// picture is 960 pixels wide; text beyond 12 lines of question or 150 of answer is left out, with
/// a note in the picture.
///
/// # Errors
/// Returns an error only if the embedded font is damaged.
pub fn tokens(question: &str, words: &[TokenShade]) -> Result<RgbImage> {
    let most = words
        .iter()
        .map(|w| w.llr)
        .filter(|l| l.is_finite())
        .fold(1.0, f64::max);
    let style = Style {
        small: Text::new(REGULAR, 22.0)?,
        regular: Text::new(REGULAR, 32.0)?,
        bold: Text::new(BOLD, 32.0)?,
        ramp: Ramp::even(BLUES, RAMP_END),
        most,
    };
    let inner = WIDTH - 2 * MARGIN;
    let mut asked = Layout::new(inner, QUESTION_LINES);
    for word in question.split_inclusive([' ', '\n']) {
        asked.push(&[(0, &style.small, word)]);
    }
    asked.finish();
    let mut answer = Layout::new(inner, ANSWER_LINES);
    let texts: Vec<&str> = words.iter().map(|word| word.text).collect();
    for group in whole_words(&texts) {
        let group: Vec<_> = group
            .map(|i| (i, style.answer(words[i].key), words[i].text))
            .collect();
        answer.push(&group);
    }
    answer.finish();

    let cut_line = |cut| if cut { SMALL_LINE } else { 0 };
    let asked_end = MARGIN + asked.lines() * SMALL_LINE;
    let answer_top = asked_end + cut_line(asked.cut) + 14;
    let answer_end = answer_top + answer.lines() * LINE;
    let legend_top = answer_end + cut_line(answer.cut) + 18;
    let mut out = RgbImage::from_pixel(WIDTH, legend_top + 84, PAPER);
    for p in &asked.placed {
        let (x, y) = (MARGIN + p.x, MARGIN + p.line * SMALL_LINE);
        style
            .small
            .draw_between(&mut out, x, y, GREY, &p.text, p.neighbours);
    }
    if asked.cut {
        style.small.draw(
            &mut out,
            MARGIN,
            asked_end,
            GREY,
            "… (the question goes on)",
        );
    }
    for (i, p) in answer.placed.iter().enumerate() {
        let next = answer.placed.get(i + 1).filter(|next| next.line == p.line);
        let edges = Edges {
            begins: i == 0 || answer.placed[i - 1].line != p.line || p.text.starts_with(' '),
            ends: next.is_none_or(|next| next.text.starts_with(' ')),
        };
        draw_token(&mut out, answer_top, p, edges, &words[p.item], &style);
    }
    if answer.cut {
        style
            .small
            .draw(&mut out, MARGIN, answer_end, GREY, "… (the answer goes on)");
    }
    draw_legend(&mut out, legend_top, words.iter().any(|w| w.key), &style);
    Ok(out)
}

/// The edges of a token on its line: whether a space or the line's start precedes it, and whether a
/// space or the line's end follows.
struct Edges {
    begins: bool,
    ends: bool,
}

/// Draws one token of the answer, which begins at `top`.
fn draw_token(
    out: &mut RgbImage,
    top: u32,
    p: &Placed,
    edges: Edges,
    word: &TokenShade,
    style: &Style,
) {
    let (x, y, ground) = (MARGIN + p.x, top + p.line * LINE, style.shade(word.llr));
    let font = style.answer(word.key);
    // The spaces before a word stay white, and so does a thin gap between tokens: words are
    // separate, and tokens are distinguishable.
    let ink = p.text.trim_start_matches(' ');
    let spaces = if ink.is_empty() {
        0
    } else {
        p.width
            .saturating_sub(font.width_between(ink, p.neighbours))
    };
    let before = if edges.begins { REACH } else { 0 };
    let (after, hair) = if edges.ends { (REACH, 0) } else { (0, 1) };
    let (from, to) = match p.backwards {
        false => (x + spaces - before, x + p.width + after - hair),
        true => (x + hair - after, x + p.width - spaces + before),
    };
    // A token without ink or width has no background.
    let width = if p.width > 0 {
        to.saturating_sub(from)
    } else {
        0
    };
    fill(out, from, y, width, GROUND, ground);
    if word.key {
        fill(out, from, y + GROUND, width, MARK_HEIGHT, MARK);
    }
    let colour = if contrast(ground, INK) >= contrast(ground, PAPER) {
        INK
    } else {
        PAPER
    };
    font.draw_between(out, x, y + 4, colour, &p.text, p.neighbours);
}

/// Fills the part of a rectangle that lies inside the picture.
fn fill(out: &mut RgbImage, x: u32, y: u32, width: u32, height: u32, colour: Rgb<u8>) {
    let right = x.saturating_add(width).min(out.width());
    let bottom = y.saturating_add(height).min(out.height());
    for y in y..bottom {
        for x in x..right {
            out.put_pixel(x, y, colour);
        }
    }
}

/// Draws the meaning of shades and marks.
fn draw_legend(out: &mut RgbImage, top: u32, any_key: bool, style: &Style) {
    const RAMP: u32 = 260;
    const RAMP_HEIGHT: u32 = 22;
    let small = &style.small;
    fill(out, MARGIN - 1, top - 1, RAMP + 2, RAMP_HEIGHT + 2, EDGE);
    for x in 0..RAMP {
        let llr = style.most * f64::from(x) / f64::from(RAMP - 1);
        fill(out, MARGIN + x, top, 1, RAMP_HEIGHT, style.shade(llr));
    }
    let label_top = top + RAMP_HEIGHT + 5;
    small.draw(out, MARGIN, label_top, INK, "≤ 0");
    let end = match style.most {
        most if most < 1e4 => format!("{most:.1} nats"),
        most => format!("{most:.1e} nats"),
    };
    small.draw(out, MARGIN + RAMP - small.width(&end), label_top, INK, &end);
    let x = MARGIN + RAMP + 26;
    let meaning = "log-ratio, picture over baseline";
    small.draw(out, x, top, INK, meaning);
    let x = x + small.width(meaning) + 46;
    let key = if any_key { "key token" } else { "no key token" };
    small.draw(out, x, top, INK, key);
    if any_key {
        fill(out, x, top + 28, small.width(key), MARK_HEIGHT, MARK);
    }
}
