//! Encoders that are the transformer of [`super::vit`] and nothing more.

use serde_json::Value;

use super::clip::ClipConfig;
use super::intern_vit::InternVitConfig;
use super::siglip::{SiglipConfig, SiglipDefaults};
use super::vit::VitSizes;
use crate::checkpoint::{CheckpointError, Config, Fields};

/// The config of one.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::lvlm) enum VitConfig {
    Clip(ClipConfig),
    Siglip(SiglipConfig),
    Intern(InternVitConfig),
}

/// An encoder that a section of a config may describe.
pub(in crate::lvlm) struct SectionKind {
    /// The section's `model_type`.
    pub model_type: &'static str,
    /// Reads its fields.
    pub read: fn(&Fields) -> Result<VitConfig, CheckpointError>,
    /// Whether transformers' classes can cut pictures into tiles for it: its config has one number
    /// for the two edges of a picture.
    pub tiles: bool,
}

/// The encoders that transformers' LLaVA classes are mixed with.
pub(in crate::lvlm) const SECTION_KINDS: [SectionKind; 3] = [
    SectionKind {
        model_type: "clip_vision_model",
        read: |fields| Ok(VitConfig::Clip(ClipConfig::read(fields)?)),
        tiles: true,
    },
    SectionKind {
        model_type: "siglip_vision_model",
        read: |fields| {
            let config = SiglipConfig::read(fields, SiglipDefaults::ONEVISION)?;
            Ok(VitConfig::Siglip(config))
        },
        tiles: true,
    },
    SectionKind {
        model_type: "internvl_vision",
        read: |fields| Ok(VitConfig::Intern(InternVitConfig::read(fields)?)),
        tiles: false,
    },
];

const KINDS: [&str; 4] = ["clip", "clip_vision_model", "siglip", "siglip_vision_model"];
const KINDS_TEXT: &str = "clip, clip_vision_model, siglip, siglip_vision_model";

impl VitConfig {
    /// Reads the config of a checkpoint that is a CLIP or SigLIP model, or its vision transformer
    /// alone.
    ///
    /// # Errors
    /// [`CheckpointError::UnsupportedArchitecture`], [`CheckpointError::Config`].
    pub fn of_own_checkpoint(config: &Config) -> Result<Self, CheckpointError> {
        let top = config.top();
        let kind = top.require_type("model_type", None, &KINDS, KINDS_TEXT)?;
        let vision = match kind {
            "clip" | "siglip" => top.section("vision_config")?,
            _ => top,
        };
        Ok(match kind {
            "clip" | "clip_vision_model" => VitConfig::Clip(ClipConfig::read(&vision)?),
            _ => VitConfig::Siglip(SiglipConfig::read(&vision, SiglipDefaults::BASE)?),
        })
    }

    /// Returns the sizes of the layers.
    pub fn vit(&self) -> VitSizes {
        match self {
            VitConfig::Clip(config) => config.vit(),
            VitConfig::Siglip(config) => config.vit(),
            // A hidden state, which no norm follows.
            VitConfig::Intern(config) => config.vit(false),
        }
    }

    /// Layers that the checkpoint describes.
    pub fn layers(&self) -> usize {
        match self {
            VitConfig::Clip(config) => config.layers,
            VitConfig::Siglip(config) => config.layers,
            VitConfig::Intern(config) => config.layers,
        }
    }

    /// Edge of the square input, in pixels.
    pub fn image_size(&self) -> usize {
        match self {
            VitConfig::Clip(config) => config.image_size,
            VitConfig::Siglip(config) => config.image_size,
            VitConfig::Intern(config) => config.image_size,
        }
    }

    /// Edge of a patch, in pixels.
    pub fn patch_size(&self) -> usize {
        match self {
            VitConfig::Clip(config) => config.patch_size,
            VitConfig::Siglip(config) => config.patch_size,
            VitConfig::Intern(config) => config.patch_size,
        }
    }

    /// Width of the features.
    pub fn hidden(&self) -> usize {
        match self {
            VitConfig::Clip(config) => config.hidden,
            VitConfig::Siglip(config) => config.hidden,
            VitConfig::Intern(config) => config.hidden,
        }
    }

    /// Describes it: sizes and choices by name, of which `used` layers run.
    pub fn sizes(&self, used: usize) -> Value {
        match self {
            VitConfig::Clip(config) => config.sizes(used),
            VitConfig::Siglip(config) => config.sizes(used),
            VitConfig::Intern(config) => config.sizes(used),
        }
    }

    /// Names the tensors that no selected feature passes.
    pub fn never_used(&self, prefix: &str) -> Vec<String> {
        match self {
            VitConfig::Clip(_) => ClipConfig::never_used(prefix),
            VitConfig::Siglip(_) => SiglipConfig::never_used(prefix),
            VitConfig::Intern(_) => InternVitConfig::never_used(prefix),
        }
    }
}
