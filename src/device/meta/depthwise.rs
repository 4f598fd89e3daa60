//! Costs of depthwise convolution.

use super::{Meta, MetaMatrix, tally};
use crate::device::{Depthwise, DepthwiseShape, Result};

impl Depthwise for Meta {
    fn depthwise_impl(
        &self,
        x: &MetaMatrix,
        kernel: &MetaMatrix,
        _: &MetaMatrix,
        _: DepthwiseShape,
    ) -> Result<MetaMatrix> {
        let cost = tally::depthwise(x.rows, x.columns, kernel.rows);
        self.meter.count(cost + tally::moved(1, x.columns));
        Ok(self.matrix(x.rows, x.columns))
    }

    fn depthwise_vjp_impl(
        &self,
        dy: &MetaMatrix,
        kernel: &MetaMatrix,
        _: DepthwiseShape,
        onto: Option<&MetaMatrix>,
    ) -> Result<MetaMatrix> {
        let cost = tally::depthwise(dy.rows, dy.columns, kernel.rows);
        let beside = onto.map_or(0, |onto| onto.rows);
        self.meter.count(cost + tally::moved(beside, dy.columns));
        Ok(self.matrix(dy.rows, dy.columns))
    }
}
