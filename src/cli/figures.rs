//! Options and output shared by `analyse` and `compare`.

use std::fmt::Write;
use std::path::PathBuf;

use clap::ValueEnum;

use crate::analyse::{AnalyseSettings, Bootstrap, Counts, Figures, Scores};

#[derive(clap::Args)]
pub(super) struct Statistics {
    /// Folder for the JSON and the plots
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Seed of the bootstrap
    #[arg(long, default_value_t = AnalyseSettings::default().bootstrap.seed)]
    seed: u64,
    /// Resamples of the bootstrap
    #[arg(long, value_name = "N", default_value_t = AnalyseSettings::default().bootstrap.resamples)]
    resamples: usize,
    /// The share of a figure's bootstrap distribution that its interval covers
    #[arg(
        long,
        value_name = "SHARE",
        default_value_t = AnalyseSettings::default().bootstrap.confidence
    )]
    confidence: f64,
    /// How deletion and insertion are scored
    #[arg(long, value_enum, default_value = "trapezoid")]
    scores: ScoresName,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ScoresName {
    /// The area under the curve, as recorded
    Trapezoid,
    /// The sum of the program of the paper's authors; for runs with --curve-points all
    Authors,
}

impl Statistics {
    /// Returns the settings with the values of the options; the others have their defaults.
    pub fn settings(&self) -> AnalyseSettings {
        AnalyseSettings {
            bootstrap: Bootstrap {
                seed: self.seed,
                resamples: self.resamples,
                confidence: self.confidence,
            },
            scores: match self.scores {
                ScoresName::Trapezoid => Scores::Trapezoid,
                ScoresName::Authors => Scores::Authors,
            },
            ..AnalyseSettings::default()
        }
    }
}

/// Formats a line about the rule of the scores, empty for that of the records.
pub(super) fn rule(scores: Scores) -> &'static str {
    match scores {
        Scores::Trapezoid => "",
        Scores::Authors => "deletion and insertion by the sum of the paper's program\n",
    }
}

/// Formats a line about the samples.
pub(super) fn samples(counts: &Counts) -> String {
    let failed: usize = counts.failed.values().sum();
    let mut line = format!(
        "{} of {} samples recorded, {} explained, {failed} failed",
        counts.records, counts.samples, counts.explained
    );
    let _ = write!(
        line,
        "; {} judged, {} with a map, {} with a map and boxes or masks of the evidence",
        counts.judged, counts.maps, counts.boxes
    );
    line
}

/// Formats figures, contrasts, and omitted figures.
pub(super) fn table(figures: &Figures, bootstrap: &Bootstrap) -> String {
    let Bootstrap {
        seed,
        resamples,
        confidence,
    } = *bootstrap;
    // Removes the excess digits of a floating-point product.
    let percent = (confidence * 1e8).round() / 1e6;
    let interval = |interval: Option<[f64; 2]>| match interval {
        Some([low, high]) => format!("[{}, {}]", number(low), number(high)),
        None => "n < 2: none".to_string(),
    };
    let mut rows = vec![["figure", "of", "n", "value", &format!("{percent} %")].map(String::from)];
    rows.extend(figures.figures.iter().map(|f| {
        let value = number(f.value);
        [
            f.name.into(),
            f.group.clone(),
            f.n.to_string(),
            value,
            interval(f.interval),
        ]
    }));
    let mut text = columns(&rows, &[2, 3]);
    if !figures.contrasts.is_empty() {
        let names = [
            "contrast",
            "of",
            "n",
            "difference",
            &format!("{percent} %"),
            "test",
            "p",
            "p (Holm)",
        ];
        let mut rows = vec![names.map(String::from)];
        rows.extend(figures.contrasts.iter().map(|c| {
            [
                c.name.into(),
                c.groups.join(" - "),
                format!("{}, {}", c.n[0], c.n[1]),
                number(c.difference),
                interval(c.interval),
                c.test.name.into(),
                p(c.test.p),
                p(c.p_holm),
            ]
        }));
        let _ = write!(text, "\n{}", columns(&rows, &[2, 3, 6, 7]));
    }
    if !figures.left_out.is_empty() {
        text.push_str("\nleft out\n");
        for left in &figures.left_out {
            let _ = writeln!(text, "  {} ({}): {}", left.name, left.group, left.reason);
        }
    }
    let _ = write!(
        text,
        "\n{percent} % percentile bootstrap over samples, {resamples} resamples, seed {seed}; p \
         (Holm) is corrected for the {} contrasts",
        figures.contrasts.len()
    );
    text
}

/// Formats a number with four decimals; a number that rounds to 0 has no sign.
fn number(value: f64) -> String {
    let text = format!("{value:.4}");
    if text == "-0.0000" {
        "0.0000".into()
    } else {
        text
    }
}

fn p(value: f64) -> String {
    if value < 1e-4 {
        format!("{value:.1e}")
    } else {
        format!("{value:.4}")
    }
}

/// Aligns rows in columns as wide as their widest cell; the columns in `right` are right-aligned.
fn columns<const N: usize>(rows: &[[String; N]], right: &[usize]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..N).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let cells = row
            .iter()
            .zip(&widths)
            .enumerate()
            .map(|(column, (cell, &width))| {
                if right.contains(&column) {
                    format!("{cell:>width$}")
                } else {
                    format!("{cell:<width$}")
                }
            });
        let line = cells.collect::<Vec<_>>().join("  ");
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}
