//! Grad-CAM (Selvaraju et al., ICCV 2017, arXiv 1610.02391) at a layer of the vision encoder, and in
//! the form of LLaVA-CAM (Zhang et al., arXiv 2406.06579) at a layer of the decoder.

use super::saliency::mask_of;
use super::{Attribution, Iteration, Mask, Result, Schedule, Settings};
use crate::lvlm::{Callback, Layer, LayerActivations, Scorer};

/// The method with its settings: the layer whose activations are weighed.
pub(super) struct GradCam<'a> {
    pub settings: &'a Settings,
}

impl GradCam<'_> {
    fn layer(&self) -> Layer {
        self.settings.layer.unwrap_or(Layer::Encoder(None))
    }
}

/// Returns the value of every token: the sum over columns of its activation times the column's
/// weight, where positive. A column's weight is the mean of its gradients over the tokens that have
/// a place in the picture; with `positive`, of their positive parts.
pub(super) fn class_activations(layer: &LayerActivations, positive: bool) -> Vec<f64> {
    let columns = layer.columns.max(1);
    let placed = layer.places.placed();
    let mut weights = vec![0.0; columns];
    for &token in &placed {
        let gradients = layer.gradient[token * columns..].iter();
        for (weight, &gradient) in weights.iter_mut().zip(gradients) {
            *weight += if positive {
                gradient.max(0.0)
            } else {
                gradient
            };
        }
    }
    let count = placed.len().max(1) as f64;
    let value = |activations: &[f64]| {
        let terms = activations.iter().zip(&weights);
        let sum: f64 = terms.map(|(a, weight)| a * weight / count).sum();
        sum.max(0.0)
    };
    layer.values.chunks(columns).map(value).collect()
}

impl Attribution for GradCam<'_> {
    fn name(&self) -> &'static str {
        "grad-cam"
    }

    fn summary(&self) -> &'static str {
        "A layer's activations, weighed by their mean gradient"
    }

    fn suited_to(&self) -> &'static str {
        "a look at one layer for one evaluation; a layer's tokens need not stay at their place"
    }

    fn settings(&self) -> &'static [&'static str] {
        &["layer"]
    }

    fn schedule(&self, _pictures: usize) -> Schedule {
        Schedule::once(1, true)
    }

    fn run(
        &self,
        scorer: &dyn Scorer,
        keys: &[usize],
        evaluated: &mut Callback,
        _: &mut dyn FnMut(usize, Iteration, &Mask),
    ) -> Result<Mask> {
        self.settings.validate()?;
        let layer = self.layer();
        let read = scorer.internals()?.activations(layer, keys, evaluated)?;
        let values = class_activations(&read, matches!(layer, Layer::Decoder(_)));
        let size = self.settings.mask_size;
        mask_of(size, &read.places.cells(&values, size))
    }
}
