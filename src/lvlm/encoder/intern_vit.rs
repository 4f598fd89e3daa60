//! InternViT, the vision transformer of InternVL.

use serde_json::{Value, json};

use super::vit::{VitOptions, VitSizes, check_sizes};
use super::vit_names::{INTERN_VIT, INTERN_VIT_NORMED, INTERN_VIT_ORIGINAL, VitNames};
use crate::checkpoint::{Activation, CheckpointError, Fields, LAYER_LIMIT, SIZE_LIMIT, activation};

/// Added to the mean square in norms of queries and keys in `transformers`, whatever the config says
/// of others.
const QUERY_KEY_EPS: f64 = 1e-6;

/// An InternViT.
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
    norm_after: bool,
    /// The names of its tensors, without that norm's.
    names: &'static VitNames,
}

/// The defaults of fields that both configs have.
struct Defaults {
    hidden: usize,
    intermediate: usize,
    layers: usize,
    heads: usize,
    image_size: usize,
    norm_type: &'static str,
}

/// Those of `transformers`' `InternVLVisionConfig`.
const HF: Defaults = Defaults {
    hidden: 1024,
    intermediate: 4096,
    layers: 24,
    heads: 16,
    image_size: 448,
    norm_type: "layer_norm",
};
/// Those of the original program's `InternVisionConfig`, the six billion parameters of
/// InternViT-6B.
const ORIGINAL: Defaults = Defaults {
    hidden: 3200,
    intermediate: 12800,
    layers: 48,
    heads: 25,
    image_size: 224,
    norm_type: "rms_norm",
};

impl InternVitConfig {
    /// Reads the fields of a vision config of `transformers`.
    ///
    /// # Errors
    /// [`CheckpointError::Config`]; so for every function that reads.
    pub fn read(fields: &Fields) -> Result<Self, CheckpointError> {
        if !fields.flag("use_absolute_position_embeddings", true)? {
            return Err(fields.error("use_absolute_position_embeddings", "false", "true"));
        }
        let options = VitOptions {
            projection_bias: fields.flag("attention_bias", false)?,
            rms_norms: rms_norms(fields, &HF)?,
            query_key_norms: fields.flag("use_qk_norm", false)?.then_some(QUERY_KEY_EPS),
        };
        let norm_after = !fields.flag("use_mean_pooling", true)?;
        Self::sized(fields, &HF, options, (norm_after, &INTERN_VIT))
    }

    /// Reads the fields of a vision config of the original program.
    pub fn read_original(fields: &Fields) -> Result<Self, CheckpointError> {
        let kind = "intern_vit_6b";
        fields.require_type("model_type", Some(kind), &[kind], kind)?;
        let normed = fields.flag("qk_normalization", true)?;
        let options = VitOptions {
            projection_bias: fields.flag("qkv_bias", false)?,
            rms_norms: rms_norms(fields, &ORIGINAL)?,
            query_key_norms: normed.then_some(eps(fields)?),
        };
        Self::sized(fields, &ORIGINAL, options, (false, &INTERN_VIT_ORIGINAL))
    }

    fn sized(
        fields: &Fields,
        given: &Defaults,
        options: VitOptions,
        (norm_after, names): (bool, &'static VitNames),
    ) -> Result<Self, CheckpointError> {
        let config = Self {
            hidden: fields.size("hidden_size", given.hidden, SIZE_LIMIT)?,
            intermediate: fields.size("intermediate_size", given.intermediate, SIZE_LIMIT)?,
            layers: fields.size("num_hidden_layers", given.layers, LAYER_LIMIT)?,
            heads: fields.size("num_attention_heads", given.heads, SIZE_LIMIT)?,
            image_size: fields.edge("image_size", given.image_size)?,
            patch_size: fields.edge("patch_size", 14)?,
            activation: activation(fields, "hidden_act", Activation::Gelu)?,
            layer_norm_eps: eps(fields)?,
            options,
            norm_after,
            names,
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
                false => self.names,
            },
        }
    }
}

/// Reads what is added to the variance in every norm.
fn eps(fields: &Fields) -> Result<f64, CheckpointError> {
    Ok(fields.positive("layer_norm_eps")?.unwrap_or(1e-6))
}

/// Returns whether the layers' norms are root-mean-square norms.
fn rms_norms(fields: &Fields, given: &Defaults) -> Result<bool, CheckpointError> {
    let name = "norm_type";
    match fields.text(name)?.unwrap_or(given.norm_type) {
        "rms_norm" => Ok(true),
        "layer_norm" => Ok(false),
        other => {
            let expected = "\"layer_norm\" or \"rms_norm\"";
            Err(fields.error(name, format!("{other:?}"), expected))
        }
    }
}
