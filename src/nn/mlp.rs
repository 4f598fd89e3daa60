//! The feed-forward half of a transformer block.

use super::{Linear, Result};
use crate::device::{Activation, Device, DeviceError};

/// A multi-layer perceptron.
pub enum Mlp<D: Device> {
    /// `second(f(first(x)))`.
    Plain {
        /// Up.
        first: Linear<D>,
        /// Down.
        second: Linear<D>,
        /// f.
        activation: Activation,
    },
    /// `down(f(gate(x)) * up(x))`.
    Gated {
        /// The gate's projection.
        gate: Linear<D>,
        /// The value's projection.
        up: Linear<D>,
        /// The projection back.
        down: Linear<D>,
        /// f.
        activation: Activation,
    },
}

/// Activations that [`Mlp::forward`] saved: the inputs of its activation function.
pub enum MlpSaved<D: Device> {
    /// Of [`Mlp::Plain`].
    Plain(D::Matrix),
    /// Of [`Mlp::Gated`]: gate and up.
    Gated(D::Matrix, D::Matrix),
}

impl<D: Device> Mlp<D> {
    /// Returns `mlp(x) + residual`, and the saved activations.
    ///
    /// # Errors
    /// When sizes do not fit.
    pub fn forward(
        &self,
        device: &D,
        x: &D::Matrix,
        residual: Option<&D::Matrix>,
    ) -> Result<(D::Matrix, MlpSaved<D>)> {
        let last = |layer: &Linear<D>, x: &D::Matrix| match residual {
            Some(residual) => layer.forward_onto(device, x, residual),
            None => layer.forward(device, x),
        };
        match self {
            Mlp::Plain {
                first,
                second,
                activation,
            } => {
                let (weight, bias) = (&first.weight, first.bias.as_ref());
                let (h, a) = device.linear_activation(*activation, x, weight, bias)?;
                Ok((last(second, &a)?, MlpSaved::Plain(h)))
            }
            Mlp::Gated {
                gate,
                up,
                down,
                activation,
            } => {
                let g = gate.forward(device, x)?;
                let (weight, bias) = (&up.weight, up.bias.as_ref());
                let (u, a) = device.linear_gate(*activation, &g, x, weight, bias)?;
                Ok((last(down, &a)?, MlpSaved::Gated(g, u)))
            }
        }
    }

    /// Returns dx, without the residual's share.
    ///
    /// # Errors
    /// When sizes do not fit, when `saved` is of the other kind of perceptron.
    pub fn vjp(&self, device: &D, saved: MlpSaved<D>, dy: &D::Matrix) -> Result<D::Matrix> {
        match (self, saved) {
            (
                Mlp::Plain {
                    first,
                    second,
                    activation,
                },
                MlpSaved::Plain(h),
            ) => {
                let dh = device.linear_vjp_activation(*activation, dy, &second.weight, &h)?;
                first.vjp(device, &dh, None)
            }
            (
                Mlp::Gated {
                    gate,
                    up,
                    down,
                    activation,
                },
                MlpSaved::Gated(g, u),
            ) => {
                let (dg, du) = device.linear_vjp_gate(*activation, dy, &down.weight, &g, &u)?;
                drop((g, u));
                let dx = gate.vjp(device, &dg, None)?;
                up.vjp(device, &du, Some(&dx))
            }
            (_, saved) => {
                let kind = |gated| if gated { "gated" } else { "plain" };
                let found = matches!(saved, MlpSaved::Gated(..));
                Err(DeviceError::Shape {
                    operation: "perceptron",
                    expected: format!("what a {} one saved", kind(!found)),
                    found: format!("what a {} one did", kind(found)),
                }
                .into())
            }
        }
    }
}
