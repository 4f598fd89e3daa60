//! The work of a run: one thread reads samples ahead, the calling thread keeps the device busy, and
//! a third writes finished records.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Instant;

use super::{
    Cause, Data, Explained, Failure, Manifest, Picked, Record, RecordedAnswers, Result, RunError,
    Sample, Source, Store, Timing, Unjudged, judge,
};
use crate::explain::{
    ExplainError, Explanation, Mask, Prepared, Progress, Request, Settings, Stage,
    explain_prepared, prepare,
};
use crate::lvlm::Lvlm;
use crate::picture::Limits;

/// Number of samples that are read ahead, and of finished ones that wait to be written. Two, so
/// that one slow picture or one slow write does not keep the device waiting.
const AHEAD: usize = 2;

/// The inputs of a run.
#[derive(Clone, Copy)]
pub struct Job<'a> {
    /// The model.
    pub model: &'a dyn Lvlm,
    /// The data.
    pub data: &'a Data,
    /// The run's manifest; its settings are the method's.
    pub manifest: &'a Manifest,
    /// The largest size of activations in bytes; `None` for the device's own. That of the
    /// manifest's settings is not used.
    pub memory_budget: Option<usize>,
    /// The limits on the size of pictures.
    pub limits: Limits,
    /// Answers of another run that are explained instead of the model's own.
    pub answers: Option<&'a RecordedAnswers>,
    /// The run stops when more samples than this have failed, including those recorded earlier.
    pub max_failures: Option<usize>,
}

/// Receives a run's progress, and can stop it.
pub trait Watch {
    /// Reports that `done` of `total` samples are recorded, `failed` of them with an error.
    fn at(&mut self, done: usize, total: usize, failed: usize);
    /// Returns whether to stop. It is called before every sample and, like [`Progress::cancelled`],
    /// during it. The current sample is then abandoned and has no record; earlier samples have
    /// theirs. By default nothing stops a run.
    fn cancelled(&self) -> bool {
        false
    }
}

/// Adapts a run's watch to the progress of one sample.
struct Within<'a>(&'a dyn Watch);

impl Progress for Within<'_> {
    fn begin(&mut self, _: Stage, _: Option<usize>) {}
    fn advance(&mut self, _: usize) {}
    fn cancelled(&self) -> bool {
        self.0.cancelled()
    }
}

/// The outcome of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Number of samples with a record.
    pub done: usize,
    /// Number of samples of the shard.
    pub total: usize,
    /// Number of samples that this process explained, including failed ones.
    pub worked: usize,
    /// Number of failed samples by cause, including those recorded earlier.
    pub failures: BTreeMap<Cause, usize>,
    /// Samples with an unclear right answer, including those recorded earlier.
    pub unjudged: Unjudged,
}

impl Summary {
    /// Returns the number of failed samples.
    pub fn failed(&self) -> usize {
        self.failures.values().sum()
    }
}

/// A sample that was read ahead.
struct Loaded {
    record: Record,
    ready: std::result::Result<Prepared, Failure>,
    seconds: f64,
}

/// A finished sample.
struct Finished {
    record: Record,
    mask: Option<Mask>,
    each: Vec<Mask>,
    timing: Timing,
}

/// Explains every sample that has no record in the store, in the order of the data.
///
/// # Errors
/// Returns an error that is independent of any sample: the device fails, or data or a folder can no
/// longer be read or written. Everything finished before is recorded, also if `watch` stops the
/// run, which is not an error.
pub fn work(job: &Job, store: &mut Store, watch: &mut dyn Watch) -> Result<Summary> {
    let mut summary = Summary {
        done: store.done(),
        total: job.manifest.samples(),
        worked: 0,
        failures: store.failures().clone(),
        unjudged: store.unjudged().clone(),
    };
    watch.at(summary.done, summary.total, summary.failed());
    let from = summary.done;
    let folder = store.folder().to_path_buf();
    if from == summary.total || enough(job, &summary) {
        return Ok(summary);
    }
    std::thread::scope(|scope| {
        let (sender, loaded) = sync_channel(AHEAD);
        let loader = scope.spawn(move || load(job, from, &sender));
        let (finished, receiver) = sync_channel(AHEAD);
        let writer = scope.spawn(move || write(store, receiver));
        let worked = explain_all(job, loaded, finished, &mut summary, watch);
        // An error of the disk is the reason why the other threads ended.
        joined(writer.join(), folder.display())??;
        worked?;
        joined(loader.join(), job.data.path().display())?;
        if summary.done < summary.total && !enough(job, &summary) && !watch.cancelled() {
            return Err(RunError::Data {
                path: job.data.path().display().to_string(),
                expected: format!("{} rows, as there were", job.data.len()),
                found: "fewer".into(),
            });
        }
        Ok(summary)
    })
}

/// Returns a thread's result. A panic, for example in a decoder, is an error of the run.
fn joined<T>(result: std::thread::Result<T>, path: std::path::Display) -> Result<T> {
    result.map_err(|_| RunError::Data {
        path: path.to_string(),
        expected: "to be dealt with".into(),
        found: "a panic in doing so, which is a fault of foveate's".into(),
    })
}

fn enough(job: &Job, summary: &Summary) -> bool {
    job.max_failures.is_some_and(|most| summary.failed() > most)
}

/// Keeps the device busy. Ends when there are no more samples, or when the writer has ended.
fn explain_all(
    job: &Job,
    loaded: Receiver<Result<Loaded>>,
    finished: SyncSender<Finished>,
    summary: &mut Summary,
    watch: &mut dyn Watch,
) -> Result<()> {
    while !enough(job, summary) && !watch.cancelled() {
        let waiting = Instant::now();
        let Ok(next) = loaded.recv() else {
            break;
        };
        let next = next?;
        let wait = waiting.elapsed().as_secs_f64();
        let Some(done) = finish(job, next, wait, watch)? else {
            break;
        };
        if let Some(failure) = &done.record.error {
            *summary.failures.entry(failure.cause).or_default() += 1;
        }
        summary.unjudged.add(&done.record);
        if finished.send(done).is_err() {
            break;
        }
        summary.done += 1;
        summary.worked += 1;
        watch.at(summary.done, summary.total, summary.failed());
    }
    Ok(())
}

/// Returns a sample's result; `None` if the watch stops the run.
fn finish(job: &Job, loaded: Loaded, wait: f64, watch: &dyn Watch) -> Result<Option<Finished>> {
    let mut record = loaded.record;
    let explained = match loaded.ready {
        Ok(prepared) => match explain_prepared(job.model, prepared, &mut Within(watch)) {
            Ok(explanation) => finite(explanation),
            Err(ExplainError::Cancelled) => return Ok(None),
            Err(error) => Err(Failure::of(error)?),
        },
        Err(failure) => Err(failure),
    };
    let mut timing = Timing {
        index: record.index,
        load: loaded.seconds,
        wait,
        seconds: Vec::new(),
    };
    let (mut mask, mut each) = (None, Vec::new());
    match explained {
        Ok(explanation) => {
            let ask = job.manifest.data.ask;
            record.judgement = judge(
                &explanation.answer,
                &record.choices,
                record.right.as_ref(),
                ask,
            );
            record.explanation = Some(Explained::from(&explanation));
            if !record.more_images.is_empty() {
                record
                    .explained_images
                    .clone_from(&explanation.explained_images);
            }
            timing.seconds = explanation.cost.seconds;
            mask = explanation.mask;
            each = explanation.each.into_iter().map(|map| map.mask).collect();
        }
        Err(failure) => record.error = Some(failure),
    }
    if let Err(failure) = readable(&record) {
        (record.explanation, record.judgement, mask) = (None, None, None);
        each.clear();
        record.error = Some(failure);
    }
    Ok(Some(Finished {
        record,
        mask,
        each,
        timing,
    }))
}

/// Returns a failure if a number is not finite and so cannot be recorded.
fn finite(explanation: Explanation) -> std::result::Result<Explanation, Failure> {
    let each = explanation.each.iter().map(|map| &map.unit.iterations);
    let parts = explanation.iterations.iter().chain(each.flatten());
    let parts = parts.flat_map(|i| [i.deletion, i.insertion, i.regulariser]);
    let masks = explanation.each.iter().map(|map| &map.mask);
    let cells = explanation
        .mask
        .iter()
        .chain(masks)
        .flat_map(|m| m.values().iter().copied());
    if parts.chain(cells).all(f64::is_finite) {
        Ok(explanation)
    } else {
        Err(Failure {
            cause: Cause::NotFinite,
            message: "objective or mask: expected finite numbers, found infinity or NaN".into(),
        })
    }
}

/// Returns a failure if a record could not be read again: JSON has no notation for infinity and
/// NaN, in any field.
fn readable(record: &Record) -> std::result::Result<(), Failure> {
    let read = serde_json::to_vec(record).and_then(|line| serde_json::from_slice::<Record>(&line));
    match read {
        Ok(read) if read == *record => Ok(()),
        Ok(_) => Err("numbers that read otherwise".to_string()),
        Err(error) => Err(error.to_string()),
    }
    .map_err(|found| Failure {
        cause: Cause::NotFinite,
        message: format!("record: expected finite numbers, found {found}"),
    })
}

/// Reads samples ahead until the receiver closes.
fn load(job: &Job, from: usize, loaded: &SyncSender<Result<Loaded>>) {
    let samples = match job.data.samples(job.manifest.shard, from) {
        Ok(samples) => samples,
        Err(error) => {
            let _ = loaded.send(Err(error));
            return;
        }
    };
    for picked in samples {
        let one = picked.and_then(|picked| load_one(job, picked));
        let last = one.is_err();
        if loaded.send(one).is_err() || last {
            return;
        }
    }
}

fn load_one(job: &Job, picked: Picked) -> Result<Loaded> {
    let started = Instant::now();
    let settings = &job.manifest.settings;
    let settings = Settings {
        seed: settings.seed.wrapping_add(picked.index as u64),
        memory_budget: job.memory_budget,
        ..settings.clone()
    };
    let (record, ready) = match picked.sample {
        Ok(sample) => {
            let name = |source: &Source| source.name(job.data.images());
            let mut record = Record::of(&sample, name, settings.seed);
            let ready = ready(job, &sample, &settings, &mut record)?;
            (record, ready)
        }
        Err(bad) => {
            let failure = Failure {
                cause: Cause::Data,
                message: bad.message,
            };
            (
                Record::of_bad_row(picked.index, settings.seed),
                Err(failure),
            )
        }
    };
    Ok(Loaded {
        record,
        ready,
        seconds: started.elapsed().as_secs_f64(),
    })
}

/// Prepares a sample as far as possible without the device.
fn ready(
    job: &Job,
    sample: &Sample,
    settings: &Settings,
    record: &mut Record,
) -> Result<std::result::Result<Prepared, Failure>> {
    let failed = |cause, message| Ok(Err(Failure { cause, message }));
    let (folder, limits) = (job.data.images(), &job.limits);
    let mut pictures = Vec::with_capacity(1 + sample.more_pictures.len());
    let mut left = job.limits;
    let images = std::iter::once(&mut record.image).chain(&mut record.more_images);
    for (source, image) in sample.pictures().zip(images) {
        match source.picture(folder, &left) {
            Ok(picture) => {
                left = left.after(&picture);
                image.width = Some(picture.width());
                image.height = Some(picture.height());
                pictures.push(picture);
            }
            Err(error) => return failed(Cause::Picture, error.to_string()),
        }
    }
    if let (Some(source), Some(first)) = (&sample.evidence, pictures.first()) {
        match source.mask((first.width(), first.height()), folder, limits) {
            Ok(mask) => record.evidence = Some(mask),
            Err(bad) => return failed(Cause::Data, bad.message),
        }
    }
    let mut request = Request {
        pictures: &pictures,
        question: &sample.question,
        answer: sample.answer.as_deref(),
        keys: None,
        settings,
    };
    if let Some(answers) = job.answers {
        let Some(recorded) = answers.of(sample.index) else {
            let message = "expected a recorded answer, found none".to_string();
            return failed(Cause::Answer, message);
        };
        let ids = job.model.tokenizer().encode_answer(&recorded.text);
        if !ids.is_ok_and(|ids| ids == recorded.ids) {
            let expected = "expected a recorded answer of the same tokens when it is read again";
            let message = format!("{expected}, found {:?}", recorded.text);
            return failed(Cause::Answer, message);
        }
        request.answer = Some(&recorded.text);
        request.keys = Some(&recorded.keys);
    }
    match prepare(job.model, &request) {
        Ok(prepared) => Ok(Ok(prepared)),
        Err(error) => Ok(Err(Failure::of(error)?)),
    }
}

/// Writes finished samples in the order in which they arrive.
fn write(store: &mut Store, finished: Receiver<Finished>) -> Result<()> {
    for done in finished {
        store.append(done.record, done.mask.as_ref(), &done.each)?;
        store.time(&done.timing)?;
    }
    Ok(())
}
