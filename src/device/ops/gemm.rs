//! Products with weights, and operations fused with them.

use super::rows::check_rope;
use super::{Activations, Matrix, Rows, same_shape, same_shape_if};
use crate::device::{Activation, Result};

/// Linear layers. Operations that a device may fuse with them are by default computed separately.
pub trait Gemm: Activations + Rows {
    /// Computes `y = x W^T + bias + residual`: x `[n, in]`, W `[out, in]`, bias `[1, out]`,
    /// residual and y `[n, out]`.
    ///
    /// # Errors
    /// [`DeviceError::Shape`](crate::device::DeviceError::Shape) for operands of other sizes.
    fn linear(
        &self,
        x: &Self::Matrix,
        weight: &Self::Weight,
        bias: Option<&Self::Matrix>,
        residual: Option<&Self::Matrix>,
    ) -> Result<Self::Matrix> {
        same_shape("linear", (x.rows(), weight.columns()), x)?;
        same_shape_if("linear: bias", (1, weight.rows()), bias)?;
        same_shape_if("linear: residual", (x.rows(), weight.rows()), residual)?;
        self.linear_impl(x, weight, bias, residual)
    }
    /// Implements [`Gemm::linear`].
    fn linear_impl(
        &self,
        x: &Self::Matrix,
        weight: &Self::Weight,
        bias: Option<&Self::Matrix>,
        residual: Option<&Self::Matrix>,
    ) -> Result<Self::Matrix>;

    /// Computes `dx = dy W + onto`: dy `[n, out]`, dx and onto `[n, in]`.
    ///
    /// # Errors
    /// As [`Gemm::linear`].
    fn linear_vjp(
        &self,
        dy: &Self::Matrix,
        weight: &Self::Weight,
        onto: Option<&Self::Matrix>,
    ) -> Result<Self::Matrix> {
        same_shape("linear_vjp", (dy.rows(), weight.rows()), dy)?;
        same_shape_if("linear_vjp: onto", (dy.rows(), weight.columns()), onto)?;
        self.linear_vjp_impl(dy, weight, onto)
    }
    /// Implements [`Gemm::linear_vjp`].
    fn linear_vjp_impl(
        &self,
        dy: &Self::Matrix,
        weight: &Self::Weight,
        onto: Option<&Self::Matrix>,
    ) -> Result<Self::Matrix>;

    /// Computes a linear layer and its activation: `h = x W^T + bias` and `f(h)`.
    ///
    /// # Errors
    /// As [`Gemm::linear`].
    fn linear_activation(
        &self,
        kind: Activation,
        x: &Self::Matrix,
        weight: &Self::Weight,
        bias: Option<&Self::Matrix>,
    ) -> Result<(Self::Matrix, Self::Matrix)> {
        same_shape("linear_activation", (x.rows(), weight.columns()), x)?;
        same_shape_if("linear_activation: bias", (1, weight.rows()), bias)?;
        self.linear_activation_impl(kind, x, weight, bias)
    }
    /// Implements [`Gemm::linear_activation`].
    fn linear_activation_impl(
        &self,
        kind: Activation,
        x: &Self::Matrix,
        weight: &Self::Weight,
        bias: Option<&Self::Matrix>,
    ) -> Result<(Self::Matrix, Self::Matrix)> {
        let h = self.linear_impl(x, weight, bias, None)?;
        let y = self.activation_impl(kind, &h)?;
        Ok((h, y))
    }

    /// Returns the gradient of h where `y = linear(f(h))`: `(dy W) * f'(h)`.
    ///
    /// # Errors
    /// As [`Gemm::linear`].
    fn linear_vjp_activation(
        &self,
        kind: Activation,
        dy: &Self::Matrix,
        weight: &Self::Weight,
        h: &Self::Matrix,
    ) -> Result<Self::Matrix> {
        let operation = "linear_vjp_activation";
        same_shape(operation, (dy.rows(), weight.rows()), dy)?;
        same_shape(operation, (dy.rows(), weight.columns()), h)?;
        self.linear_vjp_activation_impl(kind, dy, weight, h)
    }
    /// Implements [`Gemm::linear_vjp_activation`].
    fn linear_vjp_activation_impl(
        &self,
        kind: Activation,
        dy: &Self::Matrix,
        weight: &Self::Weight,
        h: &Self::Matrix,
    ) -> Result<Self::Matrix> {
        self.activation_vjp_impl(kind, h, self.linear_vjp_impl(dy, weight, None)?)
    }

    /// Computes a linear layer and its product with a gate's activation: `up = x W^T + bias` and
    /// `f(gate) * up`.
    ///
    /// # Errors
    /// As [`Gemm::linear`].
    fn linear_gate(
        &self,
        kind: Activation,
        gate: &Self::Matrix,
        x: &Self::Matrix,
        weight: &Self::Weight,
        bias: Option<&Self::Matrix>,
    ) -> Result<(Self::Matrix, Self::Matrix)> {
        same_shape("linear_gate", (x.rows(), weight.columns()), x)?;
        same_shape_if("linear_gate: bias", (1, weight.rows()), bias)?;
        same_shape("linear_gate: gate", (x.rows(), weight.rows()), gate)?;
        self.linear_gate_impl(kind, gate, x, weight, bias)
    }
    /// Implements [`Gemm::linear_gate`].
    fn linear_gate_impl(
        &self,
        kind: Activation,
        gate: &Self::Matrix,
        x: &Self::Matrix,
        weight: &Self::Weight,
        bias: Option<&Self::Matrix>,
    ) -> Result<(Self::Matrix, Self::Matrix)> {
        let up = self.linear_impl(x, weight, bias, None)?;
        let y = self.gate_impl(kind, gate, &up)?;
        Ok((up, y))
    }

    /// Returns the gradients of gate and up where `y = linear(f(gate) * up)`.
    ///
    /// # Errors
    /// As [`Gemm::linear`].
    fn linear_vjp_gate(
        &self,
        kind: Activation,
        dy: &Self::Matrix,
        weight: &Self::Weight,
        gate: &Self::Matrix,
        up: &Self::Matrix,
    ) -> Result<(Self::Matrix, Self::Matrix)> {
        let inside = (dy.rows(), weight.columns());
        same_shape("linear_vjp_gate", (dy.rows(), weight.rows()), dy)?;
        same_shape("linear_vjp_gate: gate", inside, gate)?;
        same_shape("linear_vjp_gate: up", inside, up)?;
        self.linear_vjp_gate_impl(kind, dy, weight, gate, up)
    }
    /// Implements [`Gemm::linear_vjp_gate`].
    fn linear_vjp_gate_impl(
        &self,
        kind: Activation,
        dy: &Self::Matrix,
        weight: &Self::Weight,
        gate: &Self::Matrix,
        up: &Self::Matrix,
    ) -> Result<(Self::Matrix, Self::Matrix)> {
        self.gate_vjp_impl(kind, gate, up, self.linear_vjp_impl(dy, weight, None)?)
    }

    /// Computes a linear layer whose output is rotated by [`Rows::rope`].
    ///
    /// # Errors
    /// As [`Gemm::linear`] and [`Rows::rope`].
    fn linear_rope(
        &self,
        x: &Self::Matrix,
        weight: &Self::Weight,
        bias: Option<&Self::Matrix>,
        head_dim: usize,
        frequencies: &[f64],
        positions: &[usize],
    ) -> Result<Self::Matrix> {
        same_shape("linear_rope", (x.rows(), weight.columns()), x)?;
        same_shape_if("linear_rope: bias", (1, weight.rows()), bias)?;
        check_rope((x.rows(), weight.rows()), head_dim, frequencies, positions)?;
        self.linear_rope_impl(x, weight, bias, head_dim, frequencies, positions)
    }
    /// Implements [`Gemm::linear_rope`].
    fn linear_rope_impl(
        &self,
        x: &Self::Matrix,
        weight: &Self::Weight,
        bias: Option<&Self::Matrix>,
        head_dim: usize,
        frequencies: &[f64],
        positions: &[usize],
    ) -> Result<Self::Matrix> {
        let mut y = self.linear_impl(x, weight, bias, None)?;
        self.rope_impl(&mut y, head_dim, frequencies, positions, false)?;
        Ok(y)
    }
}
