//! What a model computes for the whole picture and one answer.

use super::AnswerScorer;
use crate::blend::{Path, Score, TokenPlaces};
use crate::device::Device;
use crate::lvlm::engine::evaluator::{AnswerLayout, Reading};
use crate::lvlm::error::{LvlmError, Result};
use crate::lvlm::internals::{Internals, Layer, LayerActivations, SequenceRows, one};
use crate::lvlm::plan::of_answer;
use crate::lvlm::session::{Callback, Scorer};
use crate::nn::AttentionValues;

impl<D: Device> AnswerScorer<'_, D> {
    /// Returns the layout of the answer's tokens `tokens`, and the weights of their score.
    fn scored(&self, tokens: &[usize]) -> Result<(AnswerLayout<D>, D::Weights)> {
        let device = self.session.device;
        let layout = self
            .session
            .evaluator
            .layout(device, &self.answer, tokens)?;
        let weights = vec![device.gradient_scale(); tokens.len()];
        Ok((layout, device.weigh(&weights, Score::LogProbability)?))
    }

    /// Returns the places of the tokens of the first encoder in its views, `rows` of them.
    fn encoder_places(&self, rows: usize) -> TokenPlaces {
        let encoder = self.session.encoders.first();
        let grids = encoder.map_or_else(Vec::new, |views| views.grids(views.patch));
        let (mut places, mut place) = (Vec::with_capacity(rows), 0);
        for grid in &grids {
            let patches = grid.rows * grid.columns;
            // Class tokens come first in every view.
            let others = (rows / grids.len()).saturating_sub(patches);
            places.extend((0..others).map(|_| None));
            places.extend((place..place + patches).map(Some));
            place += patches;
        }
        TokenPlaces::of(grids, places)
    }
}

impl<D: Device> Internals for AnswerScorer<'_, D> {
    fn rows(&self) -> SequenceRows<'_> {
        let evaluator = &self.session.evaluator;
        SequenceRows {
            places: &self.session.places,
            visual: evaluator.rest.images(),
            text: evaluator.rest.text_rows(),
            first: evaluator.first_row(),
            answer: &self.answer,
        }
    }

    fn activations(
        &self,
        layer: Layer,
        tokens: &[usize],
        evaluated: &mut Callback,
    ) -> Result<LayerActivations> {
        let (session, device) = (self.session, self.session.device);
        let checkpointing = self.plan(1, tokens)?.checkpointing;
        let (layout, weights) = self.scored(tokens)?;
        let batch = session.whole(Path::Deletion)?;
        let reading = Reading {
            layout: &layout,
            batch: &batch,
            checkpointing,
        };
        let (values, watch) = session
            .evaluator
            .read_layer(device, &reading, &weights, layer)?;
        self.read(&layout, &batch, &values)?;
        let (columns, values, mut gradient) = watch.seen.unwrap_or_default();
        if gradient.iter().any(|g| !g.is_finite()) {
            return Err(LvlmError::Gradient {
                dtype: device.dtype(),
            });
        }
        let scale = device.gradient_scale();
        gradient.iter_mut().for_each(|g| *g /= scale);
        one(evaluated)?;
        let rows = values.len() / columns.max(1);
        Ok(match layer {
            Layer::Encoder(_) => LayerActivations {
                places: self.encoder_places(rows),
                columns,
                values,
                gradient,
            },
            Layer::Decoder(_) => {
                let visual = session.evaluator.rest.images();
                let of = |all: &[f64]| {
                    let rows = visual.iter();
                    rows.flat_map(|&row| &all[row * columns..][..columns])
                        .copied()
                        .collect()
                };
                LayerActivations {
                    places: session.places.clone(),
                    columns,
                    values: of(&values),
                    gradient: of(&gradient),
                }
            }
        })
    }

    fn attention(
        &self,
        tokens: &[usize],
        gradient: bool,
        each: &mut dyn FnMut(usize, AttentionValues),
        evaluated: &mut Callback,
    ) -> Result<()> {
        let (session, device) = (self.session, self.session.device);
        let checkpointing = self.plan(1, tokens)?.checkpointing;
        let (layout, weights) = self.scored(tokens)?;
        let batch = session.whole(Path::Deletion)?;
        let reading = Reading {
            layout: &layout,
            batch: &batch,
            checkpointing,
        };
        let scale = device.gradient_scale() as f32;
        let mut unscaled = |layer: usize, mut values: AttentionValues| {
            values.d_out.iter_mut().for_each(|g| *g /= scale);
            each(layer, values);
        };
        let weights = gradient.then_some(&weights);
        let values = session
            .evaluator
            .read_attention(device, &reading, weights, &mut unscaled)?;
        self.read(&layout, &batch, &values)?;
        one(evaluated)
    }

    fn logits(&self, last: usize, ids: &[u32], evaluated: &mut Callback) -> Result<Vec<f64>> {
        of_answer(&[last], self.answer.len())?;
        let session = self.session;
        let batch = session.whole(Path::Deletion)?;
        let before = &self.answer[..last];
        let logits = session
            .evaluator
            .read_logits(session.device, &batch, before, ids)?;
        one(evaluated)?;
        Ok(logits)
    }
}
