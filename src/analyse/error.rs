//! What can go wrong when runs are analysed.

use crate::report::ReportError;
use crate::run::RunError;

/// Errors of analyses.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AnalyseError {
    /// A run that cannot be read.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A plot that cannot be drawn.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// A setting outside its range.
    #[error("{name}: expected {expected}, found {found}")]
    Setting {
        /// The setting.
        name: &'static str,
        /// Its range.
        expected: &'static str,
        /// Its value.
        found: String,
    },
    /// A run without an explanation.
    #[error("{path}: expected an explained sample, found {records} records, all failed")]
    Nothing {
        /// The run's folder.
        path: String,
        /// Its records.
        records: usize,
    },
    /// Too few runs to compare.
    #[error("expected at least two runs to compare, found {found}")]
    Few {
        /// How many there are.
        found: usize,
    },
    /// Runs of different data, or of questions asked in different forms.
    #[error("{path}: expected the data and the form of question of {first}, found others:\n{}", .differences.join("\n"))]
    Different {
        /// The run that differs.
        path: String,
        /// The first run.
        first: String,
        /// Every field that differs, with both values.
        differences: Vec<String>,
    },
    /// Runs that have no explained sample in common.
    #[error("{first} and {path}: expected samples that both explain, found none")]
    Unpaired {
        /// The first run.
        first: String,
        /// The other.
        path: String,
    },
}
