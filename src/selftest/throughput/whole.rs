//! Measurements of whole models with random weights: attributions, and evaluations per second.

use std::time::Instant;

use super::goals::ATTRIBUTION;
use super::line::{Line, Repetitions};
use super::model::{random_checkpoint, weight_bytes};
use super::pool::Pool;
use super::rates::Rates;
use super::shapes::{LLAVA_1_5_7B, Shapes};
use super::workload::{Goal, Label, Limit, Target, Timed};
use crate::blend::{Blend, Masks, Noise, Path, Sampling, Score};
use crate::checkpoint::Checkpoint;
use crate::device::{DeviceError, DeviceProfile};
use crate::explain::{ExplainError, Method, Request, Settings, Silent, explain};
use crate::lvlm::{
    Blueprint, Lengths, Lvlm, LvlmError, Prompt, SessionOptions, Tally, go_on, load,
};
use crate::nn::{Checkpointing, NnError};
use crate::picture::{Baseline, Picture};
use crate::selftest::Extent;

/// The family of all lines here.
const FAMILY: &str = "whole path";
const QUESTION: &str = "What color is the shape on the left of the star?";
/// Number of tokens of the answer. Its last tokens are key: these cost the most.
const ANSWER: usize = 32;
const KEYS: [usize; 4] = [28, 29, 30, 31];
/// The picture's width and height.
const SIZE: (u32, u32) = (640, 480);

/// Measures a model of these shapes: an attribution twice, then evaluations forward and with
/// gradients. If the device has too little memory for one, its line reports that.
///
/// # Errors
/// Returns any other error of the model and the device.
pub(super) fn lines<D: Timed>(
    device: D,
    shapes: &Shapes,
    pool: &Pool,
    rates: &Rates,
    extent: Extent,
) -> Result<Vec<Line>, ExplainError> {
    let needed = weight_bytes(shapes)?;
    // Memory that another device has released is available once the GPU has been waited for.
    device.wait().map_err(LvlmError::from)?;
    let room = device.memory_budget();
    let nothing = |missing| {
        let label = Label::new(FAMILY, "all", shapes.whole);
        let target = Target::new(Limit::Latency, Tally::default(), None);
        Ok(vec![Line::missing(label, target, missing)])
    };
    if needed > room {
        return nothing(format!(
            "GPU memory: expected room for {needed} bytes of weights, found {room}"
        ));
    }
    let checkpoint = random_checkpoint(shapes, pool)?;
    let model = match load(checkpoint.clone(), device).map_err(ExplainError::from) {
        Ok(model) => model,
        Err(error) => return nothing(shortage(error)?),
    };
    let picture = picture().map_err(LvlmError::from)?;
    let whole = Whole {
        prompt: model.prompt(QUESTION, std::slice::from_ref(&picture))?,
        model: &*model,
        checkpoint: &checkpoint,
        picture,
        settings: settings(&*model, extent),
        shapes,
        rates,
        extent,
    };
    let mut lines = vec![whole.attribution("cold")?, whole.attribution("warm")?];
    lines.push(whole.evaluations("forward", false)?);
    lines.push(whole.evaluations("with gradient", true)?);
    Ok(lines)
}

/// Returns the paper's settings, within the available memory; smaller ones on an emulator, to save
/// time.
fn settings(model: &dyn Lvlm, extent: Extent) -> Settings {
    let defaults = Settings {
        max_new_tokens: ANSWER,
        memory_budget: Some(model.memory_budget()),
        ..Settings::of(Method::IgosPlus)
    };
    match extent {
        Extent::Small => Settings {
            mask_size: 4,
            steps: 2,
            iterations: 1,
            ..defaults
        },
        Extent::Large => defaults,
    }
}

/// Returns a picture of bands and gradients, of ordinary size.
fn picture() -> Result<Picture, crate::picture::PictureError> {
    let (width, height) = SIZE;
    let pixel = |i: u32| {
        let (x, y) = (i % width, i / width);
        [
            x * 255 / width,
            y * 255 / height,
            (x / 40 + y / 40) % 2 * 255,
        ]
        .map(|v| v as u8)
    };
    Picture::from_rgb(width, height, (0..width * height).flat_map(pixel).collect())
}

/// Returns the reason why memory did not suffice.
///
/// # Errors
/// Returns the error itself if it has another cause.
fn shortage(error: ExplainError) -> Result<String, ExplainError> {
    match &error {
        ExplainError::Model(
            LvlmError::Memory { .. }
            | LvlmError::Layer(NnError::Device(DeviceError::OutOfMemory { .. })),
        ) => Ok(error.to_string()),
        _ => Err(error),
    }
}

/// A model and its inputs.
struct Whole<'a> {
    model: &'a dyn Lvlm,
    checkpoint: &'a Checkpoint,
    prompt: Prompt,
    picture: Picture,
    settings: Settings,
    shapes: &'a Shapes,
    rates: &'a Rates,
    extent: Extent,
}

impl Whole<'_> {
    /// Measures one explanation from the picture to the curves, including its greedy answer.
    fn attribution(&self, when: &str) -> Result<Line, ExplainError> {
        let request = Request {
            pictures: std::slice::from_ref(&self.picture),
            question: QUESTION,
            answer: None,
            keys: Some(&KEYS),
            settings: &self.settings,
        };
        let goal = (self.shapes.name == LLAVA_1_5_7B.name).then_some(Goal::Seconds(ATTRIBUTION));
        let target = Target {
            limit: Limit::Latency,
            cost: Tally::default(),
            goal,
        };
        let label = |evaluations: Option<usize>| {
            let count = evaluations.map(|n| format!("{n} evaluations, "));
            let shape = format!(
                "{}prompt of {} tokens, answer of {ANSWER}, {} key",
                count.unwrap_or_default(),
                self.prompt.ids.len(),
                KEYS.len()
            );
            Label::new(FAMILY, format!("attribution, {when}"), shape)
        };
        let start = Instant::now();
        match explain(self.model, &request, &mut Silent) {
            Ok(explanation) => {
                let (seconds, count) =
                    (start.elapsed().as_secs_f64(), explanation.cost.evaluations);
                Ok(Line::measured(
                    label(Some(count)),
                    target,
                    seconds,
                    Some(count),
                    self.rates,
                ))
            }
            Err(ExplainError::NoAnswer | ExplainError::Key { .. }) => {
                let early = "the model of random weights ended its answer early".to_string();
                Ok(Line::missing(label(None), target, early))
            }
            Err(error) => Ok(Line::missing(label(None), target, shortage(error)?)),
        }
    }

    /// Measures repeated batches of a path.
    fn evaluations(&self, name: &str, gradient: bool) -> Result<Line, ExplainError> {
        let blends = self.shapes.batch;
        let target = Target::new(Limit::Products, self.cost(blends, gradient)?, None);
        match self.evaluate(blends, gradient) {
            Ok((seconds, shape)) => Ok(Line::measured(
                Label::new(FAMILY, name, shape),
                target,
                seconds,
                Some(blends),
                self.rates,
            )),
            Err(error) => Ok(Line::missing(
                Label::new(FAMILY, name, format!("{blends} evaluations")),
                target,
                shortage(error)?,
            )),
        }
    }

    /// Returns the seconds of one batch, and how it was split.
    fn evaluate(&self, blends: usize, gradient: bool) -> Result<(f64, String), ExplainError> {
        let baseline = Baseline::Blur.of(&self.picture, 0);
        let size = self.settings.mask_size;
        let options = SessionOptions {
            mask_size: size,
            memory_budget: self
                .settings
                .memory_budget
                .unwrap_or_else(|| self.model.memory_budget()),
        };
        let mut session = self
            .model
            .start(&self.picture, &baseline, &self.prompt, options)?;
        // Tokens of the demo model's vocabulary; any would do.
        let answer: Vec<u32> = (5..).take(ANSWER).collect();
        let scorer = session.scorer(&answer)?;
        let (path, mask) = (path(blends), [vec![0.5; size * size]]);
        let weights = vec![1.0 / blends as f64; blends];
        let run = || -> Result<(), ExplainError> {
            let masks = Masks {
                size,
                values: &mask,
            };
            if gradient {
                scorer.gradient(
                    masks,
                    &path,
                    &weights,
                    &KEYS,
                    Score::LogProbability,
                    &mut go_on,
                )?;
            } else {
                scorer.log_probabilities(masks, &path, &KEYS, &mut go_on)?;
            }
            Ok(())
        };
        // The first run is operation by operation, the second is recorded, and the timing's own
        // first run is not counted either.
        run()?;
        let seconds = Repetitions::of(self.extent).seconds(|count| {
            let start = Instant::now();
            for _ in 0..count {
                run()?;
            }
            Ok::<_, ExplainError>(start.elapsed())
        })?;
        let shape = if gradient {
            let plan = scorer.plan(blends, &KEYS)?;
            let kept = match plan.checkpointing {
                Checkpointing::Inputs => ", activations made again",
                Checkpointing::Everything | Checkpointing::Nothing => "",
            };
            format!("{blends} evaluations, {} at a time{kept}", plan.batch)
        } else {
            format!("{blends} evaluations")
        };
        Ok((seconds, shape))
    }

    /// Returns the cost of so many evaluations without recomputation.
    fn cost(&self, blends: usize, gradient: bool) -> Result<Tally, ExplainError> {
        let blueprint = Blueprint {
            checkpoint: self.checkpoint,
            picture: SIZE,
        };
        let (before, after) = blueprint.prompt(QUESTION)?;
        let lengths = Lengths {
            before,
            after,
            answer: ANSWER,
        };
        let checkpointing = if gradient {
            Checkpointing::Everything
        } else {
            Checkpointing::Nothing
        };
        let estimator =
            blueprint.estimator(lengths, self.settings.mask_size, DeviceProfile::CUDA)?;
        Ok(estimator.batch(blends, &KEYS, checkpointing)?.total())
    }
}

/// Returns a path of blends with noise, half of them deletion, half insertion.
fn path(blends: usize) -> Vec<Blend> {
    let steps = blends.div_ceil(2);
    (0..blends)
        .map(|n| Blend {
            sampling: Sampling::One(0),
            path: if n < steps {
                Path::Deletion
            } else {
                Path::Insertion
            },
            alpha: (n % steps + 1) as f64 / steps as f64,
            noise: Some(Noise {
                deviation: 0.2,
                seed: 0,
                stream: n as u64,
            }),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::cpu::Cpu;
    use crate::device::prelude::*;
    use crate::selftest::throughput::Found;

    #[test]
    fn a_model_that_does_not_fit_is_one_line() {
        let (cpu, pool) = (Cpu::<f32>::new(1).unwrap(), Pool::new(1, 1, 1.0, 0));
        assert!(cpu.memory_budget() < 14_000_000_000);
        let rates = Rates::new(1.0, vec![("made up", 1.0)]);
        let found = lines(cpu, &LLAVA_1_5_7B, &pool, &rates, Extent::Large).unwrap();
        match &found[..] {
            [
                Line {
                    found: Found::Missing { missing },
                    ..
                },
            ] => assert!(missing.contains("bytes of weights"), "{missing}"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn only_a_want_of_memory_is_no_failure() {
        let memory = LvlmError::Memory {
            needed: 2,
            budget: 1,
        };
        assert!(shortage(memory.into()).is_ok());
        let full = DeviceError::OutOfMemory { bytes: 2, held: 1 };
        assert!(shortage(LvlmError::from(full).into()).is_ok());
        let other = DeviceError::Unavailable {
            device: "cuda:0".into(),
            reason: "gone".into(),
        };
        assert!(shortage(LvlmError::from(other).into()).is_err());
    }
}
