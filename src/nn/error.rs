//! Errors of layers.

use crate::device::{Device, DeviceError};

/// Errors of layers.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NnError {
    /// The device refused an operation.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// A layer's output has infinities or NaN.
    #[error(
        "{layer}: expected finite output, found infinity or NaN; its weights \
         are the first to look at"
    )]
    NotFinite {
        /// The first such layer.
        layer: String,
    },
}

/// Fails unless all of `x` is finite, with the name of the layer that made it.
///
/// # Errors
/// [`NnError::NotFinite`].
pub fn require_finite<D: Device>(
    device: &D,
    x: &D::Matrix,
    layer: impl FnOnce() -> String,
) -> Result<(), NnError> {
    if device.is_finite(x)? {
        Ok(())
    } else {
        Err(NnError::NotFinite { layer: layer() })
    }
}
