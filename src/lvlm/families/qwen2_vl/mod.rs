//! Qwen2-VL and Qwen2.5-VL (`Qwen2VLForConditionalGeneration`,
//! `Qwen2_5_VLForConditionalGeneration`): `family/qwen`, with a Qwen2 decoder.

use crate::checkpoint::{Config, DefaultTemplate, Fields};
use crate::lvlm::decoder::{DecoderConfig, Kind};
use crate::lvlm::encoder::QwenVitConfig;
use crate::lvlm::error::ReadResult;
use crate::lvlm::family::qwen::{QwenNames, QwenVersion, QwenVl};

const QWEN2_5: &str = "qwen2_5_vl";
/// The types of the section of the decoder, whose fields older configs have at the top.
const DECODERS: [&str; 4] = ["qwen2_vl_text", "qwen2_5_vl_text", "qwen2_vl", QWEN2_5];

/// The config.
pub(in crate::lvlm) type Qwen2Vl = QwenVl<Qwen2>;

/// Qwen2-VL and Qwen2.5-VL.
#[derive(Debug, Clone)]
pub(in crate::lvlm) struct Qwen2;

impl QwenVersion for Qwen2 {
    const NAME: &'static str = "qwen2_vl";
    const TEMPLATE: DefaultTemplate = DefaultTemplate {
        name: "Qwen2-VL",
        text: "<|im_start|>system{{ '\n' }}You are a helpful assistant.<|im_end|>{{ '\n' }}\
               <|im_start|>user{{ '\n' }}{% for part in messages[0]['content'] %}\
               {% if part['type'] == 'image' %}<|vision_start|>{{ image_token }}<|vision_end|>\
               {% else %}{{ part['text'] }}{% endif %}{% endfor %}<|im_end|>{{ '\n' }}\
               <|im_start|>assistant{{ '\n' }}",
    };

    fn claims(top: &Fields) -> ReadResult<bool> {
        Ok(matches!(
            top.text("model_type")?,
            Some("qwen2_vl" | QWEN2_5)
        ))
    }

    fn read(config: &Config) -> ReadResult<QwenVl<Self>> {
        let top = config.top();
        let (vision, nested) = (top.section("vision_config")?, top.section("text_config")?);
        let encoder = match top.text("model_type")? {
            Some(QWEN2_5) => QwenVitConfig::qwen2_5(&vision)?,
            _ => QwenVitConfig::qwen2(&vision)?,
        };
        let (text, tied) = match nested.is_given() {
            true => (nested, Some(top.flag("tie_word_embeddings", false)?)),
            false => (top, None),
        };
        let expected = "qwen2_vl_text, qwen2_5_vl_text";
        text.require_type("model_type", Some(DECODERS[0]), &DECODERS, expected)?;
        let text = DecoderConfig::read(&text, Kind::of("qwen2_vl"), tied)?;
        QwenVl::new(&top, &vision, (encoder, text), QwenNames::of_4())
    }
}
