//! The cost of explanations with a model on a card, calculated from sizes without running anything.

mod cards;
mod phases;
mod table;

use std::path::Path;

use bytesize::ByteSize;
use clap::Args;
use clap::builder::PossibleValuesParser;
use serde::Serialize;

use super::error::CliError;
use super::options::MethodOptions;
use super::units;
use crate::device::{DeviceProfile, cuda};
use crate::lvlm::{self, BatchPlan, Blueprint, Lengths, OpenOptions, Parts, Tally};
use crate::nn::Checkpointing;
use cards::Card;
use phases::{Phase, Rates, Work, phases};
pub(super) use table::table;

/// Text tokens of a prompt of ordinary length.
const PROMPT_TOKENS: usize = 40;

/// What is planned for, and on what card.
#[derive(Args)]
#[command(next_help_heading = "Plan")]
pub(super) struct PlanOptions {
    /// Text tokens of the prompt, chat template included [default: 40, or what the chat template
    /// takes if that is more]
    #[arg(long, value_name = "N")]
    prompt_tokens: Option<usize>,
    /// Width and height of the picture in pixels; it matters to models that take more views of
    /// larger pictures
    #[arg(long, value_name = "WxH", default_value = "640x480", value_parser = size)]
    picture: (u32, u32),
    /// Tokens of an answer
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = count)]
    answer_tokens: usize,
    /// Key tokens of an answer; they are taken to be its last, which costs the most
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = count)]
    key_tokens: usize,
    /// The card, with the memory and rates of NVIDIA's data sheets
    #[arg(
        long,
        value_name = "NAME",
        default_value = "h100-sxm",
        value_parser = PossibleValuesParser::new(cards::names())
    )]
    card: String,
    /// Memory of the card, such as 80GB, instead of the data sheet's
    #[arg(long, value_name = "SIZE")]
    memory: Option<ByteSize>,
    /// The card's rate of bf16 products in 10^12 operations per second, instead of the data sheet's
    #[arg(long, value_name = "RATE", value_parser = positive, allow_negative_numbers = true)]
    tflops: Option<f64>,
    /// The card's memory bandwidth in 10^9 bytes per second, instead of the data sheet's
    #[arg(long, value_name = "RATE", value_parser = positive, allow_negative_numbers = true)]
    bandwidth: Option<f64>,
    /// The part of both rates that is reached, above 0 and at most 1
    #[arg(
        long,
        value_name = "PART",
        default_value_t = 0.5,
        value_parser = part,
        allow_negative_numbers = true
    )]
    fraction: f64,
    /// The most memory for activations [default: four fifths of what the weights leave free on the
    /// card]
    #[arg(long, value_name = "SIZE")]
    memory_budget: Option<ByteSize>,
}

fn count(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(n) if n > 0 => Ok(n),
        _ => Err("expected a whole number of at least 1".into()),
    }
}

fn size(text: &str) -> Result<(u32, u32), String> {
    let sides = text.split_once('x').and_then(|(width, height)| {
        let side = |text: &str| text.parse().ok().filter(|&n: &u32| n > 0);
        Some((side(width)?, side(height)?))
    });
    sides.ok_or_else(|| "expected a width and a height such as 640x480".into())
}

fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(x) if x > 0.0 && x.is_finite() => Ok(x),
        _ => Err("expected a number above 0".into()),
    }
}

fn part(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(x) if x > 0.0 && x <= 1.0 => Ok(x),
        _ => Err("expected a number above 0 and at most 1".into()),
    }
}

/// The plan: the cost of one explanation.
#[derive(Serialize)]
pub(super) struct Report {
    model: String,
    tokens: Tokens,
    card: Card,
    /// The fraction of the card's rates that is reached.
    fraction: f64,
    memory: Memory,
    /// One evaluation in the largest batch that fits.
    evaluation: Evaluation,
    /// The phases in order; work on the host is not counted.
    phases: Vec<Phase>,
    total: Total,
}

#[derive(Serialize)]
struct Tokens {
    image: usize,
    #[serde(flatten)]
    lengths: Lengths,
    keys: usize,
}

/// Memory in bytes.
#[derive(Serialize)]
struct Memory {
    weights: Parts<usize>,
    weights_total: usize,
    /// Keys and values of the text before the picture; included in `fixed`.
    prefix: usize,
    /// Activations that do not depend on the batch.
    fixed: usize,
    per_blend: PerBlend,
    /// The memory budget of activations.
    budget: usize,
    /// The memory of the largest batch and the weights together.
    used: usize,
}

/// Bytes of activations per blend.
#[derive(Serialize)]
struct PerBlend {
    kept: usize,
    recomputed: usize,
    forward: usize,
}

#[derive(Serialize)]
struct Evaluation {
    forward: Parts<Tally>,
    gradient: Parts<Tally>,
    /// As `gradient`, with activations recomputed block by block.
    gradient_recomputed: Parts<Tally>,
}

#[derive(Serialize)]
struct Total {
    evaluations: usize,
    operations: f64,
    bytes: f64,
    seconds: f64,
    pictures_per_hour: f64,
    hours_per_1000_pictures: f64,
}

/// Plans explanations with the model in a folder, or with the demo model.
pub(super) fn report(
    folder: Option<&Path>,
    model: &OpenOptions,
    options: &PlanOptions,
    method: &MethodOptions,
) -> Result<Report, CliError> {
    let settings = method.settings()?;
    settings.validate()?;
    let checkpoint = lvlm::checkpoint(folder, model)?;
    let blueprint = Blueprint {
        checkpoint: &checkpoint,
        picture: options.picture,
    };
    let lengths = lengths(&blueprint, options)?;
    if options.key_tokens > options.answer_tokens {
        return Err(CliError::Option {
            option: "key-tokens",
            expected: format!("at most the {} tokens of the answer", options.answer_tokens),
            found: options.key_tokens.to_string(),
        });
    }
    let estimator = blueprint.estimator(lengths, settings.mask_size, DeviceProfile::CUDA)?;
    let card = card(options)?;
    let weights = estimator.weights();
    let free = card.memory - weights.total() as f64;
    if free <= 0.0 {
        return Err(CliError::Option {
            option: if options.memory.is_some() {
                "memory"
            } else {
                "card"
            },
            expected: format!(
                "more than the {} that the weights take",
                units::bytes(weights.total() as f64)
            ),
            found: units::bytes(card.memory),
        });
    }
    let budget = match options.memory_budget {
        Some(size) => usize::try_from(size.as_u64()).unwrap_or(usize::MAX),
        None => cuda::budget(free as usize),
    };
    let keys: Vec<usize> = (lengths.answer - options.key_tokens..lengths.answer).collect();
    let work = Work {
        estimator: &*estimator,
        keys: &keys,
        settings: &settings,
        budget,
    };
    let rates = Rates {
        operations: card.rate * options.fraction,
        bytes: card.bandwidth * options.fraction,
    };
    let phases = phases(&work, lengths.answer, rates)?;
    let seconds = phases.iter().map(|phase| phase.seconds).sum::<f64>();
    let total = Total {
        evaluations: phases.iter().map(|phase| phase.evaluations).sum(),
        operations: phases.iter().map(|phase| phase.cost.operations).sum(),
        bytes: phases.iter().map(|phase| phase.cost.bytes).sum(),
        seconds,
        pictures_per_hour: 3600.0 / seconds,
        hours_per_1000_pictures: seconds / 3.6,
    };
    let peak = phases.iter().map(|phase| phase.memory).max().unwrap_or(0);
    let per_blend = |keep| estimator.bytes_per_blend(&keys, keep);
    Ok(Report {
        model: checkpoint.files.name(),
        tokens: Tokens {
            image: estimator.image_tokens(),
            lengths,
            keys: keys.len(),
        },
        fraction: options.fraction,
        memory: Memory {
            weights,
            weights_total: weights.total(),
            prefix: estimator.prefix_bytes(),
            fixed: estimator.fixed_bytes(&keys)?,
            per_blend: PerBlend {
                kept: per_blend(Checkpointing::Everything)?,
                recomputed: per_blend(Checkpointing::Inputs)?,
                forward: per_blend(Checkpointing::Nothing)?,
            },
            budget,
            used: peak.saturating_add(weights.total()),
        },
        evaluation: evaluation(&work)?,
        card,
        phases,
        total,
    })
}

/// Returns the cost of one evaluation: its share of a batch of the optimisation.
fn evaluation(work: &Work) -> Result<Evaluation, CliError> {
    let passes = work.schedule().passes;
    let (blends, gradient) = passes
        .first()
        .map_or((1, false), |p| (p.blends, p.gradient));
    let plan: BatchPlan = work.plan(blends, work.keys, gradient)?;
    let each = |keep| {
        let Parts {
            blend,
            vision,
            projector,
            decoder,
            vocabulary,
        } = work.estimator.batch(plan.batch, work.keys, keep)?;
        let share = |cost: Tally| Tally {
            operations: cost.operations / plan.batch as f64,
            bytes: cost.bytes / plan.batch as f64,
        };
        Ok::<_, CliError>(Parts {
            blend: share(blend),
            vision: share(vision),
            projector: share(projector),
            decoder: share(decoder),
            vocabulary: share(vocabulary),
        })
    };
    Ok(Evaluation {
        forward: each(Checkpointing::Nothing)?,
        gradient: each(Checkpointing::Everything)?,
        gradient_recomputed: each(Checkpointing::Inputs)?,
    })
}

/// Returns the lengths of the prompt made by the chat template, extended to the requested length.
fn lengths(blueprint: &Blueprint, options: &PlanOptions) -> Result<Lengths, CliError> {
    let (before, after) = blueprint.prompt("What is in the picture?")?;
    let least = PROMPT_TOKENS.max(before + after);
    let prompt = options.prompt_tokens.unwrap_or(least);
    if prompt <= before {
        return Err(CliError::Option {
            option: "prompt-tokens",
            expected: format!(
                "more than the {before} tokens that the chat template puts before the picture"
            ),
            found: prompt.to_string(),
        });
    }
    Ok(Lengths {
        before,
        after: prompt - before,
        answer: options.answer_tokens,
    })
}

/// Returns the card from the data sheets, with the values that options override.
fn card(options: &PlanOptions) -> Result<Card, CliError> {
    let known = cards::card(&options.card).ok_or_else(|| CliError::Option {
        option: "card",
        expected: format!("one of {}", cards::names().collect::<Vec<_>>().join(", ")),
        found: options.card.clone(),
    })?;
    let memory = options.memory.map(|size| size.as_u64() as f64);
    let (rate, bandwidth) = (
        options.tflops.map(|r| r * 1e12),
        options.bandwidth.map(|b| b * 1e9),
    );
    let changed = memory.is_some() || rate.is_some() || bandwidth.is_some();
    Ok(Card {
        name: if changed {
            format!("{}, changed", known.name)
        } else {
            known.name
        },
        memory: memory.unwrap_or(known.memory),
        rate: rate.unwrap_or(known.rate),
        bandwidth: bandwidth.unwrap_or(known.bandwidth),
    })
}
