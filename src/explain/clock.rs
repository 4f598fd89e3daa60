//! The time and the evaluations of an explanation.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use super::explainer::{Cost, Progress, Stage};
use super::{ExplainError, Result};

/// Measures the time of the stages and counts evaluations.
pub(super) struct Clock<'a> {
    pub progress: &'a mut dyn Progress,
    pub cost: Cost,
    started: Option<(Stage, Instant)>,
}

impl<'a> Clock<'a> {
    pub fn new(progress: &'a mut dyn Progress) -> Clock<'a> {
        Clock {
            progress,
            cost: Cost::default(),
            started: None,
        }
    }

    pub fn begin(&mut self, stage: Stage, total: Option<usize>) -> Result<()> {
        self.end();
        self.progress.begin(stage, total);
        self.started = Some((stage, Instant::now()));
        match self.go_on() {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(ExplainError::Cancelled),
        }
    }

    fn go_on(&self) -> ControlFlow<()> {
        match self.progress.cancelled() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }

    pub fn end(&mut self) {
        if let Some((stage, since)) = self.started.take() {
            self.cost.seconds.push((stage, round(since.elapsed())));
        }
    }

    pub fn evaluated(&mut self, count: usize) -> ControlFlow<()> {
        self.cost.evaluations += count;
        self.produced(count)
    }

    /// Reports tokens, which are not counted as evaluations.
    pub fn produced(&mut self, count: usize) -> ControlFlow<()> {
        self.progress.advance(count);
        self.go_on()
    }
}

fn round(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e6
}
