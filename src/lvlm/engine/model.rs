//! A model of any family on any device.

use std::cell::RefCell;
use std::sync::{Arc, Mutex, PoisonError};

use super::evaluator::{Evaluator, Rest, within};
use super::fingerprint;
use super::fit::{OpenOptions, fit};
use super::layers;
use super::measure::{MetaLayers, meta_evaluator};
use super::pictures::SessionPictures;
use super::resampled::Resampled;
use super::session::ModelSession;
use crate::blend::View;
use crate::checkpoint::{Checkpoint, Compat, PictureText, RandomizedLayers, Tokenizer};
use crate::device::Device;
use crate::device::meta::Meta;
use crate::lvlm::decoder::{Decoder, Prefix};
use crate::lvlm::error::{LvlmError, Result};
use crate::lvlm::family::picture_layers::{FamilyVision, ModelVision};
use crate::lvlm::family::towers::TowerName;
use crate::lvlm::family::traits::Family;
use crate::lvlm::loader::Loader;
use crate::lvlm::model::{Lvlm, PicturePair, Prompt};
use crate::lvlm::randomize::Randomize;
use crate::lvlm::session::{Session, SessionOptions};
use crate::picture::Picture;

/// A model.
pub(super) struct Model<D: Device> {
    pub(super) checkpoint: Checkpoint,
    pub(super) device: D,
    pub(super) family: &'static str,
    /// As [`Family::image_position`].
    image_position: Option<(&'static str, usize)>,
    /// As [`Family::towers`].
    towers: Vec<TowerName>,
    pub(super) vision: Box<dyn ModelVision<D>>,
    decoder: Arc<Decoder<D>>,
    /// The same decoder without numbers, on the device that only counts.
    meta: Arc<Decoder<Meta>>,
    /// That of the last prompt: a model's prompts begin alike.
    begun: Mutex<Option<Begun<D>>>,
}

/// The beginning of a prompt.
struct Begun<D: Device> {
    /// The tokens before its pictures.
    ids: Vec<u32>,
    /// Their keys and values.
    prefix: Arc<Prefix<D>>,
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
        let several = match checkpoint.compat {
            None => family.several_pictures(&checkpoint.processor)?,
            // That program asks about one picture.
            Some(_) => None,
        };
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
            several,
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
            begun: Mutex::default(),
            device,
            checkpoint,
        })
    }

    /// Returns the keys and values of a prompt's tokens before its pictures.
    fn prefix(&self, before: &[u32]) -> Result<Arc<Prefix<D>>> {
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = begun.as_ref().filter(|known| known.ids == before) {
            return Ok(Arc::clone(&known.prefix));
        }
        // At most one is held.
        *begun = None;
        let prefix = Arc::new(self.decoder.prefix(&self.device, before)?);
        *begun = Some(Begun {
            ids: before.to_vec(),
            prefix: Arc::clone(&prefix),
        });
        Ok(prefix)
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

    fn prompt(&self, question: &str, pictures: &[Picture]) -> Result<Prompt> {
        if question.trim().is_empty() {
            return Err(LvlmError::EmptyQuestion);
        }
        self.takes(pictures.len())?;
        let sizes = pictures.iter().map(|p| (p.width(), p.height()));
        let sizes: Vec<(u32, u32)> = sizes.collect();
        let texts = self.picture_texts(&sizes)?;
        let tokenizer = &self.checkpoint.tokenizer;
        let rendered = self.checkpoint.template.render(question, texts.len())?;
        let ids = tokenizer.encode_prompt(&rendered, &texts)?;
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
            pictures: sizes,
        })
    }

    fn views(&self, picture: &Picture) -> Result<Vec<(View, Vec<f32>)>> {
        let (encoders, _) = self.encoder_views((picture.width(), picture.height()), 1)?;
        let views = encoders.into_iter().flat_map(|encoder| encoder.views);
        let pixels = self
            .vision
            .processing(1)
            .process(picture)?
            .into_iter()
            .flatten();
        Ok(views.zip(pixels).collect())
    }

    fn fingerprint(&self) -> Result<String> {
        fingerprint::model(&self.towers, &self.checkpoint)
    }

    fn process(&self, pictures: &[(&Picture, Option<&Picture>)]) -> Result<Vec<PicturePair>> {
        self.takes(pictures.len())?;
        if pictures.iter().all(|(_, baseline)| baseline.is_none()) {
            return Err(LvlmError::Pictures {
                expected: "at least one picture that masks cover".into(),
                found: "none".into(),
            });
        }
        let processing = self.vision.processing(pictures.len());
        let pair = |&(picture, baseline): &(&Picture, Option<&Picture>)| {
            Ok(PicturePair {
                size: (picture.width(), picture.height()),
                among: pictures.len(),
                picture: processing.process(picture)?,
                baseline: baseline.map(|b| processing.process(b)).transpose()?,
            })
        };
        pictures.iter().map(pair).collect()
    }

    fn begin<'a>(
        &'a self,
        pictures: Vec<PicturePair>,
        prompt: &Prompt,
        options: SessionOptions,
    ) -> Result<Box<dyn Session + 'a>> {
        let sizes: Vec<(u32, u32)> = pictures.iter().map(|pair| pair.size).collect();
        self.takes(sizes.len())?;
        let alike = pictures.iter().all(|pair| pair.among == sizes.len());
        if !alike || pictures.iter().all(|pair| pair.baseline.is_none()) {
            return Err(LvlmError::Pictures {
                expected: "those of one call that processed them".into(),
                found: sizes.len().to_string(),
            });
        }
        if sizes != prompt.pictures {
            let said = |sizes: &[(u32, u32)]| {
                let each = sizes
                    .iter()
                    .map(|(width, height)| format!("{width} x {height}"));
                each.collect::<Vec<_>>().join(", ")
            };
            return Err(LvlmError::Pictures {
                expected: format!("{} pixels, as in the prompt", said(&prompt.pictures)),
                found: said(&sizes),
            });
        }
        let image = self.checkpoint.tokenizer.image().id();
        let before = prompt.ids.iter().take_while(|&&id| id != image).count();
        let (before, rest) = prompt.ids.split_at(before);
        let texts = self.picture_texts(&sizes)?;
        if let Some((expected, found)) = PictureText::differ(&texts, rest, image) {
            return Err(LvlmError::Prompt { expected, found });
        }
        let rest = Rest::of(rest, image);
        let mut options = options;
        // That program asks about one picture.
        let resampling = self.resampling(sizes[0], options.mask_size)?;
        if let Some(resampling) = &resampling {
            options.mask_size = resampling.side();
        }
        let SessionPictures {
            masked,
            pictures,
            layers,
            meta_layers,
            views,
            places,
            extent,
        } = self.put(
            pictures,
            (&rest, before.len()),
            options.mask_size,
            resampling.as_ref(),
        )?;
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
        let session = ModelSession {
            device: &self.device,
            tokenizer: &self.checkpoint.tokenizer,
            image_token: image,
            encoders: views.encoders.into_iter().map(|(views, _)| views).collect(),
            masked,
            places,
            extent,
            evaluator: Evaluator {
                prefix: self.prefix(before)?,
                family: self.family,
                vision: layers,
                decoder: Arc::clone(&self.decoder),
                pictures,
                rest,
                positions: views.positions,
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
