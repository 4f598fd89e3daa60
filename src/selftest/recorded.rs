//! Recorded explanations, repeated on a device: the answer, the key tokens, gradients, the mask's
//! scores, and the equality of the bits of two runs. The recordings come from an independent
//! implementation of the method in PyTorch, in f64 (`tests/oracle`).

use std::iter;

use safetensors::SafeTensors;
use serde_json::Value;

use super::numbers::{Check, distance};
use crate::blend::{Blend, Masks, Path, Score};
use crate::checkpoint::{Checkpoint, Files};
use crate::explain::{
    Compat, CurvePoints, ExplainError, Mask, Method, Settings, deletion_insertion, key_tokens,
};
use crate::lvlm::{
    Lvlm, LvlmError, ModelDevice, OpenOptions, Scorer, SessionOptions, go_on, load, open_files,
};
use crate::picture::{Baseline, Picture};

/// Tolerance of a gradient, as a share of its largest value.
const GRADIENT: f64 = 2e-2;
/// Tolerance of deletion and insertion of the recorded mask.
const SCORE: f64 = 0.03;
/// Tolerance of the device's own mask: an optimisation accumulates the rounding of its gradients.
const OWN_SCORE: f64 = 0.06;
/// Tolerance of a log-probability, in nats; a token whose log-ratio is this close to the threshold
/// may be key or not. Hugging Face's own model in f16 deviates by up to 6e-2 in these cases.
const RATIO: f64 = 0.06;

/// A model, a picture, and the recorded results.
pub struct Recorded {
    /// The case's name.
    pub name: &'static str,
    model: &'static [(&'static str, &'static [u8])],
    picture: &'static [u8],
    results: &'static [u8],
}

/// Embeds a file of `assets/recorded`; `tests/oracle` links to these files.
macro_rules! file {
    ($path:expr) => {
        include_bytes!(concat!("../../assets/recorded/", $path)).as_slice()
    };
}

/// Embeds the files of a model's folder.
macro_rules! model {
    ($folder:literal: $($name:literal),*) => {
        &[$(($name, file!(concat!("models/", $folder, "/", $name)))),*]
    };
}

/// Embeds the files of a model's folder as written by transformers 5, and further ones.
macro_rules! model_of_5 {
    ($folder:literal $(, $more:literal)*) => {
        model!($folder: "config.json", "model.safetensors", "tokenizer.json",
            "tokenizer_config.json", "chat_template.jinja", "preprocessor_config.json",
            "generation_config.json" $(, $more)*)
    };
}

const TINY: &[(&str, &[u8])] = model_of_5!("tiny-llava");
const GROUPED: &[(&str, &[u8])] = model_of_5!("tiny-llava-gqa");
const ONEVISION: &[(&str, &[u8])] = model_of_5!("tiny-onevision");
const NEXT: &[(&str, &[u8])] = model_of_5!("tiny-next-mistral");
const SMOLVLM: &[(&str, &[u8])] = model_of_5!("tiny-smolvlm", "processor_config.json");
const MIXTURE: &[(&str, &[u8])] = model_of_5!("tiny-mix-mistral");
const QWEN2_5_VL: &[(&str, &[u8])] = model_of_5!("tiny-qwen2-5-vl");
const QWEN3_VL: &[(&str, &[u8])] = model_of_5!("tiny-qwen3-vl");
const GEMMA3: &[(&str, &[u8])] = model_of_5!("tiny-gemma3", "processor_config.json");
const INTERNVL: &[(&str, &[u8])] = model_of_5!("tiny-internvl-qwen3", "processor_config.json");
const VARIANT: &[(&str, &[u8])] = model!("tiny-llava-variant": "config.json",
    "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors",
    "model.safetensors.index.json", "tokenizer.json", "tokenizer_config.json",
    "preprocessor_config.json");

/// The recorded cases.
pub static CASES: [Recorded; 12] = [
    Recorded {
        name: "llava-cat",
        model: TINY,
        picture: file!("images/cat.png"),
        results: file!("cases/llava-cat.safetensors"),
    },
    Recorded {
        name: "llava-coffee",
        model: TINY,
        picture: file!("images/coffee.png"),
        results: file!("cases/llava-coffee.safetensors"),
    },
    Recorded {
        name: "llava-gqa-rocket",
        model: GROUPED,
        picture: file!("images/rocket.png"),
        results: file!("cases/llava-gqa-rocket.safetensors"),
    },
    Recorded {
        name: "llava-variant-cat",
        model: VARIANT,
        picture: file!("images/cat.png"),
        results: file!("cases/llava-variant-cat.safetensors"),
    },
    Recorded {
        name: "mix-mistral-rocket",
        model: MIXTURE,
        picture: file!("images/rocket.png"),
        results: file!("cases/mix-mistral-rocket.safetensors"),
    },
    Recorded {
        name: "onevision-wide",
        model: ONEVISION,
        picture: file!("images/wide.png"),
        results: file!("cases/onevision-wide.safetensors"),
    },
    Recorded {
        name: "next-mistral-rocket",
        model: NEXT,
        picture: file!("images/rocket.png"),
        results: file!("cases/next-mistral-rocket.safetensors"),
    },
    Recorded {
        name: "smolvlm-tall",
        model: SMOLVLM,
        picture: file!("images/tall.png"),
        results: file!("cases/smolvlm-tall.safetensors"),
    },
    Recorded {
        name: "internvl-qwen3-small",
        model: INTERNVL,
        picture: file!("images/small.png"),
        results: file!("cases/internvl-qwen3-small.safetensors"),
    },
    Recorded {
        name: "qwen2-5-vl-small",
        model: QWEN2_5_VL,
        picture: file!("images/small.png"),
        results: file!("cases/qwen2-5-vl-small.safetensors"),
    },
    Recorded {
        name: "qwen3-vl-small",
        model: QWEN3_VL,
        picture: file!("images/small.png"),
        results: file!("cases/qwen3-vl-small.safetensors"),
    },
    Recorded {
        name: "gemma3-small",
        model: GEMMA3,
        picture: file!("images/small.png"),
        results: file!("cases/gemma3-small.safetensors"),
    },
];

/// The results of a recorded case.
pub struct Outcome {
    /// The comparisons.
    pub checks: Vec<Check>,
    /// The masks after the first iterations.
    pub first_masks: Vec<Mask>,
    /// The gradients of the deletion and the insertion score at the recorded probe mask.
    pub gradient: Vec<f64>,
}

/// The tensors and the settings of a case, written by `tests/oracle/record.py`.
pub struct Results {
    tensors: SafeTensors<'static>,
    meta: Value,
}

impl Results {
    /// Reads a case's file; returns `None` if it is invalid.
    pub fn open(bytes: &'static [u8]) -> Option<Results> {
        let (_, header) = SafeTensors::read_metadata(bytes).ok()?;
        let text = header.metadata().as_ref()?.get("json")?.clone();
        Some(Results {
            tensors: SafeTensors::deserialize(bytes).ok()?,
            meta: serde_json::from_str(&text).ok()?,
        })
    }

    /// Returns the numbers of a tensor; empty if there is no such tensor of f64, f32 or i64.
    pub fn numbers(&self, name: &str) -> Vec<f64> {
        let Ok(tensor) = self.tensors.tensor(name) else {
            return Vec::new();
        };
        let data = tensor.data();
        let words = data.as_chunks::<8>().0.iter();
        match tensor.dtype() {
            safetensors::Dtype::F64 => words.map(|&b| f64::from_le_bytes(b)).collect(),
            safetensors::Dtype::I64 => words.map(|&b| i64::from_le_bytes(b) as f64).collect(),
            safetensors::Dtype::F32 => {
                let halves = data.as_chunks::<4>().0.iter();
                halves.map(|&b| f32::from_le_bytes(b).into()).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Returns the numbers of a tensor as tokens.
    pub fn ids(&self, name: &str) -> Vec<u32> {
        self.numbers(name).iter().map(|&v| v as u32).collect()
    }

    /// Returns the other recorded values: prompt, answer, scores, and the program's arguments.
    pub fn meta(&self) -> &Value {
        &self.meta
    }

    /// Returns the key tokens.
    pub fn keys(&self) -> Vec<usize> {
        let keys = self.meta["key"].as_array();
        let keys = keys.map(|keys| keys.iter().filter_map(Value::as_u64));
        keys.map(|keys| keys.map(|k| k as usize).collect())
            .unwrap_or_default()
    }

    /// Returns a number among the arguments; NaN if there is none.
    pub fn argument(&self, name: &str) -> f64 {
        self.meta["args"][name].as_f64().unwrap_or(f64::NAN)
    }

    /// Returns the program that was recorded instead of the method, if any.
    pub fn compat(&self) -> Option<Compat> {
        let name = self.meta["args"].get("compat")?;
        serde_json::from_value(name.clone()).ok()?
    }

    /// Returns the settings according to the arguments, without noise.
    pub fn settings(&self) -> Settings {
        Settings {
            mask_size: self.argument("size") as usize,
            steps: self.argument("steps") as usize,
            iterations: self.argument("iterations") as usize,
            l1: self.argument("l1"),
            l2: self.argument("l2"),
            l3: self.argument("l3"),
            gamma: self.argument("gamma"),
            momentum: self.argument("momentum"),
            lr: self.argument("lr"),
            noise: 0.0,
            curve_points: CurvePoints::All,
            compat: self.compat(),
            ..Settings::of(Method::IgosPlus)
        }
    }
}

impl Recorded {
    /// Returns the recorded results.
    ///
    /// # Panics
    /// Panics only if the embedded files are damaged.
    pub fn results(&self) -> Results {
        Results::open(self.results).expect("the embedded results are whole")
    }

    /// Returns the case's checkpoint.
    ///
    /// # Errors
    /// Returns an error only if the embedded files are damaged.
    pub fn checkpoint(&self) -> Result<Checkpoint, LvlmError> {
        open_files(
            Files::embedded(self.name, self.model),
            &OpenOptions::default(),
        )
    }
}

/// The memory budget of a case in whole batches.
const BUDGET: usize = 1 << 30;

/// The iterations whose masks are compared bit by bit: later ones make the same operations again.
const COMPARED: usize = 2;

/// The part of a case to compute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All recorded results, and the first masks twice.
    Everything,
    /// Everything but the scores of the device's own last mask, for which all iterations are made.
    Short,
    /// The results whose bits two ways of computing must share: gradients and the first masks.
    Bits,
}

/// Computes a recorded case on a device; with `at_once`, in batches of that many blends, as with
/// limited memory.
///
/// # Errors
/// Returns the errors of the model and the device.
pub fn recorded<D: ModelDevice>(
    case: &'static Recorded,
    device: D,
    at_once: Option<usize>,
    part: Part,
) -> Result<Outcome, ExplainError> {
    let results = case.results();
    let label = format!("{} {} {}", case.name, device.name(), device.dtype());
    let model = load(case.checkpoint()?, device)?;
    let picture = Picture::decode(case.picture, case.name).map_err(LvlmError::from)?;
    let baseline = Baseline::Blur.of(&picture, 0);
    let question = results.meta["question"].as_str().unwrap_or_default();
    let prompt = model.prompt(question, std::slice::from_ref(&picture))?;
    let mask_size = results.settings().mask_size;
    let start = |memory_budget| {
        let options = SessionOptions {
            mask_size,
            memory_budget,
        };
        model.start(&picture, &baseline, &prompt, options)
    };
    let (answer, keys) = (results.ids("answer_ids"), results.keys());
    let mut session = start(BUDGET)?;
    if let Some(blends) = at_once {
        let budget = session.scorer(&answer)?.plan(blends, &keys)?.bytes;
        session = start(budget)?;
    }
    let greedy = match part {
        Part::Everything | Part::Short => {
            let limit = results.argument("max_new_tokens") as usize;
            Some(session.generate(Path::Deletion, limit, &mut go_on)?)
        }
        Part::Bits => None,
    };
    let mut case = CaseInProgress {
        scorer: session.scorer(&answer)?,
        settings: results.settings(),
        answer,
        keys,
        checks: Vec::new(),
        label,
        results,
    };
    if let Some(blends) = at_once {
        let plan = case.scorer.plan(2 * case.settings.steps, &case.keys)?;
        case.require("is cut", plan.batch <= blends);
    }
    let gradient = case.gradients(part)?;
    let first_masks = case.masks(case.settings.iterations.min(COMPARED))?;
    if let Some(greedy) = greedy {
        case.require("answer", greedy == case.answer);
        let to_end = part == Part::Everything;
        let iterations = match to_end {
            true => case.settings.iterations,
            false => first_masks.len(),
        };
        let masks = case.masks(iterations)?;
        case.require("masks, twice", masks.starts_with(&first_masks));
        case.scores(&*model, masks.last().filter(|_| to_end))?;
    }
    Ok(Outcome {
        checks: case.checks,
        first_masks,
        gradient,
    })
}

/// A case in progress.
struct CaseInProgress<'s> {
    results: Results,
    settings: Settings,
    answer: Vec<u32>,
    keys: Vec<usize>,
    scorer: Box<dyn Scorer + 's>,
    checks: Vec<Check>,
    label: String,
}

impl CaseInProgress<'_> {
    fn check(&mut self, what: &str, found: f64, allowed: f64) {
        self.checks.push(Check {
            name: format!("{} {what}", self.label),
            found,
            allowed,
        });
    }

    fn require(&mut self, what: &str, holds: bool) {
        let name = format!("{} {what}", self.label);
        self.checks.push(Check::holds(name, holds));
    }

    /// Checks and returns the gradients of deletion and insertion at the recorded probe mask. But
    /// for [`Part::Bits`] they are computed three times with the same bits: a device may record and
    /// replay the work.
    fn gradients(&mut self, part: Part) -> Result<Vec<f64>, ExplainError> {
        let mut gradients = Vec::new();
        for (name, path) in [("deletion", Path::Deletion), ("insertion", Path::Insertion)] {
            let found = self.probe(path)?;
            let recorded = self.results.numbers(&format!("probe_{name}_grad"));
            let largest = recorded.iter().fold(0.0f64, |m, v| m.max(v.abs()));
            let difference = distance(&found, &recorded) / largest;
            self.check(&format!("gradient of {name}"), difference, GRADIENT);
            if part != Part::Bits {
                let same = found == self.probe(path)? && found == self.probe(path)?;
                self.require(&format!("gradient of {name}, three times"), same);
            }
            gradients.extend(found);
        }
        Ok(gradients)
    }

    /// Returns the gradient of one score at the recorded probe mask.
    fn probe(&self, path: Path) -> Result<Vec<f64>, ExplainError> {
        let mask = [self.results.numbers("probe_mask")];
        let steps = self.settings.steps;
        let blends: Vec<Blend> = (1..=steps)
            .map(|n| Blend {
                alpha: n as f64 / steps as f64,
                ..Blend::whole(0, path)
            })
            .collect();
        let weights = vec![1.0 / steps as f64; steps];
        let masks = masks(&self.settings, &mask);
        let (_, gradients) = self.scorer.gradient(
            masks,
            &blends,
            &weights,
            &self.keys,
            Score::LogProbability,
            &mut go_on,
        )?;
        Ok(gradients.concat())
    }

    /// Returns the mask after each of the first `iterations` iterations.
    fn masks(&self, iterations: usize) -> Result<Vec<Mask>, ExplainError> {
        let settings = Settings {
            iterations,
            ..self.settings.clone()
        };
        let method = settings.method.with(&settings);
        let mut masks = Vec::new();
        let collect = &mut |_, _, mask: &Mask| masks.push(mask.clone());
        method.run(&*self.scorer, &self.keys, &mut go_on, collect)?;
        Ok(masks)
    }

    /// Checks log-probabilities, key tokens, and deletion and insertion of the recorded mask and of
    /// the device's own, if there is one.
    fn scores(&mut self, model: &dyn Lvlm, own: Option<&Mask>) -> Result<(), ExplainError> {
        let all: Vec<usize> = (0..self.answer.len()).collect();
        let cells = self.settings.mask_size.pow(2);
        let ones = [vec![1.0; cells]];
        let whole = [Path::Deletion, Path::Insertion].map(|d| Blend::whole(0, d));
        let ones = masks(&self.settings, &ones);
        let values = self
            .scorer
            .log_probabilities(ones, &whole, &all, &mut go_on)?;
        let recorded = [
            self.results.numbers("logp_image"),
            self.results.numbers("logp_baseline"),
        ];
        for (what, found, recorded) in [
            ("picture", &values[0], &recorded[0]),
            ("baseline", &values[1], &recorded[1]),
        ] {
            let difference = distance(found, recorded);
            self.check(
                &format!("log-probabilities of the {what}"),
                difference,
                RATIO,
            );
        }
        let texts = model.tokenizer().decode_tokens(&self.answer);
        let texts = texts.map_err(LvlmError::from)?;
        let threshold = self.results.argument("threshold");
        let keys = key_tokens(&values[0], &values[1], &texts, threshold);
        let certain = |t: &&usize| {
            let ratio = recorded[0][**t] - recorded[1][**t];
            (ratio - threshold).abs() > RATIO
        };
        let same = keys
            .iter()
            .filter(certain)
            .eq(self.keys.iter().filter(certain));
        self.require("key tokens", same);

        let of_keys = |values: &[f64]| -> Vec<f64> {
            let of = |&t: &usize| values.get(t).copied();
            self.keys.iter().filter_map(of).collect()
        };
        let (picture, baseline) = (of_keys(&values[0]), of_keys(&values[1]));
        let trajectory = self.results.numbers("igos_p_masks");
        let last = trajectory[trajectory.len().saturating_sub(cells)..].to_vec();
        let recorded = Mask::new(self.settings.mask_size, last)?;
        let recorded = ("the recorded mask", &recorded, SCORE);
        let own = own.map(|own| ("its own mask", own, OWN_SCORE));
        for (whose, mask, allowed) in iter::once(recorded).chain(own) {
            let curves = deletion_insertion(
                &*self.scorer,
                mask,
                &self.keys,
                (&picture, &baseline),
                CurvePoints::Adaptive,
                &mut go_on,
            )?;
            for (name, found) in [
                ("deletion", curves.deletion_score),
                ("insertion", curves.insertion_score),
            ] {
                let recorded = self.results.meta[name].as_f64().unwrap_or(f64::NAN);
                let difference = (found.unwrap_or(f64::NAN) - recorded).abs();
                self.check(&format!("{name} of {whose}"), difference, allowed);
            }
        }
        Ok(())
    }
}

fn masks<'a>(settings: &Settings, values: &'a [Vec<f64>]) -> Masks<'a> {
    Masks {
        size: settings.mask_size,
        values,
    }
}
