//! SigLIP's vision transformer.

use serde_json::{Value, json};

use super::vit::{VitOptions, VitSizes, check_sizes};
use super::vit_names;
use crate::checkpoint::{Activation, CheckpointError, Fields, LAYER_LIMIT, SIZE_LIMIT, activation};

/// A SigLIP vision transformer, after `transformers`' `SiglipVisionConfig`.
#[derive(Debug, Clone, PartialEq)]
pub struct SiglipConfig {
    /// Width of the hidden states.
    pub hidden: usize,
    /// Width inside the MLP.
    pub intermediate: usize,
    /// Layers that the checkpoint describes; fewer may be used.
    pub layers: usize,
    /// Attention heads, which divide `hidden`.
    pub heads: usize,
    /// Edge of the square input, in pixels. What is beyond the last whole patch is not seen.
    pub image_size: usize,
    /// Edge of a patch in pixels.
    pub patch_size: usize,
    /// Inside the MLP.
    pub activation: Activation,
    /// Added to the variance in every layer norm.
    pub layer_norm_eps: f64,
}

/// The defaults of a family's config class for a vision config that is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::lvlm) struct SiglipDefaults {
    pub hidden: usize,
    pub intermediate: usize,
    pub layers: usize,
    pub heads: usize,
    pub image_size: usize,
    pub patch_size: usize,
}

impl SiglipDefaults {
    /// `SiglipVisionConfig`'s, that of ViT-B/16 at 224 pixels.
    pub const BASE: SiglipDefaults = SiglipDefaults {
        hidden: 768,
        intermediate: 3072,
        layers: 12,
        heads: 12,
        image_size: 224,
        patch_size: 16,
    };
    /// Those of a section that is left out of `LlavaOnevisionConfig`.
    pub const ONEVISION: SiglipDefaults = SiglipDefaults {
        hidden: 1152,
        intermediate: 4304,
        layers: 26,
        heads: 16,
        image_size: 384,
        patch_size: 14,
    };
}

impl SiglipConfig {
    /// Reads the fields of a vision config; `absent` is what it means to leave out the section.
    ///
    /// # Errors
    /// [`CheckpointError::Config`].
    pub(in crate::lvlm) fn read(
        fields: &Fields,
        absent: SiglipDefaults,
    ) -> Result<Self, CheckpointError> {
        let default = if fields.is_given() {
            SiglipDefaults::BASE
        } else {
            absent
        };
        Self::with_defaults(fields, default)
    }

    /// Reads the fields of a vision config of another class, whose defaults are `default`.
    ///
    /// # Errors
    /// [`CheckpointError::Config`].
    pub(in crate::lvlm) fn with_defaults(
        fields: &Fields,
        default: SiglipDefaults,
    ) -> Result<Self, CheckpointError> {
        let config = Self {
            hidden: fields.size("hidden_size", default.hidden, SIZE_LIMIT)?,
            intermediate: fields.size("intermediate_size", default.intermediate, SIZE_LIMIT)?,
            layers: fields.size("num_hidden_layers", default.layers, LAYER_LIMIT)?,
            heads: fields.size("num_attention_heads", default.heads, SIZE_LIMIT)?,
            image_size: fields.edge("image_size", default.image_size)?,
            patch_size: fields.edge("patch_size", default.patch_size)?,
            activation: activation(fields, "hidden_act", Activation::GeluTanh)?,
            layer_norm_eps: fields.positive("layer_norm_eps")?.unwrap_or(1e-6),
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
    pub(in crate::lvlm) fn sizes(&self, used: usize) -> Value {
        json!({
            "kind": "SigLIP ViT", "layers": self.layers, "used": used, "width": self.hidden,
            "heads": self.heads,
            "mlp": self.intermediate, "pixels": self.image_size, "patch": self.patch_size,
            "activation": self.activation.to_string(),
        })
    }

    /// Names the tensors that no selected feature passes: the last norm and the pooling head.
    pub(in crate::lvlm) fn never_used(prefix: &str) -> Vec<String> {
        let layers = [
            "post_layernorm",
            "head.attention.out_proj",
            "head.layernorm",
            "head.mlp.fc1",
            "head.mlp.fc2",
        ];
        let ends = layers
            .iter()
            .flat_map(|l| ["weight", "bias"].map(|end| format!("{l}.{end}")));
        let rest = [
            "probe",
            "attention.in_proj_weight",
            "attention.in_proj_bias",
        ];
        let rest = rest.map(|part| format!("head.{part}"));
        ends.chain(rest)
            .map(|name| format!("{prefix}{name}"))
            .collect()
    }

    /// Returns the sizes of the layers with the last norm, as Idefics3 selects features.
    pub(in crate::lvlm) fn normed_vit(&self) -> VitSizes {
        VitSizes {
            names: &vit_names::IDEFICS3,
            ..self.vit()
        }
    }

    /// Returns the sizes of the layers.
    pub(in crate::lvlm) fn vit(&self) -> VitSizes {
        VitSizes {
            hidden: self.hidden,
            intermediate: self.intermediate,
            heads: self.heads,
            across: self.across(),
            positions: self.across(),
            patch: self.patch_size,
            eps: self.layer_norm_eps,
            activation: self.activation,
            options: VitOptions::USUAL,
            names: &vit_names::SIGLIP,
        }
    }
}
