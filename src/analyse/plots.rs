//! The plots of analyses, as PNG files.

use super::measures::MEASURES;
use super::{Analysis, Comparison, Contrast, Figure, Figures, Result, Sample};
use crate::report::{HistogramPlot, Interval, IntervalsPanel, histogram, intervals, png};

/// A file's name and its bytes.
pub type Plot = (&'static str, Vec<u8>);

/// The number of points in a row above which they are not drawn individually.
const MOST_POINTS: usize = 5000;

impl Analysis {
    /// Names of all possible plots.
    pub const PLOTS: [&str; 2] = ["log_ratios.png", "correctness.png"];

    /// Returns the plots: the tokens' log-ratios; every measure of right and of wrong answers.
    /// Plots without figures are left out.
    ///
    /// # Errors
    /// Returns an error if a plot cannot be drawn.
    pub fn plots(&self) -> Result<Vec<Plot>> {
        let mut plots = Vec::new();
        if let Some(counted) = &self.log_ratios {
            let counts: Vec<(&str, &[usize])> = [("key", "key tokens"), ("other", "other tokens")]
                .iter()
                .filter_map(|(kind, name)| Some((*name, counted.counts.get(kind)?.as_slice())))
                .collect();
            let threshold = self.run.settings.threshold;
            let name = format!("threshold of key tokens ({threshold})");
            let plot = HistogramPlot {
                title: "What the picture does for the answers' tokens",
                axis: "log p(token | picture) - log p(token | baseline), nats",
                counted: "tokens",
                first: counted.first,
                width: counted.width,
                counts: &counts,
                mark: Some((threshold, &name)),
            };
            plots.push((Self::PLOTS[0], png(&histogram(&plot)?)?));
        }
        let groups = ["right", "wrong"];
        let panels = MEASURES.iter().filter_map(|measure| {
            let row = |group: &&str| {
                let figure = self.figures.find(measure.name, group)?;
                let of_group = |s: &&Sample| s.correct == Some(*group == "right");
                let of_group = self.samples.iter().filter(of_group);
                Some(row(figure, of_group.filter_map(|s| measure.value(s))))
            };
            let rows: Vec<Interval> = groups.iter().filter_map(row).collect();
            let contrast = |c: &&Contrast| c.name == measure.name && c.groups == groups;
            let contrast = self.figures.contrasts.iter().find(contrast);
            (!rows.is_empty()).then(|| panel(measure.name, contrast.into_iter(), rows))
        });
        let panels: Vec<IntervalsPanel> = panels.collect();
        if !panels.is_empty() {
            plots.push((Self::PLOTS[1], png(&intervals(&panels)?)?));
        }
        Ok(plots)
    }
}

impl Comparison {
    /// Names of all possible plots.
    pub const PLOTS: [&str; 2] = ["agreement.png", "models.png"];

    /// Returns the plots: the agreement of maps, by pair of models; every measure by model. Plots
    /// without figures are left out.
    ///
    /// # Errors
    /// Returns an error if a plot cannot be drawn.
    pub fn plots(&self) -> Result<Vec<Plot>> {
        let chance = format!("dashed: of independent maps ({:.3})", self.chance_top_iou);
        let of_agreement = [
            ("rank_correlation", "dashed: of independent maps (0)", 0.0),
            ("top_iou", chance.as_str(), self.chance_top_iou),
        ];
        let panels = of_agreement.iter().filter_map(|(name, note, mark)| {
            let of_name = |f: &&Figure| f.name == *name;
            let row = |figure: &Figure| {
                let pair = self
                    .agreements
                    .iter()
                    .filter(|a| a.models.join(", ") == figure.group);
                let values = pair.filter_map(|a| match *name {
                    "top_iou" => Some(a.agreement.top_iou),
                    _ => a.agreement.rank_correlation,
                });
                row(figure, values)
            };
            let rows: Vec<Interval> = self
                .figures
                .figures
                .iter()
                .filter(of_name)
                .map(row)
                .collect();
            (!rows.is_empty()).then(|| IntervalsPanel {
                title: title(name),
                note: note.to_string(),
                rows,
                mark: Some(*mark),
            })
        });
        let mut plots = Vec::new();
        let panels: Vec<IntervalsPanel> = panels.collect();
        if !panels.is_empty() {
            plots.push((Self::PLOTS[0], png(&intervals(&panels)?)?));
        }
        let panels = MEASURES.iter().filter_map(|measure| {
            let row = |(run, samples): (&super::Compared, &Vec<Sample>)| {
                let figure = self.figures.find(measure.name, &run.name)?;
                Some(row(figure, samples.iter().filter_map(|s| measure.value(s))))
            };
            let rows: Vec<Interval> = self
                .runs
                .iter()
                .zip(&self.samples)
                .filter_map(row)
                .collect();
            let contrasts = self
                .figures
                .contrasts
                .iter()
                .filter(|c| c.name == measure.name);
            (!rows.is_empty()).then(|| panel(measure.name, contrasts, rows))
        });
        let panels: Vec<IntervalsPanel> = panels.collect();
        if !panels.is_empty() {
            plots.push((Self::PLOTS[1], png(&intervals(&panels)?)?));
        }
        Ok(plots)
    }
}

impl Figures {
    fn find(&self, name: &str, group: &str) -> Option<&Figure> {
        self.figures
            .iter()
            .find(|f| f.name == name && f.group == group)
    }
}

/// Returns a row with a figure and the values that it is the mean of. Shares are drawn without
/// them: all are 0 or 1.
fn row(figure: &Figure, values: impl Iterator<Item = f64>) -> Interval {
    let points: Vec<f64> = values.collect();
    let shown = points.len() <= MOST_POINTS && points.iter().any(|&v| v != 0.0 && v != 1.0);
    Interval {
        label: figure.group.clone(),
        value: figure.value,
        interval: figure.interval,
        n: figure.n,
        points: if shown { points } else { Vec::new() },
    }
}

fn panel<'a>(
    name: &str,
    contrasts: impl Iterator<Item = &'a Contrast>,
    rows: Vec<Interval>,
) -> IntervalsPanel {
    let all: Vec<&Contrast> = contrasts.collect();
    let note = match all.as_slice() {
        [] => "no test".to_string(),
        [one] => format!(
            "{}: p = {}, corrected {}",
            one.test.name,
            p(one.test.p),
            p(one.p_holm)
        ),
        several => {
            let least = several.iter().map(|c| c.p_holm).fold(1.0, f64::min);
            format!("{} pairs, least corrected p = {}", several.len(), p(least))
        }
    };
    IntervalsPanel {
        title: title(name),
        note,
        rows,
        mark: None,
    }
}

/// Formats a p-value with few digits.
fn p(value: f64) -> String {
    if value < 1e-4 {
        format!("{value:.0e}")
    } else {
        format!("{value:.4}")
    }
}

/// Converts a name of the JSON to a heading.
fn title(name: &str) -> String {
    match name {
        "image_dependent" => "Image-dependent answers".into(),
        "correct" => "Right answers".into(),
        "log_ratio" => "Log-ratio, nats".into(),
        "best_iou" => "Best IoU with the evidence".into(),
        "auprc" => "AUPRC of the evidence".into(),
        "top_iou" => "IoU of the most salient share".into(),
        _ => {
            let words = name.replace('_', " ");
            let mut letters = words.chars();
            let first = letters.next().map(char::to_uppercase);
            first.into_iter().flatten().chain(letters).collect()
        }
    }
}
