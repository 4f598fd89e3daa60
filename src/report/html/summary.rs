//! The numbers at the top of a page.

use std::collections::BTreeMap;

use super::Entry;

/// Counts and means over samples.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// Samples that have a record.
    pub samples: usize,
    /// Right answers among those that could be judged.
    pub correct: Share,
    /// Answers with a key token, among those that were explained.
    pub image_dependent: Share,
    /// Deletion scores where they are defined.
    pub deletion: Mean,
    /// Insertion scores likewise.
    pub insertion: Mean,
    /// Samples that failed.
    pub failed: usize,
    /// How many of them by the kind of reason.
    pub causes: BTreeMap<String, usize>,
}

/// Some of many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// Some.
    pub count: usize,
    /// Of many.
    pub of: usize,
}

/// A mean.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Mean {
    /// `None` of no values.
    pub value: Option<f64>,
    /// Values that it is of.
    pub of: usize,
}

impl Summary {
    /// Of these samples.
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

    /// In per cent with one digit behind the point; `None` of none.
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
