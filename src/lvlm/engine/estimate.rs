//! Costs of an explanation on a GPU, before it is run: the model's own passes on the device that
//! only counts.
//!
//! [`crate::device::meta`] defines what counts as operations and bytes.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use super::evaluator::{Evaluator, within};
use super::fit::{OpenOptions, fit};
use super::layers;
use super::measure::{self, MetaLayers, PictureViews, measured, meta_evaluator, meta_layout};
use crate::blend::{Blend, Masks, Path};
use crate::checkpoint::Checkpoint;
use crate::device::meta::{Meta, Parts, Tally};
use crate::device::{Device, DeviceError, DeviceProfile, Part};
use crate::lvlm::decoder::Prefix;
use crate::lvlm::error::{LvlmError, Result};
use crate::lvlm::families::registry::{Visitor, visit};
use crate::lvlm::family::picture_layers::picture_layers;
use crate::lvlm::family::traits::{Family, ImageProcessing};
use crate::lvlm::loader::Loader;
use crate::lvlm::plan::{ActivationSizes, BatchPlan, of_answer};
use crate::lvlm::randomize::Randomize;
use crate::nn::Checkpointing;

/// Blends of a batch whose cost is counted at most: far more than any memory takes.
const MOST_BLENDS: usize = 1 << 20;

/// The lengths of a prompt and an answer, in tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Lengths {
    /// Text before the picture.
    pub before: usize,
    /// Text between the picture and the answer, at least 1, and text between the picture's rows.
    // The name that written plans have had from the first.
    #[serde(rename = "behind")]
    pub after: usize,
    /// The answer.
    pub answer: usize,
}

/// A checkpoint and the size of a picture, for [`Estimator`].
#[derive(Clone, Copy, Debug)]
pub struct Blueprint<'a> {
    /// The checkpoint.
    pub checkpoint: &'a Checkpoint,
    /// Width and height of the picture in pixels.
    pub picture: (u32, u32),
}

impl Blueprint<'_> {
    /// Returns the rows of the decoder that the picture takes.
    ///
    /// # Errors
    /// A processor that is not supported, a picture that it cannot process.
    pub fn image_tokens(&self) -> Result<usize> {
        visit(&self.checkpoint.config, Tokens(*self))?
    }

    /// Returns the text tokens of a question's prompt before the picture, and after it.
    ///
    /// # Errors
    /// Errors of the template and the tokenizer.
    pub fn prompt(&self, question: &str) -> Result<(usize, usize)> {
        visit(&self.checkpoint.config, PromptLengths(*self, question))?
    }

    /// Makes an estimator for these lengths and masks of `mask_size` cells a side, on devices of a
    /// kind.
    ///
    /// # Errors
    /// [`LvlmError::TooLong`] when prompt and answer do not fit the model's context; what loading
    /// reports.
    pub fn estimator(
        &self,
        lengths: Lengths,
        mask_size: usize,
        profile: DeviceProfile,
    ) -> Result<Box<dyn Estimator>> {
        let make = Make {
            blueprint: *self,
            lengths,
            mask_size,
            profile,
        };
        visit(&self.checkpoint.config, make)?
    }

    /// Fits the family to the checkpoint.
    fn fitted<F: Family>(&self, mut family: F) -> Result<F> {
        let checkpoint = self.checkpoint;
        let (files, tensors) = (&checkpoint.files, &checkpoint.tensors);
        fit(&mut family, files, tensors, &OpenOptions::of(checkpoint))?;
        Ok(family)
    }

    /// Returns the layers for the picture, without numbers, and its views; `before` tokens of text
    /// are before it.
    fn layers<F: Family>(
        &self,
        fitted: &F,
        meta: &Meta,
        before: usize,
    ) -> Result<(MetaLayers, PictureViews)> {
        let loader = Loader {
            tensors: &self.checkpoint.tensors,
            device: meta,
            list: None,
            randomize: Randomize::default(),
        };
        let (width, height) = self.picture;
        let processing = fitted.image_processing(&self.checkpoint.processor)?;
        let (token_layout, images) = processing.token_layout(width, height)?;
        let encoders = processing.encoder_views(width, height)?.into_iter();
        let positions = processing.positions(width, height)?;
        let views = PictureViews {
            encoders: encoders.map(|views| (views, Some(0))).collect(),
            images,
            positions: positions.map(|positions| positions.after(before)),
        };
        let (vision, decoder) = layers::load(fitted, &loader)?;
        let layers = MetaLayers {
            family: F::NAME,
            vision: picture_layers(Arc::new(vision), Arc::new(token_layout)),
            decoder: Arc::new(decoder),
        };
        Ok((layers, views))
    }
}

struct Tokens<'a>(Blueprint<'a>);
struct PromptLengths<'a>(Blueprint<'a>, &'a str);
struct Make<'a> {
    blueprint: Blueprint<'a>,
    lengths: Lengths,
    mask_size: usize,
    profile: DeviceProfile,
}

impl Visitor for Tokens<'_> {
    type Output = Result<usize>;

    fn visit<F: Family>(self, family: F) -> Self::Output {
        let (width, height) = self.0.picture;
        let family = self.0.fitted(family)?;
        let processing = family.image_processing(&self.0.checkpoint.processor)?;
        Ok(processing.token_layout(width, height)?.1)
    }
}

impl Visitor for PromptLengths<'_> {
    type Output = Result<(usize, usize)>;

    fn visit<F: Family>(self, family: F) -> Self::Output {
        let PromptLengths(blueprint, question) = self;
        let checkpoint = blueprint.checkpoint;
        let rendered = checkpoint.template.render(question, 1)?;
        let family = blueprint.fitted(family)?;
        let processing = family.image_processing(&checkpoint.processor)?;
        let (width, height) = blueprint.picture;
        let tokenizer = &checkpoint.tokenizer;
        let text = processing.picture_text(tokenizer, width, height)?;
        let ids = tokenizer.encode_prompt(&rendered, &[text])?;
        let image = tokenizer.image().id();
        let before = ids.iter().take_while(|&&id| id != image).count();
        let after = ids[before..].iter().filter(|&&id| id != image);
        Ok((before, after.count()))
    }
}

impl Visitor for Make<'_> {
    type Output = Result<Box<dyn Estimator>>;

    fn visit<F: Family>(self, family: F) -> Self::Output {
        let Make {
            blueprint,
            lengths,
            mask_size,
            profile,
        } = self;
        let family = blueprint.fitted(family)?;
        let loading = Meta::new(profile.element_bytes);
        let (layers, views) = blueprint.layers(&family, &loading, lengths.before)?;
        let limit = family.decoder().0.max_positions;
        let found = [lengths.before, lengths.after, lengths.answer]
            .iter()
            .fold(views.images, |sum, n| sum.saturating_add(*n));
        if found > limit {
            return Err(LvlmError::TooLong { limit, found });
        }
        within(family.decoder().0.window, found.saturating_sub(1))?;
        let meta = Meta::new(profile.element_bytes);
        let evaluator = meta_evaluator(
            &meta,
            layers,
            &views,
            mask_size,
            lengths.before,
            lengths.after,
        )?;
        Ok(Box::new(Estimate {
            weights: loading.meter().loaded(),
            meta,
            evaluator,
            lengths,
            mask_size,
            profile,
        }))
    }
}

/// Counts the costs of an explanation. Tokens are places in the answer, ascending.
pub trait Estimator {
    /// Returns the kind of device that costs are counted for.
    fn profile(&self) -> DeviceProfile;
    /// Returns the bytes of the weights that are loaded, each as one number of two bytes, one that
    /// is loaded twice once.
    fn weights(&self) -> Parts<usize>;
    /// Returns the rows of the decoder that the picture takes.
    fn image_tokens(&self) -> usize;
    /// Returns the bytes of the keys and values of the text before the picture.
    fn prefix_bytes(&self) -> usize;
    /// Measures the bytes of activations for scores of `tokens`.
    ///
    /// # Errors
    /// [`LvlmError::Token`] for tokens that the answer lacks.
    fn sizes(&self, tokens: &[usize]) -> Result<ActivationSizes>;
    /// Counts one batch: the scores of `tokens` for `blends` blends, and unless nothing is saved
    /// the gradient of the masks.
    ///
    /// # Errors
    /// [`LvlmError::Token`] for tokens that the answer lacks.
    fn batch(
        &self,
        blends: usize,
        tokens: &[usize],
        checkpointing: Checkpointing,
    ) -> Result<Parts<Tally>>;
    /// Counts the keys and values of the text before the picture, computed once per prompt.
    ///
    /// # Errors
    /// Errors of the layers.
    fn prefix(&self) -> Result<Parts<Tally>>;
    /// Counts the greedy answer before its first token: the picture and the text after it.
    ///
    /// # Errors
    /// Errors of the layers.
    fn read_prompt(&self) -> Result<Parts<Tally>>;
    /// Counts the choice of the next token, once per token of the answer and once for the end.
    ///
    /// # Errors
    /// Errors of the layers.
    fn choose_token(&self) -> Result<Parts<Tally>>;
    /// Counts the reading of the answer's token `index`.
    ///
    /// # Errors
    /// [`LvlmError::Token`] for a token that the answer lacks.
    fn read_token(&self, index: usize) -> Result<Parts<Tally>>;

    /// Returns the bytes of activations that do not depend on the batch: pictures, prefix, text
    /// rows, and what operations need for themselves.
    ///
    /// # Errors
    /// [`LvlmError::Token`] for tokens that the answer lacks.
    fn fixed_bytes(&self, tokens: &[usize]) -> Result<usize> {
        Ok(self.sizes(tokens)?.fixed)
    }

    /// Returns the bytes of activations per blend for scores of `tokens`.
    ///
    /// # Errors
    /// [`LvlmError::Token`] for tokens that the answer lacks.
    fn bytes_per_blend(&self, tokens: &[usize], checkpointing: Checkpointing) -> Result<usize> {
        let sizes = self.sizes(tokens)?;
        Ok(match checkpointing {
            Checkpointing::Nothing => sizes.nothing,
            Checkpointing::Inputs => sizes.inputs,
            Checkpointing::Everything => sizes.everything,
        })
    }

    /// Plans how `blends` blends are cut, with a gradient or without, for scores of `tokens` within
    /// `budget` bytes.
    ///
    /// # Errors
    /// [`LvlmError::Memory`].
    fn plan(
        &self,
        blends: usize,
        tokens: &[usize],
        gradient: bool,
        budget: usize,
    ) -> Result<BatchPlan> {
        let sizes = self.sizes(tokens)?;
        BatchPlan::decide(&sizes, blends, gradient, self.profile().useful_rows, budget)
    }
}

/// The costs of a model.
struct Estimate {
    weights: Parts<usize>,
    meta: Meta,
    evaluator: Evaluator<Meta>,
    lengths: Lengths,
    mask_size: usize,
    profile: DeviceProfile,
}

impl Estimate {
    /// Counts some work.
    fn cost<R>(&self, work: impl FnOnce() -> Result<R>) -> Result<Parts<Tally>> {
        let (result, measured) = self.meta.meter().during(work);
        result.map(|_| measured.cost)
    }

    /// Returns keys and values of `rows` rows, with room for `more`.
    fn cache(&self, rows: usize, more: usize) -> Result<Prefix<Meta>> {
        let decoder = &self.evaluator.decoder;
        let mut cache = decoder.grow(&self.meta, &self.evaluator.prefix, rows + more)?;
        for layer in &mut cache {
            layer.length += rows;
        }
        Ok(cache)
    }
}

impl Estimator for Estimate {
    fn profile(&self) -> DeviceProfile {
        self.profile
    }

    fn weights(&self) -> Parts<usize> {
        self.weights
    }

    fn image_tokens(&self) -> usize {
        self.evaluator.image_rows()
    }

    fn prefix_bytes(&self) -> usize {
        let config = self.evaluator.prefix.iter().map(|layer| {
            use crate::device::Matrix;
            layer.key.rows() * (layer.key.columns() + layer.value.columns())
        });
        self.profile.element_bytes * config.sum::<usize>()
    }

    fn sizes(&self, tokens: &[usize]) -> Result<ActivationSizes> {
        of_answer(tokens, self.lengths.answer)?;
        let scratch = self.profile.scratch_bytes;
        measure::sizes(&self.meta, &self.evaluator, tokens, self.mask_size, scratch)
    }

    fn batch(
        &self,
        blends: usize,
        tokens: &[usize],
        checkpointing: Checkpointing,
    ) -> Result<Parts<Tally>> {
        of_answer(tokens, self.lengths.answer)?;
        if blends > MOST_BLENDS {
            let refused = DeviceError::Shape {
                operation: "estimate",
                expected: format!("at most {MOST_BLENDS} blends"),
                found: blends.to_string(),
            };
            return Err(refused.into());
        }
        let layout = meta_layout(&self.meta, &self.evaluator, tokens)?;
        let size = self.mask_size;
        Ok(measured(
            &self.meta,
            &self.evaluator,
            &layout,
            blends,
            size,
            checkpointing,
        )?
        .cost)
    }

    fn prefix(&self) -> Result<Parts<Tally>> {
        let decoder = &self.evaluator.decoder;
        self.cost(|| {
            self.meta.part(Part::Decoder);
            decoder.prefix(&self.meta, &vec![0; self.lengths.before])
        })
    }

    fn read_prompt(&self) -> Result<Parts<Tally>> {
        let masks = Masks {
            size: self.mask_size,
            values: &[vec![0.0; self.mask_size * self.mask_size]],
        };
        let blend = Blend::whole(0, Path::Deletion);
        let batch = self.evaluator.stage(&self.meta, masks, &[blend])?;
        self.cost(|| self.evaluator.read_prompt(&self.meta, &batch, 0))
    }

    fn choose_token(&self) -> Result<Parts<Tally>> {
        let decoder = &self.evaluator.decoder;
        self.meta.part(Part::Decoder);
        let x = decoder.embed(&self.meta, &[0])?;
        self.cost(|| decoder.last_logits(&self.meta, &x))
    }

    fn read_token(&self, index: usize) -> Result<Parts<Tally>> {
        of_answer(&[index], self.lengths.answer)?;
        let rows = self.evaluator.image_rows() + self.lengths.after + index;
        let mut cache = self.cache(rows, 1)?;
        self.cost(|| self.evaluator.read_token(&self.meta, 0, &mut cache))
    }
}
