//! A plot of values with their intervals.

use image::RgbImage;
use plotters::prelude::*;
use plotters::style::FontStyle;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::canvas::{Area, COLOURS, FINER, GRID, INK, Writing, axis, canvas, failed, font, px};
use super::font::{REGULAR, Text};
use super::{ReportError, Result};

const WIDTH: u32 = 1200;
const COLUMNS: usize = 2;
/// Heights of a panel's parts.
const TITLE: u32 = 74;
const ROW: u32 = 76;
const AXIS: u32 = 46;
/// The largest height of all panels together: beyond it, the picture would take a gigabyte.
const HIGHEST: usize = 32_768;
/// Space around a panel's plot.
const MARGIN: u32 = 30;
/// Text size of a row.
const LABEL: u32 = 17;
/// The share of a row, from the top, for its text: one line for the name, one for the numbers.
const WRITING: f64 = 0.6;

/// A value with its interval.
#[derive(Clone, Debug)]
pub struct Interval {
    /// The name of the value.
    pub label: String,
    /// The value.
    pub value: f64,
    /// Its interval, if any.
    pub interval: Option<[f64; 2]>,
    /// The number of samples.
    pub n: usize,
    /// The values of those samples, drawn as faint points; may be empty.
    pub points: Vec<f64>,
}

/// Values of one kind with a common axis.
#[derive(Clone, Debug)]
pub struct IntervalsPanel {
    /// The title.
    pub title: String,
    /// A note below the title.
    pub note: String,
    /// The values, from top to bottom.
    pub rows: Vec<Interval>,
    /// A value to mark.
    pub mark: Option<f64>,
}

/// Draws the panels, two side by side, 1200 pixels wide: every value as a dot with its interval as
/// a bar, and its number as text. Numbers that are not finite are left out.
///
/// # Errors
/// Returns [`ReportError::Size`] for more rows than a picture can show, [`ReportError::Axis`] for a
/// panel whose numbers cannot be shown on an axis, and [`ReportError::Plot`] if drawing fails.
pub fn intervals(panels: &[IntervalsPanel]) -> Result<RgbImage> {
    let lines: Vec<&[IntervalsPanel]> = panels.chunks(COLUMNS).collect();
    let height = |line: &[IntervalsPanel]| {
        let rows = line.iter().map(|panel| panel.rows.len()).max().unwrap_or(0);
        rows.saturating_mul(ROW as usize)
            .saturating_add((TITLE + AXIS) as usize)
    };
    let total = lines.iter().map(|line| height(line));
    let total = total.fold(0, usize::saturating_add);
    if total > HIGHEST {
        return Err(ReportError::Size {
            what: "intervals",
            width: WIDTH as usize,
            height: total,
        });
    }
    let height = |line: &[IntervalsPanel]| height(line) as u32;
    let total = total as u32;
    canvas(WIDTH, total.max(1), |area| {
        let mut rest = area.clone();
        for line in &lines {
            let (this, below) = rest.split_vertically(px(height(line)));
            for (half, panel) in this.split_evenly((1, COLUMNS)).iter().zip(*line) {
                draw_panel(half, panel)?;
            }
            rest = below;
        }
        Ok(())
    })
}

fn draw_panel(half: &Area, panel: &IntervalsPanel) -> Result<()> {
    let left = Pos::new(HPos::Left, VPos::Top);
    let start = px(MARGIN) as i32;
    let bold = font(23, FontStyle::Bold).pos(left);
    half.draw_text(&panel.title, &bold, (start, px(14) as i32))
        .map_err(failed)?;
    let note = Writing::new(&fitted(&panel.note)?, (start, px(44) as i32), px(LABEL))?;
    half.draw(&note).map_err(failed)?;
    let (_, plot) = half.split_vertically(px(TITLE));
    let (plot, _) = plot.split_vertically(px(ROW * panel.rows.len() as u32 + AXIS));
    let range = range(panel);
    axis("interval", range.0, range.1)?;
    let rows = panel.rows.len() as f64;
    let mut chart = ChartBuilder::on(&plot)
        .margin_left(px(MARGIN))
        .margin_right(px(MARGIN))
        .x_label_area_size(px(AXIS - 10))
        .build_cartesian_2d(range.0..range.1, 0.0..rows)
        .map_err(failed)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID.stroke_width(FINER))
        .disable_y_mesh()
        .axis_style(INK.stroke_width(FINER))
        .label_style(font(LABEL, FontStyle::Normal))
        .set_all_tick_mark_size(px(4))
        .x_labels(6)
        .draw()
        .map_err(failed)?;
    if let Some(at) = panel.mark.filter(|at| at.is_finite()) {
        let line = DashedLineSeries::new(
            [(at, 0.0), (at, rows)],
            px(6),
            px(5),
            INK.stroke_width(FINER),
        );
        chart.draw_series(line).map_err(failed)?;
    }
    for ((row, place), colour) in panel.rows.iter().zip(1..).zip(COLOURS.iter().cycle()) {
        let top = rows - f64::from(place) + 1.0;
        // No grid lines behind the text.
        let band = [(range.0, top), (range.1, top - WRITING)];
        chart
            .draw_series([Rectangle::new(band, WHITE.filled())])
            .map_err(failed)?;
        for (text, down) in [(row.label.clone(), 0.08), (numbers(row), 0.34)] {
            let line = Writing::new(&fitted(&text)?, (range.0, top - down), px(LABEL))?;
            chart.draw_series([line]).map_err(failed)?;
        }
        let middle = (top - WRITING + top - 1.0) / 2.0;
        let finite = row.points.iter().enumerate().filter(|(_, v)| v.is_finite());
        let points = finite.map(|(i, &v)| {
            // Spread by the golden ratio, so that equal values do not hide each other.
            let spread = (i as f64 * 0.618_033_988_75).fract() - 0.5;
            Circle::new(
                (v, middle + 0.32 * spread),
                px(2),
                colour.mix(0.25).filled(),
            )
        });
        chart.draw_series(points).map_err(failed)?;
        if let Some([low, high]) = row.interval.filter(|i| i.iter().all(|v| v.is_finite())) {
            let bar = PathElement::new(
                vec![(low, middle), (high, middle)],
                colour.stroke_width(px(4)),
            );
            chart.draw_series([bar]).map_err(failed)?;
        }
        if row.value.is_finite() {
            let dot = Circle::new((row.value, middle), px(7), colour.filled());
            let ring = Circle::new((row.value, middle), px(7), WHITE.stroke_width(FINER));
            chart.draw_series([dot, ring]).map_err(failed)?;
        }
    }
    Ok(())
}

/// Formats a row's numbers.
fn numbers(row: &Interval) -> String {
    let value = match row.interval {
        Some([low, high]) => format!("{:.4} [{low:.4}, {high:.4}]", row.value),
        None => format!("{:.4}", row.value),
    };
    format!("{value}, n = {}", row.n)
}

/// Shortens a text to the width of a panel, with an ellipsis if it is cut.
fn fitted(text: &str) -> Result<String> {
    let width = WIDTH / COLUMNS as u32 - 2 * MARGIN;
    Ok(Text::new(REGULAR, LABEL as f32)?.fitted(text, width))
}

/// Returns the range of a panel's numbers, with a margin.
fn range(panel: &IntervalsPanel) -> (f64, f64) {
    let of_row = |row: &Interval| {
        let ends = row.interval.into_iter().flatten();
        row.points
            .iter()
            .copied()
            .chain(ends)
            .chain([row.value])
            .collect::<Vec<_>>()
    };
    let all = panel.rows.iter().flat_map(of_row).chain(panel.mark);
    let finite = all.filter(|v| v.is_finite());
    let (low, high) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| {
        (low.min(v), high.max(v))
    });
    if low > high {
        return (0.0, 1.0);
    }
    // Enough to separate the ends if all numbers are equal.
    let least = (1e-6 * low.abs().max(high.abs())).max(1e-3);
    let room = ((high - low) * 0.05).max(least);
    (low - room, high + room)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn panel(rows: Vec<Interval>) -> IntervalsPanel {
        IntervalsPanel {
            title: "Panel".into(),
            note: "note".into(),
            rows,
            mark: Some(0.0),
        }
    }

    fn row(label: &str, value: f64, interval: Option<[f64; 2]>) -> Interval {
        Interval {
            label: label.into(),
            value,
            interval,
            n: 7,
            points: Vec::new(),
        }
    }

    /// Returns the columns that contain a row's colour.
    fn columns(picture: &RgbImage, row: usize) -> Vec<u32> {
        let RGBColor(r, g, b) = COLOURS[row];
        let coloured = picture
            .enumerate_pixels()
            .filter(|(_, _, p)| p.0 == [r, g, b]);
        let mut columns: Vec<u32> = coloured.map(|(x, _, _)| x).collect();
        columns.sort_unstable();
        columns.dedup();
        columns
    }

    #[test]
    fn dots_and_bars_lie_at_their_values() {
        let rows = vec![
            row("low", 0.25, Some([0.0, 0.5])),
            row("high", 0.75, Some([0.7, 0.8])),
            row("alone", 1.0, None),
        ];
        let picture = intervals(&[panel(rows)]).unwrap();
        // 0 to 1 with a twentieth of margin lies between the margins of the left half.
        let place = |value: f64| {
            let (from, to) = (f64::from(MARGIN), f64::from(WIDTH / 2 - MARGIN));
            from + (value + 0.05) / 1.1 * (to - from)
        };
        for (at, low, high) in [(0, 0.0, 0.5), (1, 0.7, 0.8)] {
            let columns = columns(&picture, at);
            let ends = (f64::from(columns[0]), f64::from(columns[columns.len() - 1]));
            assert!(
                (ends.0 - place(low)).abs() < 4.0,
                "{at}: {ends:?}, {}",
                place(low)
            );
            assert!(
                (ends.1 - place(high)).abs() < 4.0,
                "{at}: {ends:?}, {}",
                place(high)
            );
        }
        let dot = columns(&picture, 2);
        let middle = f64::from(dot[0] + dot[dot.len() - 1]) / 2.0;
        assert!(
            (middle - place(1.0)).abs() < 4.0 && dot.len() < 20,
            "{dot:?}"
        );
    }

    #[test]
    fn odd_panels_are_drawn() {
        let long = "a model of a very long name/".repeat(20);
        let mut odd = row(&long, f64::NAN, Some([f64::NEG_INFINITY, f64::NAN]));
        odd.points = vec![f64::NAN, f64::INFINITY];
        intervals(&[
            panel(vec![odd]),
            panel(Vec::new()),
            panel(vec![row("\n\u{0}", 3.0, Some([3.0, 3.0]))]),
        ])
        .unwrap();
        intervals(&[]).unwrap();
        let mut unmarked = panel(vec![row("large", 5e9, None)]);
        unmarked.mark = Some(f64::NAN);
        intervals(&[unmarked]).unwrap();
        for value in [1e300, f64::MAX, -1e16] {
            let refused = intervals(&[panel(vec![row("vast", value, None)])]);
            assert!(matches!(refused, Err(ReportError::Axis { .. })), "{value}");
        }
        let many = panel(vec![row("one of many", 0.0, None); 1000]);
        assert!(matches!(intervals(&[many]), Err(ReportError::Size { .. })));
    }
}
