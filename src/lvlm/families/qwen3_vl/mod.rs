//! Qwen3-VL (`Qwen3VLForConditionalGeneration`): `family/qwen`, with learned positions beside the
//! rotary ones, rows of the encoder's layers between that are added to the picture's after the
//! first layers of the decoder, and a Qwen3 decoder. Mixtures of experts are refused.

use crate::checkpoint::{Config, DefaultTemplate, Fields};
use crate::lvlm::decoder::{DecoderConfig, Kind};
use crate::lvlm::encoder::QwenVitConfig;
use crate::lvlm::error::ReadResult;
use crate::lvlm::family::qwen::{QwenNames, QwenVersion, QwenVl};

const MODEL: &str = "qwen3_vl";
const VISION: &str = "qwen3_vl_vision";
const TEXT: &str = "qwen3_vl_text";

/// The config.
pub(in crate::lvlm) type Qwen3Vl = QwenVl<Qwen3>;

/// Qwen3-VL.
#[derive(Debug, Clone)]
pub(in crate::lvlm) struct Qwen3;

impl QwenVersion for Qwen3 {
    const NAME: &'static str = MODEL;
    const TEMPLATE: DefaultTemplate = DefaultTemplate {
        name: "Qwen3-VL",
        text: "<|im_start|>user{{ '\n' }}{% for part in messages[0]['content'] %}\
               {% if part['type'] == 'image' %}<|vision_start|>{{ image_token }}<|vision_end|>\
               {% else %}{{ part['text'] }}{% endif %}{% endfor %}<|im_end|>{{ '\n' }}\
               <|im_start|>assistant{{ '\n' }}",
    };

    fn claims(top: &Fields) -> ReadResult<bool> {
        Ok(top.text("model_type")? == Some(MODEL))
    }

    fn read(config: &Config) -> ReadResult<QwenVl<Self>> {
        let top = config.top();
        let (vision, text) = (top.section("vision_config")?, top.section("text_config")?);
        // The published configs have the model's type in the encoder's section.
        vision.require_type("model_type", Some(VISION), &[VISION, MODEL], VISION)?;
        text.require_type("model_type", Some(TEXT), &[TEXT], TEXT)?;
        let encoder = QwenVitConfig::qwen3(&vision)?;
        let tied = top.flag("tie_word_embeddings", false)?;
        let text = DecoderConfig::read(&text, Kind::of(MODEL), Some(tied))?;
        QwenVl::new(&top, &vision, (encoder, text), QwenNames::of_5())
    }
}
