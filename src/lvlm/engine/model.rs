//! A model of any family on any device.

use std::cell::RefCell;
use std::sync::Arc;

use super::evaluator::{Evaluator, PictureViews, Rest, within};
use super::fingerprint;
use super::fit::{OpenOptions, fit};
use super::layers;
use super::measure::{MetaLayers, meta_evaluator};
use super::resampled::Resampled;
use super::session::ModelSession;
use crate::blend::ViewPair;
use crate::blend::{Extent, View};
use crate::checkpoint::{Checkpoint, Compat, RandomizedLayers, Tokenizer};
use crate::device::Device;
use crate::device::meta::Meta;
use crate::lvlm::decoder::Decoder;
use crate::lvlm::error::{LvlmError, Result};
use crate::lvlm::family::picture_layers::{FamilyVision, ModelVision, OfSize};
use crate::lvlm::family::towers::TowerName;
use crate::lvlm::family::traits::{EncoderViews, Family};
use crate::lvlm::loader::Loader;
use crate::lvlm::model::{Lvlm, PicturePair, Prompt};
use crate::lvlm::randomize::Randomize;
use crate::lvlm::resampling::Resampling;
use crate::lvlm::session::{Session, SessionOptions};
use crate::picture::Picture;

/// A model.
pub(super) struct Model<D: Device> {
    checkpoint: Checkpoint,
    device: D,
    family: &'static str,
    /// As [`Family::image_position`].
    image_position: Option<(&'static str, usize)>,
    /// As [`Family::towers`].
    towers: Vec<TowerName>,
    vision: Box<dyn ModelVision<D>>,
    decoder: Arc<Decoder<D>>,
    /// The same decoder without numbers, on the device that only counts.
    meta: Arc<Decoder<Meta>>,
}

impl<D: Device> Model<D> {
    /// Prepares every layer that is needed; weights stay where they are mapped.
    ///
    /// # Errors
    /// A tensor that is missing or has another shape than the config says; an image processor that
    /// does not fit the encoder.
    pub fn load<F: Family>(mut family: F, checkpoint: Checkpoint, device: D) -> Result<Model<D>> {
        fit(
            &mut family,
            &checkpoint.files,
            &checkpoint.tensors,
            &OpenOptions::of(&checkpoint),
        )?;
        let processing = family.image_processing(&checkpoint.processor)?;
        let loader = Loader {
            tensors: &checkpoint.tensors,
            device: &device,
            list: None,
            randomize: Randomize::new(checkpoint.randomized, family.decoder().0.layers),
        };
        let (vision, decoder) = layers::load(&family, &loader)?;
        let loader = Loader {
            tensors: &checkpoint.tensors,
            device: &Meta::new(device.element_bytes()),
            list: None,
            randomize: Randomize::default(),
        };
        let (meta_vision, meta) = layers::load(&family, &loader)?;
        let vision = FamilyVision {
            processing,
            vision: Arc::new(vision),
            meta: Arc::new(meta_vision),
        };
        Ok(Model {
            family: F::NAME,
            image_position: family.image_position(),
            towers: family.towers(&checkpoint.tensors),
            vision: Box::new(vision),
            decoder: Arc::new(decoder),
            meta: Arc::new(meta),
            device,
            checkpoint,
        })
    }

    /// Returns the views that the encoders take of a picture of that size, and the part of the
    /// picture that a mask covers where that is not the whole.
    fn encoder_views(
        &self,
        width: u32,
        height: u32,
    ) -> Result<(Vec<EncoderViews>, Option<Extent>)> {
        let mut encoders = self.vision.processing().encoder_views(width, height)?;
        let Some(Compat::LvlmInterpretation) = self.checkpoint.compat else {
            return Ok((encoders, None));
        };
        // That program stretches the mask over whatever an encoder sees, padding included.
        let first = encoders.iter().flat_map(|encoder| &encoder.views).next();
        let extent = first.map(View::extent);
        for view in encoders.iter_mut().flat_map(|encoder| &mut encoder.views) {
            *view = View::whole(view.height, view.width);
        }
        Ok((encoders, extent.filter(|extent| *extent != Extent::PICTURE)))
    }

    /// Returns how the reproduced program resamples a mask before views sample it.
    fn resampling(&self, (width, height): (u32, u32), size: usize) -> Result<Option<Resampling>> {
        let Some(Compat::LvlmInterpretation) = self.checkpoint.compat else {
            return Ok(None);
        };
        let (down, across) = self.vision.processing().tiles(width, height)?;
        // More cells along the axis that has fewer tiles: the program takes width for height.
        let ratio = across as f64 / down as f64;
        let cells = match ratio > 1.0 {
            true => ((size as f64 * ratio) as usize, size),
            false => (size, (size as f64 / ratio) as usize),
        };
        Ok(Resampling::new(size, cells))
    }
}

impl<D: Device> Lvlm for Model<D> {
    fn name(&self) -> String {
        self.checkpoint.files.name()
    }

    fn family(&self) -> &'static str {
        self.family
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

    fn compat(&self) -> Option<Compat> {
        self.checkpoint.compat
    }

    fn randomized(&self) -> Option<RandomizedLayers> {
        self.checkpoint.randomized
    }

    fn prompt(&self, question: &str, picture: &Picture) -> Result<Prompt> {
        if question.trim().is_empty() {
            return Err(LvlmError::EmptyQuestion);
        }
        let tokenizer = &self.checkpoint.tokenizer;
        let (width, height) = (picture.width(), picture.height());
        let text = self.vision.picture_text(tokenizer, width, height)?;
        let rendered = self.checkpoint.template.render(question)?;
        let ids = tokenizer.encode_prompt(&rendered, &text)?;
        let decoder = &self.decoder;
        let (found, limit) = (ids.len(), decoder.max_positions);
        if found >= limit {
            return Err(LvlmError::TooLong { limit, found });
        }
        within(decoder.window, found)?;
        let processor = &self.checkpoint.processor;
        processor.check_length(found)?;
        let image = tokenizer.image().id();
        let before = ids.iter().take_while(|&&id| id != image).count();
        if let Some((field, expected)) = self.image_position
            && before != expected
        {
            return Err(LvlmError::ImagePosition {
                field,
                expected,
                found: before,
            });
        }
        let mut text = ids.iter().filter(|&&id| id != image);
        if let Some(&found) = text.find(|&&id| id as usize >= decoder.vocabulary) {
            return Err(LvlmError::Vocabulary {
                limit: decoder.vocabulary,
                text: tokenizer.token(found).unwrap_or_default(),
                found,
            });
        }
        Ok(Prompt {
            text: rendered.text(),
            ids,
        })
    }

    fn views(&self, picture: &Picture) -> Result<Vec<(View, Vec<f32>)>> {
        let (encoders, _) = self.encoder_views(picture.width(), picture.height())?;
        let views = encoders.into_iter().flat_map(|encoder| encoder.views);
        let pixels = self
            .vision
            .processing()
            .process(picture)?
            .into_iter()
            .flatten();
        Ok(views.zip(pixels).collect())
    }

    fn fingerprint(&self) -> Result<String> {
        fingerprint::model(&self.towers, &self.checkpoint)
    }

    fn process(&self, picture: &Picture, baseline: &Picture) -> Result<PicturePair> {
        Ok(PicturePair {
            size: (picture.width(), picture.height()),
            picture: self.vision.processing().process(picture)?,
            baseline: self.vision.processing().process(baseline)?,
        })
    }

    fn begin<'a>(
        &'a self,
        pictures: PicturePair,
        prompt: &Prompt,
        options: SessionOptions,
    ) -> Result<Box<dyn Session + 'a>> {
        let (width, height) = pictures.size;
        let (mut encoders, extent) = self.encoder_views(width, height)?;
        let resampling = self.resampling((width, height), options.mask_size)?;
        let mut options = options;
        if let Some(resampling) = &resampling {
            options.mask_size = resampling.side();
            for view in encoders.iter_mut().flat_map(|encoder| &mut encoder.views) {
                *view = resampling.under(view);
            }
        }
        let OfSize {
            layers,
            meta: meta_layers,
            images,
        } = self.vision.of_size(width, height)?;
        let tokenizer = &self.checkpoint.tokenizer;
        let image = tokenizer.image().id();
        let before = prompt.ids.iter().take_while(|&&id| id != image).count();
        let (before, rest) = prompt.ids.split_at(before);
        let text = self.vision.picture_text(tokenizer, width, height)?;
        if let Some((expected, found)) = text.differs(rest, image) {
            return Err(LvlmError::Prompt { expected, found });
        }
        let found = rest.iter().filter(|&&id| id == image).count();
        if found != images {
            let expected = images;
            return Err(LvlmError::Prompt { expected, found });
        }
        let (x, b) = (pictures.picture, pictures.baseline);
        let mut pictures = Vec::with_capacity(encoders.len());
        for (encoder, (x, b)) in encoders.iter().zip(x.iter().zip(&b)) {
            let pixels = encoder.views.iter().zip(x.iter().zip(b));
            let views: Vec<ViewPair> = pixels
                .map(|(&view, (picture, baseline))| ViewPair {
                    view,
                    picture,
                    baseline,
                })
                .collect();
            let device = &self.device;
            pictures.push(device.pictures(&views, encoder.patch, options.mask_size)?);
        }
        let views = PictureViews {
            encoders,
            images,
            positions: self.vision.processing().positions(width, height)?,
        };
        let rest = Rest::of(rest, image);
        let meta = Meta::new(self.device.element_bytes());
        let meta_evaluator = meta_evaluator(
            &meta,
            MetaLayers {
                family: self.family,
                vision: meta_layers,
                decoder: Arc::clone(&self.meta),
            },
            &views,
            options.mask_size,
            before.len(),
            rest.text(),
        )?;
        let pixels = x.into_iter().flatten().next().unwrap_or_default();
        let session = ModelSession {
            device: &self.device,
            tokenizer: &self.checkpoint.tokenizer,
            image_token: image,
            encoders: views.encoders,
            places: self.vision.processing().token_places(width, height)?,
            extent,
            pixels,
            evaluator: Evaluator {
                prefix: self.decoder.prefix(&self.device, before)?,
                family: self.family,
                vision: layers,
                decoder: Arc::clone(&self.decoder),
                pictures,
                rest,
                positions: views.positions.map(|p| p.after(before.len())),
            },
            meta: (meta, meta_evaluator),
            options,
            sizes: RefCell::default(),
        };
        // Too small a budget is better said now than after the answer.
        session.expect_room()?;
        self.device.limit_memory(options.memory_budget);
        Ok(match resampling {
            None => Box::new(session),
            Some(resampling) => Box::new(Resampled {
                inner: Box::new(session),
                resampling,
            }),
        })
    }
}
