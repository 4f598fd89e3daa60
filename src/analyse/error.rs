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
    #[error("{first} and {path}: expected samples that both explain, found none")]
    Unpaired {
        /// The first run.
        first: String,
        /// The other.
        path: String,
    },
}
