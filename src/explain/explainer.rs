//! Explaining a model's answer to a question about pictures.

use std::cell::RefCell;

use serde::{Deserialize, Serialize};

use super::clock::Clock;
use super::each::{maps, whole};
use super::perturbation::mean_probability;
use super::ranking::Ranking;
use super::{
    Compat, Curves, ExplainError, Faithfulness, Iteration, Mask, Method, Result, Settings, UnitMap,
    curves, faithfulness, key_tokens, lvlm_interpretation,
};
use crate::blend::{Blend, Masks, Path};
use crate::lvlm::{Callback, Layer, Lvlm, LvlmError, PicturePair, Prompt, Scorer, SessionOptions};
use crate::picture::Picture;

/// The most cells of the masks of several pictures, so that masks and what is computed of them take
/// less memory than pictures and model do.
const MOST_CELLS: usize = 1 << 22;

/// The inputs of an explanation.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The pictures, in the order in which the model sees them.
    pub pictures: &'a [Picture],
    /// The question about them.
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
    /// Its id in the vocabulary.
    pub id: u32,
    /// Its text.
    pub text: String,
    /// log p given the picture.
    pub logp_image: f64,
    /// log p given the baseline.
    pub logp_baseline: f64,
    /// The difference, in nats: the evidence that the picture adds for the token.
    pub llr: f64,
    /// Whether it is a key token.
    pub key: bool,
}

/// The cost of an explanation.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Cost {
    /// Pictures evaluated by the model, with or without gradient, excluding the answer's
    /// generation.
    pub evaluations: usize,
    /// Seconds of each stage.
    pub seconds: Vec<(Stage, f64)>,
}

/// An answer, its tokens that depend on the picture, and the part of the picture that they depend
/// on.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// The prompt as the model read it.
    pub prompt: String,
    /// The answer.
    pub answer: String,
    /// The greedy answer to the baseline picture, if requested; it may be empty.
    pub baseline_answer: Option<String>,
    /// The answer's tokens.
    pub tokens: Vec<AnswerToken>,
    /// Whether any token is a key token. If not, there is no mask; this is a result, not an error.
    pub image_dependent: bool,
    /// The mask; 1 keeps the picture. It covers every picture that is explained.
    pub mask: Option<Mask>,
    /// The numbers of the pictures that the mask covers, from 1, in its order.
    pub explained_images: Vec<usize>,
    /// The objective before each update.
    pub iterations: Vec<Iteration>,
    /// The deletion and insertion curves, if requested and if there is a mask.
    pub curves: Option<Curves>,
    /// Whether the mask's most salient cells decide the answer, if there is a mask.
    pub faithfulness: Option<Faithfulness>,
    /// The maps of its words or of its key tokens, if requested and if there is a mask: in the order
    /// of the answer. Each key token is in one of them.
    pub each: Vec<UnitMap>,
    /// The cost.
    pub cost: Cost,
}

impl Explanation {
    /// Returns the key tokens' positions in the answer.
    pub fn keys(&self) -> Vec<usize> {
        (0..self.tokens.len())
            .filter(|&t| self.tokens[t].key)
            .collect()
    }

    /// Returns the mean probability of the key tokens with the whole picture.
    pub fn key_probability(&self) -> f64 {
        let keys = self.tokens.iter().filter(|token| token.key);
        mean_probability(&keys.map(|token| token.logp_image).collect::<Vec<_>>())
    }
}

/// The stages of an explanation, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Baseline, image processing, prompt.
    Prepare,
    /// Generation of the greedy answer.
    Answer,
    /// Log-probabilities with picture and baseline.
    Select,
    /// Optimisation of the mask.
    Optimise,
    /// Deletion and insertion curves.
    Curves,
    /// The answer without and with only the most salient cells.
    Faithfulness,
    /// Optimisation of a mask for each word or key token.
    Each,
}

impl Stage {
    /// Returns its name, as records have it.
    pub fn name(self) -> &'static str {
        match self {
            Stage::Prepare => "prepare",
            Stage::Answer => "answer",
            Stage::Select => "select",
            Stage::Optimise => "optimise",
            Stage::Curves => "curves",
            Stage::Faithfulness => "faithfulness",
            Stage::Each => "each",
        }
    }
}

/// Receives the progress of an explanation, and can stop it.
pub trait Progress {
    /// Reports the start of a stage; `total` is its number of evaluations or tokens, if known.
    fn begin(&mut self, stage: Stage, total: Option<usize>);
    /// Reports that `count` more are done.
    fn advance(&mut self, count: usize);
    /// Receives the answer's tokens when its key tokens are known, before there is a mask. By
    /// default they are ignored.
    fn answered(&mut self, _tokens: &[AnswerToken]) {}
    /// Receives the mask of the whole answer after every iteration of a method that has iterations:
    /// the result, if it ended there. By default it is ignored.
    fn updated(&mut self, _mask: &Mask) {}
    /// Returns whether to stop. It is called at the start of every stage, after every token of the
    /// answer and after every batch of evaluations; if it returns true, the explanation ends with
    /// [`ExplainError::Cancelled`]. By default nothing stops it.
    fn cancelled(&self) -> bool {
        false
    }
}

/// A [`Progress`] that ignores all reports.
pub struct Silent;

impl Progress for Silent {
    fn begin(&mut self, _: Stage, _: Option<usize>) {}
    fn advance(&mut self, _: usize) {}
}

/// A request prepared as far as possible without the device.
#[derive(Debug)]
pub struct Prepared {
    prompt: Prompt,
    pictures: Vec<PicturePair>,
    answer: Option<String>,
    keys: Option<Vec<usize>>,
    settings: Settings,
}

/// Renders and tokenises the question, makes the baseline and processes both pictures, without
/// using the device.
///
/// # Errors
/// Returns an error if a setting is out of range, the question is empty or too long, the model takes
/// fewer pictures, or a picture cannot be processed.
pub fn prepare(model: &dyn Lvlm, request: &Request) -> Result<Prepared> {
    let settings = request.settings;
    settings.validate()?;
    follows(model, settings.compat)?;
    let pictures = request.pictures;
    let prompt = model.prompt(request.question, pictures)?;
    settings.explains_among(pictures.len())?;
    let of_encoder = matches!(settings.layer, None | Some(Layer::Encoder(_)));
    if pictures.len() > 1 && settings.method == Method::GradCam && of_encoder {
        return Err(LvlmError::Pictures {
            expected: "one, for grad-cam at a layer of the encoder".into(),
            found: pictures.len().to_string(),
        }
        .into());
    }
    let each = settings.mask_size.pow(2);
    let explained = settings.explain_image.map_or(pictures.len(), |_| 1);
    if explained > 1 && explained * each > MOST_CELLS {
        let (size, most) = (settings.mask_size, (MOST_CELLS / each).max(1));
        return Err(LvlmError::Pictures {
            expected: format!("at most {most} with masks of {size} cells a side"),
            found: explained.to_string(),
        }
        .into());
    }
    // Each picture has a noise baseline of its own.
    let baseline = |(at, picture): (usize, &Picture)| {
        let explained = settings.explain_image.is_none_or(|number| number == at + 1);
        let seed = settings.seed.wrapping_add(at as u64);
        explained.then(|| settings.baseline.of(picture, seed))
    };
    let baselines: Vec<_> = pictures.iter().enumerate().map(baseline).collect();
    let pairs = pictures.iter().zip(baselines.iter().map(Option::as_ref));
    Ok(Prepared {
        prompt,
        pictures: model.process(&pairs.collect::<Vec<_>>())?,
        answer: request.answer.map(str::to_string),
        keys: request.keys.map(<[usize]>::to_vec),
        settings: settings.clone(),
    })
}

/// Explains an answer of `model`.
///
/// # Errors
/// Returns an error if a setting is out of range, the question is empty or too long, the memory
/// budget is too small, the model's output is not finite, or the answer lacks a key;
/// [`ExplainError::Cancelled`] if `progress` stops it.
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

/// Explains a request that [`prepare`] has prepared for the same model. The time of the preparation
/// is not included in [`Explanation::cost`].
///
/// # Errors
/// Returns the errors of [`explain`].
pub fn explain_prepared(
    model: &dyn Lvlm,
    prepared: Prepared,
    progress: &mut dyn Progress,
) -> Result<Explanation> {
    let mut clock = Clock::new(progress);
    clock.begin(Stage::Prepare, None)?;
    work(model, prepared, clock)
}

/// Does the device's part of an explanation.
fn work(model: &dyn Lvlm, prepared: Prepared, mut clock: Clock) -> Result<Explanation> {
    let (settings, prompt) = (&prepared.settings, prepared.prompt);
    let options = SessionOptions {
        mask_size: settings.mask_size,
        memory_budget: settings
            .memory_budget
            .unwrap_or_else(|| model.memory_budget()),
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
    let extent = session.mask_extent();
    let scorer = session.scorer(&ids)?;
    let pictures = scorer.pictures();

    clock.begin(Stage::Select, Some(2))?;
    let (image, base) = both_pictures(&*scorer, settings.mask_size, ids.len(), &mut |n| {
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
                    &image,
                    &base,
                    &ids,
                    &alone,
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
        explained_images: match settings.explain_image {
            Some(number) => vec![number],
            None => (1..=pictures).collect(),
        },
        iterations: Vec::new(),
        curves: None,
        faithfulness: None,
        each: Vec::new(),
        cost: Cost::default(),
    };

    clock.progress.answered(&explanation.tokens);
    if !keys.is_empty() {
        let method = settings.method.with(settings);
        clock.begin(Stage::Optimise, method.schedule(pictures).evaluations())?;
        let shared = RefCell::new(&mut clock);
        let mask = method.run(
            &*scorer,
            &keys,
            &mut |n| shared.borrow_mut().evaluated(n),
            &mut |_, parts, mask| {
                explanation.iterations.push(parts);
                let mask = mask.clone().covering(extent);
                shared.borrow_mut().progress.updated(&mask);
            },
        )?;
        let of_keys = |values: &[f64]| keys.iter().map(|&t| values[t]).collect::<Vec<_>>();
        let mut ranking = Ranking::new(&*scorer, &mask, &keys, &of_keys(&image), &of_keys(&base));
        if settings.curves {
            let points = settings.curve_points;
            let schedule = curves::schedule(mask.values().len(), points);
            clock.begin(Stage::Curves, schedule.evaluations())?;
            let curves = curves::curves(&mut ranking, points, &mut |n| clock.evaluated(n))?;
            explanation.curves = Some(match settings.compat {
                None => curves,
                Some(Compat::LvlmInterpretation) => {
                    lvlm_interpretation::scored(&curves, mask.values().len())
                }
            });
        }
        let schedule = faithfulness::schedule(
            mask.values().len(),
            settings.curves.then_some(settings.curve_points),
        );
        clock.begin(Stage::Faithfulness, schedule.evaluations())?;
        let evaluated = &mut |n| clock.evaluated(n);
        explanation.faithfulness = Some(faithfulness::faithfulness(&mut ranking, evaluated)?);
        if let Some(each) = settings.each {
            let texts: Vec<&str> = explanation.tokens.iter().map(|t| t.text.as_str()).collect();
            let units = each.units(&keys, &texts);
            let found = if units.len() == 1 {
                vec![whole(&keys, &texts, &mask, &explanation.iterations)]
            } else {
                let evaluations = method.schedule(pictures).evaluations();
                clock.begin(Stage::Each, evaluations.map(|each| each * units.len()))?;
                let evaluated = &mut |n| clock.evaluated(n);
                maps(units, &texts, &*method, &*scorer, evaluated)?
            };
            let covering = |map: UnitMap| UnitMap {
                mask: map.mask.covering(extent),
                ..map
            };
            explanation.each = found.into_iter().map(covering).collect();
        }
        explanation.mask = Some(mask.covering(extent));
    }
    clock.end();
    explanation.cost = clock.cost;
    Ok(explanation)
}

/// Checks that the model processes pictures as the settings require.
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

/// Returns log p of every token with the whole pictures and with their whole baselines.
fn both_pictures(
    scorer: &dyn Scorer,
    size: usize,
    tokens: usize,
    evaluated: &mut Callback,
) -> Result<(Vec<f64>, Vec<f64>)> {
    let ones = [vec![1.0; scorer.pictures() * size * size]];
    let blends = [Path::Deletion, Path::Insertion].map(|path| Blend::whole(0, path));
    let all: Vec<usize> = (0..tokens).collect();
    let values = scorer.log_probabilities(
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

/// Returns the keys given by the user, sorted and without duplicates.
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
