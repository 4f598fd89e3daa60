//! LLaVA-NeXT (LLaVA-1.6) in Hugging Face's layout (`LlavaNextForConditionalGeneration`), and Granite
//! Vision.

use super::hf_tiled::{HfTiled, Variant};
use crate::checkpoint::{DefaultTemplate, Fields, ProcessorFile, VICUNA};
use crate::lvlm::encoder::Select;
use crate::lvlm::error::ReadResult;
use crate::lvlm::family::agreement::agree_on_patches;
use crate::lvlm::family::mixture::{Mixture, MixtureClass};
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
    const CLASS: MixtureClass = MixtureClass {
        encoder: "clip_vision_model",
        decoder: "llama",
        feature_layer: -2,
        select: Select::Default,
        tiles: true,
        ties_as_decoder: false,
    };
    const IMAGE_TOKEN: u32 = 32000;
    const IN_LVLM_INTERPRETATION: bool = false;
    const SEVERAL_IN_SQUARES: bool = false;

    fn pinpoints() -> Vec<(u32, u32)> {
        LLAVA_NEXT_PINPOINTS.to_vec()
    }

    fn most_views(_: &Fields) -> ReadResult<Option<usize>> {
        Ok(None)
    }

    fn agrees(file: &ProcessorFile, parts: &Mixture, _: Option<usize>) -> ReadResult<()> {
        let (pixels, patch) = (parts.encoder.image_size(), parts.encoder.patch_size());
        let positions = (parts.feature_select.select, parts.beyond_patches());
        agree_on_patches(file, pixels, patch, positions)
    }
}
