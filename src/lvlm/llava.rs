//! LLaVA-1.5: one CLIP encoder at one resolution, a two-layer projector, a Llama decoder.

use std::cell::RefCell;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::decoder::{Decoder, DecoderKept, Prefix, Rows};
use super::encoder::{Clip, ClipKept};
use super::load::Loader;
use super::plan::{Plan, Sizes};
use super::{LogProbabilities, Lvlm, LvlmError, Prompt, Result, Session, SessionOptions};
use crate::checkpoint::{Checkpoint, Tokenizer};
use crate::device::{Blend, Device, Direction, Masks, Matrix, Real, RowMap, ViewPair};
use crate::nn::{Keep, Mlp, MlpSaved, NnError, Queries, require_finite};
use crate::picture::{Picture, Processor, View};

/// A LLaVA on a device.
pub struct Llava<D: Device> {
    checkpoint: Checkpoint,
    device: D,
    processor: Processor,
    encoder: Clip<D>,
    projector: Mlp<D>,
    decoder: Decoder<D>,
}

impl<D: Device> Llava<D> {
    /// Prepares every layer that is needed; weights stay where they are mapped.
    ///
    /// # Errors
    /// A tensor that is missing or has another shape than the config says; an image processor whose pictures are not the
    /// encoder's size.
    pub fn load(checkpoint: Checkpoint, device: D) -> Result<Llava<D>> {
        let loader = Loader {
            checkpoint: &checkpoint,
            device: &device,
        };
        let config = &checkpoint.config;
        let prefix = &checkpoint.names.projector;
        let (inside, out) = (config.vision.hidden, config.text.hidden);
        let (encoder, decoder) = (
            Clip::load(&loader, config)?,
            Decoder::load(&loader, config)?,
        );
        let projector = Mlp::Plain {
            first: loader.linear(
                &format!("{prefix}linear_1"),
                out,
                inside,
                config.projector_bias,
            )?,
            second: loader.linear(
                &format!("{prefix}linear_2"),
                out,
                out,
                config.projector_bias,
            )?,
            activation: config.projector_activation,
        };
        let processor =
            Processor::from_json(&checkpoint.processor_json, &checkpoint.processor_file)?
                .with_pad_to_square(config.pad_to_square);
        Ok(Llava {
            processor,
            encoder,
            projector,
            decoder,
            device,
            checkpoint,
        })
    }

    fn image_tokens(&self) -> usize {
        self.checkpoint.config.image_tokens()
    }

    /// Patches to the decoder's image rows.
    fn see(
        &self,
        patches: &D::Matrix,
        keep: Keep,
        check: bool,
    ) -> Result<(D::Matrix, ClipKept<D>, MlpSaved<D>)> {
        let (features, encoder) = self.encoder.forward(&self.device, patches, keep, check)?;
        let (tokens, projector) = self.projector.forward(&self.device, &features, None)?;
        if check {
            require_finite(&self.device, &tokens, || "projector".into())?;
        }
        Ok((tokens, encoder, projector))
    }
}

impl<D: Device> Lvlm for Llava<D> {
    fn name(&self) -> String {
        self.checkpoint.files.name()
    }

    fn family(&self) -> &'static str {
        "llava"
    }

    fn device(&self) -> String {
        self.device.name()
    }

    fn dtype(&self) -> &'static str {
        self.device.dtype()
    }

    fn memory_budget(&self) -> usize {
        self.device.memory_budget()
    }

    fn device_choices(&self) -> Vec<String> {
        self.device.choices()
    }

    fn tokenizer(&self) -> &Tokenizer {
        &self.checkpoint.tokenizer
    }

    fn prompt(&self, question: &str) -> Result<Prompt> {
        if question.trim().is_empty() {
            return Err(LvlmError::EmptyQuestion);
        }
        let rendered = self.checkpoint.template.render(question)?;
        let ids = self
            .checkpoint
            .tokenizer
            .encode_prompt(&rendered, self.image_tokens())?;
        let (found, limit) = (ids.len(), self.decoder.max_positions);
        if found >= limit {
            return Err(LvlmError::TooLong { limit, found });
        }
        if let Some(&found) = ids
            .iter()
            .find(|&&id| id as usize >= self.decoder.vocabulary)
        {
            return Err(LvlmError::BadToken {
                limit: self.decoder.vocabulary,
                found,
            });
        }
        Ok(Prompt {
            text: rendered.text(),
            ids,
        })
    }

    fn start<'a>(
        &'a self,
        picture: &Picture,
        baseline: &Picture,
        prompt: &Prompt,
        options: SessionOptions,
    ) -> Result<Box<dyn Session + 'a>> {
        let view = self.processor.view(picture.width(), picture.height())?;
        let clip = &self.checkpoint.config.vision;
        if view.width != clip.image_size || view.height != clip.image_size {
            let (width, height) = (view.width, view.height);
            return Err(LvlmError::PictureSize {
                expected: clip.image_size,
                width,
                height,
            });
        }
        let (x, b) = (
            self.processor.process(picture)?,
            self.processor.process(baseline)?,
        );
        let pair = ViewPair {
            view,
            picture: &x,
            baseline: &b,
        };
        let pictures = self
            .device
            .pictures(&[pair], clip.patch_size, options.mask_size)?;
        let image = self.checkpoint.config.image_token_id;
        let before = prompt.ids.iter().take_while(|&&id| id != image).count();
        let (before, rest) = prompt.ids.split_at(before);
        let (expected, found) = (
            self.image_tokens(),
            rest.iter().take_while(|&&id| id == image).count(),
        );
        if found != expected {
            return Err(LvlmError::Prompt { expected, found });
        }
        let prefix = self.decoder.prefix(&self.device, before)?;
        let after = rest[expected..].to_vec();
        let session = LlavaSession {
            model: self,
            view,
            x,
            pictures,
            prefix,
            after,
            answer: Vec::new(),
            options,
            work: RefCell::default(),
        };
        // Too small a budget is better said now than after the answer.
        session.plan(1, &[0])?;
        self.device.limit_memory(options.memory_budget);
        Ok(Box::new(session))
    }
}

/// The picture itself, through a mask of ones.
const WHOLE_PICTURE: Blend = Blend::whole(0, Direction::Keep);

/// A session with a LLaVA.
struct LlavaSession<'a, D: Device> {
    model: &'a Llava<D>,
    view: View,
    x: Vec<f32>,
    pictures: D::Pictures,
    prefix: Prefix<D>,
    /// Prompt tokens behind the picture.
    after: Vec<u32>,
    answer: Vec<u32>,
    options: SessionOptions,
    work: RefCell<Work<D>>,
}

/// What evaluations of one answer keep between them.
struct Work<D: Device> {
    prepared: HashMap<Shape, Prepared<D>>,
    /// By number of masks.
    gradients: HashMap<usize, D::Gradients>,
}

impl<D: Device> Default for Work<D> {
    fn default() -> Self {
        Work {
            prepared: HashMap::new(),
            gradients: HashMap::new(),
        }
    }
}

/// What must be the same for two batches to do the same operations.
#[derive(PartialEq, Eq, Hash)]
struct Shape {
    tokens: Vec<usize>,
    blends: usize,
    masks: usize,
    keep: Keep,
}

impl Shape {
    fn new(tokens: &[usize], blends: usize, masks: Masks, keep: Keep) -> Shape {
        Shape {
            tokens: tokens.to_vec(),
            blends,
            masks: masks.values.len(),
            keep,
        }
    }
}

/// What batches of one shape share.
struct Prepared<D: Device> {
    layout: Layout<D>,
    batch: D::Batch,
    weights: D::Weights,
    recording: D::Recording<D::Values>,
    /// The most that its activations take.
    bytes: usize,
}

/// What a forward pass through the whole model kept.
struct ModelKept<D: Device> {
    encoder: ClipKept<D>,
    projector: MlpSaved<D>,
    decoder: DecoderKept<D>,
}

/// The rows behind the prefix for one choice of answer tokens.
struct Layout<D: Device> {
    length: usize,
    queries: Queries,
    targets: Vec<u32>,
    /// Puts image rows at their places among the text rows.
    place: RowMap,
    /// Text rows, zero where the picture stands.
    text: D::Matrix,
}

impl<D: Device> LlavaSession<'_, D> {
    fn prefix_length(&self) -> usize {
        self.prefix.first().map_or(0, |p| p.length)
    }

    /// The first answer token is predicted by row `first_row`.
    fn first_row(&self) -> usize {
        self.model.image_tokens() + self.after.len() - 1
    }

    /// Image rows first, then `text` rows.
    fn place(&self, ids: &[u32]) -> Result<(RowMap, D::Matrix)> {
        let (model, images) = (self.model, self.model.image_tokens());
        let length = images + ids.len();
        let text = model.decoder.embed(&model.device, ids)?;
        let behind = RowMap::select(ids.len(), (0..length).map(|r| r.checked_sub(images)));
        let text = model.device.mix_rows(&text, &behind, None)?;
        Ok((
            RowMap::select(images, (0..length).map(|r| (r < images).then_some(r))),
            text,
        ))
    }

    /// Tokens behind the picture: the prompt's, and the first `count` of the answer.
    fn behind(&self, count: usize) -> Vec<u32> {
        let answer = &self.answer[..count];
        self.after.iter().chain(answer).copied().collect()
    }

    fn layout(&self, tokens: &[usize]) -> Result<Layout<D>> {
        let last = tokens.iter().copied().max().unwrap_or(0);
        if last >= self.answer.len() {
            return Err(LvlmError::Token {
                answer: self.answer.len(),
                found: last,
            });
        }
        let (place, text) = self.place(&self.behind(last))?;
        let length = place.outputs();
        Ok(Layout {
            length,
            queries: Queries::new(
                length,
                tokens.iter().map(|t| self.first_row() + t).collect(),
            ),
            targets: tokens.iter().map(|&t| self.answer[t]).collect(),
            place,
            text,
        })
    }

    /// Forward through the whole model for one batch.
    fn forward(
        &self,
        layout: &Layout<D>,
        batch: &D::Batch,
        blends: usize,
        keep: Keep,
    ) -> Result<(D::Values, ModelKept<D>)> {
        let device = &self.model.device;
        let patches = device.blend(&self.pictures, batch)?;
        let (image, encoder, projector) = self.model.see(&patches, keep, false)?;
        drop(patches);
        let x = device.mix_rows(&image, &layout.place, Some(&layout.text))?;
        drop(image);
        let targets = layout.targets.repeat(blends);
        let rows = self.rows(layout, blends);
        let (values, decoder) = self
            .model
            .decoder
            .forward(device, x, &rows, &targets, keep)?;
        Ok((
            values,
            ModelKept {
                encoder,
                projector,
                decoder,
            },
        ))
    }

    /// The values of a batch, blend by blend, if they are finite.
    fn read(
        &self,
        layout: &Layout<D>,
        batch: &D::Batch,
        values: &D::Values,
    ) -> Result<LogProbabilities> {
        let device = &self.model.device;
        let values = device.values(values)?;
        if values.iter().any(|v| !v.is_finite()) {
            return Err(self.diagnose(&device.blend(&self.pictures, batch)?));
        }
        let tokens = layout.targets.len().max(1);
        Ok(values.chunks(tokens).map(<[f64]>::to_vec).collect())
    }

    /// What went wrong where an output was not finite: the pictures once more, with a look at every layer's output.
    fn diagnose(&self, patches: &D::Matrix) -> LvlmError {
        let look = || -> Result<()> {
            let device = &self.model.device;
            let (image, ..) = self.model.see(patches, Keep::Nothing, true)?;
            let first = RowMap::select(image.rows(), (0..self.model.image_tokens()).map(Some));
            let (place, text) = self.place(&self.behind(self.answer.len()))?;
            let x =
                device.mix_rows(&device.mix_rows(&image, &first, None)?, &place, Some(&text))?;
            require_finite(device, &x, || "token embeddings".into())?;
            let mut cache = self
                .model
                .decoder
                .grow(device, &self.prefix, place.outputs())?;
            self.model.decoder.extend(device, x, &mut cache, true)?;
            Ok(())
        };
        let head = || {
            NnError::NotFinite {
                layer: "vocabulary projection".into(),
            }
            .into()
        };
        look().err().unwrap_or_else(head)
    }

    /// Forward and back to the patches: log-probabilities, and the gradient of `sum of weight * score`.
    fn forward_and_vjp(
        &self,
        layout: &Layout<D>,
        batch: &D::Batch,
        blends: usize,
        weights: &D::Weights,
        keep: Keep,
    ) -> Result<(D::Values, D::Matrix)> {
        let (model, device) = (self.model, &self.model.device);
        let (
            values,
            ModelKept {
                encoder,
                projector,
                decoder,
            },
        ) = self.forward(layout, batch, blends, keep)?;
        let targets = layout.targets.repeat(blends);
        let dx = model.decoder.vjp(
            device,
            decoder,
            &self.rows(layout, blends),
            &targets,
            weights,
        )?;
        let d_image = device.mix_rows_vjp(&dx, &layout.place, None)?;
        drop(dx);
        let d_features = model.projector.vjp(device, projector, &d_image)?;
        Ok((values, model.encoder.vjp(device, encoder, &d_features)?))
    }

    /// One weight per row of the score: each blend's, scaled for the device, for every token.
    fn row_weights(&self, weights: &[f64], tokens: usize) -> Vec<f64> {
        let scale = self.model.device.gradient_scale();
        let each = weights.iter().map(|w| w * scale);
        each.flat_map(|w| std::iter::repeat_n(w, tokens)).collect()
    }

    /// A path's last batch, filled up to the size of the others with blends of weight 0 where the device prefers one shape.
    fn filled(&self, blends: &[Blend], weights: &[f64], batch: usize) -> (Vec<Blend>, Vec<f64>) {
        let (mut blends, mut weights) = (blends.to_vec(), weights.to_vec());
        if let (true, Some(&last)) = (self.model.device.prefers_one_shape(), blends.last()) {
            let weighed = !weights.is_empty();
            blends.resize(batch.max(blends.len()), last);
            weights.resize(if weighed { blends.len() } else { 0 }, 0.0);
        }
        (blends, weights)
    }

    /// What batches of this shape share, made the first time.
    fn prepared<'p>(
        &self,
        all: &'p mut HashMap<Shape, Prepared<D>>,
        shape: Shape,
        bytes: usize,
        (masks, blends, weights): (Masks, &[Blend], &[f64]),
    ) -> Result<&'p mut Prepared<D>> {
        let device = &self.model.device;
        let weights = self.row_weights(weights, shape.tokens.len());
        // What is prepared holds its memory: at most the budget, all shapes together.
        let held: usize = all.values().map(|p| p.bytes).sum();
        if !all.contains_key(&shape) && held + bytes > self.options.memory_budget {
            all.clear();
        }
        Ok(match all.entry(shape) {
            Entry::Occupied(entry) => {
                let prepared = entry.into_mut();
                device.restage(&self.pictures, &mut prepared.batch, masks, blends)?;
                device.reweigh(&mut prepared.weights, &weights)?;
                prepared
            }
            Entry::Vacant(entry) => {
                let layout = self.layout(&entry.key().tokens)?;
                entry.insert(Prepared {
                    layout,
                    batch: device.stage(&self.pictures, masks, blends)?,
                    weights: device.weigh(&weights)?,
                    recording: D::Recording::default(),
                    bytes,
                })
            }
        })
    }

    fn rows<'b>(&'b self, layout: &'b Layout<D>, batch: usize) -> Rows<'b, D> {
        Rows {
            batch,
            length: layout.length,
            prefix: &self.prefix,
            queries: &layout.queries,
        }
    }

    fn sizes(&self, tokens: &[usize]) -> Sizes {
        let device = &self.model.device;
        Sizes::of(
            &self.model.checkpoint.config,
            (self.prefix_length(), self.after.len()),
            tokens,
            device.element_bytes(),
            device.scratch_bytes(0, 0),
        )
    }

    fn decide(&self, blends: usize, tokens: &[usize], gradient: bool) -> Result<Plan> {
        let useful = self.model.device.useful_rows();
        Plan::decide(
            &self.sizes(tokens),
            blends,
            gradient,
            useful,
            self.options.memory_budget,
        )
    }
}

impl<D: Device> Session for LlavaSession<'_, D> {
    fn first_view(&self) -> (&View, &[f32]) {
        (&self.view, &self.x)
    }

    fn generate(&self, max_new_tokens: usize, produced: &mut dyn FnMut()) -> Result<Vec<u32>> {
        let (model, device) = (self.model, &self.model.device);
        let size = self.options.mask_size;
        let ones = [vec![1.0; size * size]];
        let masks = Masks {
            size,
            values: &ones,
        };
        let batch = device.stage(&self.pictures, masks, &[WHOLE_PICTURE])?;
        let patches = device.blend(&self.pictures, &batch)?;
        let (image, ..) = model.see(&patches, Keep::Nothing, false)?;
        let (place, text) = self.place(&self.after)?;
        let room = model
            .decoder
            .max_positions
            .saturating_sub(self.prefix_length() + place.outputs());
        let limit = max_new_tokens.min(room);
        let mut cache = model
            .decoder
            .grow(device, &self.prefix, place.outputs() + limit)?;
        let x = device.mix_rows(&image, &place, Some(&text))?;
        let mut x = model.decoder.extend(device, x, &mut cache, false)?;
        let mut answer = Vec::new();
        while answer.len() < limit {
            let mut logits = model.decoder.last_logits(device, &x)?;
            if logits.iter().any(|v| !v.is_finite()) {
                return Err(self.diagnose(&patches));
            }
            if let Some(image) = logits.get_mut(model.checkpoint.config.image_token_id as usize) {
                *image = D::Host::MINUS_INFINITY;
            }
            // The first of equal logits, as argmax is usually defined.
            let next = (1..logits.len())
                .fold(0, |best, i| if logits[i] > logits[best] { i } else { best })
                as u32;
            if model.checkpoint.tokenizer.stop_ids().contains(&next) {
                break;
            }
            answer.push(next);
            produced();
            if answer.len() < limit {
                x = model.decoder.extend(
                    device,
                    model.decoder.embed(device, &[next])?,
                    &mut cache,
                    false,
                )?;
            }
        }
        Ok(answer)
    }

    fn set_answer(&mut self, answer: &[u32]) -> Result<()> {
        if answer.is_empty() {
            return Err(LvlmError::EmptyAnswer);
        }
        let (decoder, image) = (
            &self.model.decoder,
            self.model.checkpoint.config.image_token_id,
        );
        if let Some(&found) = answer
            .iter()
            .find(|&&t| t == image || t as usize >= decoder.vocabulary)
        {
            return Err(LvlmError::BadToken {
                limit: decoder.vocabulary,
                found,
            });
        }
        let (limit, found) = (
            decoder.max_positions,
            self.prefix_length() + self.first_row() + 1 + answer.len(),
        );
        if found > limit {
            return Err(LvlmError::TooLong { limit, found });
        }
        self.answer = answer.to_vec();
        self.work.borrow_mut().prepared.clear();
        Ok(())
    }

    fn log_probabilities(
        &self,
        masks: Masks,
        blends: &[Blend],
        tokens: &[usize],
        evaluated: &mut dyn FnMut(usize),
    ) -> Result<LogProbabilities> {
        let plan = self.decide(blends.len(), tokens, false)?;
        let device = &self.model.device;
        let mut work = self.work.borrow_mut();
        let mut values = Vec::with_capacity(blends.len());
        for chunk in blends.chunks(plan.batch) {
            let (blends, _) = self.filled(chunk, &[], plan.batch);
            let (count, blends) = (blends.len(), &blends[..]);
            let shape = Shape::new(tokens, count, masks, Keep::Nothing);
            let prepared =
                self.prepared(&mut work.prepared, shape, plan.bytes, (masks, blends, &[]))?;
            let Prepared {
                layout,
                batch,
                recording,
                ..
            } = &mut *prepared;
            let work = || {
                let (values, _) = self.forward(layout, batch, count, Keep::Nothing)?;
                Ok::<_, LvlmError>(values)
            };
            let read = |values: &D::Values| self.read(layout, batch, values);
            let batch_values = device.replay(recording, work, read)?;
            values.extend(batch_values.into_iter().take(chunk.len()));
            evaluated(chunk.len());
        }
        Ok(values)
    }

    fn gradient(
        &self,
        masks: Masks,
        blends: &[Blend],
        weights: &[f64],
        tokens: &[usize],
        evaluated: &mut dyn FnMut(usize),
    ) -> Result<(LogProbabilities, Vec<Vec<f64>>)> {
        if weights.len() != blends.len() {
            return Err(LvlmError::Weights {
                blends: blends.len(),
                found: weights.len(),
            });
        }
        let plan = self.plan(blends.len(), tokens)?;
        let device = &self.model.device;
        let mut work = self.work.borrow_mut();
        let Work {
            prepared: all,
            gradients,
        } = &mut *work;
        let gradients = match gradients.entry(masks.values.len()) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                entry.insert(device.gradients(&self.pictures, masks.values.len())?)
            }
        };
        device.clear(gradients)?;
        let mut values = Vec::with_capacity(blends.len());
        for (chunk, weights) in blends.chunks(plan.batch).zip(weights.chunks(plan.batch)) {
            let (blends, weights) = self.filled(chunk, weights, plan.batch);
            let (count, blends, weights) = (blends.len(), &blends[..], &weights[..]);
            let shape = Shape::new(tokens, count, masks, plan.keep);
            let prepared = self.prepared(all, shape, plan.bytes, (masks, blends, weights))?;
            let Prepared {
                layout,
                batch,
                weights,
                recording,
                ..
            } = &mut *prepared;
            let work = || {
                let (values, d_patches) =
                    self.forward_and_vjp(layout, batch, count, weights, plan.keep)?;
                device.blend_vjp(&self.pictures, batch, &d_patches, gradients)?;
                Ok::<_, LvlmError>(values)
            };
            let read = |values: &D::Values| self.read(layout, batch, values);
            let batch_values = device.replay(recording, work, read)?;
            values.extend(batch_values.into_iter().take(chunk.len()));
            evaluated(chunk.len());
        }
        let mut gradients = device.read_gradients(gradients)?;
        for g in gradients.iter_mut().flatten() {
            *g /= device.gradient_scale();
        }
        if gradients.iter().flatten().all(|g| g.is_finite()) {
            Ok((values, gradients))
        } else {
            Err(LvlmError::Gradient {
                dtype: device.dtype(),
            })
        }
    }

    fn pixel_gradient(&self, tokens: &[usize]) -> Result<Vec<f64>> {
        let layout = self.layout(tokens)?;
        let size = self.options.mask_size;
        let keep = self.plan(1, tokens)?.keep;
        let masks = Masks {
            size,
            values: &[vec![1.0; size * size]],
        };
        let device = &self.model.device;
        let batch = device.stage(&self.pictures, masks, &[WHOLE_PICTURE])?;
        let weights = device.weigh(&self.row_weights(&[1.0], tokens.len()))?;
        let (values, d_patches) = self.forward_and_vjp(&layout, &batch, 1, &weights, keep)?;
        self.read(&layout, &batch, &values)?;
        if !device.is_finite(&d_patches)? {
            return Err(LvlmError::Gradient {
                dtype: device.dtype(),
            });
        }
        let values = device.download(&d_patches)?;
        let (h, w, patch) = (
            self.view.height,
            self.view.width,
            self.model.checkpoint.config.vision.patch_size,
        );
        let mut pixels = vec![0.0; values.len()];
        for (p, values) in values.chunks(3 * patch * patch).enumerate() {
            let (top, left) = (p / (w / patch) * patch, p % (w / patch) * patch);
            for (at, value) in values.iter().enumerate() {
                let (c, i, j) = (at / (patch * patch), at / patch % patch, at % patch);
                pixels[(c * h + top + i) * w + left + j] = value.to_f64() / device.gradient_scale();
            }
        }
        Ok(pixels)
    }

    fn plan(&self, blends: usize, tokens: &[usize]) -> Result<Plan> {
        self.decide(blends, tokens, true)
    }
}
