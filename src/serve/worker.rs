//! The thread that explains: one question after the other, with one model.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use serde_json::{Value, json};

use super::job::{Job, Part};
use super::jobs::Jobs;
use super::program::Program;
use crate::explain::{
    AnswerToken, ExplainError, Explanation, Mask, Progress, Stage, explain, whole_words,
};
use crate::picture::Picture;
use crate::report::ReportError;
use crate::report::html::{Detail, Entry, MapCells, PageToken};

/// Explains until the server ends.
pub(super) fn work(jobs: &Jobs, program: &dyn Program) {
    while let Some(job) = jobs.next() {
        // A mistake in the program ends one explanation, not the server; its message is printed.
        let end = catch_unwind(AssertUnwindSafe(|| explained(&job, program)));
        let end = end.unwrap_or_else(|_| {
            json!({ "error": "the explanation ended by a mistake in the program, which is printed \
                              where it was started" })
        });
        job.publish(Part::End, end);
    }
}

/// Explains, and returns the last event.
fn explained(job: &Job, program: &dyn Program) -> Value {
    let Some(picture) = job.take_picture().filter(|_| !job.cancelled()) else {
        return json!({ "cancelled": true });
    };
    let started = Instant::now();
    let mut watcher = Watcher {
        job,
        stage: Stage::Prepare,
        total: None,
        done: 0,
    };
    match explain(program.model(), &job.request(&picture), &mut watcher) {
        Ok(explanation) => {
            let seconds = started.elapsed().as_secs_f64();
            let shown = shown(job, &picture, &explanation, seconds);
            // A job is explained once.
            let _ = job.explanation.set(explanation);
            shown.unwrap_or_else(|error| json!({ "error": error.to_string() }))
        }
        Err(ExplainError::Cancelled) => json!({ "cancelled": true }),
        Err(error) => json!({ "error": error.to_string() }),
    }
}

/// Returns an explanation as the page shows it.
fn shown(
    job: &Job,
    picture: &Picture,
    explanation: &Explanation,
    seconds: f64,
) -> Result<Value, ReportError> {
    let entry = Entry {
        question: job.question.question.clone(),
        ..Entry::of(explanation)
    };
    let detail = Detail {
        width: Some(picture.width()),
        height: Some(picture.height()),
        seed: job.settings.seed.to_string(),
        ..Detail::of(explanation)?
    };
    let words = words(&explanation.tokens);
    Ok(json!({
        "entry": entry,
        "detail": detail,
        "words": words,
        "baseline_answer": explanation.baseline_answer,
        "seconds": seconds,
    }))
}

/// Returns the words of an answer: for each the positions of its tokens, and of those that a map of
/// the word is of, its key tokens or, where it has none, all.
fn words(tokens: &[AnswerToken]) -> Vec<Value> {
    let texts: Vec<&str> = tokens.iter().map(|token| token.text.as_str()).collect();
    let words = whole_words(&texts).map(|word| {
        let keys: Vec<usize> = word.clone().filter(|&at| tokens[at].key).collect();
        let tokens: Vec<usize> = word.collect();
        let keys = if keys.is_empty() {
            tokens.clone()
        } else {
            keys
        };
        json!({ "tokens": tokens, "keys": keys })
    });
    words.collect()
}

/// Tells the job how far it is, and ends it when it is cancelled.
struct Watcher<'a> {
    job: &'a Job,
    stage: Stage,
    total: Option<usize>,
    done: usize,
}

impl Watcher<'_> {
    fn tell(&self) {
        let stage = self.stage.name();
        let progress = json!({ "stage": stage, "done": self.done, "total": self.total });
        self.job.publish(Part::Progress, progress);
    }
}

impl Progress for Watcher<'_> {
    fn begin(&mut self, stage: Stage, total: Option<usize>) {
        (self.stage, self.total, self.done) = (stage, total, 0);
        self.tell();
    }

    fn advance(&mut self, count: usize) {
        self.done += count;
        self.tell();
    }

    fn answered(&mut self, tokens: &[AnswerToken]) {
        let shown: Vec<PageToken> = tokens.iter().map(PageToken::from).collect();
        let answer = json!({ "tokens": shown, "words": words(tokens) });
        self.job.publish(Part::Answer, answer);
    }

    fn updated(&mut self, mask: &Mask) {
        // A map that cannot be drawn is an error at the end.
        if let Ok(map) = MapCells::of(mask) {
            self.job.publish(Part::Map, json!({ "map": map }));
        }
    }

    fn cancelled(&self) -> bool {
        self.job.cancelled()
    }
}
