//! A model that foveate does not run, known by its scores of pictures.

#[cfg(test)]
mod tests;

use std::cell::RefCell;

use super::error::{LvlmError, Result};
use super::internals::Internals;
use super::plan::{BatchPlan, of_answer, one_each};
use super::session::{Callback, LogProbabilities, Scorer};
use crate::blend::{Blend, Masks, Score, View, ViewPair};
use crate::device::cpu::Cpu;
use crate::device::ops::{CHANNELS, Pictures, patch_order};
use crate::device::{Blending, Memory};
use crate::nn::Checkpointing;

/// The longest side of the squares that pictures are blended by.
const LONGEST_PATCH: usize = 32;

/// A function from pictures to scores, such as the log-probability of an answer or of a class.
///
/// A batch holds `count` pictures of `3 x height x width` f32, channel by channel, in the range of
/// the pictures that the scorer was made with.
pub trait ForeignModel {
    /// The model's errors.
    type Error;

    /// Returns the score of each picture of a batch.
    ///
    /// # Errors
    /// The model's own.
    fn scores(&self, batch: Vec<f32>, count: usize) -> std::result::Result<Vec<f64>, Self::Error>;

    /// Returns the score of each picture of a batch, and the gradient of each score with respect to
    /// its own picture, in the layout of the batch.
    ///
    /// # Errors
    /// The model's own.
    fn gradients(
        &self,
        batch: Vec<f32>,
        count: usize,
    ) -> std::result::Result<(Vec<f64>, Vec<f32>), Self::Error>;
}

/// A picture and its baseline as a foreign model takes them.
#[derive(Clone, Copy, Debug)]
pub struct ForeignPictures<'a> {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// The picture, `3 x height x width`, channel by channel.
    pub picture: &'a [f32],
    /// The baseline, likewise.
    pub baseline: &'a [f32],
    /// Number of visual tokens that the model makes of a picture.
    pub visual_tokens: usize,
}

/// The [`Scorer`] of a foreign model. Its answer has one token, whose log-probability is the score.
pub struct ForeignScorer<'a, M: ForeignModel> {
    model: &'a M,
    given: ForeignPictures<'a>,
    view: View,
    device: Cpu<f32>,
    pictures: <Cpu<f32> as Blending>::Pictures,
    /// The position in a picture of each element of the patch matrix.
    order: Vec<usize>,
    /// The most pictures in a batch.
    batch: usize,
    /// The error that ended the model's work.
    failed: RefCell<Option<M::Error>>,
}

impl<'a, M: ForeignModel> ForeignScorer<'a, M> {
    /// Creates a scorer of blends of two pictures, by batches of at most `batch`. Masks have
    /// `mask_size` cells a side and cover the pictures from corner to corner.
    ///
    /// # Errors
    /// [`LvlmError::Foreign`] for pictures that are empty, of another size than they say or not
    /// finite, or a batch of none; errors of the CPU device.
    pub fn new(
        model: &'a M,
        given: ForeignPictures<'a>,
        mask_size: usize,
        batch: usize,
    ) -> Result<Self> {
        let (height, width) = (given.height, given.width);
        let length = CHANNELS
            .checked_mul(height)
            .and_then(|n| n.checked_mul(width))
            .filter(|&n| n > 0);
        for (what, pixels) in [("image", given.picture), ("baseline", given.baseline)] {
            if length != Some(pixels.len()) {
                let expected = format!("{CHANNELS} x {height} x {width} values, one at least");
                return Err(foreign(what, expected, pixels.len()));
            }
            if let Some(value) = pixels.iter().find(|value| !value.is_finite()) {
                return Err(foreign(what, "finite numbers", value));
            }
        }
        if batch == 0 || given.visual_tokens == 0 {
            return Err(foreign("batch and visual tokens", "at least 1", 0));
        }
        let patch = (1..=LONGEST_PATCH)
            .rfind(|&side| height.is_multiple_of(side) && width.is_multiple_of(side))
            .unwrap_or(1);
        let device = Cpu::<f32>::new(0)?;
        let view = View::whole(height, width);
        let pair = ViewPair {
            view,
            picture: given.picture,
            baseline: given.baseline,
        };
        Ok(ForeignScorer {
            model,
            pictures: device.pictures(&[pair], patch, mask_size)?,
            given,
            view,
            device,
            order: patch_order((height, width), patch).collect(),
            batch,
            failed: RefCell::new(None),
        })
    }

    /// Returns the error of the model, after a call has ended with [`LvlmError::Cancelled`] for it.
    pub fn failure(self) -> Option<M::Error> {
        self.failed.into_inner()
    }

    /// Keeps the model's error.
    fn kept<T>(&self, result: std::result::Result<T, M::Error>) -> Result<T> {
        result.map_err(|error| {
            self.failed.replace(Some(error));
            LvlmError::Cancelled
        })
    }

    /// Returns pictures of the blends of a batch.
    fn blended(&self, batch: &<Cpu<f32> as Blending>::Batch) -> Result<Vec<f32>> {
        let patches = self
            .device
            .download(&self.device.blend(&self.pictures, batch)?)?;
        let mut pixels = vec![0.0; patches.len()];
        let each = self.order.len();
        for (pixels, patches) in pixels.chunks_mut(each).zip(patches.chunks(each)) {
            for (&at, value) in self.order.iter().zip(patches) {
                pixels[at] = *value;
            }
        }
        Ok(pixels)
    }

    /// Returns scores as log-probabilities of the one token.
    fn read(scores: &[f64], count: usize) -> Result<impl Iterator<Item = Vec<f64>>> {
        if scores.len() != count {
            return Err(foreign(
                "scores",
                format!("one for each of {count} pictures"),
                scores.len(),
            ));
        }
        match scores.iter().find(|score| !score.is_finite()) {
            Some(score) => Err(foreign("scores", "finite numbers", score)),
            None => Ok(scores.iter().map(|&score| vec![score])),
        }
    }
}

fn foreign(what: &'static str, expected: impl ToString, found: impl ToString) -> LvlmError {
    LvlmError::Foreign {
        what,
        expected: expected.to_string(),
        found: found.to_string(),
    }
}

/// Returns the factor of a score's gradient: 1, or that of the log-odds to the log-probability.
fn factor(score: Score, value: f64) -> Result<f64> {
    match score {
        Score::LogProbability => Ok(1.0),
        Score::LogOdds if value <= 0.0 => {
            // A probability that rounds to 1 is as certain as f64 can say.
            Ok(1.0 / (-value.exp_m1()).max(f64::EPSILON))
        }
        Score::LogOdds => Err(foreign("scores", "log-probabilities, at most 0", value)),
    }
}

impl<M: ForeignModel> Scorer for ForeignScorer<'_, M> {
    fn first_views(&self) -> Vec<(&View, &[f32])> {
        vec![(&self.view, self.given.picture)]
    }

    fn image_rows(&self) -> Vec<usize> {
        vec![self.given.visual_tokens]
    }

    fn internals(&self) -> Result<&dyn Internals> {
        Err(LvlmError::Unreadable {
            what: "the method".into(),
            expected: "a model that foveate runs, to read its layers".into(),
            found: "one that is only asked for scores".into(),
        })
    }

    fn log_probabilities(
        &self,
        masks: Masks,
        blends: &[Blend],
        tokens: &[usize],
        evaluated: &mut Callback,
    ) -> Result<LogProbabilities> {
        of_answer(tokens, 1)?;
        let mut values = Vec::with_capacity(blends.len());
        for blends in blends.chunks(self.batch) {
            let batch = self.device.stage(&self.pictures, masks, blends)?;
            let pixels = self.blended(&batch)?;
            let scores = self.kept(self.model.scores(pixels, blends.len()))?;
            values.extend(Self::read(&scores, blends.len())?);
            if evaluated(blends.len()).is_break() {
                return Err(LvlmError::Cancelled);
            }
        }
        Ok(values)
    }

    fn gradient_by_token(
        &self,
        masks: Masks,
        blends: &[Blend],
        weights: &[f64],
        tokens: &[usize],
        score: Score,
        evaluated: &mut Callback,
    ) -> Result<(LogProbabilities, Vec<Vec<f64>>)> {
        of_answer(tokens, 1)?;
        let each = tokens.len();
        one_each(weights, "blend and token", blends.len() * each)?;
        // The tokens of a call are those of the answer: its only one, or none.
        let of_blend = |blend: usize| weights[blend * each..][..each].iter().sum();
        let weights: Vec<f64> = (0..blends.len()).map(of_blend).collect();
        let device = &self.device;
        let mut gradients = device.gradients(&self.pictures, masks.values.len())?;
        let mut values = Vec::with_capacity(blends.len());
        let each = self.order.len();
        for (blends, weights) in blends.chunks(self.batch).zip(weights.chunks(self.batch)) {
            let batch = device.stage(&self.pictures, masks, blends)?;
            let pixels = self.blended(&batch)?;
            let expected = pixels.len();
            let (scores, by_pixel) = self.kept(self.model.gradients(pixels, blends.len()))?;
            if by_pixel.len() != expected {
                let expected = format!("{expected} values, one for each of the batch");
                return Err(foreign("gradients", expected, by_pixel.len()));
            }
            values.extend(Self::read(&scores, blends.len())?);
            let mut weighted = vec![0.0; by_pixel.len()];
            for (at, pixels) in by_pixel.chunks(each).enumerate() {
                let weight = (weights[at] * factor(score, scores[at])?) as f32;
                for (out, &pixel) in weighted[at * each..].iter_mut().zip(&self.order) {
                    *out = weight * pixels[pixel];
                }
            }
            let shape = self.pictures.shape();
            let rows = blends.len() * shape.rows;
            let d_patches = device.upload(rows, shape.columns, &weighted)?;
            device.blend_vjp(&self.pictures, &batch, &d_patches, &mut gradients)?;
            if evaluated(blends.len()).is_break() {
                return Err(LvlmError::Cancelled);
            }
        }
        let gradients = device.read_gradients(&gradients)?;
        match gradients.iter().flatten().all(|g| g.is_finite()) {
            true => Ok((values, gradients)),
            false => Err(LvlmError::Gradient { dtype: "f32" }),
        }
    }

    #[cfg(test)]
    fn pixel_gradients(&self, _: &[usize]) -> Result<Vec<Vec<f64>>> {
        let pixels = self.given.picture.to_vec();
        let (_, gradients) = self.kept(self.model.gradients(pixels, 1))?;
        Ok(vec![gradients.into_iter().map(f64::from).collect()])
    }

    fn plan(&self, blends: usize, tokens: &[usize]) -> Result<BatchPlan> {
        of_answer(tokens, 1)?;
        let batch = self.batch.min(blends.max(1));
        Ok(BatchPlan {
            batch,
            checkpointing: Checkpointing::Nothing,
            bytes: batch * self.order.len() * size_of::<f32>(),
        })
    }
}
