//! Maps of several words of an answer over one picture, side by side.

use colorous::INFERNO;
use image::RgbImage;

use super::colour::Ramp;
use super::font::{BOLD, REGULAR, Text};
use super::overlay::{INK, Map, NARROWEST, Shown, blank, draw_legend, draw_map};
use super::{Result, reduced};

/// The longer side of a panel's picture, in pixels; smaller pictures are repeated.
const SIDE: u32 = 368;
const MARGIN: u32 = 16;
const COLUMNS: u32 = 3;
/// The height of a panel's heading.
const HEADING: u32 = 36;
/// The height of the legend's text, and of the legend in lines.
const TEXT: f32 = 20.0;
const LEGEND_LINES: f32 = 4.3;
/// The largest number of panels: more would not be looked at.
const MOST: usize = 60;

/// A map with its heading.
#[derive(Clone, Copy, Debug)]
pub struct EachPanel<'a> {
    /// What the map is of.
    pub text: &'a str,
    /// As many values as every map of the plot has, row by row.
    pub saliency: &'a [f32],
}

/// Draws the picture (RGB, row by row, `width * height * 3` bytes) under each of several maps of
/// `size x size` cells, three beside each other, with one legend below. Pictures are reduced to, or
/// repeated up to, 368 pixels per side. Beyond 60 maps there is a note of how many are left out.
///
/// # Errors
/// Returns [`ReportError::Length`](super::ReportError::Length) if a number of values does not match,
/// and [`ReportError::Size`](super::ReportError::Size) for a side of 0 or too large a picture.
pub fn each(
    rgb: &[u8],
    width: u32,
    height: u32,
    size: usize,
    panels: &[EachPanel],
) -> Result<RgbImage> {
    let small = reduced(rgb, width, height, SIDE)?;
    let (rgb, width, height) = match &small {
        Some(small) => (&small.as_raw()[..], small.width(), small.height()),
        None => (rgb, width, height),
    };
    let shown = Shown::enlarged(width, height, SIDE / width.max(height));

    let all = &panels[..panels.len().min(MOST)];
    let columns = (all.len() as u32).clamp(1, COLUMNS);
    let rows = (all.len() as u32).div_ceil(columns);
    let (across, down) = (
        shown.width.max(SIDE / 2) + MARGIN,
        HEADING + shown.height + MARGIN,
    );
    let note = (panels.len() > MOST).then(|| format!("… and {} more", panels.len() - MOST));
    let legend_top = rows * down + if note.is_some() { HEADING } else { 0 };
    let mut out: RgbImage = blank(
        (MARGIN + columns * across).max(NARROWEST),
        legend_top + (TEXT * LEGEND_LINES) as u32,
    )?;
    let (bold, plain) = (Text::new(BOLD, 24.0)?, Text::new(REGULAR, TEXT)?);
    let ramp = Ramp::new(INFERNO);
    for (place, panel) in (0..).zip(all) {
        let (left, top) = (MARGIN + place % columns * across, place / columns * down);
        let heading = bold.fitted(panel.text, across - MARGIN);
        bold.draw(&mut out, left, top + 6, INK, &heading);
        let map = Map::new(panel.saliency, size)?;
        draw_map(
            &mut out,
            (left, top + HEADING),
            rgb,
            width,
            &shown,
            &map,
            &ramp,
        );
    }
    if let Some(note) = note {
        plain.draw(&mut out, MARGIN, rows * down + 4, INK, &note);
    }
    let needed = "saliency: what each of them needs";
    draw_legend(&mut out, legend_top, TEXT, needed, &ramp)?;
    Ok(out)
}
