//! The meta device's counters.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::tally::{Parts, Tally};
use crate::device::Part;

/// Bytes of a weight's number.
const BYTES: usize = 2;

/// Counters of one meta device.
#[derive(Debug, Default)]
pub(crate) struct Meter(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    part: Part,
    costs: Parts<Tally>,
    /// Bytes of loaded weights and constants.
    loaded: Parts<usize>,
    names: BTreeSet<String>,
    live: usize,
    peak: usize,
    rows: usize,
}

/// Bytes that are held as long as this value lives.
#[derive(Debug)]
pub(crate) struct Held {
    meter: Arc<Meter>,
    bytes: usize,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.meter.counts().live -= self.bytes;
    }
}

impl Meter {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        // Counters are consistent even if a holder of the lock panicked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn hold(meter: &Arc<Meter>, bytes: usize) -> Held {
        let mut counts = meter.counts();
        counts.live += bytes;
        counts.peak = counts.peak.max(counts.live);
        drop(counts);
        Held {
            meter: Arc::clone(meter),
            bytes,
        }
    }

    pub(super) fn part(&self, part: Part) {
        self.counts().part = part;
    }

    pub(super) fn count(&self, cost: Tally) {
        let mut counts = self.counts();
        let part = counts.part;
        *counts.costs.of(part) += cost;
    }

    pub(super) fn count_as(&self, part: Part, cost: Tally) {
        *self.counts().costs.of(part) += cost;
    }

    /// Records that a matrix of this many rows was made.
    pub(super) fn wide(&self, rows: usize) {
        let mut counts = self.counts();
        counts.rows = counts.rows.max(rows);
    }

    pub(super) fn load(&self, numbers: usize) {
        let mut counts = self.counts();
        let part = counts.part;
        *counts.loaded.of(part) += BYTES * numbers;
    }

    pub(super) fn load_once(&self, name: &str, numbers: usize) {
        if self.counts().names.insert(name.to_string()) {
            self.load(numbers);
        }
    }

    /// Returns the bytes of all weights and constants loaded, two per number; a weight that was
    /// loaded twice counts once.
    pub fn loaded(&self) -> Parts<usize> {
        self.counts().loaded
    }

    /// Runs `work` and returns its result with its cost, the peak of the bytes held meanwhile, and
    /// the rows of the tallest matrix made.
    pub fn during<R>(&self, work: impl FnOnce() -> R) -> (R, Measured) {
        {
            let mut counts = self.counts();
            counts.costs = Parts::default();
            counts.peak = counts.live;
            counts.rows = 0;
        }
        let result = work();
        let counts = self.counts();
        let measured = Measured {
            cost: counts.costs,
            peak: counts.peak,
            rows: counts.rows,
        };
        (result, measured)
    }
}

/// The cost of some work.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured {
    pub cost: Parts<Tally>,
    /// The peak of the bytes held, including those held before.
    pub peak: usize,
    /// Rows of the tallest matrix made.
    pub rows: usize,
}
