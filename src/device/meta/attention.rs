//! Costs of attention.

use super::{Meta, MetaMatrix, tally};
use crate::device::ops::{AttentionInputs, AttentionSaved};
use crate::device::{Attention, AttentionShape, Result};

impl Attention for Meta {
    fn attention_impl(
        &self,
        shape: &AttentionShape,
        inputs: AttentionInputs<MetaMatrix>,
    ) -> Result<(MetaMatrix, MetaMatrix)> {
        let q = inputs.q;
        self.meter.count(tally::attention(shape));
        let out = self.matrix(q.rows, q.columns);
        Ok((out, self.statistics(q.rows, shape.heads)))
    }

    fn attention_vjp_impl(
        &self,
        shape: &AttentionShape,
        inputs: AttentionInputs<MetaMatrix>,
        _: &AttentionSaved<MetaMatrix, MetaMatrix>,
    ) -> Result<(MetaMatrix, MetaMatrix, MetaMatrix)> {
        let like = |x: &MetaMatrix| self.matrix(x.rows, x.columns);
        let all = (like(inputs.q), like(inputs.k), like(inputs.v));
        if shape.is_window() {
            self.meter.count(tally::window_vjp(shape));
        } else {
            self.meter.count(tally::attention_vjp(shape));
            drop(self.statistics(inputs.q.rows, shape.heads));
        }
        Ok(all)
    }
}
