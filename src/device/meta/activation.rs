//! Costs of activation functions.

use super::{Meta, MetaMatrix};
use crate::device::{Activation, Activations, Result};

impl Activations for Meta {
    fn activation_impl(&self, _: Activation, x: &MetaMatrix) -> Result<MetaMatrix> {
        self.moved(2, x);
        Ok(self.matrix(x.rows, x.columns))
    }

    fn activation_vjp_impl(
        &self,
        _: Activation,
        x: &MetaMatrix,
        dy: MetaMatrix,
    ) -> Result<MetaMatrix> {
        self.moved(3, x);
        Ok(dy)
    }

    fn gate_impl(&self, _: Activation, gate: &MetaMatrix, _: &MetaMatrix) -> Result<MetaMatrix> {
        self.moved(3, gate);
        Ok(self.matrix(gate.rows, gate.columns))
    }

    fn gate_vjp_impl(
        &self,
        _: Activation,
        gate: &MetaMatrix,
        _: &MetaMatrix,
        dy: MetaMatrix,
    ) -> Result<(MetaMatrix, MetaMatrix)> {
        self.moved(5, gate);
        Ok((self.matrix(gate.rows, gate.columns), dy))
    }
}
