//! A plot of deletion and insertion curves.

use image::RgbImage;
use plotters::prelude::*;
use plotters::style::FontStyle;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::canvas::{Area, FINER, GRID, INK, canvas, failed, font, px, titles};
use super::{ReportError, Result};
use crate::explain::LEAST_RANGE;

const WIDTH: u32 = 1200;
const HEIGHT: u32 = 620;
/// The height of the legend below the panels.
const LEGEND: u32 = 52;
/// The smallest upper end of the vertical axis.
const LEAST_TOP: f64 = 0.02;
pub(super) const DELETION: RGBColor = RGBColor(178, 24, 43);
pub(super) const INSERTION: RGBColor = RGBColor(33, 102, 172);
const PICTURE: RGBColor = RGBColor(60, 60, 60);
const BASELINE: RGBColor = RGBColor(125, 125, 125);
/// Dashes and gaps of the lines at the picture's and the baseline's probability.
const PICTURE_DASH: (u32, u32) = (14, 7);
const BASELINE_DASH: (u32, u32) = (4, 6);

/// The data of the plot: mean probability of the key tokens against the share of cells replaced.
/// The deletion curve starts at the whole picture's probability, the insertion curve at the
/// baseline's.
#[derive(Clone, Copy, Debug)]
pub struct CurvesPlot<'a> {
    /// Share of cells replaced, from 0 to 1.
    pub fraction: &'a [f64],
    /// Probability while the most important cells are removed.
    pub deletion: &'a [f64],
    /// Probability while only these cells are revealed.
    pub insertion: &'a [f64],
    /// Normalised area, `None` if undefined.
    pub deletion_score: Option<f64>,
    /// Normalised area, `None` if undefined.
    pub insertion_score: Option<f64>,
}

/// One curve and its style.
struct Panel<'a> {
    name: &'static str,
    meaning: &'static str,
    values: &'a [f64],
    score: Option<f64>,
    colour: RGBColor,
}

/// Values shared by both panels.
struct Scale {
    /// The upper end of the vertical axis.
    top: f64,
    /// Probability of the key tokens with the whole picture.
    picture: Option<f64>,
    /// Probability of the key tokens with the baseline.
    baseline: Option<f64>,
}

/// Draws both curves side by side, 1200 x 620 pixels: the area between each curve and the
/// baseline's probability is shaded, with the score above, and lines at the probabilities with the
/// whole picture and with the baseline. Points that are not finite are left out, others clamped to
/// 0..1.
///
/// # Errors
/// Returns [`ReportError::Length`] if the curves differ in length, and [`ReportError::Plot`] if
/// drawing fails.
pub fn curves(plot: &CurvesPlot) -> Result<RgbImage> {
    for (what, values) in [("deletion", plot.deletion), ("insertion", plot.insertion)] {
        let (expected, found) = (plot.fraction.len(), values.len());
        if expected != found {
            return Err(ReportError::Length {
                what,
                expected,
                found,
            });
        }
    }
    canvas(WIDTH, HEIGHT, |area| draw(area, plot))
}

fn draw(area: &Area, plot: &CurvesPlot) -> Result<()> {
    let probability = |v: &f64| v.is_finite().then_some(v.clamp(0.0, 1.0));
    let values = plot.deletion.iter().chain(plot.insertion);
    let highest = values.filter_map(probability).fold(0.0, f64::max);
    let scale = Scale {
        top: (highest * 1.08).max(LEAST_TOP),
        picture: plot.deletion.first().and_then(probability),
        baseline: plot.insertion.first().and_then(probability),
    };
    let (panels, legend) = area.split_vertically(px(HEIGHT - LEGEND));
    let halves = panels.split_evenly((1, 2));
    let shown = [
        Panel {
            name: "Deletion",
            meaning: "needed cells removed first: low is good",
            values: plot.deletion,
            score: plot.deletion_score,
            colour: DELETION,
        },
        Panel {
            name: "Insertion",
            meaning: "needed cells revealed first: high is good",
            values: plot.insertion,
            score: plot.insertion_score,
            colour: INSERTION,
        },
    ];
    for (half, panel) in halves.iter().zip(shown) {
        draw_panel(half, plot.fraction, &panel, &scale)?;
    }
    draw_legend(&legend, &scale)
}

fn draw_panel(half: &Area, fraction: &[f64], panel: &Panel, scale: &Scale) -> Result<()> {
    let (title, chart) = half.split_vertically(px(84));
    let score = match panel.score {
        Some(score) if score.is_finite() => format!("{score:.3}"),
        _ => "undefined".to_string(),
    };
    let heading = format!("{} score: {score}", panel.name);
    titles(&title, &heading, &panel.colour, &subtitle(panel, scale))?;

    let mut chart = ChartBuilder::on(&chart)
        .margin_left(px(16))
        .margin_right(px(26))
        .margin_top(px(6))
        .x_label_area_size(px(56))
        .y_label_area_size(px(78))
        .build_cartesian_2d(0.0..1.0, 0.0..scale.top)
        .map_err(failed)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID.stroke_width(FINER))
        .axis_style(INK.stroke_width(FINER))
        .x_desc("share of cells replaced")
        .y_desc("probability of the key tokens")
        .axis_desc_style(font(19, FontStyle::Normal))
        .label_style(font(18, FontStyle::Normal))
        .set_all_tick_mark_size(px(5))
        .x_labels(6)
        .y_labels(6)
        .draw()
        .map_err(failed)?;
    let points: Vec<(f64, f64)> = fraction
        .iter()
        .zip(panel.values)
        .filter(|(x, y)| x.is_finite() && y.is_finite())
        .map(|(x, y)| (x.clamp(0.0, 1.0), y.clamp(0.0, 1.0)))
        .collect();
    let floor = scale.baseline.unwrap_or(0.0);
    let shade = AreaSeries::new(points.iter().copied(), floor, panel.colour.mix(0.22));
    chart.draw_series(shade).map_err(failed)?;
    for (level, (on, off), colour) in levels(scale) {
        let line = DashedLineSeries::new(
            [(0.0, level), (1.0, level)],
            px(on),
            px(off),
            colour.stroke_width(px(2)),
        );
        chart.draw_series(line).map_err(failed)?;
    }
    chart
        .draw_series(LineSeries::new(points, panel.colour.stroke_width(px(3))))
        .map_err(failed)?;
    Ok(())
}

/// Returns how to read the curve or, if its score is undefined, how close the two probabilities
/// are.
fn subtitle(panel: &Panel, scale: &Scale) -> String {
    match (panel.score, scale.picture, scale.baseline) {
        (None, Some(picture), Some(baseline)) if picture - baseline < LEAST_RANGE => {
            format!("picture ({picture:.4}) not clearly above baseline ({baseline:.4})")
        }
        _ => panel.meaning.to_string(),
    }
}

/// Returns the lines at the probabilities with the picture and with the baseline: value, dashes,
/// colour.
fn levels(scale: &Scale) -> impl Iterator<Item = (f64, (u32, u32), RGBColor)> {
    let picture = scale.picture.map(|level| (level, PICTURE_DASH, PICTURE));
    let baseline = scale.baseline.map(|level| (level, BASELINE_DASH, BASELINE));
    picture.into_iter().chain(baseline)
}

fn draw_legend(area: &Area, scale: &Scale) -> Result<()> {
    let style = font(19, FontStyle::Normal).pos(Pos::new(HPos::Left, VPos::Center));
    let name = |name, level: Option<f64>| level.map(|level| format!("{name} ({level:.3})"));
    let entries = [
        (name("whole picture", scale.picture), PICTURE_DASH, PICTURE),
        (name("baseline", scale.baseline), BASELINE_DASH, BASELINE),
    ];
    let y = (px(LEGEND) / 2) as i32;
    let mut x = px(94) as i32;
    for (text, (on, off), colour) in entries {
        let Some(text) = text else { continue };
        let end = x + px(56) as i32;
        let mut from = x;
        while from < end {
            let line = vec![(from, y), ((from + px(on) as i32).min(end), y)];
            area.draw(&PathElement::new(line, colour.stroke_width(px(2))))
                .map_err(failed)?;
            from += px(on + off) as i32;
        }
        x = end + px(10) as i32;
        area.draw_text(&text, &style, (x, y)).map_err(failed)?;
        x += area.estimate_text_size(&text, &style).map_err(failed)?.0 as i32 + px(34) as i32;
    }
    let note = "score: shaded area, baseline 0, picture 1; below baseline negative";
    let style = style.pos(Pos::new(HPos::Right, VPos::Center));
    let right = area.dim_in_pixel().0 as i32 - px(26) as i32;
    area.draw_text(note, &style, (right, y)).map_err(failed)
}
