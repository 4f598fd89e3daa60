//! InternViT, the vision transformer of InternVL.

use serde_json::{Value, json};

use super::vit::{VitOptions, VitSizes, check_sizes};
use super::vit_names::{INTERN_VIT, INTERN_VIT_NORMED};
use crate::checkpoint::{Activation, CheckpointError, Fields, LAYER_LIMIT, SIZE_LIMIT, activation};

/// An InternViT, after `transformers`' `InternVLVisionConfig`.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::lvlm) struct InternVitConfig {
    pub hidden: usize,
    /// Width inside the perceptron.
    pub intermediate: usize,
    pub layers: usize,
    pub heads: usize,
    /// Edge of the square input, in pixels.
    pub image_size: usize,
    pub patch_size: usize,
    pub activation: Activation,
    pub layer_norm_eps: f64,
    options: VitOptions,
    /// Whether a norm follows the last layer.
    pub norm_after: bool,
}

impl InternVitConfig {
    /// Reads the fields of a vision config.
    ///
    /// # Errors
    /// [`CheckpointError::Config`].
    pub fn read(fields: &Fields) -> Result<Self, CheckpointError> {
        if !fields.flag("use_absolute_position_embeddings", true)? {
            return Err(fields.error("use_absolute_position_embeddings", "false", "true"));
        }
        let options = VitOptions {
            projection_bias: fields.flag("attention_bias", false)?,
            rms_norms: rms_norms(fields)?,
            query_key_norms: fields.flag("use_qk_norm", false)?,
        };
        let config = Self {
            hidden: fields.size("hidden_size", 1024, SIZE_LIMIT)?,
            intermediate: fields.size("intermediate_size", 4096, SIZE_LIMIT)?,
            layers: fields.size("num_hidden_layers", 24, LAYER_LIMIT)?,
            heads: fields.size("num_attention_heads", 16, SIZE_LIMIT)?,
            image_size: fields.edge("image_size", 448)?,
            patch_size: fields.edge("patch_size", 14)?,
            activation: activation(fields, "hidden_act", Activation::Gelu)?,
            layer_norm_eps: fields.positive("layer_norm_eps")?.unwrap_or(1e-6),
            options,
            norm_after: !fields.flag("use_mean_pooling", true)?,
        };
        let (width, input) = (
            (config.hidden, config.heads),
            (config.image_size, config.patch_size),
        );
        check_sizes(fields, width, input)?;
        Ok(config)
    }

    /// Patches of one view each way.
    pub fn across(&self) -> usize {
        self.image_size / self.patch_size
    }

    /// Describes it: sizes and choices by name, of which `used` layers run.
    pub fn sizes(&self, used: usize) -> Value {
        json!({
            "kind": "InternViT", "layers": self.layers, "used": used, "width": self.hidden,
            "heads": self.heads,
            "mlp": self.intermediate, "pixels": self.image_size, "patch": self.patch_size,
            "activation": self.activation.to_string(),
        })
    }

    /// Names the tensors that no hidden state passes: the last norm, and the token of masked patches.
    pub fn never_used(prefix: &str) -> Vec<String> {
        let names = [
            "layernorm.weight",
            "layernorm.bias",
            "embeddings.mask_token",
        ];
        names.map(|name| format!("{prefix}{name}")).to_vec()
    }

    /// Returns the sizes of the layers; the last norm is passed if `norm_after` and there is one.
    pub fn vit(&self, norm_after: bool) -> VitSizes {
        VitSizes {
            hidden: self.hidden,
            intermediate: self.intermediate,
            heads: self.heads,
            across: self.across(),
            positions: self.across(),
            patch: self.patch_size,
            eps: self.layer_norm_eps,
            activation: self.activation,
            options: self.options,
            names: match norm_after && self.norm_after {
                true => &INTERN_VIT_NORMED,
                false => &INTERN_VIT,
            },
        }
    }
}

/// Returns whether the layers' norms are root-mean-square norms.
fn rms_norms(fields: &Fields) -> Result<bool, CheckpointError> {
    let name = "norm_type";
    match fields.text(name)?.unwrap_or("layer_norm") {
        "rms_norm" => Ok(true),
        "layer_norm" => Ok(false),
        other => {
            let expected = "\"layer_norm\" or \"rms_norm\"";
            Err(fields.error(name, format!("{other:?}"), expected))
        }
    }
}
