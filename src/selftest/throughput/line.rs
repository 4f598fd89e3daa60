//! The measurement of one operation, and the number of its repetitions.

use std::time::Duration;

use serde::Serialize;

use super::rates::Rates;
use super::workload::{Goal, Label, Limit, Target, Workload};
use crate::device::{DeviceError, Result};
use crate::lvlm::Tally;
use crate::selftest::Extent;

/// One line of the table.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    /// The family of operations, or `whole path`.
    pub family: &'static str,
    /// The name of the operation.
    pub name: String,
    /// The sizes of its operands.
    pub shape: String,
    /// Its cost.
    #[serde(flatten)]
    pub cost: Tally,
    /// The limit of its speed.
    pub limit: Limit,
    /// The goal, if any.
    pub goal: Option<Goal>,
    /// The result.
    #[serde(flatten)]
    pub found: Found,
}

/// The result of a measurement.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum Found {
    /// The operation was measured.
    Measured {
        /// The median of all repetitions.
        seconds: f64,
        /// Operations or bytes per second, by the limit.
        rate: Option<f64>,
        /// The rate's share of the one measured on the same card. It may exceed 1 if operands are
        /// in the cache.
        share: Option<f64>,
        /// Evaluations per second, for whole models.
        evaluations_per_second: Option<f64>,
        /// Whether the goal was reached.
        reached: Option<bool>,
    },
    /// The operation was not measured.
    Missing {
        /// The reason.
        missing: String,
    },
}

impl Line {
    /// Evaluates `seconds` for work of this cost, in relation to the rates of the card.
    pub(super) fn measured(
        label: Label,
        target: Target,
        seconds: f64,
        evaluations: Option<usize>,
        rates: &Rates,
    ) -> Line {
        let Target { limit, cost, goal } = target;
        let rate = match limit {
            Limit::Products => Some((cost.operations, rates.matrix())),
            Limit::Copies => Some((cost.bytes, rates.copies)),
            Limit::Latency => None,
        };
        let rate = rate.map(|(amount, whole)| (amount / seconds, whole));
        let share = rate.map(|(rate, whole)| rate / whole);
        let reached = match goal {
            Some(Goal::Share(least)) => share.map(|share| share >= least),
            Some(Goal::Seconds(most)) => Some(seconds <= most),
            None => None,
        };
        Line {
            family: label.family,
            name: label.name,
            shape: label.shape,
            cost,
            limit,
            goal,
            found: Found::Measured {
                seconds,
                rate: rate.map(|(rate, _)| rate),
                share,
                evaluations_per_second: evaluations.map(|n| n as f64 / seconds),
                reached,
            },
        }
    }

    /// Creates a line for an operation that could not be measured.
    pub(super) fn missing(label: Label, target: Target, missing: String) -> Line {
        Line {
            family: label.family,
            name: label.name,
            shape: label.shape,
            cost: target.cost,
            limit: target.limit,
            goal: target.goal,
            found: Found::Missing { missing },
        }
    }

    /// Times a workload. If the card has too little memory for it, the line reports that.
    ///
    /// # Errors
    /// Returns any other error of the device.
    pub(super) fn of(workload: &Workload, rates: &Rates, extent: Extent) -> Result<Line> {
        let label = Label::new(workload.family, &workload.name, &workload.shape);
        let target = Target {
            limit: workload.limit,
            cost: workload.cost,
            goal: workload.goal,
        };
        let timed = workload
            .prepare()
            .and_then(|mut prepared| Repetitions::of(extent).seconds(|count| prepared.time(count)));
        match timed {
            Ok(seconds) => Ok(Line::measured(label, target, seconds, None, rates)),
            Err(error @ DeviceError::OutOfMemory { .. }) => {
                Ok(Line::missing(label, target, error.to_string()))
            }
            Err(error) => Err(error),
        }
    }
}

/// The number of repetitions: so many samples, each with enough runs that all samples together take
/// the given time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Repetitions {
    times: usize,
    seconds: f64,
}

/// The largest number of runs in one sample.
const MOST: f64 = 10_000.0;

impl Repetitions {
    /// Returns enough repetitions for a stable number on a GPU; as few as possible on an emulator,
    /// whose times are meaningless.
    pub fn of(extent: Extent) -> Repetitions {
        match extent {
            Extent::Small => Repetitions {
                times: 3,
                seconds: 0.0,
            },
            Extent::Large => Repetitions {
                times: 3,
                seconds: 0.05,
            },
        }
    }

    /// Returns the median seconds of one run; `time` returns the time of a number of runs. A first
    /// run is not counted.
    pub fn seconds<E>(
        self,
        mut time: impl FnMut(u64) -> std::result::Result<Duration, E>,
    ) -> std::result::Result<f64, E> {
        time(1)?;
        let once = time(1)?.as_secs_f64().max(1e-9);
        let count = (self.seconds / self.times as f64 / once).ceil();
        let count = count.clamp(1.0, MOST) as u64;
        let mut samples = Vec::with_capacity(self.times);
        for _ in 0..self.times {
            samples.push(time(count)?.as_secs_f64() / count as f64);
        }
        samples.sort_by(f64::total_cmp);
        // No clock is finer than this, and no rate may be infinite.
        Ok(samples[samples.len() / 2].max(1e-9))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A clock by which the first run takes 9 s, and all others the given times.
    fn clock(each: &[f64]) -> (usize, f64) {
        let (mut calls, mut runs) = (0, 0);
        let seconds = Repetitions {
            times: 3,
            seconds: 3.0,
        }
        .seconds(|count| -> Result<Duration> {
            let seconds = if calls == 0 { 9.0 } else { each[calls - 1] };
            calls += 1;
            runs += count as usize;
            Ok(Duration::from_secs_f64(seconds * count as f64))
        });
        (runs, seconds.unwrap())
    }

    #[test]
    fn the_median_counts_and_the_first_run_does_not() {
        // Two single runs, then three times ceil(3 s / 3 / 0.3 s) = 4.
        assert_eq!(clock(&[0.3, 0.5, 0.25, 0.75]), (2 + 3 * 4, 0.5));
        // Longer than the requested time: once each.
        assert_eq!(clock(&[4.0, 4.0, 5.0, 3.0]), (2 + 3, 4.0));
    }

    #[test]
    fn shares_and_goals_follow_from_the_rates() {
        let rates = Rates::new(100.0, vec![("a", 40.0), ("b", 50.0)]);
        let cost = Tally {
            operations: 60.0,
            bytes: 30.0,
        };
        let line = |limit, goal, seconds| {
            let label = Label::new("gemm", "x", "1");
            let target = Target { limit, cost, goal };
            match Line::measured(label, target, seconds, Some(4), &rates).found {
                Found::Measured {
                    rate,
                    share,
                    reached,
                    evaluations_per_second,
                    ..
                } => (rate, share, reached, evaluations_per_second),
                Found::Missing { missing } => panic!("{missing}"),
            }
        };
        let share = |least| Some(Goal::Share(least));
        assert_eq!(
            line(Limit::Products, share(0.6), 2.0),
            (Some(30.0), Some(0.6), Some(true), Some(2.0))
        );
        assert_eq!(
            line(Limit::Copies, share(0.8), 0.5),
            (Some(60.0), Some(0.6), Some(false), Some(8.0))
        );
        assert_eq!(
            line(Limit::Latency, Some(Goal::Seconds(1.0)), 2.0),
            (None, None, Some(false), Some(2.0))
        );
    }
}
