//! Reads what one blend leaves in the layers: activations and their gradients, attention, logits of
//! every row.

use std::cell::RefCell;
use std::rc::Rc;

use super::{AnswerLayout, Evaluator, ModelSaved};
use crate::device::{Device, Matrix, Part, Real};
use crate::lvlm::error::{LvlmError, Result};
use crate::lvlm::internals::Layer;
use crate::nn::{AttentionValues, Checkpointing, NoWatch, Site, SiteWatch, Watch};

/// Rows whose logits are computed together.
const LOGITS_ROWS: usize = 64;

/// Gives the attention of every block to a function.
struct AttentionWatch<'a> {
    each: &'a mut dyn FnMut(usize, AttentionValues),
}

impl<D: Device> Watch<D> for AttentionWatch<'_> {
    fn wants(&self, _: Site) -> bool {
        false
    }

    fn see(&mut self, _: &D, _: Site, _: &D::Matrix, _: &D::Matrix) -> crate::nn::Result<()> {
        Ok(())
    }

    fn wants_attention(&self) -> bool {
        true
    }

    fn see_attention(&mut self, i: usize, values: AttentionValues) {
        (self.each)(i, values);
    }
}

/// One blend, the rows that predict the scored tokens, and the activations that are saved.
pub(in crate::lvlm::engine) struct Reading<'a, D: Device> {
    pub layout: &'a AnswerLayout<D>,
    pub batch: &'a [D::Batch],
    pub checkpointing: Checkpointing,
}

impl<D: Device> Evaluator<D> {
    fn read(&self, device: &D, reading: &Reading<D>) -> Result<(D::Values, ModelSaved<D>)> {
        let Reading {
            layout,
            batch,
            checkpointing,
        } = *reading;
        self.forward(device, layout, batch, 1, checkpointing)
    }

    /// Returns the site of a layer of this model.
    fn site(&self, layer: Layer) -> Result<Site> {
        let (site, number, last) = match layer {
            Layer::Encoder(number) => {
                let Some(encoder) = self.vision.encoder() else {
                    return Err(LvlmError::Unreadable {
                        what: "layer encoder".into(),
                        expected: "one vision transformer, and one picture".into(),
                        found: match self.pictures.len() > 1 {
                            true => format!(
                                "{} of {} pictures or encoders",
                                self.family,
                                self.pictures.len()
                            ),
                            false => self.family.into(),
                        },
                    });
                };
                let last = encoder.layers();
                let number = number.unwrap_or(last);
                (Site::HiddenState(number), number, last)
            }
            Layer::Decoder(number) => {
                // In the last layer nothing of a visual token reaches the answer any more.
                let last = self.decoder.stack.blocks.len().saturating_sub(1);
                (Site::MlpInput(number.wrapping_sub(1)), number, last)
            }
        };
        match (1..=last).contains(&number) {
            true => Ok(site),
            false => Err(LvlmError::Unreadable {
                what: "layer".into(),
                expected: format!("a number from 1 to {last}"),
                found: layer.to_string(),
            }),
        }
    }

    /// Reads a layer's activations and the gradient of `sum of weight * score` by them.
    pub fn read_layer(
        &self,
        device: &D,
        reading: &Reading<D>,
        weights: &D::Weights,
        layer: Layer,
    ) -> Result<(D::Values, SiteWatch)> {
        let site = self.site(layer)?;
        let mut watch = SiteWatch::new(site);
        let (values, mut saved) = self.read(device, reading)?;
        match layer {
            Layer::Decoder(_) => {
                self.vjp(device, reading.layout, saved, weights, 1, &mut watch)?;
            }
            Layer::Encoder(_) => {
                let shared = Rc::new(RefCell::new(watch));
                if let Some(encoder) = saved.vision.encoder() {
                    encoder.watch = Some(Rc::clone(&shared));
                }
                self.vjp(device, reading.layout, saved, weights, 1, &mut NoWatch)?;
                watch = shared.replace(SiteWatch::new(site));
            }
        }
        Ok((values, watch))
    }

    /// Calls `each` with the number and the attention of every layer of the decoder, the last
    /// first; with `weights`, with the gradient of `sum of weight * score`.
    pub fn read_attention(
        &self,
        device: &D,
        reading: &Reading<D>,
        weights: Option<&D::Weights>,
        each: &mut dyn FnMut(usize, AttentionValues),
    ) -> Result<D::Values> {
        let (values, saved) = self.read(device, reading)?;
        let layers = self.decoder.stack.blocks.len();
        if (0..layers).any(|i| saved.context.mixes(i)) {
            return Err(LvlmError::Unreadable {
                what: "attention".into(),
                expected: "a family whose decoder reads the picture through its visual tokens \
                           alone"
                    .into(),
                found: self.family.into(),
            });
        }
        match weights {
            Some(weights) => {
                let mut watch = AttentionWatch { each };
                self.vjp(device, reading.layout, saved, weights, 1, &mut watch)?;
            }
            None => {
                let rows = self.rows(reading.layout, 1);
                let decoder = &self.decoder;
                decoder.attentions(device, saved.decoder, &rows, &*saved.context, each)?;
            }
        }
        Ok(values)
    }

    /// Computes the logits of the vocabulary's tokens `ids` at every row from the picture's first
    /// on, `[rows, ids]`, with the answer's first tokens after the prompt.
    pub fn read_logits(
        &self,
        device: &D,
        batch: &[D::Batch],
        answer: &[u32],
        ids: &[u32],
    ) -> Result<Vec<f64>> {
        let decoder = &self.decoder;
        if let Some(found) = ids.iter().find(|&&id| id as usize >= decoder.vocabulary) {
            return Err(LvlmError::Unreadable {
                what: "logits".into(),
                expected: format!("tokens below {}", decoder.vocabulary),
                found: found.to_string(),
            });
        }
        let (x, _) = self.read_rows(device, batch, answer, 0)?;
        device.part(Part::Decoder);
        let mut logits = Vec::with_capacity(x.rows() * ids.len());
        for first in (0..x.rows()).step_by(LOGITS_ROWS) {
            let rows = first..(first + LOGITS_ROWS).min(x.rows());
            let all = decoder.logits(device, &x, rows)?;
            for row in all.chunks(decoder.vocabulary.max(1)) {
                let of = |&id: &u32| row.get(id as usize).map_or(f64::NAN, |v| v.to_f64());
                logits.extend(ids.iter().map(of));
            }
        }
        match logits.iter().all(|v| v.is_finite()) {
            true => Ok(logits),
            false => Err(self.diagnose(device, answer, batch)),
        }
    }
}
