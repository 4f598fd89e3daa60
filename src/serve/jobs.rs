//! The queue of questions, and those that were answered last.

use std::collections::VecDeque;
use std::sync::Arc;

use hyper::StatusCode;
use parking_lot::{Condvar, Mutex};
use serde_json::json;

use super::job::{Job, Part};
use super::question::Question;
use super::refusal::Refusal;
use crate::explain::Settings;
use crate::picture::Picture;

/// The most questions that wait.
const WAITING: usize = 8;
/// The most jobs that are kept: waiting, in work and ended.
const KEPT: usize = 64;

/// Jobs by number. The one that computes takes them in order; the oldest ended ones are dropped.
#[derive(Default)]
pub(super) struct Jobs {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    last: u64,
    waiting: VecDeque<Arc<Job>>,
    kept: VecDeque<Arc<Job>>,
    closed: bool,
}

impl Jobs {
    /// Queues a question.
    ///
    /// # Errors
    /// 429 if too many wait, 503 if the server ends.
    pub fn queue(
        &self,
        question: Question,
        settings: Settings,
        picture: Arc<Picture>,
    ) -> Result<Arc<Job>, Refusal> {
        let mut state = self.state.lock();
        if state.closed {
            let status = StatusCode::SERVICE_UNAVAILABLE;
            return Err(Refusal::new(status, "the server ends"));
        }
        // A cancelled one goes when its turn comes, and takes nobody's place until then.
        let waiting = state.waiting.iter().filter(|job| !job.cancelled());
        if waiting.count() >= WAITING || state.waiting.len() >= KEPT / 2 {
            return Err(Refusal::new(
                StatusCode::TOO_MANY_REQUESTS,
                format!("expected at most {WAITING} questions that wait: ask again later"),
            ));
        }
        state.last += 1;
        let job = Arc::new(Job::new(state.last, question, settings, picture));
        job.publish(Part::Progress, json!({ "stage": "waiting" }));
        state.waiting.push_back(job.clone());
        state.kept.push_back(job.clone());
        if state.kept.len() > KEPT {
            let oldest = state.kept.iter().position(|job| job.ended());
            oldest.and_then(|oldest| state.kept.remove(oldest));
        }
        self.changed.notify_one();
        Ok(job)
    }

    /// Returns the job of that number, if it is still kept.
    pub fn get(&self, id: u64) -> Option<Arc<Job>> {
        let state = self.state.lock();
        state.kept.iter().find(|job| job.id == id).cloned()
    }

    /// Takes the next job, and waits for one if there is none; returns `None` when the server ends.
    pub fn next(&self) -> Option<Arc<Job>> {
        let mut state = self.state.lock();
        loop {
            if state.closed {
                return None;
            }
            if let Some(job) = state.waiting.pop_front() {
                return Some(job);
            }
            self.changed.wait(&mut state);
        }
    }

    /// Ends the work: cancels every job and accepts no more.
    pub fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        state.kept.iter().for_each(|job| job.cancel());
        self.changed.notify_all();
    }
}
