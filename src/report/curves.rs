//! Deletion and insertion curves.

use image::RgbImage;
use plotters::prelude::*;
use plotters::style::{FontStyle, register_font};

use super::font::{BOLD, REGULAR};
use super::{ReportError, Result};

const WIDTH: u32 = 1200;
const HEIGHT: u32 = 560;

/// What is plotted: mean probability of the key tokens against the share of cells replaced.
#[derive(Clone, Copy, Debug)]
pub struct CurvesPlot<'a> {
    /// Share of cells replaced.
    pub fraction: &'a [f64],
    /// Probability while the most needed cells are removed.
    pub deletion: &'a [f64],
    /// Probability while only they are revealed.
    pub insertion: &'a [f64],
    /// Normalised area, `None` where undefined.
    pub deletion_score: Option<f64>,
    /// Normalised area, `None` where undefined.
    pub insertion_score: Option<f64>,
}

/// Both curves side by side, their areas shaded, their scores written above.
///
/// # Errors
/// [`ReportError::Length`] when the curves differ in length.
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
    let failed = |e: &dyn std::fmt::Display| ReportError::Plot {
        reason: e.to_string(),
    };
    // Registering the same font again changes nothing.
    for (style, data) in [(FontStyle::Normal, REGULAR), (FontStyle::Bold, BOLD)] {
        register_font("sans-serif", style, data)
            .map_err(|_| failed(&"the embedded font is not a font"))?;
    }
    let mut pixels = vec![255; (WIDTH * HEIGHT * 3) as usize];
    {
        let area = BitMapBackend::with_buffer(&mut pixels, (WIDTH, HEIGHT)).into_drawing_area();
        area.fill(&WHITE).map_err(|e| failed(&e))?;
        let highest = plot
            .deletion
            .iter()
            .chain(plot.insertion)
            .copied()
            .filter(|v| v.is_finite())
            .fold(0.0, f64::max);
        let top = if highest > 0.0 { highest * 1.08 } else { 1.0 };
        let halves = area.margin(14, 0, 0, 0).split_evenly((1, 2));
        let panels = [
            (
                "Deletion",
                "needed cells removed first; low is good",
                plot.deletion,
                plot.deletion_score,
                RGBColor(178, 24, 43),
            ),
            (
                "Insertion",
                "needed cells revealed first; high is good",
                plot.insertion,
                plot.insertion_score,
                RGBColor(33, 102, 172),
            ),
        ];
        for (half, (name, meaning, values, score, colour)) in halves.iter().zip(panels) {
            let score = score.map_or("undefined".to_string(), |s| format!("{s:.3}"));
            let points: Vec<(f64, f64)> = plot
                .fraction
                .iter()
                .copied()
                .zip(values.iter().copied())
                .filter(|(_, y)| y.is_finite())
                .collect();
            let titled = half
                .titled(
                    &format!("{name} {score}"),
                    ("sans-serif", 30, FontStyle::Bold),
                )
                .map_err(|e| failed(&e))?;
            let mut chart = ChartBuilder::on(&titled)
                .caption(meaning, ("sans-serif", 19))
                .margin(14)
                .x_label_area_size(52)
                .y_label_area_size(72)
                .build_cartesian_2d(0.0..1.0, 0.0..top)
                .map_err(|e| failed(&e))?;
            chart
                .configure_mesh()
                .light_line_style(WHITE)
                .x_desc("share of cells replaced")
                .y_desc("probability of the key tokens")
                .axis_desc_style(("sans-serif", 19))
                .label_style(("sans-serif", 17))
                .x_labels(6)
                .y_labels(6)
                .draw()
                .map_err(|e| failed(&e))?;
            chart
                .draw_series(AreaSeries::new(
                    points.iter().copied(),
                    0.0,
                    colour.mix(0.22),
                ))
                .map_err(|e| failed(&e))?;
            chart
                .draw_series(LineSeries::new(points, colour.stroke_width(3)))
                .map_err(|e| failed(&e))?;
        }
        area.present().map_err(|e| failed(&e))?;
    }
    let found = pixels.len();
    let expected = (WIDTH * HEIGHT * 3) as usize;
    RgbImage::from_raw(WIDTH, HEIGHT, pixels).ok_or(ReportError::Length {
        what: "plot",
        expected,
        found,
    })
}
