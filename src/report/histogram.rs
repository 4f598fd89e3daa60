//! A stacked histogram.

use image::RgbImage;
use plotters::prelude::*;
use plotters::style::FontStyle;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::canvas::{Area, COLOURS, FINER, GRID, INK, axis, canvas, failed, font, px};
use super::{ReportError, Result};

const WIDTH: u32 = 1200;
const HEIGHT: u32 = 560;
/// Counts of up to four kinds in bins of one width, stacked.
#[derive(Clone, Copy, Debug)]
pub struct HistogramPlot<'a> {
    /// The title.
    pub title: &'a str,
    /// The label of the horizontal axis.
    pub axis: &'a str,
    /// The label of the vertical axis: the items counted.
    pub counted: &'a str,
    /// The lower bound of the first bin.
    pub first: f64,
    /// The width of a bin, greater than 0.
    pub width: f64,
    /// The names of the kinds, with the counts of each in all bins; the first is drawn lowest.
    pub counts: &'a [(&'a str, &'a [usize])],
    /// A value to mark, and its name.
    pub mark: Option<(f64, &'a str)>,
}

/// Draws the histogram, 1200 x 560 pixels.
///
/// # Errors
/// Returns [`ReportError::Length`] if kinds differ in their number of bins, [`ReportError::Axis`]
/// if the bins and the mark cannot be shown on an axis, for example because one is NaN, and
/// [`ReportError::Plot`] if drawing fails.
pub fn histogram(plot: &HistogramPlot) -> Result<RgbImage> {
    let bins = plot.counts.first().map_or(0, |(_, counts)| counts.len());
    if let Some((_, other)) = plot.counts.iter().find(|(_, c)| c.len() != bins) {
        return Err(ReportError::Length {
            what: "bins",
            expected: bins,
            found: other.len(),
        });
    }
    let edge = |bin: usize| plot.first + bin as f64 * plot.width;
    let ends = [edge(0), edge(bins)];
    axis("bins", plot.first, plot.first + plot.width)?;
    let (low, high) = match plot.mark {
        // A comparison would ignore NaN.
        Some((at, _)) if !at.is_finite() => (at, at),
        Some((at, _)) => (ends[0].min(at), ends[1].max(at)),
        None => (ends[0], ends[1]),
    };
    axis("bins and mark", low, high)?;
    canvas(WIDTH, HEIGHT, |area| draw(area, plot, bins, low, high))
}

fn draw(area: &Area, plot: &HistogramPlot, bins: usize, low: f64, high: f64) -> Result<()> {
    let (title, below) = area.split_vertically(px(86));
    let left = Pos::new(HPos::Left, VPos::Top);
    let bold = font(26, FontStyle::Bold).pos(left);
    let start = px(30) as i32;
    title
        .draw_text(plot.title, &bold, (start, px(16) as i32))
        .map_err(failed)?;
    draw_legend(&title, plot)?;
    let of_bin = |bin: usize| plot.counts.iter().map(|(_, c)| c[bin] as f64).sum::<f64>();
    let highest = (0..bins).map(of_bin).fold(1.0, f64::max);
    let edge = |bin: usize| plot.first + bin as f64 * plot.width;
    let room = (high - low) * 0.02;
    // The gap on each side of a bar.
    let gap = plot.width * 0.04;
    let mut chart = ChartBuilder::on(&below)
        .margin_left(px(16))
        .margin_right(px(30))
        .margin_top(px(6))
        .margin_bottom(px(8))
        .x_label_area_size(px(56))
        .y_label_area_size(px(92))
        .build_cartesian_2d(low - room..high + room, 0.0..highest * 1.06)
        .map_err(failed)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID.stroke_width(FINER))
        .disable_x_mesh()
        .axis_style(INK.stroke_width(FINER))
        .x_desc(plot.axis)
        .y_desc(plot.counted)
        .axis_desc_style(font(19, FontStyle::Normal))
        .label_style(font(18, FontStyle::Normal))
        .set_all_tick_mark_size(px(5))
        .x_labels(12)
        .y_labels(6)
        .y_label_formatter(&|count| format!("{count:.0}"))
        .draw()
        .map_err(failed)?;
    for bin in 0..bins {
        let mut floor = 0.0;
        for ((_, counts), colour) in plot.counts.iter().zip(COLOURS) {
            let top = floor + counts[bin] as f64;
            if counts[bin] > 0 {
                let corners = [(edge(bin) + gap, floor), (edge(bin + 1) - gap, top)];
                let bar = Rectangle::new(corners, colour.mix(0.85).filled());
                chart.draw_series([bar]).map_err(failed)?;
            }
            floor = top;
        }
    }
    if let Some((at, _)) = plot.mark {
        let line = vec![(at, 0.0), (at, highest * 1.06)];
        let line = DashedLineSeries::new(line, px(8), px(5), INK.stroke_width(px(2)));
        chart.draw_series(line).map_err(failed)?;
    }
    Ok(())
}

/// Draws a square of each kind's colour with its name and number, and the dashes of the mark.
fn draw_legend(area: &Area, plot: &HistogramPlot) -> Result<()> {
    let style = font(19, FontStyle::Normal).pos(Pos::new(HPos::Left, VPos::Center));
    let (mut x, y) = (px(30) as i32, px(66) as i32);
    let side = px(9) as i32;
    let name = |x: &mut i32, text: &str| -> Result<()> {
        area.draw_text(text, &style, (*x, y)).map_err(failed)?;
        let (width, _) = area.estimate_text_size(text, &style).map_err(failed)?;
        *x += width as i32 + px(30) as i32;
        Ok(())
    };
    for ((kind, counts), colour) in plot.counts.iter().zip(COLOURS) {
        let corners = [(x, y - side), (x + 2 * side, y + side)];
        area.draw(&Rectangle::new(corners, colour.mix(0.85).filled()))
            .map_err(failed)?;
        x += 3 * side;
        name(
            &mut x,
            &format!(
                "{kind} ({})",
                counts.iter().map(|&c| c as u128).sum::<u128>()
            ),
        )?;
    }
    if let Some((_, text)) = plot.mark {
        for dash in 0..3 {
            let from = x + dash * px(13) as i32;
            let line = vec![(from, y), (from + px(8) as i32, y)];
            area.draw(&PathElement::new(line, INK.stroke_width(px(2))))
                .map_err(failed)?;
        }
        x += px(44) as i32;
        name(&mut x, text)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot<'a>(counts: &'a [(&'a str, &'a [usize])]) -> HistogramPlot<'a> {
        HistogramPlot {
            title: "Counts",
            axis: "value",
            counted: "things",
            first: -1.0,
            width: 0.5,
            counts,
            mark: Some((2.0, "mark")),
        }
    }

    /// Counts pixels of a kind's colour as it appears on white.
    fn pixels(picture: &RgbImage, kind: usize) -> f64 {
        let RGBColor(r, g, b) = COLOURS[kind];
        let shown = [r, g, b].map(|c| 0.85 * f64::from(c) + 0.15 * 255.0);
        let near = |p: &&image::Rgb<u8>| {
            let differences = p.0.iter().zip(shown);
            differences
                .into_iter()
                .all(|(&a, b)| (f64::from(a) - b).abs() < 3.0)
        };
        picture.pixels().filter(near).count() as f64
    }

    #[test]
    fn areas_are_as_the_counts() {
        let picture = histogram(&plot(&[("a", &[30, 20, 10]), ("b", &[10, 0, 10])])).unwrap();
        assert_eq!(picture.dimensions(), (WIDTH, HEIGHT));
        // The legend has a square too.
        let legend = 18.0 * 18.0;
        let (a, b) = (pixels(&picture, 0) - legend, pixels(&picture, 1) - legend);
        assert!((a / b - 3.0).abs() < 0.2, "{a} {b}");
    }

    #[test]
    fn odd_counts_are_drawn_or_refused() {
        for counts in [&[("a", &[0usize][..])][..], &[("a", &[]), ("b", &[])], &[]] {
            histogram(&plot(counts)).unwrap();
        }
        let with = |first, width, at| {
            let counts: &[(&str, &[usize])] = &[("a", &[1, usize::MAX]), ("b", &[usize::MAX, 2])];
            histogram(&HistogramPlot {
                first,
                width,
                mark: Some((at, "mark")),
                ..plot(counts)
            })
        };
        with(-1.0, 0.5, 0.0).unwrap();
        with(1e14, 1e7, 1e14).unwrap();
        for (first, width, at) in [
            (f64::NAN, 0.5, 0.0),
            (0.0, f64::NAN, 0.0),
            (0.0, 0.5, f64::NAN),
            (0.0, f64::INFINITY, 0.0),
            (f64::NEG_INFINITY, 0.5, 0.0),
            (0.0, 0.5, f64::INFINITY),
            (0.0, 0.0, 0.0),
            (0.0, -0.5, 0.0),
            (1e300, 1.0, 0.0),
            (1e15, 1e-3, 1e15),
            (f64::MAX, f64::MAX, f64::MIN),
        ] {
            let refused = with(first, width, at);
            assert!(
                matches!(refused, Err(ReportError::Axis { .. })),
                "{first} {width} {at}"
            );
        }
        let unequal = histogram(&plot(&[("a", &[1, 2]), ("b", &[1])]));
        assert!(matches!(
            unequal,
            Err(ReportError::Length {
                expected: 2,
                found: 1,
                ..
            })
        ));
    }
}
