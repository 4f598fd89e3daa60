//! DINOv2 (Oquab et al., arXiv 2304.07193).

use serde_json::{Value, json};

use super::vit::{VitOptions, VitSizes};
use super::vit_names::{DINOV2, DINOV2_GATED};
use crate::checkpoint::{Activation, CheckpointError, Config, LAYER_LIMIT, SIZE_LIMIT, activation};

/// A DINOv2 vision transformer, after `transformers`' `Dinov2Config`.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::lvlm) struct Dinov2Config {
    pub hidden: usize,
    /// Width inside the perceptron.
    pub intermediate: usize,
    pub layers: usize,
    pub heads: usize,
    /// Edge in pixels of the pictures that the checkpoint has positions for.
    pub image_size: usize,
    pub patch_size: usize,
    /// Inside a perceptron that is not gated.
    pub activation: Activation,
    /// Whether the perceptron is gated, by SiLU.
    pub gated: bool,
    pub layer_norm_eps: f64,
}

impl Dinov2Config {
    /// Reads the config of a checkpoint that is a DINOv2.
    ///
    /// # Errors
    /// [`CheckpointError::UnsupportedArchitecture`], [`CheckpointError::Config`].
    pub fn of_own_checkpoint(config: &Config) -> Result<Self, CheckpointError> {
        let top = config.top();
        top.require_type("model_type", None, &["dinov2"], "dinov2")?;
        let hidden = top.size("hidden_size", 768, SIZE_LIMIT)?;
        let ratio = top.size("mlp_ratio", 4, SIZE_LIMIT)?;
        let gated = top.flag("use_swiglu_ffn", false)?;
        let wide = hidden.saturating_mul(ratio);
        let config = Self {
            // Two thirds, as a gated perceptron has three matrices, rounded up to a multiple of
            // eight.
            intermediate: if gated {
                (wide / 3 * 2 + wide % 3 * 2 / 3).div_ceil(8) * 8
            } else {
                wide
            },
            hidden,
            layers: top.size("num_hidden_layers", 12, LAYER_LIMIT)?,
            heads: top.size("num_attention_heads", 12, SIZE_LIMIT)?,
            image_size: top.edge("image_size", 224)?,
            patch_size: top.edge("patch_size", 14)?,
            activation: activation(&top, "hidden_act", Activation::Gelu)?,
            gated,
            layer_norm_eps: top.positive("layer_norm_eps")?.unwrap_or(1e-6),
        };
        top.divides(
            ("hidden_size", hidden),
            ("num_attention_heads", config.heads),
        )?;
        if config.patch_size > config.image_size {
            let expected = format!("at most image_size, {}", config.image_size);
            return Err(top.error("patch_size", config.patch_size, expected));
        }
        if !top.flag("qkv_bias", true)? {
            return Err(top.error("qkv_bias", "false", "true"));
        }
        Ok(config)
    }

    /// Describes it: sizes and choices by name, for views of `pixels` each way.
    pub fn sizes(&self, pixels: usize) -> Value {
        json!({
            "kind": "DINOv2 ViT", "layers": self.layers, "used": self.layers, "width": self.hidden,
            "heads": self.heads,
            "mlp": self.intermediate, "pixels": pixels, "patch": self.patch_size,
            "activation": self.vit(pixels).activation.to_string(),
        })
    }

    /// Returns the sizes of the layers for views of `pixels` each way.
    pub fn vit(&self, pixels: usize) -> VitSizes {
        VitSizes {
            hidden: self.hidden,
            intermediate: self.intermediate,
            heads: self.heads,
            across: pixels / self.patch_size,
            positions: self.image_size / self.patch_size,
            patch: self.patch_size,
            eps: self.layer_norm_eps,
            activation: if self.gated {
                Activation::Silu
            } else {
                self.activation
            },
            options: VitOptions::USUAL,
            names: if self.gated { &DINOV2_GATED } else { &DINOV2 },
        }
    }
}
