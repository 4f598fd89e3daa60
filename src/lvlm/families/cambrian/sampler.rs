//! The vision sampler between the decoder's layers: the picture's rows attend to the encoders'
//! features again.

use std::sync::Arc;

use super::aggregator::{Aggregator, AggregatorSaved, FeatureGradients, Features};
use crate::device::{Device, Matrix, RowMap};
use crate::nn::{BlockHook, Result};

/// The layers of the decoder that an aggregator follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::lvlm) struct Steps {
    /// The first such layer.
    pub start: usize,
    /// From one to the next.
    pub stride: usize,
    /// The number of aggregators.
    pub count: usize,
    /// Layers of the decoder.
    pub layers: usize,
}

impl Steps {
    /// Returns the number of the aggregator after layer `i`. There is none after the last: nothing
    /// reads the picture's rows there.
    pub fn after(&self, i: usize) -> Option<usize> {
        let steps = i.checked_sub(self.start)?;
        let number = steps / self.stride;
        let here = steps.is_multiple_of(self.stride) && number < self.count;
        (here && i + 1 < self.layers).then_some(number)
    }

    /// Returns the number of aggregators that run.
    pub fn used(&self) -> usize {
        (0..self.layers).filter_map(|i| self.after(i)).count()
    }
}

/// The aggregators between the decoder's layers, and the features that they read.
pub(in crate::lvlm) struct VisionSampler<D: Device> {
    pub aggregators: Arc<Vec<Aggregator<D>>>,
    pub steps: Steps,
    pub features: Arc<Features<D>>,
}

impl<D: Device> VisionSampler<D> {
    /// Returns the map of the queries among the rows `x` of the decoder.
    fn picked(&self, x: &D::Matrix) -> RowMap {
        let length = x.rows() / self.features.context.rows();
        self.features.layout.picked(length)
    }
}

impl<D: Device> BlockHook<D> for VisionSampler<D> {
    type Saved = AggregatorSaved<D>;
    type Gradients = FeatureGradients<D>;

    fn changes(&self, i: usize) -> bool {
        self.steps.after(i).is_some()
    }

    fn forward(&self, device: &D, i: usize, x: D::Matrix) -> Result<(D::Matrix, Self::Saved)> {
        let number = self.steps.after(i).unwrap_or_default();
        let picked = self.picked(&x);
        let queries = device.mix_rows(&x, &picked, None)?;
        let aggregator = &self.aggregators[number];
        let (found, saved) = aggregator.forward(device, &queries, &self.features, None)?;
        Ok((device.mix_rows_vjp(&found, &picked, Some(&x))?, saved))
    }

    fn vjp(
        &self,
        device: &D,
        i: usize,
        saved: Self::Saved,
        dy: D::Matrix,
        gradients: &mut Self::Gradients,
    ) -> Result<D::Matrix> {
        let number = self.steps.after(i).unwrap_or_default();
        let picked = self.picked(&dy);
        let d_found = device.mix_rows(&dy, &picked, None)?;
        let aggregator = &self.aggregators[number];
        let d_queries = aggregator.vjp(device, saved, &self.features, &d_found, None, gradients)?;
        Ok(device.mix_rows_vjp(&d_queries, &picked, Some(&dy))?)
    }
}
