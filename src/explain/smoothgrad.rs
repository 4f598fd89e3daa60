//! SmoothGrad (Smilkov, Thorat, Kim, Viégas, Wattenberg, arXiv 1706.03825) of the mask's gradient.

use super::gradients::at_whole_mask;
use super::saliency::mask_of;
use super::{Attribution, Iteration, Mask, Result, Schedule, Settings};
use crate::blend::{Blend, Path};
use crate::lvlm::{Callback, Scorer};

/// Number of noisy pictures, at which the paper's maps stop changing.
pub(super) const SAMPLES: usize = 50;

/// The method with its settings: `samples` noisy pictures, `noise` and its seed.
///
/// The noise is added to the picture's pixels, as in the paper; the gradient is that of the mask.
pub(super) struct SmoothGrad<'a> {
    pub settings: &'a Settings,
}

impl SmoothGrad<'_> {
    fn samples(&self) -> usize {
        self.settings.samples.unwrap_or(SAMPLES)
    }
}

impl Attribution for SmoothGrad<'_> {
    fn name(&self) -> &'static str {
        "smoothgrad"
    }

    fn summary(&self) -> &'static str {
        "The mean gradient at noisy pictures"
    }

    fn suited_to(&self) -> &'static str {
        "a calmer gradient at the picture; depends on the noise"
    }

    fn settings(&self) -> &'static [&'static str] {
        &["samples", "noise"]
    }

    fn schedule(&self, _pictures: usize) -> Schedule {
        Schedule::once(self.samples(), true)
    }

    fn run(
        &self,
        scorer: &dyn Scorer,
        keys: &[usize],
        evaluated: &mut Callback,
        _: &mut dyn FnMut(usize, Iteration, &Mask),
    ) -> Result<Mask> {
        let settings = self.settings;
        settings.validate()?;
        let (samples, size) = (self.samples(), settings.mask_size);
        let pictures = (0..samples).map(|n| {
            let blend = Blend {
                noise: settings.noise_of(n),
                ..Blend::whole(0, Path::Deletion)
            };
            (blend, 1.0 / samples as f64)
        });
        mask_of(
            size,
            &at_whole_mask(scorer, size, pictures, keys, evaluated)?,
        )
    }
}
