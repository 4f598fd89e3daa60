//! The projector of two linear layers that most families have.

use serde_json::{Value, json};

use crate::checkpoint::{Activation, Fields, activation};
use crate::device::{Device, Part};
use crate::lvlm::error::{ReadResult, Result};
use crate::lvlm::loader::Loader;
use crate::nn::Mlp;

/// The config of the projector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::lvlm) struct Projector {
    /// Between the two layers.
    pub activation: Activation,
    /// Whether they have biases.
    pub bias: bool,
}

impl Projector {
    /// `mlp2x_gelu` of the original programs.
    pub const MLP2X_GELU: Projector = Projector {
        activation: Activation::Gelu,
        bias: true,
    };

    /// Reads the fields of Hugging Face's configs.
    ///
    /// # Errors
    /// [`CheckpointError::Config`](crate::checkpoint::CheckpointError::Config).
    pub fn read(top: &Fields) -> ReadResult<Projector> {
        Ok(Projector {
            activation: activation(top, "projector_hidden_act", Activation::Gelu)?,
            bias: top.flag("multimodal_projector_bias", true)?,
        })
    }

    /// Loads the layers of those names, from the encoder's width to the decoder's.
    ///
    /// # Errors
    /// A tensor that is missing or of another shape.
    pub fn load<D: Device>(
        self,
        loader: &Loader<D>,
        [first, second]: [&str; 2],
        from: usize,
        to: usize,
    ) -> Result<Mlp<D>> {
        loader.device.part(Part::Projector);
        Ok(Mlp::Plain {
            first: loader.linear(first, to, from, self.bias)?,
            second: loader.linear(second, to, to, self.bias)?,
            activation: self.activation,
        })
    }

    /// Describes it: sizes and choices by name.
    pub fn sizes(self, from: usize, to: usize) -> Value {
        json!({
            "kind": "two-layer MLP", "from": from, "to": to,
            "activation": self.activation.to_string(),
        })
    }
}
