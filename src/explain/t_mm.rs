//! T-MM (Chefer, Gur, Wolf, ICCV 2021, arXiv 2103.15679): relevance through attention, weighed by its
//! gradient, in the decoder.

use super::relevance::{at_keys, cells, through};
use super::saliency::mask_of;
use super::{Attribution, Iteration, Mask, Result, Schedule, Settings};
use crate::lvlm::{AttentionValues, Callback, Scorer};

/// The method, which has no settings of its own.
///
/// The decoder's attention is self-attention over text and picture, for which the paper's rule is
/// `R = R + mean over heads of max(0, gradient * attention) R`. It is applied from the last layer
/// down, for the rows that predict key tokens alone.
pub(super) struct TMm<'a> {
    pub settings: &'a Settings,
}

impl Attribution for TMm<'_> {
    fn name(&self) -> &'static str {
        "t-mm"
    }

    fn summary(&self) -> &'static str {
        "Attention of all layers, weighed by its gradient"
    }

    fn suited_to(&self) -> &'static str {
        "attention that counts for the key tokens, for one evaluation; rows that carry others' \
         content point to themselves"
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
        let internals = scorer.internals()?;
        let rows = internals.rows();
        let mut relevance = at_keys(&rows, keys, 1.0);
        let mut pass = |_: usize, attention: AttentionValues| {
            let read = through(&attention, &relevance, |p, gradient| {
                (p * gradient).max(0.0)
            });
            for (own, read) in relevance.iter_mut().zip(read) {
                *own += read;
            }
        };
        internals.attention(keys, true, &mut pass, evaluated)?;
        let size = self.settings.mask_size;
        mask_of(size, &cells(&rows, &relevance, size))
    }
}
