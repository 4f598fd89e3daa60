//! A plot of the objective's parts over the iterations of a method.

use image::RgbImage;
use plotters::prelude::*;
use plotters::style::FontStyle;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::canvas::{Area, COLOURS, FINER, GRID, INK, canvas, failed, font, px, titles};
use super::curves::{DELETION, INSERTION};
use super::{ReportError, Result};
use crate::explain::{Iteration, Terms};

const WIDTH: u32 = 1200;
const HEIGHT: u32 = 620;
/// The height of the legend below the panels.
const LEGEND: u32 = 52;
/// The largest number of ticks of the horizontal axis.
const TICKS: usize = 11;
/// The largest absolute value that is drawn, and the smallest span of an axis, absolutely and as a
/// part of its values: beyond these, the numbers of the ticks are no longer distinct.
const FARTHEST: f64 = 1e12;
const LEAST_SPAN: f64 = 1e-9;

/// One part of the objective.
struct Line {
    name: &'static str,
    values: Vec<f64>,
    colour: RGBColor,
}

/// Lines with one axis.
struct Panel {
    heading: &'static str,
    meaning: &'static str,
    lines: Vec<Line>,
}

/// Draws the parts of the objective before each update, 1200 x 620 pixels: the scores along the
/// paths of deletion and insertion and, if the method has a regulariser, its terms beside them. A
/// part that is 0 in all iterations is left out, and so are values that are not finite.
///
/// # Errors
/// Returns [`ReportError::Length`] for fewer than two iterations, and [`ReportError::Plot`] if
/// drawing fails.
pub fn losses(iterations: &[Iteration]) -> Result<RgbImage> {
    if iterations.len() < 2 {
        return Err(ReportError::Length {
            what: "iterations, at least",
            expected: 2,
            found: iterations.len(),
        });
    }
    canvas(WIDTH, HEIGHT, |area| {
        let panels = panels(iterations);
        let parts = area.split_evenly((1, panels.len()));
        for (part, panel) in parts.iter().zip(&panels) {
            draw_panel(part, panel, iterations.len())?;
        }
        Ok(())
    })
}

/// Returns the panels of the parts that a method has.
fn panels(iterations: &[Iteration]) -> Vec<Panel> {
    let line = |name, colour, part: &dyn Fn(&Iteration) -> f64| Line {
        name,
        values: iterations.iter().map(part).collect(),
        colour,
    };
    let term = |name, colour, part: fn(&Terms) -> f64| {
        line(name, colour, &|i| i.terms.as_ref().map_or(0.0, part))
    };
    let scores = Panel {
        heading: "Score along the paths",
        meaning: "sum of the key tokens' log p: deletion falls, insertion stays high",
        lines: vec![
            line("deletion", DELETION, &|i| i.deletion),
            line("insertion", INSERTION, &|i| i.insertion),
        ],
    };
    let terms = Panel {
        heading: "Regulariser",
        meaning: "each term times its weight",
        lines: vec![
            term("l1: distance", COLOURS[0], |terms| terms.l1),
            term("l2: quadratic", COLOURS[1], |terms| terms.l2),
            term("l3: variation", COLOURS[2], |terms| terms.l3),
        ],
    };
    let shown = [scores, terms].map(|panel| Panel {
        lines: panel
            .lines
            .into_iter()
            .filter(|line| line.values.iter().any(|&value| value != 0.0))
            .collect(),
        ..panel
    });
    let [scores, terms] = shown;
    match terms.lines.is_empty() {
        true => vec![scores],
        false => vec![scores, terms],
    }
}

fn draw_panel(area: &Area, panel: &Panel, iterations: usize) -> Result<()> {
    let (title, rest) = area.split_vertically(px(84));
    let (chart, legend) = rest.split_vertically(px(HEIGHT - 84 - LEGEND));
    titles(&title, panel.heading, &INK, panel.meaning)?;

    let (low, high) = range(&panel.lines);
    let last = i32::try_from(iterations - 1).unwrap_or(i32::MAX);
    let mut chart = ChartBuilder::on(&chart)
        .margin_left(px(16))
        .margin_right(px(26))
        .margin_top(px(6))
        .x_label_area_size(px(56))
        .y_label_area_size(px(86))
        .build_cartesian_2d(0..last, low..high)
        .map_err(failed)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID.stroke_width(FINER))
        .axis_style(INK.stroke_width(FINER))
        .x_desc("iteration")
        .axis_desc_style(font(19, FontStyle::Normal))
        .label_style(font(18, FontStyle::Normal))
        .set_all_tick_mark_size(px(5))
        .x_labels(iterations.min(TICKS))
        .y_labels(6)
        .y_label_formatter(&|value| number(*value, high - low))
        .draw()
        .map_err(failed)?;
    for line in &panel.lines {
        let values = (0..).zip(&line.values).map(|(at, &value)| (at, value));
        let points: Vec<(i32, f64)> = values.filter(|(_, value)| drawn(*value)).collect();
        let dots = points
            .iter()
            .map(|&point| Circle::new(point, px(4), line.colour.filled()));
        chart.draw_series(dots).map_err(failed)?;
        let stroke = line.colour.stroke_width(px(3));
        chart
            .draw_series(LineSeries::new(points.iter().copied(), stroke))
            .map_err(failed)?;
    }
    draw_legend(&legend, &panel.lines)
}

/// Checks whether a value is on the plot.
fn drawn(value: f64) -> bool {
    // NaN is in no range.
    (-FARTHEST..=FARTHEST).contains(&value)
}

/// Returns the ends of the vertical axis, with a margin around the values.
fn range(lines: &[Line]) -> (f64, f64) {
    let values = lines.iter().flat_map(|line| line.values.iter().copied());
    let ends = values
        .filter(|&value| drawn(value))
        .fold(None, |ends, value| {
            let (low, high) = ends.unwrap_or((value, value));
            Some((value.min(low), value.max(high)))
        });
    let (low, high): (f64, f64) = ends.unwrap_or((0.0, 1.0));
    let least = LEAST_SPAN * low.abs().max(high.abs()).max(1.0);
    let margin = 0.06 * (high - low).max(least);
    (low - margin, high + margin)
}

/// Formats a tick of an axis of that span.
fn number(value: f64, span: f64) -> String {
    let decimals = (1.0 - span.log10().floor()).max(0.0) as usize;
    let text = match decimals {
        0..=6 => format!("{value:.decimals$}"),
        _ => format!("{value:.1e}"),
    };
    // No sign where nothing is left behind it.
    match text.trim_start_matches('-').trim_matches(['0', '.']) {
        "" => text.trim_start_matches('-').to_string(),
        _ => text,
    }
}

fn draw_legend(area: &Area, lines: &[Line]) -> Result<()> {
    let style = font(19, FontStyle::Normal).pos(Pos::new(HPos::Left, VPos::Center));
    let y = (px(LEGEND) / 2) as i32;
    let mut x = px(102) as i32;
    for line in lines {
        let end = x + px(30) as i32;
        let mark = vec![(x, y), (end, y)];
        area.draw(&PathElement::new(mark, line.colour.stroke_width(px(3))))
            .map_err(failed)?;
        x = end + px(8) as i32;
        area.draw_text(line.name, &style, (x, y)).map_err(failed)?;
        let width = area
            .estimate_text_size(line.name, &style)
            .map_err(failed)?
            .0;
        x += width as i32 + px(22) as i32;
    }
    Ok(())
}
