//! A session whose masks are resampled before its views sample them.

use crate::blend::{Blend, Extent, Masks, Path, Score, View};
use crate::lvlm::error::Result;
use crate::lvlm::internals::Internals;
use crate::lvlm::plan::BatchPlan;
use crate::lvlm::resampling::Resampling;
use crate::lvlm::session::{Callback, LogProbabilities, Scorer, Session};

/// A session that resamples masks for the one inside it.
pub(super) struct Resampled<'a> {
    pub inner: Box<dyn Session + 'a>,
    pub resampling: Resampling,
}

impl Session for Resampled<'_> {
    fn mask_extent(&self) -> Option<Extent> {
        self.inner.mask_extent()
    }

    fn generate(
        &self,
        path: Path,
        max_new_tokens: usize,
        produced: &mut Callback,
    ) -> Result<Vec<u32>> {
        self.inner.generate(path, max_new_tokens, produced)
    }

    fn scorer<'s>(&'s mut self, answer: &[u32]) -> Result<Box<dyn Scorer + 's>> {
        Ok(Box::new(ResampledScorer {
            inner: self.inner.scorer(answer)?,
            resampling: &self.resampling,
        }))
    }
}

/// A scorer that resamples masks for the one inside it.
struct ResampledScorer<'s> {
    inner: Box<dyn Scorer + 's>,
    resampling: &'s Resampling,
}

impl ResampledScorer<'_> {
    /// Resamples masks: cells per side, and squares. Masks of another size are passed on as they
    /// are, since the scorer inside reports what is wrong with them.
    fn resampled(&self, masks: Masks) -> (usize, Vec<Vec<f64>>) {
        let size = self.resampling.size();
        let fits = |mask: &Vec<f64>| mask.len() == size * size;
        if masks.size != size || !masks.values.iter().all(fits) {
            return (masks.size, masks.values.to_vec());
        }
        let squares = masks.values.iter().map(|mask| self.resampling.square(mask));
        (self.resampling.side(), squares.collect())
    }
}

impl Scorer for ResampledScorer<'_> {
    fn image_rows(&self) -> Vec<usize> {
        self.inner.image_rows()
    }

    fn internals(&self) -> Result<&dyn Internals> {
        self.inner.internals()
    }

    fn first_views(&self) -> Vec<(&View, &[f32])> {
        self.inner.first_views()
    }

    fn resampling(&self) -> Option<&Resampling> {
        Some(self.resampling)
    }

    fn log_probabilities(
        &self,
        masks: Masks,
        blends: &[Blend],
        tokens: &[usize],
        evaluated: &mut Callback,
    ) -> Result<LogProbabilities> {
        let (size, values) = self.resampled(masks);
        let masks = Masks {
            size,
            values: &values,
        };
        self.inner
            .log_probabilities(masks, blends, tokens, evaluated)
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
        let (size, values) = self.resampled(masks);
        let masks = Masks {
            size,
            values: &values,
        };
        let (values, gradients) = self
            .inner
            .gradient_by_token(masks, blends, weights, tokens, score, evaluated)?;
        let gradients = gradients.iter().map(|g| self.resampling.adjoint(g));
        Ok((values, gradients.collect()))
    }

    #[cfg(test)]
    fn pixel_gradients(&self, tokens: &[usize]) -> Result<Vec<Vec<f64>>> {
        self.inner.pixel_gradients(tokens)
    }

    fn plan(&self, blends: usize, tokens: &[usize]) -> Result<BatchPlan> {
        self.inner.plan(blends, tokens)
    }
}
