//! Activation functions and their names in config.json.

use super::CheckpointError;
use super::fields::Fields;

/// An activation function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// `x * Phi(x)`, with the error function.
    Gelu,
    /// The approximation of GELU with the hyperbolic tangent.
    GeluTanh,
    /// `x * sigmoid(1.702 x)`.
    QuickGelu,
    /// `x * sigmoid(x)`.
    Silu,
    /// `max(x, 0)`.
    Relu,
}

impl std::fmt::Display for Activation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Activation::Gelu => "gelu",
            Activation::GeluTanh => "gelu_tanh",
            Activation::QuickGelu => "quick_gelu",
            Activation::Silu => "silu",
            Activation::Relu => "relu",
        })
    }
}

/// Reads a field that names an activation as `ACT2FN` of transformers does. Its ways to compute one
/// function, which differ in rounding, are that function.
///
/// # Errors
/// [`CheckpointError::Config`] if the name is not known.
pub fn activation(
    fields: &Fields,
    name: &str,
    default: Activation,
) -> Result<Activation, CheckpointError> {
    Ok(match fields.text(name)? {
        None => default,
        Some("gelu" | "gelu_python") => Activation::Gelu,
        Some(
            "gelu_new" | "gelu_pytorch_tanh" | "gelu_tanh" | "gelu_python_tanh" | "gelu_fast"
            | "gelu_accurate",
        ) => Activation::GeluTanh,
        Some("quick_gelu") => Activation::QuickGelu,
        Some("silu" | "swish") => Activation::Silu,
        Some("relu") => Activation::Relu,
        Some(other) => {
            let names = "gelu, gelu_python, gelu_new, gelu_pytorch_tanh, gelu_tanh, \
                         gelu_python_tanh, gelu_fast, gelu_accurate, quick_gelu, silu, swish or relu";
            return Err(fields.error(name, format!("{other:?}"), names));
        }
    })
}
