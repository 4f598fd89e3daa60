//! Runs of artificial records, and the program run on them.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use foveate::explain::{AnswerToken, Curves, Mask, Settings};
use foveate::run::{
    Answer, Ask, Cause, Columns, DataIdentity, DeviceIdentity, Explained, Failure, Judgement,
    Layout, Manifest, ModelIdentity, Record, RecordImage, Shard, Store,
};
use serde_json::Value;
use tempfile::TempDir;

pub use crate::program::{ended, succeeded};

/// Pixels per side of all pictures.
pub const PICTURE: u32 = 7;

/// A sample with an answer of two tokens.
#[derive(Clone)]
pub struct Made {
    pub id: String,
    /// `None` if it failed.
    pub tokens: Option<[(f64, f64); 2]>,
    pub correct: Option<bool>,
    /// Saliency of the cells; `None` if no token is key.
    pub saliency: Option<Vec<f64>>,
    pub scores: Option<(f64, f64)>,
    /// Groups of cells after which its curves have a point.
    pub groups: usize,
    pub boxes: Vec<[f64; 4]>,
    /// The answer to the baseline picture.
    pub baseline_answer: Option<&'static str>,
}

impl Made {
    /// Creates a sample with a log-probability for the baseline, and a map of `size` cells per side
    /// with one salient cell.
    pub fn new(id: usize, baseline: f64, cell: Option<(usize, usize)>) -> Made {
        let saliency = cell.map(|(size, cell)| {
            let mut saliency = vec![0.0; size * size];
            saliency[cell] = 1.0;
            saliency
        });
        Made {
            id: format!("q{id}"),
            tokens: Some([(-0.25, -0.25), (-0.5, baseline)]),
            correct: None,
            saliency,
            scores: None,
            boxes: Vec::new(),
            baseline_answer: None,
            groups: 1,
        }
    }

    /// Curves with a point after each of this many groups of cells.
    pub fn measured(mut self, groups: usize) -> Made {
        self.groups = groups;
        self
    }

    pub fn judged(mut self, correct: bool) -> Made {
        self.correct = Some(correct);
        self
    }

    pub fn scored(mut self, deletion: f64, insertion: f64) -> Made {
        self.scores = Some((deletion, insertion));
        self
    }

    pub fn boxed(mut self, rectangle: [f64; 4]) -> Made {
        self.boxes.push(rectangle);
        self
    }

    pub fn failed(mut self) -> Made {
        self.tokens = None;
        self
    }

    fn record(&self, index: usize) -> Record {
        let explanation = self.tokens.map(|tokens| {
            let token = |&(logp_image, logp_baseline): &(f64, f64)| AnswerToken {
                id: 1,
                text: "word".into(),
                logp_image,
                logp_baseline,
                llr: logp_image - logp_baseline,
                key: logp_image - logp_baseline > 1.0,
            };
            let curves = self.scores.map(|(deletion, insertion)| Curves {
                fraction: (0..=self.groups)
                    .map(|group| group as f64 / self.groups as f64)
                    .collect(),
                deletion: [&[0.9][..], &vec![0.1; self.groups]].concat(),
                insertion: [&[0.1][..], &vec![0.9; self.groups]].concat(),
                deletion_score: Some(deletion),
                insertion_score: Some(insertion),
                reason: None,
            });
            Explained {
                baseline_answer: self.baseline_answer.map(str::to_string),
                prompt: "?".into(),
                answer: Answer {
                    text: "word word".into(),
                    tokens: tokens.iter().map(token).collect(),
                },
                image_dependent: self.saliency.is_some(),
                iterations: Vec::new(),
                curves,
                faithfulness: None,
                each: Vec::new(),
                evaluations: 1,
            }
        });
        let failure = Failure {
            cause: Cause::Picture,
            message: "no such file".into(),
        };
        Record {
            index,
            id: self.id.clone(),
            question: "?".into(),
            more_images: Vec::new(),
            explained_images: Vec::new(),
            image: RecordImage {
                path: "p.png".into(),
                width: Some(PICTURE),
                height: Some(PICTURE),
            },
            category: None,
            choices: Vec::new(),
            right: None,
            boxes: self.boxes.clone(),
            evidence: None,
            seed: index as u64,
            error: explanation.is_none().then_some(failure),
            judgement: self.correct.map(|correct| Judgement {
                chosen: None,
                correct,
            }),
            explanation,
            mask: None,
            more_masks: Vec::new(),
            each_masks: Vec::new(),
        }
    }
}

pub fn manifest(model: &str, size: usize, samples: usize) -> Manifest {
    Manifest::new(
        ModelIdentity {
            name: model.into(),
            family: "llava".into(),
            fingerprint: model.into(),
            randomized: None,
        },
        DeviceIdentity {
            name: "cpu".into(),
            dtype: "f32".into(),
            gemm: None,
        },
        Settings {
            mask_size: size,
            ..Settings::default()
        },
        DataIdentity {
            file: "d.csv".into(),
            split: None,
            fingerprint: "f".into(),
            samples,
            layout: Layout::Table,
            ask: Ask::Open,
            columns: Columns::default(),
        },
        Shard::WHOLE,
    )
}

/// A folder for one test, and the program run in it.
pub struct Folder(TempDir);

impl Folder {
    pub fn new() -> Folder {
        Folder(TempDir::new().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a run in the format of `foveate run`.
    pub fn run(&self, name: &str, manifest: &Manifest, samples: &[Made]) {
        let mut store = Store::open(&self.path(name), manifest).unwrap();
        for (index, made) in samples.iter().enumerate() {
            let size = manifest.settings.mask_size;
            let keep = |s: &Vec<f64>| Mask::new(size, s.iter().map(|v| 1.0 - v).collect()).unwrap();
            let mask = made.tokens.and(made.saliency.as_ref().map(keep));
            store
                .append(made.record(index), mask.as_ref(), &[])
                .unwrap();
        }
    }

    pub fn foveate(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_foveate"))
            .args(arguments)
            .current_dir(self.0.path())
            .envs(variables.iter().copied())
            .output()
            .unwrap()
    }

    pub fn json(&self, name: &str) -> Value {
        serde_json::from_slice(&std::fs::read(self.path(name)).unwrap()).unwrap()
    }
}

/// Returns names and bytes of a folder's files, in order.
pub fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = std::fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().path());
    let name = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
    let mut files: Vec<_> = entries
        .map(|p| (name(&p), std::fs::read(&p).unwrap()))
        .collect();
    files.sort();
    files
}

/// Returns the entry of a list whose fields have these values.
pub fn entry<'a>(list: &'a Value, fields: &[(&str, Value)]) -> &'a Value {
    let all = list.as_array().unwrap();
    let found = all
        .iter()
        .find(|e| fields.iter().all(|(name, value)| e[name] == *value));
    found.unwrap_or_else(|| panic!("no {fields:?} in {list:#}"))
}
