//! Gradients by pixel, which tests compare with recorded ones.

use super::AnswerScorer;
use crate::blend::{Path, Score, View};
use crate::device::{Device, Real};
use crate::lvlm::error::{LvlmError, Result};
use crate::lvlm::session::Scorer;

impl<D: Device> AnswerScorer<'_, D> {
    /// Implements [`Scorer::pixel_gradients`](crate::lvlm::Scorer::pixel_gradients).
    pub(super) fn of_pixels(&self, tokens: &[usize]) -> Result<Vec<Vec<f64>>> {
        let device = self.session.device;
        let checkpointing = self.plan(1, tokens)?.checkpointing;
        let layout = self
            .session
            .evaluator
            .layout(device, &self.answer, tokens)?;
        let batch = self.session.whole(Path::Deletion)?;
        let weights = vec![device.gradient_scale(); tokens.len()];
        let weights = device.weigh(&weights, Score::LogProbability)?;
        let (values, d_patches) = self.session.evaluator.forward_and_vjp(
            device,
            &layout,
            &batch,
            &weights,
            1,
            checkpointing,
        )?;
        self.read(&layout, &batch, &values)?;
        let mut all = Vec::new();
        for (encoder, d_patches) in self.session.encoders.iter().zip(&d_patches) {
            if !device.is_finite(d_patches)? {
                return Err(LvlmError::Gradient {
                    dtype: device.dtype(),
                });
            }
            let values = device.download(d_patches)?;
            let length = values.len() / encoder.views.len();
            for (view, values) in encoder.views.iter().zip(values.chunks(length)) {
                let mut pixels = unpatched(view, encoder.patch, values);
                pixels
                    .iter_mut()
                    .for_each(|g| *g /= device.gradient_scale());
                all.push(pixels);
            }
        }
        Ok(all)
    }
}

/// Puts the values of a view's patches into `3 x height x width`. Rows and columns that no patch
/// covers are zero.
fn unpatched<T: Real>(view: &View, patch: usize, values: &[T]) -> Vec<f64> {
    let (h, w) = (view.height, view.width);
    let mut pixels = vec![0.0; 3 * h * w];
    for (p, values) in values.chunks(3 * patch * patch).enumerate() {
        let (top, left) = (p / (w / patch) * patch, p % (w / patch) * patch);
        for (at, value) in values.iter().enumerate() {
            let (c, i, j) = (at / (patch * patch), at / patch % patch, at % patch);
            pixels[(c * h + top + i) * w + left + j] = value.to_f64();
        }
    }
    pixels
}
