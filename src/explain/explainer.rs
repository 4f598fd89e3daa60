//! From a model, a picture and a question to an explanation.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::{
    Compat, Curves, ExplainError, Iteration, Mask, Result, Settings, curves, deletion_insertion,
    key_tokens, lvlm_interpretation,
};
use crate::blend::{Blend, Masks, Path};
use crate::lvlm::{Callback, Lvlm, LvlmError, PicturePair, Prompt, SessionOptions};
use crate::picture::Picture;

/// What is to be explained.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The picture.
    pub picture: &'a Picture,
    /// The question about it.
    pub question: &'a str,
    /// An answer to explain instead of the model's greedy one, tokenised exactly as given.
    pub answer: Option<&'a str>,
    /// Answer tokens to explain instead of those selected.
    pub keys: Option<&'a [usize]>,
    /// The method's settings.
    pub settings: &'a Settings,
}

/// One token of the answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AnswerToken {
    /// Its number in the vocabulary.
    pub id: u32,
    /// Its text.
    pub text: String,
    /// log p given the picture.
    pub logp_image: f64,
    /// log p given the baseline.
    pub logp_baseline: f64,
    /// The difference, in nats: what the picture does for the token.
    pub llr: f64,
    /// Whether it is a key token.
    pub key: bool,
}

/// What an explanation cost.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Cost {
    /// Pictures sent through the model, with gradient or without, the answer's generation not
    /// counted.
    pub evaluations: usize,
    /// Seconds of each stage.
    pub seconds: Vec<(Stage, f64)>,
}

/// An answer, the words of it that rest on the picture, and the part of the picture that they need.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// The prompt as the model read it.
    pub prompt: String,
    /// The answer.
    pub answer: String,
    /// The greedy answer to the baseline picture, when asked for; it may be empty.
    pub baseline_answer: Option<String>,
    /// The answer's tokens.
    pub tokens: Vec<AnswerToken>,
    /// Whether any token is key. When none is, there is no mask: a result, not a failure.
    pub image_dependent: bool,
    /// The mask, 1 keeps.
    pub mask: Option<Mask>,
    /// The objective before every update.
    pub iterations: Vec<Iteration>,
    /// Deletion and insertion, when asked for and there is a mask.
    pub curves: Option<Curves>,
    /// What it cost.
    pub cost: Cost,
}

impl Explanation {
    /// The key tokens' places in the answer.
    pub fn keys(&self) -> Vec<usize> {
        (0..self.tokens.len())
            .filter(|&t| self.tokens[t].key)
            .collect()
    }
}

/// The stages of an explanation, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Baseline, image processor, prompt.
    Prepare,
    /// The greedy answer.
    Answer,
    /// Log-probabilities with picture and baseline.
    Select,
    /// The mask.
    Optimise,
    /// Deletion and insertion.
    Curves,
}

/// Hears how far an explanation is, and can stop it.
pub trait Progress {
    /// A stage begins; `total` is its number of evaluations or tokens, where known.
    fn begin(&mut self, stage: Stage, total: Option<usize>);
    /// So many more are done.
    fn advance(&mut self, count: usize);
    /// Whether to give up. It is asked at the beginning of every stage, after every token of the
    /// answer and after every batch of evaluations; where it says yes, the explanation ends with
    /// [`ExplainError::Cancelled`]. By default nothing stops it.
    fn cancelled(&self) -> bool {
        false
    }
}

/// Hears nothing.
pub struct Silent;

impl Progress for Silent {
    fn begin(&mut self, _: Stage, _: Option<usize>) {}
    fn advance(&mut self, _: usize) {}
}

/// Times the stages and counts evaluations.
struct Clock<'a> {
    progress: &'a mut dyn Progress,
    cost: Cost,
    started: Option<(Stage, Instant)>,
}

impl<'a> Clock<'a> {
    fn new(progress: &'a mut dyn Progress) -> Clock<'a> {
        Clock {
            progress,
            cost: Cost::default(),
            started: None,
        }
    }

    fn begin(&mut self, stage: Stage, total: Option<usize>) -> Result<()> {
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

    fn end(&mut self) {
        if let Some((stage, since)) = self.started.take() {
            self.cost.seconds.push((stage, round(since.elapsed())));
        }
    }

    fn evaluated(&mut self, count: usize) -> ControlFlow<()> {
        self.cost.evaluations += count;
        self.produced(count)
    }

    /// Tokens, which are not counted among the evaluations.
    fn produced(&mut self, count: usize) -> ControlFlow<()> {
        self.progress.advance(count);
        self.go_on()
    }
}

fn round(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e6
}

/// A request of which everything is made that can be while the device is busy with another one.
#[derive(Debug)]
pub struct Prepared {
    prompt: Prompt,
    pictures: PicturePair,
    answer: Option<String>,
    keys: Option<Vec<usize>>,
    settings: Settings,
}

/// Renders and tokenises the question, makes the baseline and processes both pictures. The device
/// has no part in it.
///
/// # Errors
/// A setting outside its range, an empty or overlong question, a picture that cannot be processed.
pub fn prepare(model: &dyn Lvlm, request: &Request) -> Result<Prepared> {
    let settings = request.settings;
    settings.validate()?;
    follows(model, settings.compat)?;
    let prompt = model.prompt(request.question, request.picture)?;
    let baseline = settings.baseline.of(request.picture, settings.seed);
    Ok(Prepared {
        prompt,
        pictures: model.process(request.picture, &baseline)?,
        answer: request.answer.map(str::to_string),
        keys: request.keys.map(<[usize]>::to_vec),
        settings: settings.clone(),
    })
}

/// Explains an answer of `model`.
///
/// # Errors
/// A setting outside its range, an empty or overlong question, too small a memory budget, a model
/// whose output is not finite, keys that the answer does not have; [`ExplainError::Cancelled`].
pub fn explain(
    model: &dyn Lvlm,
    request: &Request,
    progress: &mut dyn Progress,
) -> Result<Explanation> {
    request.settings.validate()?;
    let mut clock = Clock::new(progress);
    clock.begin(Stage::Prepare, None)?;
    work(model, prepare(model, request)?, clock)
}

/// As [`explain`], of a request that [`prepare`] has prepared for the same model. The time that
/// took is not in [`Explanation::cost`].
///
/// # Errors
/// As [`explain`].
pub fn explain_prepared(
    model: &dyn Lvlm,
    prepared: Prepared,
    progress: &mut dyn Progress,
) -> Result<Explanation> {
    let mut clock = Clock::new(progress);
    clock.begin(Stage::Prepare, None)?;
    work(model, prepared, clock)
}

/// What the device does for an explanation.
fn work(model: &dyn Lvlm, prepared: Prepared, mut clock: Clock) -> Result<Explanation> {
    let (settings, prompt) = (&prepared.settings, prepared.prompt);
    let options = SessionOptions {
        mask_size: settings.mask_size,
        memory_budget: settings.memory_budget,
    };
    let mut session = model.begin(prepared.pictures, &prompt, options)?;

    clock.begin(Stage::Answer, None)?;
    let tokenizer = model.tokenizer();
    let ids = match &prepared.answer {
        Some(text) => tokenizer.encode_answer(text).map_err(LvlmError::from)?,
        None => {
            let produced = &mut |n| clock.produced(n);
            let ids = session.generate(Path::Deletion, settings.max_new_tokens, produced)?;
            let ids = match settings.compat {
                None => ids,
                Some(Compat::LvlmInterpretation) => {
                    lvlm_interpretation::without_end(ids, settings.max_new_tokens)
                }
            };
            if ids.is_empty() {
                return Err(ExplainError::NoAnswer);
            }
            ids
        }
    };
    let baseline_answer = match settings.baseline_answer {
        true => {
            let produced = &mut |n| clock.produced(n);
            let ids = session.generate(Path::Insertion, settings.max_new_tokens, produced)?;
            Some(tokenizer.decode(&ids).map_err(LvlmError::from)?)
        }
        false => None,
    };
    session.set_answer(&ids)?;

    clock.begin(Stage::Select, Some(2))?;
    let (image, base) = both_pictures(&*session, settings.mask_size, ids.len(), &mut |n| {
        clock.evaluated(n)
    })?;
    let texts = tokenizer.decode_pieces(&ids).map_err(LvlmError::from)?;
    let answer = texts.concat();
    let keys = match &prepared.keys {
        Some(given) => chosen(given, ids.len())?,
        None => {
            let alone = tokenizer.decode_tokens(&ids).map_err(LvlmError::from)?;
            match settings.compat {
                None => key_tokens(&image, &base, &alone, settings.threshold),
                Some(Compat::LvlmInterpretation) => lvlm_interpretation::key_tokens(
                    (&image, &base),
                    (&ids, &alone),
                    &|id| tokenizer.token(id),
                    settings.threshold,
                ),
            }
        }
    };
    let tokens = ids
        .iter()
        .zip(texts)
        .enumerate()
        .map(|(t, (&id, text))| AnswerToken {
            id,
            text,
            logp_image: image[t],
            logp_baseline: base[t],
            llr: image[t] - base[t],
            key: keys.contains(&t),
        });
    let mut explanation = Explanation {
        prompt: prompt.text,
        answer,
        baseline_answer,
        tokens: tokens.collect(),
        image_dependent: !keys.is_empty(),
        mask: None,
        iterations: Vec::new(),
        curves: None,
        cost: Cost::default(),
    };

    if !keys.is_empty() {
        let method = settings.method.with(settings);
        clock.begin(Stage::Optimise, method.schedule().evaluations())?;
        let mask = method.run(
            &*session,
            &keys,
            &mut |n| clock.evaluated(n),
            &mut |_, parts, _| explanation.iterations.push(parts),
        )?;
        if settings.curves {
            let schedule = curves::schedule(mask.values().len());
            clock.begin(Stage::Curves, schedule.evaluations())?;
            let of_keys = |values: &[f64]| keys.iter().map(|&t| values[t]).collect::<Vec<_>>();
            let (picture, baseline) = (of_keys(&image), of_keys(&base));
            let evaluated = &mut |n| clock.evaluated(n);
            let curves =
                deletion_insertion(&*session, &mask, &keys, &picture, &baseline, evaluated)?;
            explanation.curves = Some(match settings.compat {
                None => curves,
                Some(Compat::LvlmInterpretation) => {
                    lvlm_interpretation::scored(&curves, mask.values().len())
                }
            });
        }
        explanation.mask = Some(mask.covering(session.mask_extent()));
    }
    clock.end();
    explanation.cost = clock.cost;
    Ok(explanation)
}

/// Whether the model looks at pictures as the settings ask.
fn follows(model: &dyn Lvlm, compat: Option<Compat>) -> Result<()> {
    let name = |compat: Option<Compat>| compat.map_or("none".to_string(), |c| c.to_string());
    if model.compat() == compat {
        return Ok(());
    }
    Err(ExplainError::Setting {
        setting: "compat",
        expected: format!("{}, which the model was opened with", name(model.compat())),
        found: name(compat),
    })
}

/// log p of every token with the whole picture and with the whole baseline.
fn both_pictures(
    session: &dyn crate::lvlm::Session,
    size: usize,
    tokens: usize,
    evaluated: &mut Callback,
) -> Result<(Vec<f64>, Vec<f64>)> {
    let ones = [vec![1.0; size * size]];
    let blends = [Path::Deletion, Path::Insertion].map(|path| Blend::whole(0, path));
    let all: Vec<usize> = (0..tokens).collect();
    let values = session.log_probabilities(
        Masks {
            size,
            values: &ones,
        },
        &blends,
        &all,
        evaluated,
    )?;
    let mut values = values.into_iter();
    Ok((
        values.next().unwrap_or_default(),
        values.next().unwrap_or_default(),
    ))
}

/// Keys given by the user, in order and without doubles.
fn chosen(given: &[usize], tokens: usize) -> Result<Vec<usize>> {
    if let Some(&found) = given.iter().find(|&&t| t >= tokens) {
        return Err(ExplainError::Key {
            last: tokens - 1,
            found,
        });
    }
    let mut keys = given.to_vec();
    keys.sort_unstable();
    keys.dedup();
    Ok(keys)
}
