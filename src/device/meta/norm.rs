//! Costs of normalisation.

use super::{Meta, MetaMatrix, tally};
use crate::device::{Norm, Result};

impl Meta {
    /// Counts a norm, with or without a mean, and returns its result and its statistics.
    fn norm(&self, x: &MetaMatrix, mean: bool) -> (MetaMatrix, MetaMatrix) {
        self.meter.count(tally::norm(x.rows, x.columns, mean));
        let statistics = self.statistics(x.rows, 1 + usize::from(mean));
        (self.matrix(x.rows, x.columns), statistics)
    }

    fn norm_vjp(&self, x: &MetaMatrix, mean: bool, onto: Option<&MetaMatrix>) -> MetaMatrix {
        let cost = tally::norm_vjp(x.rows, x.columns, mean, onto.is_some());
        self.meter.count(cost);
        self.matrix(x.rows, x.columns)
    }
}

impl Norm for Meta {
    fn layer_norm_impl(
        &self,
        x: &MetaMatrix,
        _: &MetaMatrix,
        _: &MetaMatrix,
        _: f64,
    ) -> Result<(MetaMatrix, MetaMatrix)> {
        Ok(self.norm(x, true))
    }

    fn layer_norm_vjp_impl(
        &self,
        x: &MetaMatrix,
        _: &MetaMatrix,
        _: &MetaMatrix,
        _: &MetaMatrix,
        onto: Option<&MetaMatrix>,
    ) -> Result<MetaMatrix> {
        Ok(self.norm_vjp(x, true, onto))
    }

    fn rms_norm_impl(
        &self,
        x: &MetaMatrix,
        _: &MetaMatrix,
        _: f64,
    ) -> Result<(MetaMatrix, MetaMatrix)> {
        Ok(self.norm(x, false))
    }

    fn rms_norm_vjp_impl(
        &self,
        x: &MetaMatrix,
        _: &MetaMatrix,
        _: &MetaMatrix,
        _: &MetaMatrix,
        onto: Option<&MetaMatrix>,
    ) -> Result<MetaMatrix> {
        Ok(self.norm_vjp(x, false, onto))
    }
}
