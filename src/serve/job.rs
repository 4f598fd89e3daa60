//! A question in work: what is known of it so far, and who waits for more.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use serde_json::{Map, Value};
use tokio::sync::watch;

use super::question::Question;
use crate::explain::{Explanation, Request, Settings};
use crate::picture::Picture;

/// A part of what is known. A later value of a part replaces the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// The stage, and how much of it is done.
    Progress,
    /// The answer's words.
    Answer,
    /// A map that is not the last.
    Map,
    /// The explanation, or why there is none. Nothing follows.
    End,
}

impl Part {
    /// The name of its event.
    pub fn name(self) -> &'static str {
        match self {
            Part::Progress => "progress",
            Part::Answer => "answer",
            Part::Map => "map",
            Part::End => "end",
        }
    }
}

/// A value of a part, and how many values there were before it.
#[derive(Clone)]
pub(super) struct Known {
    pub part: Part,
    pub version: u64,
    pub value: Arc<Value>,
}

/// A question in work, waiting, or answered.
pub(super) struct Job {
    pub id: u64,
    pub question: Question,
    pub settings: Settings,
    /// The explanation, once there is one.
    pub explanation: OnceLock<Explanation>,
    picture: Mutex<Option<Arc<Picture>>>,
    cancelled: AtomicBool,
    known: Mutex<Vec<Known>>,
    /// The number of values so far.
    versions: watch::Sender<u64>,
}

impl Job {
    pub fn new(id: u64, question: Question, settings: Settings, picture: Arc<Picture>) -> Job {
        Job {
            id,
            question,
            settings,
            explanation: OnceLock::new(),
            picture: Mutex::new(Some(picture)),
            cancelled: AtomicBool::new(false),
            known: Mutex::new(Vec::new()),
            versions: watch::Sender::new(0),
        }
    }

    /// Takes the picture out: an answered question keeps none.
    pub fn take_picture(&self) -> Option<Arc<Picture>> {
        self.picture.lock().take()
    }

    /// Returns what is explained.
    pub fn request<'a>(&'a self, picture: &'a Picture) -> Request<'a> {
        Request {
            pictures: std::slice::from_ref(picture),
            question: &self.question.question,
            answer: self.question.answer.as_deref(),
            keys: self.question.keys.as_deref(),
            settings: &self.settings,
        }
    }

    /// Asks the work to end after the batch that is computed.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    pub fn cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    /// Replaces a part.
    pub fn publish(&self, part: Part, value: Value) {
        let mut known = self.known.lock();
        let version = known.iter().map(|known| known.version).max().unwrap_or(0) + 1;
        known.retain(|known| known.part != part);
        known.push(Known {
            part,
            version,
            value: Arc::new(value),
        });
        self.versions.send_replace(version);
    }

    /// Returns the parts that have a later version than `seen`, in the order in which they became
    /// known.
    pub fn since(&self, seen: u64) -> Vec<Known> {
        let known = self.known.lock();
        let later = known.iter().filter(|known| known.version > seen);
        later.cloned().collect()
    }

    /// Returns all parts by name.
    pub fn all(&self) -> Value {
        let parts = self.since(0).into_iter();
        let named = parts.map(|known| (known.part.name().to_string(), (*known.value).clone()));
        Value::Object(named.collect::<Map<_, _>>())
    }

    pub fn ended(&self) -> bool {
        self.known
            .lock()
            .iter()
            .any(|known| known.part == Part::End)
    }

    /// Returns what changes with every value.
    pub fn versions(&self) -> watch::Receiver<u64> {
        self.versions.subscribe()
    }
}
