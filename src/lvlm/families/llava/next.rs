//! LLaVA-NeXT (LLaVA-1.6) in Hugging Face's layout (`LlavaNextForConditionalGeneration`): CLIP, and
//! a Llama (Vicuna), Mistral or Qwen2 decoder.

use super::hf_tiled::{HfTiled, Variant};
use crate::checkpoint::{DefaultTemplate, Fields, ProcessorFile, VICUNA};
use crate::lvlm::encoder::{ClipConfig, Select, VitConfig};
use crate::lvlm::error::ReadResult;
use crate::lvlm::family::agreement::agree_on_patches;
use crate::picture::LLAVA_NEXT_PINPOINTS;

/// The family.
pub(in crate::lvlm) type Next = HfTiled<NextVariant>;

/// LLaVA-NeXT's differences from LLaVA-OneVision.
#[derive(Debug, Clone)]
pub(in crate::lvlm) struct NextVariant;

impl Variant for NextVariant {
    const NAME: &'static str = "llava_next";
    const PROCESSOR: &'static str = "LlavaNextImageProcessor";
    const TEMPLATE: DefaultTemplate = VICUNA;
    const DECODERS: [&'static str; 3] = ["llama", "mistral", "qwen2"];
    const DECODERS_TEXT: &'static str = "llama, mistral, qwen2";
    const IMAGE_TOKEN: u32 = 32000;
    const FEATURE_LAYER: i64 = -2;
    const SELECT: (Select, &'static str) = (
        Select::Default,
        "\"default\": a class token has no place among tiles",
    );
    const IN_LVLM_INTERPRETATION: bool = false;

    fn encoder(fields: &Fields) -> ReadResult<VitConfig> {
        let clip = "clip_vision_model";
        fields.require_type("model_type", Some(clip), &[clip], clip)?;
        Ok(VitConfig::Clip(ClipConfig::read(fields)?))
    }

    fn pinpoints() -> Vec<(u32, u32)> {
        LLAVA_NEXT_PINPOINTS.to_vec()
    }

    fn most_views(_: &Fields) -> ReadResult<Option<usize>> {
        Ok(None)
    }

    fn agrees(file: &ProcessorFile, encoder: &VitConfig, _: Option<usize>) -> ReadResult<()> {
        let (pixels, patch) = (encoder.image_size(), encoder.patch_size());
        agree_on_patches(file, pixels, patch, Self::SELECT.0)
    }
}
