//! The answer's words, shaded by what the picture does for them.

use colorous::{BLUES, Gradient};
use image::{Rgb, RgbImage};
use imageproc::drawing::draw_filled_rect_mut;
use imageproc::rect::Rect;

use super::Result;
use super::font::{BOLD, REGULAR, Text};

const WIDTH: u32 = 960;
const MARGIN: u32 = 28;
const LINE: u32 = 52;
/// More lines are not drawn: a picture of a whole book helps nobody.
const MOST_LINES: usize = 200;
/// One hue from white to dark.
const COLOURS: Gradient = BLUES;
const INK: Rgb<u8> = Rgb([20, 20, 20]);
const GREY: Rgb<u8> = Rgb([105, 105, 105]);
const MARK: Rgb<u8> = Rgb([230, 97, 1]);

/// One token of the answer.
#[derive(Clone, Copy, Debug)]
pub struct TokenShade<'a> {
    /// Its text, leading spaces included.
    pub text: &'a str,
    /// Log-probability with the picture less that with the baseline, in nats.
    pub llr: f64,
    /// Whether it is key.
    pub key: bool,
}

/// Visible pieces of `text`, each at most `width` wide.
fn pieces(font: &Text, text: &str, width: u32) -> Vec<String> {
    let mut pieces = vec![String::new()];
    for c in font.visible(text).chars() {
        if let Some(piece) = pieces.last_mut() {
            piece.push(c);
            if font.width(piece) > width {
                piece.pop();
                pieces.push(c.to_string());
            }
        }
    }
    pieces
}

fn shade(llr: f64, most: f64) -> Rgb<u8> {
    let c = COLOURS.eval_continuous(if llr.is_finite() {
        (llr / most).clamp(0.0, 1.0) * 0.95
    } else {
        0.0
    });
    Rgb([c.r, c.g, c.b])
}

/// Black or white, whichever is legible on a colour.
fn ink_on(colour: Rgb<u8>) -> Rgb<u8> {
    let luminance = 0.299 * f32::from(colour.0[0])
        + 0.587 * f32::from(colour.0[1])
        + 0.114 * f32::from(colour.0[2]);
    if luminance > 140.0 {
        INK
    } else {
        Rgb([255, 255, 255])
    }
}

/// A piece of text at its place.
struct Placed {
    text: String,
    x: u32,
    line: usize,
    width: u32,
    llr: f64,
    key: bool,
}

/// The question, then the answer's tokens shaded by their log-ratio (0 or less is white), key ones bold and underlined.
///
/// # Errors
/// None in a program whose embedded font is whole.
pub fn tokens(question: &str, words: &[TokenShade]) -> Result<RgbImage> {
    let (small, regular, bold) = (
        Text::new(REGULAR, 22.0)?,
        Text::new(REGULAR, 32.0)?,
        Text::new(BOLD, 32.0)?,
    );
    let inner = WIDTH - 2 * MARGIN;
    let mut asked: Vec<String> = vec![String::new()];
    for word in small.visible(question).split_inclusive(' ') {
        let fits = asked
            .last()
            .is_some_and(|line| small.width(line) + small.width(word) <= inner);
        match asked.last_mut() {
            Some(line) if fits => line.push_str(word),
            _ => asked.extend(pieces(&small, word, inner)),
        }
    }
    asked.retain(|line| !line.is_empty());
    asked.truncate(MOST_LINES / 4);

    let (mut x, mut line) = (0, 0);
    let mut placed = Vec::new();
    for word in words {
        let font = if word.key { &bold } else { &regular };
        for text in pieces(font, word.text, inner) {
            let width = font.width(&text);
            if x + width > inner {
                (x, line) = (0, line + 1);
            }
            placed.push(Placed {
                x,
                line,
                width,
                llr: word.llr,
                key: word.key,
                text,
            });
            x += width;
        }
    }
    placed.retain(|p| p.line < MOST_LINES);
    let lines = placed.last().map_or(0, |p| p.line + 1) as u32;
    let answer_top = MARGIN + asked.len() as u32 * 30 + 16;
    let legend_top = answer_top + lines * LINE + 18;
    let mut out = RgbImage::from_pixel(WIDTH, legend_top + 84, Rgb([255, 255, 255]));
    for (i, text) in asked.iter().enumerate() {
        small.draw(&mut out, MARGIN, MARGIN + 30 * i as u32, GREY, text);
    }
    let most = words
        .iter()
        .map(|w| w.llr)
        .filter(|l| l.is_finite())
        .fold(1.0, f64::max);
    for p in &placed {
        let (x, y, background) = (
            MARGIN + p.x,
            answer_top + p.line as u32 * LINE,
            shade(p.llr, most),
        );
        if p.width > 0 {
            fill(&mut out, x, y, p.width, 40, background);
        }
        let font = if p.key { &bold } else { &regular };
        font.draw(&mut out, x, y + 3, ink_on(background), &p.text);
        if p.key && p.width > 0 {
            fill(&mut out, x, y + 40, p.width, 5, MARK);
        }
    }
    draw_legend(&mut out, legend_top, most, &small);
    Ok(out)
}

fn fill(out: &mut RgbImage, x: u32, y: u32, width: u32, height: u32, colour: Rgb<u8>) {
    draw_filled_rect_mut(
        out,
        Rect::at(x as i32, y as i32).of_size(width, height),
        colour,
    );
}

/// What shades and marks mean.
fn draw_legend(out: &mut RgbImage, top: u32, most: f64, small: &Text) {
    const RAMP: u32 = 260;
    for x in 0..RAMP {
        fill(
            out,
            MARGIN + x,
            top,
            1,
            20,
            shade(most * f64::from(x) / f64::from(RAMP - 1), most),
        );
    }
    small.draw(out, MARGIN, top + 24, INK, "0");
    let end = format!("{most:.1} nats");
    small.draw(out, MARGIN + RAMP - small.width(&end), top + 24, INK, &end);
    small.draw(
        out,
        MARGIN + RAMP + 24,
        top,
        INK,
        "log-ratio, picture over baseline",
    );
    let x = MARGIN + RAMP + 24 + small.width("log-ratio, picture over baseline") + 40;
    small.draw(out, x, top, INK, "key token");
    fill(out, x, top + 26, small.width("key token"), 5, MARK);
}
