//! Input times gradient (Shrikumar, Greenside, Shcherbina, Kundaje, arXiv 1605.01713), for the
//! mask.

use super::gradients::at_whole_mask;
use super::saliency::mask_of;
use super::{Attribution, Iteration, Mask, Result, Schedule, Settings};
use crate::blend::{Blend, Path};
use crate::lvlm::{Callback, Scorer};

/// The method with its settings, of which it reads none of its own.
///
/// The input is the mask, whose cells are 1: the product is the mask's gradient, which is that of
/// the pixels times the difference of picture and baseline, summed into cells.
pub(super) struct InputXGradient<'a> {
    pub settings: &'a Settings,
}

impl Attribution for InputXGradient<'_> {
    fn name(&self) -> &'static str {
        "input-x-gradient"
    }

    fn summary(&self) -> &'static str {
        "The gradient at the picture itself"
    }

    fn suited_to(&self) -> &'static str {
        "a first look for one evaluation; blind where the model is certain"
    }

    fn settings(&self) -> &'static [&'static str] {
        &[]
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
        let size = self.settings.mask_size;
        let picture = std::iter::once((Blend::whole(0, Path::Deletion), 1.0));
        mask_of(
            size,
            &at_whole_mask(scorer, size, picture, keys, evaluated)?,
        )
    }
}
