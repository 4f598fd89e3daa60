//! Settings of an analysis.

use serde::Serialize;

use super::statistics::Bootstrap;
use super::{AnalyseError, Result};

/// The rule of deletion and insertion scores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Scores {
    /// The area under the curve by the trapezoid rule, as recorded.
    #[default]
    Trapezoid,
    /// The sum of the program of the paper's authors
    /// ([`scored`](crate::explain::lvlm_interpretation::scored)).
    Authors,
}

/// The settings of an analysis.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct AnalyseSettings {
    /// The settings of the intervals.
    #[serde(flatten)]
    pub bootstrap: Bootstrap,
    /// The share of cells whose overlap measures the agreement of maps, within (0, 1).
    pub top_share: f64,
    /// The rule of the scores.
    #[serde(skip_serializing_if = "Scores::is_recorded")]
    pub scores: Scores,
}

impl Scores {
    pub(super) fn is_recorded(&self) -> bool {
        *self == Scores::Trapezoid
    }
}

impl Default for AnalyseSettings {
    fn default() -> AnalyseSettings {
        AnalyseSettings {
            bootstrap: Bootstrap {
                seed: 0,
                resamples: 10_000,
                confidence: 0.95,
            },
            top_share: 0.1,
            scores: Scores::Trapezoid,
        }
    }
}

impl AnalyseSettings {
    /// Checks that all settings are in range.
    ///
    /// # Errors
    /// Returns [`AnalyseError::Setting`] for the first that is not.
    pub fn check(&self) -> Result<()> {
        let open = |value: f64| value > 0.0 && value < 1.0;
        let wrong = |name, expected, found| {
            Err(AnalyseError::Setting {
                name,
                expected,
                found,
            })
        };
        let Bootstrap {
            resamples,
            confidence,
            ..
        } = self.bootstrap;
        if !(1..=10_000_000).contains(&resamples) {
            return wrong(
                "resamples",
                "a number from 1 to 10000000",
                resamples.to_string(),
            );
        }
        if !open(confidence) {
            return wrong(
                "confidence",
                "a number above 0 and below 1",
                confidence.to_string(),
            );
        }
        if !open(self.top_share) {
            let found = self.top_share.to_string();
            return wrong("top-share", "a number above 0 and below 1", found);
        }
        Ok(())
    }
}
