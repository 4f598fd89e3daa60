//! Progress that Python sees, and signals that Python handles, while the work has no lock.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use foveate::{Progress, Stage};
use pyo3::prelude::*;

/// The shortest time between two looks for signals, so that small batches do not wait for the lock.
const BETWEEN: Duration = Duration::from_millis(20);

/// Reports to a Python function, and stops the work when a signal's handler, such as that of
/// Ctrl-C, or the function itself raises an exception.
pub struct Watched {
    /// Called with the stage's name, the number done, and the total or None.
    report: Option<Py<PyAny>>,
    stage: &'static str,
    done: usize,
    total: Option<usize>,
    raised: Mutex<Option<PyErr>>,
    looked: Mutex<Option<Instant>>,
}

impl Watched {
    /// Creates the progress of one explanation.
    pub fn new(report: Option<Py<PyAny>>) -> Watched {
        Watched {
            report,
            stage: "",
            done: 0,
            total: None,
            raised: Mutex::new(None),
            looked: Mutex::new(None),
        }
    }

    /// Returns the exception that stopped the work, if one did.
    pub fn raised(self) -> Option<PyErr> {
        self.raised
            .into_inner()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn keep(&self, result: PyResult<()>) {
        if let (Err(error), Ok(mut raised)) = (result, self.raised.lock()) {
            raised.get_or_insert(error);
        }
    }

    fn tell(&self) {
        if let Some(report) = &self.report {
            let state = (self.stage, self.done, self.total);
            self.keep(Python::attach(|py| report.call1(py, state).map(drop)));
        }
    }

    /// Returns whether it is time to look for signals.
    fn due(&self) -> bool {
        let Ok(mut looked) = self.looked.lock() else {
            return true;
        };
        let due = looked.is_none_or(|at| at.elapsed() >= BETWEEN);
        if due {
            *looked = Some(Instant::now());
        }
        due
    }
}

impl Progress for Watched {
    fn begin(&mut self, stage: Stage, total: Option<usize>) {
        self.stage = stage.name();
        (self.done, self.total) = (0, total);
        self.tell();
    }

    fn advance(&mut self, count: usize) {
        self.done += count;
        self.tell();
    }

    fn cancelled(&self) -> bool {
        if self.due() {
            self.keep(Python::attach(|py| py.check_signals()));
        }
        self.raised.lock().is_ok_and(|raised| raised.is_some())
    }
}
