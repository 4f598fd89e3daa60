//! Normalisation over columns.

use super::{Matrix, Memory, same_shape, same_shape_if};
use crate::device::Result;

/// Layer normalisation and root-mean-square normalisation.
pub trait Norm: Memory {
    /// Computes layer normalisation over columns: `(x - mean) / sqrt(var + eps) * gain + bias`;
    /// gain and bias `[1, columns]`. Returns y, and per row the mean and the reciprocal standard
    /// deviation `[n, 2]`.
    ///
    /// # Errors
    /// [`DeviceError::Shape`](crate::device::DeviceError::Shape) for operands of other sizes.
    fn layer_norm(
        &self,
        x: &Self::Matrix,
        gain: &Self::Matrix,
        bias: &Self::Matrix,
        eps: f64,
    ) -> Result<(Self::Matrix, Self::Statistics)> {
        same_shape("layer_norm: gain", (1, x.columns()), gain)?;
        same_shape("layer_norm: bias", (1, x.columns()), bias)?;
        self.layer_norm_impl(x, gain, bias, eps)
    }
    /// Implements [`Norm::layer_norm`].
    fn layer_norm_impl(
        &self,
        x: &Self::Matrix,
        gain: &Self::Matrix,
        bias: &Self::Matrix,
        eps: f64,
    ) -> Result<(Self::Matrix, Self::Statistics)>;

    /// Returns `dx + onto` of `layer_norm`.
    ///
    /// # Errors
    /// As [`Norm::layer_norm`].
    fn layer_norm_vjp(
        &self,
        x: &Self::Matrix,
        statistics: &Self::Statistics,
        gain: &Self::Matrix,
        dy: &Self::Matrix,
        onto: Option<&Self::Matrix>,
    ) -> Result<Self::Matrix> {
        same_shape("layer_norm_vjp: gain", (1, x.columns()), gain)?;
        same_shape("layer_norm_vjp: statistics", (x.rows(), 2), statistics)?;
        same_shape("layer_norm_vjp: dy", x.shape(), dy)?;
        same_shape_if("layer_norm_vjp: onto", x.shape(), onto)?;
        self.layer_norm_vjp_impl(x, statistics, gain, dy, onto)
    }
    /// Implements [`Norm::layer_norm_vjp`].
    fn layer_norm_vjp_impl(
        &self,
        x: &Self::Matrix,
        statistics: &Self::Statistics,
        gain: &Self::Matrix,
        dy: &Self::Matrix,
        onto: Option<&Self::Matrix>,
    ) -> Result<Self::Matrix>;

    /// Computes root-mean-square normalisation over columns: `x / sqrt(mean(x^2) + eps) * gain`;
    /// gain `[1, columns]`. Returns y, and per row the reciprocal root mean square `[n, 1]`.
    ///
    /// # Errors
    /// As [`Norm::layer_norm`].
    fn rms_norm(
        &self,
        x: &Self::Matrix,
        gain: &Self::Matrix,
        eps: f64,
    ) -> Result<(Self::Matrix, Self::Statistics)> {
        same_shape("rms_norm: gain", (1, x.columns()), gain)?;
        self.rms_norm_impl(x, gain, eps)
    }
    /// Implements [`Norm::rms_norm`].
    fn rms_norm_impl(
        &self,
        x: &Self::Matrix,
        gain: &Self::Matrix,
        eps: f64,
    ) -> Result<(Self::Matrix, Self::Statistics)>;

    /// Returns `dx + onto` of `rms_norm`.
    ///
    /// # Errors
    /// As [`Norm::layer_norm`].
    fn rms_norm_vjp(
        &self,
        x: &Self::Matrix,
        statistics: &Self::Statistics,
        gain: &Self::Matrix,
        dy: &Self::Matrix,
        onto: Option<&Self::Matrix>,
    ) -> Result<Self::Matrix> {
        same_shape("rms_norm_vjp: gain", (1, x.columns()), gain)?;
        same_shape("rms_norm_vjp: statistics", (x.rows(), 1), statistics)?;
        same_shape("rms_norm_vjp: dy", x.shape(), dy)?;
        same_shape_if("rms_norm_vjp: onto", x.shape(), onto)?;
        self.rms_norm_vjp_impl(x, statistics, gain, dy, onto)
    }
    /// Implements [`Norm::rms_norm_vjp`].
    fn rms_norm_vjp_impl(
        &self,
        x: &Self::Matrix,
        statistics: &Self::Statistics,
        gain: &Self::Matrix,
        dy: &Self::Matrix,
        onto: Option<&Self::Matrix>,
    ) -> Result<Self::Matrix>;
}
