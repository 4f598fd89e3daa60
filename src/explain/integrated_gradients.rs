//! Integrated gradients of the mask (Sundararajan, Taly, Yan, ICML 2017, arXiv 1703.01365).

use super::gradients::at_whole_mask;
use super::saliency::mask_of;
use super::{Attribution, Iteration, Mask, Result, Schedule, Settings};
use crate::blend::{Blend, Path};
use crate::lvlm::{Callback, Scorer};

/// The method with its settings: `steps` points of the path on which all cells go from 0 to 1
/// together.
pub(super) struct IntegratedGradients<'a> {
    pub settings: &'a Settings,
}

impl Attribution for IntegratedGradients<'_> {
    fn name(&self) -> &'static str {
        "integrated-gradients"
    }

    fn summary(&self) -> &'static str {
        "The mean gradient between baseline and picture"
    }

    fn suited_to(&self) -> &'static str {
        "attributions that add up to the change of log p; noisy from cell to cell"
    }

    fn settings(&self) -> &'static [&'static str] {
        &["steps"]
    }

    fn schedule(&self, _pictures: usize) -> Schedule {
        Schedule::once(self.settings.steps, true)
    }

    fn run(
        &self,
        scorer: &dyn Scorer,
        keys: &[usize],
        evaluated: &mut Callback,
        _: &mut dyn FnMut(usize, Iteration, &Mask),
    ) -> Result<Mask> {
        self.settings.validate()?;
        let (steps, size) = (self.settings.steps, self.settings.mask_size);
        // A blend at alpha of a mask of ones is the picture under a mask of alphas. Its gradient
        // has a factor alpha, which the weight takes away.
        let points = (0..steps).map(|n| {
            let alpha = (n as f64 + 0.5) / steps as f64;
            let blend = Blend {
                alpha,
                ..Blend::whole(0, Path::Deletion)
            };
            (blend, 1.0 / (alpha * steps as f64))
        });
        mask_of(size, &at_whole_mask(scorer, size, points, keys, evaluated)?)
    }
}
