//! LLaVA-OneVision in Hugging Face's layout (`LlavaOnevisionForConditionalGeneration`): rows
//! are made fewer where they are too many.

use super::hf_tiled::{HfTiled, Variant};
use crate::checkpoint::{DefaultTemplate, Fields, ProcessorFile};
use crate::lvlm::encoder::Select;
use crate::lvlm::error::ReadResult;
use crate::lvlm::family::agreement::agree_on_tiles;
use crate::lvlm::family::fields::anyres_max;
use crate::lvlm::family::mixture::{Mixture, MixtureClass};
use crate::picture::llava_onevision_pinpoints;

/// The family.
pub(in crate::lvlm) type Onevision = HfTiled<OnevisionVariant>;

/// The default of N in `anyres_max_N`.
const MOST_VIEWS: usize = 9;

/// LLaVA-OneVision's differences from LLaVA-NeXT.
#[derive(Debug, Clone)]
pub(in crate::lvlm) struct OnevisionVariant;

impl Variant for OnevisionVariant {
    const NAME: &'static str = "llava_onevision";
    const PROCESSOR: &'static str = "LlavaOnevisionImageProcessor";
    const TEMPLATE: DefaultTemplate = DefaultTemplate {
        name: "LLaVA-OneVision",
        text: "<|im_start|>user {% for part in messages[0]['content'] %}\
               {% if part['type'] == 'image' %}{{ image_token + '\n' }}{% else %}{{ part['text'] }}\
               {% endif %}{% endfor %}<|im_end|><|im_start|>assistant{{ '\n' }}",
    };
    const CLASS: MixtureClass = MixtureClass {
        encoder: "siglip_vision_model",
        decoder: "qwen2",
        feature_layer: -1,
        select: Select::Full,
        tiles: true,
        ties_as_decoder: true,
    };
    const IMAGE_TOKEN: u32 = 151_646;
    const IN_LVLM_INTERPRETATION: bool = true;
    const SEVERAL_IN_SQUARES: bool = true;

    fn pinpoints() -> Vec<(u32, u32)> {
        llava_onevision_pinpoints()
    }

    fn most_views(top: &Fields) -> ReadResult<Option<usize>> {
        let name = "vision_aspect_ratio";
        let Some(text) = top.text(name)? else {
            return Ok(Some(MOST_VIEWS));
        };
        let expected = "anyres_max_N, such as anyres_max_9";
        let number = anyres_max(text).ok_or_else(|| top.error(name, format!("{text:?}"), expected));
        number.map(Some)
    }

    fn agrees(file: &ProcessorFile, parts: &Mixture, most_views: Option<usize>) -> ReadResult<()> {
        let across = parts.encoder.image_size() / parts.encoder.patch_size();
        let tokens = (across.pow(2), parts.feature_select.select);
        agree_on_tiles(file, tokens, most_views)
    }
}
