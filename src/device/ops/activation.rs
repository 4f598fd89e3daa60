//! Activation functions and gates, element by element.

use super::{Matrix, Memory, same_shape};
use crate::device::{Activation, Result};

/// Activation functions, and gates of a gated MLP.
pub trait Activations: Memory {
    /// Computes `y = f(x)` element by element.
    fn activation(&self, kind: Activation, x: &Self::Matrix) -> Result<Self::Matrix> {
        self.activation_impl(kind, x)
    }
    /// Implements [`Activations::activation`].
    fn activation_impl(&self, kind: Activation, x: &Self::Matrix) -> Result<Self::Matrix>;

    /// Computes `dx = dy * f'(x)`.
    ///
    /// # Errors
    /// [`DeviceError::Shape`](crate::device::DeviceError::Shape) if the sizes of operands differ.
    fn activation_vjp(
        &self,
        kind: Activation,
        x: &Self::Matrix,
        dy: Self::Matrix,
    ) -> Result<Self::Matrix> {
        same_shape("activation_vjp", x.shape(), &dy)?;
        self.activation_vjp_impl(kind, x, dy)
    }
    /// Implements [`Activations::activation_vjp`].
    fn activation_vjp_impl(
        &self,
        kind: Activation,
        x: &Self::Matrix,
        dy: Self::Matrix,
    ) -> Result<Self::Matrix>;

    /// Computes `y = f(gate) * up` element by element.
    ///
    /// # Errors
    /// As [`Activations::activation_vjp`].
    fn gate(
        &self,
        kind: Activation,
        gate: &Self::Matrix,
        up: &Self::Matrix,
    ) -> Result<Self::Matrix> {
        same_shape("gate", gate.shape(), up)?;
        self.gate_impl(kind, gate, up)
    }
    /// Implements [`Activations::gate`].
    fn gate_impl(
        &self,
        kind: Activation,
        gate: &Self::Matrix,
        up: &Self::Matrix,
    ) -> Result<Self::Matrix>;

    /// Returns the gradients of `gate` with respect to gate and up.
    ///
    /// # Errors
    /// As [`Activations::activation_vjp`].
    fn gate_vjp(
        &self,
        kind: Activation,
        gate: &Self::Matrix,
        up: &Self::Matrix,
        dy: Self::Matrix,
    ) -> Result<(Self::Matrix, Self::Matrix)> {
        same_shape("gate_vjp: up", gate.shape(), up)?;
        same_shape("gate_vjp: dy", gate.shape(), &dy)?;
        self.gate_vjp_impl(kind, gate, up, dy)
    }
    /// Implements [`Activations::gate_vjp`].
    fn gate_vjp_impl(
        &self,
        kind: Activation,
        gate: &Self::Matrix,
        up: &Self::Matrix,
        dy: Self::Matrix,
    ) -> Result<(Self::Matrix, Self::Matrix)>;
}
