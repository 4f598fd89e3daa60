//! Pictures and one prompt on a device, and the forward and vjp passes through the model.

mod masked;
mod reading;

use std::ops::Range;
use std::sync::Arc;

pub(super) use masked::{EncoderPicture, MaskedPicture};

pub(super) use reading::Reading;

use crate::device::{Device, Matrix, Part, Real, RowMap};
use crate::lvlm::decoder::{Decoder, DecoderSaved, Prefix, Rows};
use crate::lvlm::error::{LvlmError, Result};
use crate::lvlm::family::picture_layers::{PictureLayers, PictureRows, PictureSaved};
use crate::lvlm::session::Callback;
use crate::nn::{
    AnyHook, Checkpointing, NnError, NoHook, NoWatch, Positions, Queries, Watch, require_finite,
};

/// Pictures and a prompt.
///
/// Every method takes the device that the layers and the pictures are on.
pub(super) struct Evaluator<D: Device> {
    /// The family's name.
    pub family: &'static str,
    pub vision: Box<dyn PictureLayers<D>>,
    pub decoder: Arc<Decoder<D>>,
    /// Each picture and its baseline as each encoder sees them, picture by picture.
    pub pictures: Vec<EncoderPicture<D>>,
    /// Keys and values of the prompt's tokens before the first picture.
    pub prefix: Arc<Prefix<D>>,
    /// The prompt from the first picture on.
    pub rest: Rest,
    /// The rotary positions of the decoder's rows where these are not their numbers.
    pub positions: Option<Positions>,
}

/// A prompt from the first of the pictures' rows on.
pub(super) struct Rest {
    /// The places of the pictures' rows, ascending from 0.
    images: Vec<usize>,
    /// The runs of such rows.
    runs: Vec<Range<usize>>,
    /// The text tokens at the other places.
    text: Vec<u32>,
}

impl Rest {
    /// Splits ids, the first of which is an image token.
    pub fn of(ids: &[u32], image: u32) -> Rest {
        let places = ids.iter().enumerate().filter(|(_, id)| **id == image);
        let images: Vec<usize> = places.map(|(place, _)| place).collect();
        let runs = images.chunk_by(|a, b| a + 1 == *b);
        Rest {
            runs: runs.map(|run| run[0]..run[0] + run.len()).collect(),
            images,
            text: ids.iter().copied().filter(|&id| id != image).collect(),
        }
    }

    /// Makes one of rows that follow each other, and then `text` tokens that do not matter.
    pub fn without_numbers(images: usize, text: usize) -> Rest {
        Rest {
            images: (0..images).collect(),
            runs: std::iter::once(0..images).collect(),
            text: vec![0; text],
        }
    }

    /// Returns the number of text tokens.
    pub fn text(&self) -> usize {
        self.text.len()
    }

    /// Returns the places of the pictures' rows, ascending from 0.
    pub fn images(&self) -> &[usize] {
        &self.images
    }

    /// Returns the runs of the pictures' rows.
    pub fn runs(&self) -> &[Range<usize>] {
        &self.runs
    }

    /// Returns the text tokens at the other places, and these places.
    pub fn text_rows(&self) -> Vec<(usize, u32)> {
        let mut images = self.images.iter().copied().peekable();
        let places = (0..self.length()).filter(|&place| images.next_if_eq(&place).is_none());
        places.zip(self.text.iter().copied()).collect()
    }

    /// Returns its length.
    fn length(&self) -> usize {
        self.images.len() + self.text.len()
    }
}

/// The rows after the prefix for one choice of answer tokens.
pub(super) struct AnswerLayout<D: Device> {
    length: usize,
    queries: Queries,
    targets: Vec<u32>,
    /// Puts image rows at their places among the text rows.
    place: RowMap,
    /// Text rows, zero where the picture stands.
    text: D::Matrix,
}

impl<D: Device> AnswerLayout<D> {
    /// Returns the number of tokens whose log-probability is wanted.
    pub fn targets(&self) -> usize {
        self.targets.len()
    }
}

/// Activations that a forward pass through the whole model saved.
pub(super) struct ModelSaved<D: Device> {
    vision: Box<dyn PictureSaved<D>>,
    context: Box<AnyHook<D>>,
    decoder: DecoderSaved<D, AnyHook<D>>,
}

/// A greedy answer's limits.
pub(super) struct Greedy<'a> {
    /// Tokens at most.
    pub limit: usize,
    /// Tokens that end the answer.
    pub stops: &'a dyn Fn(u32) -> bool,
    /// A token that is never produced.
    pub never: u32,
}

impl<D: Device> Evaluator<D> {
    pub fn prefix_length(&self) -> usize {
        self.prefix.first().map_or(0, |p| p.length)
    }

    /// Returns the number of rows that the pictures take.
    pub fn image_rows(&self) -> usize {
        self.rest.images.len()
    }

    /// Returns the row that predicts the first answer token.
    pub fn first_row(&self) -> usize {
        self.rest.length() - 1
    }

    /// Returns the map of the image rows to their places, and the text rows of the prompt and of
    /// `answer` at theirs.
    fn place(&self, device: &D, answer: &[u32]) -> Result<(RowMap, D::Matrix)> {
        let (decoder, images) = (&self.decoder, &self.rest.images);
        let ids = [&self.rest.text, answer].concat();
        // Each row is the next of the image's, or the next of the text's.
        let mut image = vec![None; images.len() + ids.len()];
        for (number, &place) in images.iter().enumerate() {
            image[place] = Some(number);
        }
        let mut next = 0..ids.len();
        let text_rows = image.iter().map(|image| match image {
            Some(_) => None,
            None => next.next(),
        });
        let after = RowMap::select(ids.len(), text_rows.collect::<Vec<_>>());
        let text = decoder.embed(device, &ids)?;
        let text = device.mix_rows(&text, &after, None)?;
        let scale = decoder.picture_scale;
        let term = |number: &Option<usize>| number.map(|n| (n, scale)).into_iter().collect();
        let place = RowMap::new(images.len(), image.iter().map(term).collect());
        Ok((place, text))
    }

    /// Lays out the rows that predict the answer's tokens `tokens`.
    pub fn layout(&self, device: &D, answer: &[u32], tokens: &[usize]) -> Result<AnswerLayout<D>> {
        let last = tokens.iter().copied().max().unwrap_or(0);
        if last >= answer.len() {
            return Err(LvlmError::Token {
                answer: answer.len(),
                found: last,
            });
        }
        device.part(Part::Decoder);
        let (place, text) = self.place(device, &answer[..last])?;
        let length = place.outputs();
        let places = tokens.iter().map(|t| self.first_row() + t).collect();
        Ok(AnswerLayout {
            length,
            queries: Queries::new(length, places),
            targets: tokens.iter().map(|&t| answer[t]).collect(),
            place,
            text,
        })
    }

    fn encode(
        &self,
        device: &D,
        patches: Vec<D::Matrix>,
        checkpointing: Checkpointing,
        check: bool,
    ) -> Result<PictureRows<D>> {
        device.part(Part::Vision);
        self.vision.forward(device, patches, checkpointing, check)
    }

    /// Runs the whole model forward for one batch.
    pub fn forward(
        &self,
        device: &D,
        layout: &AnswerLayout<D>,
        batch: &[D::Batch],
        blends: usize,
        checkpointing: Checkpointing,
    ) -> Result<(D::Values, ModelSaved<D>)> {
        let patches = self.blend(device, batch)?;
        let PictureRows {
            rows: images,
            context,
            saved: vision,
        } = self.encode(device, patches, checkpointing, false)?;
        device.part(Part::Decoder);
        let x = device.mix_rows(&images, &layout.place, Some(&layout.text))?;
        drop(images);
        let targets = layout.targets.repeat(blends);
        let rows = self.rows(layout, blends);
        let decoder = &self.decoder;
        let (values, decoder) =
            decoder.forward(device, x, &rows, &targets, &*context, checkpointing)?;
        let saved = ModelSaved {
            vision,
            context,
            decoder,
        };
        Ok((values, saved))
    }

    /// Runs forward and back to the patches: log-probabilities, and the gradient of `sum of
    /// weight * score`.
    pub fn forward_and_vjp(
        &self,
        device: &D,
        layout: &AnswerLayout<D>,
        batch: &[D::Batch],
        weights: &D::Weights,
        blends: usize,
        checkpointing: Checkpointing,
    ) -> Result<(D::Values, Vec<D::Matrix>)> {
        let (values, saved) = self.forward(device, layout, batch, blends, checkpointing)?;
        let d_patches = self.vjp(device, layout, saved, weights, blends, &mut NoWatch)?;
        Ok((values, d_patches))
    }

    /// Runs back to the patches: the gradient of `sum of weight * score`. `watch` reads the
    /// decoder's layers.
    fn vjp(
        &self,
        device: &D,
        layout: &AnswerLayout<D>,
        saved: ModelSaved<D>,
        weights: &D::Weights,
        blends: usize,
        watch: &mut dyn Watch<D>,
    ) -> Result<Vec<D::Matrix>> {
        let ModelSaved {
            vision,
            context,
            decoder,
        } = saved;
        let targets = layout.targets.repeat(blends);
        let (dx, d_context) = self.decoder.vjp(
            device,
            decoder,
            &self.rows(layout, blends),
            &targets,
            weights,
            (&*context, watch),
        )?;
        drop(context);
        device.part(Part::Decoder);
        let d_images = device.mix_rows_vjp(&dx, &layout.place, None)?;
        drop(dx);
        device.part(Part::Vision);
        vision.vjp(device, d_images, d_context)
    }

    fn rows<'b>(&'b self, layout: &'b AnswerLayout<D>, batch: usize) -> Rows<'b, D> {
        Rows {
            batch,
            length: layout.length,
            prefix: &self.prefix,
            queries: &layout.queries,
            positions: self.positions.as_ref(),
            pictures: self.rest.runs(),
        }
    }

    /// Finds the layer whose output was not finite: runs the pictures again, and checks every
    /// layer's output.
    pub fn diagnose(&self, device: &D, answer: &[u32], batch: &[D::Batch]) -> LvlmError {
        let trace = || -> Result<()> {
            let patches = self.blend(device, batch)?;
            let output = self.encode(device, patches, Checkpointing::Nothing, true)?;
            let rows = (0..self.image_rows()).map(Some);
            let first = RowMap::select(output.rows.rows(), rows);
            let (place, text) = self.place(device, answer)?;
            let x = device.mix_rows(&output.rows, &first, None)?;
            let x = device.mix_rows(&x, &place, Some(&text))?;
            require_finite(device, &x, || "token embeddings".into())?;
            let decoder = &self.decoder;
            let mut cache = decoder.grow(device, &self.prefix, place.outputs())?;
            let rows = (self.positions.as_ref(), self.rest.runs());
            decoder.extend(device, x, &mut cache, rows, &NoHook, true)?;
            Ok(())
        };
        let head = || {
            NnError::NotFinite {
                layer: "vocabulary projection".into(),
            }
            .into()
        };
        trace().err().unwrap_or_else(head)
    }

    /// Generates the greedy answer to the pictures of a batch of one blend, without the token that
    /// ends it.
    pub fn generate(
        &self,
        device: &D,
        batch: &[D::Batch],
        greedy: &Greedy,
        produced: &mut Callback,
    ) -> Result<Vec<u32>> {
        let decoder = &self.decoder;
        let read = self.prefix_length() + self.first_row() + 1;
        let room = decoder.max_positions.saturating_sub(read);
        let limit = greedy.limit.min(room);
        let (mut x, mut cache) = self.read_prompt(device, batch, limit)?;
        let mut answer = Vec::new();
        while answer.len() < limit {
            let mut logits = decoder.last_logits(device, &x)?;
            if logits.iter().any(|v| !v.is_finite()) {
                return Err(self.diagnose(device, &[], batch));
            }
            if let Some(never) = logits.get_mut(greedy.never as usize) {
                *never = D::Host::MINUS_INFINITY;
            }
            // The first of equal logits, as argmax is usually defined.
            let next = (1..logits.len())
                .fold(0, |best, i| if logits[i] > logits[best] { i } else { best })
                as u32;
            if (greedy.stops)(next) {
                break;
            }
            answer.push(next);
            if produced(1).is_break() {
                return Err(LvlmError::Cancelled);
            }
            if answer.len() < limit {
                within(decoder.window, read + answer.len())?;
                x = self.read_token(device, next, &mut cache)?;
            }
        }
        Ok(answer)
    }

    /// Runs the picture and the text after it through the decoder. Returns the last layer's output,
    /// and all keys and values with room for `more` rows.
    pub fn read_prompt(
        &self,
        device: &D,
        batch: &[D::Batch],
        more: usize,
    ) -> Result<(D::Matrix, Prefix<D>)> {
        self.read_rows(device, batch, &[], more)
    }

    /// [`Evaluator::read_prompt`] with tokens of an answer after it.
    fn read_rows(
        &self,
        device: &D,
        batch: &[D::Batch],
        answer: &[u32],
        more: usize,
    ) -> Result<(D::Matrix, Prefix<D>)> {
        let decoder = &self.decoder;
        let patches = self.blend(device, batch)?;
        let output = self.encode(device, patches, Checkpointing::Nothing, false)?;
        device.part(Part::Decoder);
        let (place, text) = self.place(device, answer)?;
        let mut cache = decoder.grow(device, &self.prefix, place.outputs() + more)?;
        let x = device.mix_rows(&output.rows, &place, Some(&text))?;
        let rows = (self.positions.as_ref(), self.rest.runs());
        let x = decoder.extend(device, x, &mut cache, rows, &*output.context, false)?;
        Ok((x, cache))
    }

    /// Runs one more token after the cache.
    pub fn read_token(&self, device: &D, token: u32, cache: &mut Prefix<D>) -> Result<D::Matrix> {
        device.part(Part::Decoder);
        let decoder = &self.decoder;
        let x = decoder.embed(device, &[token])?;
        let rows = (self.positions.as_ref(), &[][..]);
        decoder.extend(device, x, cache, rows, &NoHook, false)
    }
}

/// Fails where a sliding window is shorter than the `found` tokens that are read.
pub(super) fn within(window: Option<usize>, found: usize) -> Result<()> {
    match window {
        Some(limit) if found > limit => Err(LvlmError::SlidingWindow { limit, found }),
        _ => Ok(()),
    }
}
