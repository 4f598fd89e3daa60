//! Normalisation layers.

use super::Result;
use crate::device::Device;

/// A normalisation over columns.
pub enum Norm<D: Device> {
    /// Layer normalisation.
    Layer {
        /// `[1, c]`.
        gain: D::Matrix,
        /// `[1, c]`.
        bias: D::Matrix,
        /// Added to the variance.
        eps: f64,
    },
    /// Root-mean-square normalisation.
    Rms {
        /// `[1, c]`.
        gain: D::Matrix,
        /// Added to the mean square.
        eps: f64,
    },
}

impl<D: Device> Norm<D> {
    /// Returns y and the statistics for the vjp.
    ///
    /// # Errors
    /// When sizes do not fit.
    pub fn forward(&self, device: &D, x: &D::Matrix) -> Result<(D::Matrix, D::Statistics)> {
        Ok(match self {
            Norm::Layer { gain, bias, eps } => device.layer_norm(x, gain, bias, *eps)?,
            Norm::Rms { gain, eps } => device.rms_norm(x, gain, *eps)?,
        })
    }

    /// Returns `dx + onto`, from the input and the statistics.
    ///
    /// # Errors
    /// When sizes do not fit.
    pub fn vjp(
        &self,
        device: &D,
        x: &D::Matrix,
        statistics: &D::Statistics,
        dy: &D::Matrix,
        onto: Option<&D::Matrix>,
    ) -> Result<D::Matrix> {
        Ok(match self {
            Norm::Layer { gain, .. } => device.layer_norm_vjp(x, statistics, gain, dy, onto)?,
            Norm::Rms { gain, .. } => device.rms_norm_vjp(x, statistics, gain, dy, onto)?,
        })
    }
}
