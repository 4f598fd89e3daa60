//! The affine layer.

use super::Result;
use crate::device::Device;

/// `y = x W^T + b`.
pub struct Linear<D: Device> {
    /// `[out, in]`.
    pub weight: D::Weight,
    /// `[1, out]`.
    pub bias: Option<D::Matrix>,
}

impl<D: Device> Linear<D> {
    /// Maps x `[n, in]` to `[n, out]`.
    ///
    /// # Errors
    /// When sizes do not fit; so for every method here.
    pub fn forward(&self, device: &D, x: &D::Matrix) -> Result<D::Matrix> {
        Ok(device.linear(x, &self.weight, self.bias.as_ref(), None)?)
    }

    /// Returns `forward(x) + residual`.
    ///
    /// # Errors
    /// As [`Linear::forward`].
    pub fn forward_onto(
        &self,
        device: &D,
        x: &D::Matrix,
        residual: &D::Matrix,
    ) -> Result<D::Matrix> {
        Ok(device.linear(x, &self.weight, self.bias.as_ref(), Some(residual))?)
    }

    /// Returns `dx + onto`; needs nothing saved.
    ///
    /// # Errors
    /// As [`Linear::forward`].
    pub fn vjp(&self, device: &D, dy: &D::Matrix, onto: Option<&D::Matrix>) -> Result<D::Matrix> {
        Ok(device.linear_vjp(dy, &self.weight, onto)?)
    }
}
