//! CLIP's vision transformer.

use serde_json::{Value, json};

use super::vit::{VitOptions, VitSizes};
use super::vit_names;
use crate::checkpoint::{
    Activation, CheckpointError, Fields, LAYER_LIMIT, SIZE_LIMIT, Tensors, activation,
};

/// Width of a head in every CLIP that OpenAI published.
const HEAD: usize = 64;

/// A CLIP vision transformer, after `transformers`' `CLIPVisionConfig`.
#[derive(Debug, Clone, PartialEq)]
pub struct ClipConfig {
    /// Width of the hidden states.
    pub hidden: usize,
    /// Width inside the MLP.
    pub intermediate: usize,
    /// Layers that the checkpoint describes; fewer may be used.
    pub layers: usize,
    /// Attention heads, which divide `hidden`.
    pub heads: usize,
    /// Edge of the square input, in pixels.
    pub image_size: usize,
    /// Edge of a patch in pixels, which divides `image_size`.
    pub patch_size: usize,
    /// Inside the MLP.
    pub activation: Activation,
    /// Added to the variance in every layer norm.
    pub layer_norm_eps: f64,
    /// Colour channels, always 3.
    pub channels: usize,
}

impl ClipConfig {
    /// Infers the config from the tensors that begin with `prefix`, with the values of OpenAI's
    /// models for the rest. Returns `None` where they are not a whole encoder, or not one with
    /// heads of that width.
    pub(in crate::lvlm) fn of_tensors(tensors: &Tensors, prefix: &str) -> Option<Self> {
        let shape = |name: &str| Some(&*tensors.get(&format!("{prefix}{name}"))?.shape);
        let first = |layer: usize| shape(&format!("encoder.layers.{layer}.mlp.fc1.weight"));
        let &[hidden, channels, patch_size, _] = shape("embeddings.patch_embedding.weight")? else {
            return None;
        };
        let &[tokens, _] = shape("embeddings.position_embedding.weight")? else {
            return None;
        };
        let &[intermediate, _] = first(0)? else {
            return None;
        };
        let patches = tokens.checked_sub(1)?;
        let across = patches.isqrt();
        let whole = across > 0 && across.pow(2) == patches && patch_size > 0;
        let heads = hidden / HEAD;
        let fits = whole && channels == 3 && heads > 0 && hidden.is_multiple_of(HEAD);
        fits.then(|| Self {
            hidden,
            intermediate,
            layers: (0..).take_while(|&layer| first(layer).is_some()).count(),
            heads,
            image_size: across * patch_size,
            patch_size,
            activation: Activation::QuickGelu,
            layer_norm_eps: 1e-5,
            channels,
        })
    }

    /// Patches of one picture.
    pub fn patches(&self) -> usize {
        (self.image_size / self.patch_size).pow(2)
    }

    /// Reads the fields of a vision config. Where the section is left out, it is ViT-L/14 at 336
    /// pixels, as LLaVA's own config class has it; where a field is, it is `CLIPVisionConfig`'s
    /// default, that of ViT-B/32.
    ///
    /// # Errors
    /// [`CheckpointError::Config`].
    pub(in crate::lvlm) fn read(fields: &Fields) -> std::result::Result<Self, CheckpointError> {
        let default = |given, absent| if fields.is_given() { given } else { absent };
        let config = Self {
            hidden: fields.size("hidden_size", default(768, 1024), SIZE_LIMIT)?,
            intermediate: fields.size("intermediate_size", default(3072, 4096), SIZE_LIMIT)?,
            layers: fields.size("num_hidden_layers", default(12, 24), LAYER_LIMIT)?,
            heads: fields.size("num_attention_heads", default(12, 16), SIZE_LIMIT)?,
            image_size: fields.edge("image_size", default(224, 336))?,
            patch_size: fields.edge("patch_size", default(32, 14))?,
            activation: activation(fields, "hidden_act", Activation::QuickGelu)?,
            layer_norm_eps: fields.positive("layer_norm_eps")?.unwrap_or(1e-5),
            channels: fields.size("num_channels", 3, SIZE_LIMIT)?,
        };
        let (hidden, heads) = (config.hidden, config.heads);
        fields.divides(("hidden_size", hidden), ("num_attention_heads", heads))?;
        let (size, patch) = (config.image_size, config.patch_size);
        fields.divides(("image_size", size), ("patch_size", patch))?;
        if config.channels != 3 {
            return Err(fields.error("num_channels", config.channels, "3: pictures are RGB"));
        }
        Ok(config)
    }

    /// Describes it: sizes and choices by name, of which `used` layers run.
    pub(in crate::lvlm) fn sizes(&self, used: usize) -> Value {
        json!({
            "kind": "CLIP ViT", "layers": self.layers, "used": used, "width": self.hidden,
            "heads": self.heads,
            "mlp": self.intermediate, "pixels": self.image_size, "patch": self.patch_size,
            "activation": self.activation.to_string(),
        })
    }

    /// Names the tensors that no selected feature passes: the last norm.
    pub(in crate::lvlm) fn never_used(prefix: &str) -> Vec<String> {
        let norm = |end| format!("{prefix}post_layernorm.{end}");
        ["weight", "bias"].map(norm).to_vec()
    }

    /// Returns the sizes of the layers.
    pub(in crate::lvlm) fn vit(&self) -> VitSizes {
        VitSizes {
            hidden: self.hidden,
            intermediate: self.intermediate,
            heads: self.heads,
            across: self.image_size / self.patch_size,
            positions: self.image_size / self.patch_size,
            patch: self.patch_size,
            eps: self.layer_norm_eps,
            activation: self.activation,
            options: VitOptions::USUAL,
            names: &vit_names::CLIP,
        }
    }
}
