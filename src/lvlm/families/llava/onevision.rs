//! LLaVA-OneVision in Hugging Face's layout (`LlavaOnevisionForConditionalGeneration`): SigLIP,
//! rows made fewer where they are too many, and a Qwen2 decoder.

use super::hf_tiled::{HfTiled, Variant};
use crate::checkpoint::{DefaultTemplate, Fields, ProcessorFile};
use crate::lvlm::encoder::{Select, SiglipConfig, SiglipDefaults, VitConfig};
use crate::lvlm::error::ReadResult;
use crate::lvlm::family::agreement::agree_on_tiles;
use crate::lvlm::family::fields::anyres_max;
use crate::picture::llava_onevision_pinpoints;

/// The family.
pub(in crate::lvlm) type Onevision = HfTiled<OnevisionVariant>;

/// The default vision config of `LlavaOnevisionConfig`.
const SIGLIP: SiglipDefaults = SiglipDefaults {
    hidden: 1152,
    intermediate: 4304,
    layers: 26,
    heads: 16,
    image_size: 384,
    patch_size: 14,
};
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
    const DECODERS: [&'static str; 3] = ["qwen2", "llama", "mistral"];
    const DECODERS_TEXT: &'static str = "qwen2, llama, mistral";
    const IMAGE_TOKEN: u32 = 151_646;
    const FEATURE_LAYER: i64 = -1;
    const SELECT: (Select, &'static str) = (
        Select::Full,
        "\"full\": SigLIP has no class token to leave out",
    );
    const IN_LVLM_INTERPRETATION: bool = true;

    fn encoder(fields: &Fields) -> ReadResult<VitConfig> {
        let siglip = "siglip_vision_model";
        fields.require_type("model_type", Some(siglip), &[siglip], siglip)?;
        Ok(VitConfig::Siglip(SiglipConfig::read(fields, SIGLIP)?))
    }

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

    fn agrees(
        file: &ProcessorFile,
        encoder: &VitConfig,
        most_views: Option<usize>,
    ) -> ReadResult<()> {
        let across = encoder.image_size() / encoder.patch_size();
        agree_on_tiles(file, across.pow(2), most_views)
    }
}
