//! Errors of analysing runs.

use crate::report::ReportError;
use crate::run::RunError;

/// An error of an analysis.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AnalyseError {
    /// A run cannot be read.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A plot cannot be drawn.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// A setting is out of range.
    #[error("{name}: expected {expected}, found {found}")]
    Setting {
        /// The setting.
        name: &'static str,
        /// Its range.
        expected: &'static str,
        /// Its value.
        found: String,
    },
    /// A record's curves lack points that the scores need.
    #[error(
        "{path}: sample {index}: expected curves at every fiftieth of the cells for --scores \
         authors, as `run --curve-points all` measures them, found {points} points"
    )]
    Points {
        /// The run's folder.
        path: String,
        /// The sample's row in the data.
        index: usize,
        /// The number of points.
        points: usize,
    },
    /// A run has no explanation.
    #[error("{path}: expected an explained sample, found {records} records, all failed")]
    Nothing {
        /// The run's folder.
        path: String,
        /// The number of its records.
        records: usize,
    },
    /// There are too few runs to compare.
    #[error("expected at least two runs to compare, found {found}")]
    Few {
        /// The number of runs.
        found: usize,
    },
    /// The runs are of different data, or of questions asked in different forms.
    #[error(
        "{path}: expected the data and the form of question of {first}, found others:\n{}",
        .differences.join("\n")
    )]
    Different {
        /// The run that differs.
        path: String,
        /// The first run.
        first: String,
        /// Every field that differs, with both values.
        differences: Vec<String>,
    },
    /// The runs have no explained sample in common.
    #[error(
        "{}: expected samples that {} explain, found none",
        listed(.paths),
        if .paths.len() == 2 { "both" } else { "all" }
    )]
    Unpaired {
        /// All runs that were compared: of more than two, each pair may have samples in common.
        paths: Vec<String>,
    },
}

/// Returns paths as text: `a, b and c`.
fn listed(paths: &[String]) -> String {
    match paths {
        [first @ .., last] if !first.is_empty() => format!("{} and {last}", first.join(", ")),
        _ => paths.concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_runs_without_a_common_sample_are_named() {
        let text = |paths: &[&str]| {
            let paths = paths.iter().map(|path| path.to_string()).collect();
            AnalyseError::Unpaired { paths }.to_string()
        };
        assert_eq!(
            text(&["a", "b"]),
            "a and b: expected samples that both explain, found none"
        );
        assert_eq!(
            text(&["a", "b", "c"]),
            "a, b and c: expected samples that all explain, found none"
        );
    }
}
