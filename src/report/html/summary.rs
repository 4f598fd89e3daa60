//! The numbers at the top of a page.

use std::collections::BTreeMap;

use super::Entry;

/// Counts and means over samples.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// Samples with a record.
    pub samples: usize,
    /// Right answers among those that were judged.
    pub correct: Share,
    /// Answers with a key token, among explained samples.
    pub image_dependent: Share,
    /// Mean of the defined deletion scores.
    pub deletion: Mean,
    /// Mean of the defined insertion scores.
    pub insertion: Mean,
    /// Number of failed samples.
    pub failed: usize,
    /// Number of failed samples by cause.
    pub causes: BTreeMap<String, usize>,
}

/// A part of a total.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// The part.
    pub count: usize,
    /// The total.
    pub of: usize,
}

/// A mean.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Mean {
    /// The mean; `None` for no values.
    pub value: Option<f64>,
    /// Number of values.
    pub of: usize,
}

impl Summary {
    /// Returns the summary of these samples.
    pub fn of(entries: &[Entry]) -> Summary {
        let mut causes = BTreeMap::new();
        for cause in entries.iter().filter_map(|e| e.cause.clone()) {
            *causes.entry(cause).or_default() += 1;
        }
        Summary {
            samples: entries.len(),
            correct: Share::of(entries.iter().filter_map(|e| e.correct)),
            image_dependent: Share::of(entries.iter().filter_map(|e| e.image_dependent)),
            deletion: Mean::of(entries.iter().filter_map(|e| e.deletion)),
            insertion: Mean::of(entries.iter().filter_map(|e| e.insertion)),
            failed: causes.values().sum(),
            causes,
        }
    }
}

impl Share {
    fn of(values: impl Iterator<Item = bool>) -> Share {
        values.fold(Share::default(), |share, value| Share {
            count: share.count + usize::from(value),
            of: share.of + 1,
        })
    }

    /// Formats the share in per cent with one decimal; returns `None` if the total is 0.
    pub fn percent(self) -> Option<String> {
        (self.of > 0).then(|| format!("{:.1} %", 100.0 * self.count as f64 / self.of as f64))
    }
}

impl Mean {
    fn of(values: impl Iterator<Item = f64>) -> Mean {
        let finite: Vec<f64> = values.filter(|v| v.is_finite()).collect();
        let sum: f64 = finite.iter().sum();
        Mean {
            value: (!finite.is_empty()).then(|| sum / finite.len() as f64),
            of: finite.len(),
        }
    }
}
