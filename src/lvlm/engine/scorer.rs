//! The scorer of an answer with a model of any family: batches cut to the memory budget, repeated
//! work recorded.

mod internals;
#[cfg(test)]
mod pixels;

use std::cell::RefCell;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::evaluator::AnswerLayout;
use super::session::ModelSession;
use crate::blend::{Blend, Masks, Score, View};
use crate::device::Device;
use crate::lvlm::error::{LvlmError, Result};
use crate::lvlm::internals::Internals;
use crate::lvlm::plan::{BatchPlan, of_answer, one_each};
use crate::lvlm::session::{Callback, LogProbabilities, Scorer};
use crate::nn::Checkpointing;

/// A scorer.
pub(super) struct AnswerScorer<'s, D: Device> {
    session: &'s ModelSession<'s, D>,
    answer: Vec<u32>,
    work: RefCell<Workspace<D>>,
}

/// State that evaluations share.
struct Workspace<D: Device> {
    prepared: HashMap<BatchKey, PreparedBatch<D>>,
    /// By number of masks.
    gradients: HashMap<usize, Vec<D::Gradients>>,
}

impl<D: Device> Default for Workspace<D> {
    fn default() -> Self {
        Workspace {
            prepared: HashMap::new(),
            gradients: HashMap::new(),
        }
    }
}

/// The key of a batch: two batches with the same key do the same operations.
#[derive(PartialEq, Eq, Hash)]
struct BatchKey {
    tokens: Vec<usize>,
    blends: usize,
    masks: usize,
    score: Score,
    checkpointing: Checkpointing,
}

impl BatchKey {
    fn new(
        tokens: &[usize],
        blends: usize,
        masks: Masks,
        score: Score,
        checkpointing: Checkpointing,
    ) -> BatchKey {
        BatchKey {
            tokens: tokens.to_vec(),
            blends,
            masks: masks.values.len(),
            score,
            checkpointing,
        }
    }
}

/// Buffers and the recording that batches of one shape share.
struct PreparedBatch<D: Device> {
    layout: AnswerLayout<D>,
    batch: Vec<D::Batch>,
    weights: D::Weights,
    recording: D::Recording<D::Values>,
    /// The most bytes that its activations take.
    bytes: usize,
}

impl<'s, D: Device> AnswerScorer<'s, D> {
    /// Creates the scorer of an answer that has been checked.
    pub fn new(session: &'s ModelSession<'s, D>, answer: &[u32]) -> AnswerScorer<'s, D> {
        AnswerScorer {
            session,
            answer: answer.to_vec(),
            work: RefCell::default(),
        }
    }

    /// Reads the values of a batch, blend by blend, and fails unless they are finite.
    fn read(
        &self,
        layout: &AnswerLayout<D>,
        batch: &[D::Batch],
        values: &D::Values,
    ) -> Result<LogProbabilities> {
        let device = self.session.device;
        let values = device.values(values)?;
        if values.iter().any(|v| !v.is_finite()) {
            return Err(self.session.evaluator.diagnose(device, &self.answer, batch));
        }
        let tokens = layout.targets().max(1);
        Ok(values.chunks(tokens).map(<[f64]>::to_vec).collect())
    }

    /// Fills up a path's last batch to the size of the others with blends of weight 0 where the
    /// device prefers one shape. `weights` are one per row of the score, or none.
    fn filled(&self, blends: &[Blend], weights: &[f64], batch: usize) -> (Vec<Blend>, Vec<f64>) {
        let (mut blends, mut weights) = (blends.to_vec(), weights.to_vec());
        if let (true, Some(&last)) = (self.session.device.prefers_one_shape(), blends.last()) {
            let tokens = weights.len() / blends.len();
            blends.resize(batch.max(blends.len()), last);
            weights.resize(blends.len() * tokens, 0.0);
        }
        (blends, weights)
    }

    /// Returns the buffers of this shape, made the first time, with these masks, blends and weights
    /// in them.
    fn prepared<'p>(
        &self,
        all: &'p mut HashMap<BatchKey, PreparedBatch<D>>,
        shape: BatchKey,
        bytes: usize,
        masks: Masks,
        blends: &[Blend],
        weights: &[f64],
    ) -> Result<&'p mut PreparedBatch<D>> {
        let device = self.session.device;
        let scale = device.gradient_scale();
        let weights: Vec<f64> = weights.iter().map(|weight| weight * scale).collect();
        // What is prepared holds its memory: at most the budget, all shapes together.
        let held: usize = all.values().map(|p| p.bytes).sum();
        if !all.contains_key(&shape) && held + bytes > self.session.options.memory_budget {
            all.clear();
        }
        Ok(match all.entry(shape) {
            Entry::Occupied(entry) => {
                let prepared = entry.into_mut();
                self.session
                    .evaluator
                    .restage(device, &mut prepared.batch, masks, blends)?;
                device.reweigh(&mut prepared.weights, &weights)?;
                prepared
            }
            Entry::Vacant(entry) => {
                let BatchKey { tokens, score, .. } = entry.key();
                let layout = self
                    .session
                    .evaluator
                    .layout(device, &self.answer, tokens)?;
                let weights = device.weigh(&weights, *score)?;
                entry.insert(PreparedBatch {
                    layout,
                    batch: self.session.evaluator.stage(device, masks, blends)?,
                    weights,
                    recording: D::Recording::default(),
                    bytes,
                })
            }
        })
    }

    /// Plans how evaluations of the answer's tokens `tokens` are cut.
    fn decide(&self, blends: usize, tokens: &[usize], gradient: bool) -> Result<BatchPlan> {
        of_answer(tokens, self.answer.len())?;
        self.session.cut(blends, tokens, gradient)
    }
}

impl<D: Device> Scorer for AnswerScorer<'_, D> {
    fn image_rows(&self) -> Vec<usize> {
        let masked = self.session.masked.iter();
        masked.map(|picture| picture.rows).collect()
    }

    fn internals(&self) -> Result<&dyn Internals> {
        Ok(self)
    }

    fn first_views(&self) -> Vec<(&View, &[f32])> {
        let masked = self
            .session
            .masked
            .iter()
            .map(|picture| &picture.first_view);
        masked.map(|(view, pixels)| (view, &pixels[..])).collect()
    }

    fn log_probabilities(
        &self,
        masks: Masks,
        blends: &[Blend],
        tokens: &[usize],
        evaluated: &mut Callback,
    ) -> Result<LogProbabilities> {
        let plan = self.decide(blends.len(), tokens, false)?;
        let device = self.session.device;
        let mut work = self.work.borrow_mut();
        let mut values = Vec::with_capacity(blends.len());
        for chunk in blends.chunks(plan.batch) {
            let (blends, _) = self.filled(chunk, &[], plan.batch);
            let (count, blends) = (blends.len(), &blends[..]);
            let shape = BatchKey::new(
                tokens,
                count,
                masks,
                Score::default(),
                Checkpointing::Nothing,
            );
            let prepared =
                self.prepared(&mut work.prepared, shape, plan.bytes, masks, blends, &[])?;
            let PreparedBatch {
                layout,
                batch,
                recording,
                ..
            } = &mut *prepared;
            let work = || {
                let forward = self.session.evaluator.forward(
                    device,
                    layout,
                    batch,
                    count,
                    Checkpointing::Nothing,
                );
                Ok::<_, LvlmError>(forward?.0)
            };
            let read = |values: &D::Values| self.read(layout, batch, values);
            let batch_values = device.replay(recording, work, read)?;
            values.extend(batch_values.into_iter().take(chunk.len()));
            if evaluated(chunk.len()).is_break() {
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
        let plan = self.plan(blends.len(), tokens)?;
        one_each(weights, "blend and token", blends.len() * tokens.len())?;
        let device = self.session.device;
        let mut work = self.work.borrow_mut();
        let Workspace {
            prepared: all,
            gradients,
        } = &mut *work;
        let gradients = match gradients.entry(masks.values.len()) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(
                self.session
                    .evaluator
                    .gradients(device, masks.values.len())?,
            ),
        };
        for own in gradients.iter_mut() {
            device.clear(own)?;
        }
        let mut values = Vec::with_capacity(blends.len());
        let weights = weights.chunks(plan.batch * tokens.len().max(1));
        for (chunk, weights) in blends.chunks(plan.batch).zip(weights) {
            let (blends, weights) = self.filled(chunk, weights, plan.batch);
            let (count, blends, weights) = (blends.len(), &blends[..], &weights[..]);
            let shape = BatchKey::new(tokens, count, masks, score, plan.checkpointing);
            let prepared = self.prepared(all, shape, plan.bytes, masks, blends, weights)?;
            let PreparedBatch {
                layout,
                batch,
                weights,
                recording,
                ..
            } = &mut *prepared;
            let work = || {
                let (values, d_patches) = self.session.evaluator.forward_and_vjp(
                    device,
                    layout,
                    batch,
                    weights,
                    count,
                    plan.checkpointing,
                )?;
                self.session
                    .evaluator
                    .blend_vjp(device, batch, &d_patches, gradients)?;
                Ok::<_, LvlmError>(values)
            };
            let read = |values: &D::Values| self.read(layout, batch, values);
            let batch_values = device.replay(recording, work, read)?;
            values.extend(batch_values.into_iter().take(chunk.len()));
            if evaluated(chunk.len()).is_break() {
                return Err(LvlmError::Cancelled);
            }
        }
        let mut gradients = self.session.evaluator.read_gradients(device, gradients)?;
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

    #[cfg(test)]
    fn pixel_gradients(&self, tokens: &[usize]) -> Result<Vec<Vec<f64>>> {
        self.of_pixels(tokens)
    }

    fn plan(&self, blends: usize, tokens: &[usize]) -> Result<BatchPlan> {
        self.decide(blends, tokens, true)
    }
}
