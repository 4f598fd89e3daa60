//! Costs of products with weights.

use super::tally::Linear;
use super::{Meta, MetaMatrix, MetaWeight};
use crate::device::{Activation, Gemm, Result};

impl Meta {
    /// Counts a product with a weight, and holds the operand meanwhile as a device may pack it.
    fn product(&self, rows: usize, weight: &MetaWeight, bias: bool, beside: usize) {
        let layer = Linear::new(weight.inside, weight.out, bias);
        self.meter.count(layer.forward(rows, beside));
        drop(self.hold(self.element * rows * weight.inside));
    }

    fn product_vjp(&self, rows: usize, weight: &MetaWeight, beside: usize) {
        let layer = Linear::new(weight.inside, weight.out, false);
        self.meter.count(layer.vjp(rows, beside));
        drop(self.hold(self.element * rows * weight.out));
    }
}

impl Gemm for Meta {
    fn linear_impl(
        &self,
        x: &MetaMatrix,
        weight: &MetaWeight,
        bias: Option<&MetaMatrix>,
        residual: Option<&MetaMatrix>,
    ) -> Result<MetaMatrix> {
        let beside = usize::from(residual.is_some());
        self.product(x.rows, weight, bias.is_some(), beside);
        Ok(self.matrix(x.rows, weight.out))
    }

    fn linear_vjp_impl(
        &self,
        dy: &MetaMatrix,
        weight: &MetaWeight,
        onto: Option<&MetaMatrix>,
    ) -> Result<MetaMatrix> {
        self.product_vjp(dy.rows, weight, usize::from(onto.is_some()));
        Ok(self.matrix(dy.rows, weight.inside))
    }

    fn linear_activation_impl(
        &self,
        _: Activation,
        x: &MetaMatrix,
        weight: &MetaWeight,
        bias: Option<&MetaMatrix>,
    ) -> Result<(MetaMatrix, MetaMatrix)> {
        self.product(x.rows, weight, bias.is_some(), 1);
        let y = || self.matrix(x.rows, weight.out);
        Ok((y(), y()))
    }

    fn linear_vjp_activation_impl(
        &self,
        _: Activation,
        dy: &MetaMatrix,
        weight: &MetaWeight,
        _: &MetaMatrix,
    ) -> Result<MetaMatrix> {
        self.product_vjp(dy.rows, weight, 1);
        Ok(self.matrix(dy.rows, weight.inside))
    }

    fn linear_gate_impl(
        &self,
        _: Activation,
        _: &MetaMatrix,
        x: &MetaMatrix,
        weight: &MetaWeight,
        bias: Option<&MetaMatrix>,
    ) -> Result<(MetaMatrix, MetaMatrix)> {
        self.product(x.rows, weight, bias.is_some(), 2);
        let y = || self.matrix(x.rows, weight.out);
        Ok((y(), y()))
    }

    fn linear_vjp_gate_impl(
        &self,
        _: Activation,
        dy: &MetaMatrix,
        weight: &MetaWeight,
        _: &MetaMatrix,
        _: &MetaMatrix,
    ) -> Result<(MetaMatrix, MetaMatrix)> {
        self.product_vjp(dy.rows, weight, 3);
        let dx = || self.matrix(dy.rows, weight.inside);
        Ok((dx(), dx()))
    }

    fn linear_rope_impl(
        &self,
        x: &MetaMatrix,
        weight: &MetaWeight,
        bias: Option<&MetaMatrix>,
        _: usize,
        _: &[f64],
        _: &[usize],
    ) -> Result<MetaMatrix> {
        self.linear_impl(x, weight, bias, None)
    }
}
