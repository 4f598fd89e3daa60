//! Attention rollout (Abnar, Zuidema, ACL 2020, arXiv 2005.00928) in the decoder.

use super::relevance::{at_keys, cells, through};
use super::saliency::mask_of;
use super::{Attribution, Iteration, Mask, Result, Schedule, Settings};
use crate::lvlm::{AttentionValues, Callback, Scorer};

/// The method, which has no settings of its own.
///
/// A layer's rows are half themselves and half the mean of what their heads read; the layers'
/// matrices are multiplied from the last down, for the rows that predict key tokens alone.
pub(super) struct AttentionRollout<'a> {
    pub settings: &'a Settings,
}

impl Attribution for AttentionRollout<'_> {
    fn name(&self) -> &'static str {
        "attention-rollout"
    }

    fn summary(&self) -> &'static str {
        "Attention of all layers, multiplied"
    }

    fn suited_to(&self) -> &'static str {
        "where information can flow; the same for every word that is said about the picture"
    }

    fn settings(&self) -> &'static [&'static str] {
        &[]
    }

    fn schedule(&self, _pictures: usize) -> Schedule {
        Schedule::once(1, false)
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
        let mut relevance = at_keys(&rows, keys, 1.0 / keys.len().max(1) as f64);
        let mut pass = |_: usize, attention: AttentionValues| {
            let read = through(&attention, &relevance, |p, _| p);
            for (own, read) in relevance.iter_mut().zip(read) {
                *own = 0.5 * *own + 0.5 * read;
            }
        };
        internals.attention(keys, false, &mut pass, evaluated)?;
        let size = self.settings.mask_size;
        mask_of(size, &cells(&rows, &relevance, size))
    }
}
