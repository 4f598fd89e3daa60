//! Qwen2-VL and Qwen2.5-VL (`Qwen2VLForConditionalGeneration`,
//! `Qwen2_5_VLForConditionalGeneration`): `family/qwen`, with a Qwen2 decoder.

use crate::checkpoint::{
    Config, DefaultTemplate, Fields, ImageToken, ProcessorFile, Template, Tensors, Tokenizer,
};
use crate::device::Device;
use crate::lvlm::decoder::{DecoderConfig, DecoderNames, Kind};
use crate::lvlm::encoder::QwenVitConfig;
use crate::lvlm::error::{ReadResult, Result};
use crate::lvlm::family::qwen::{IMAGE_TOKEN, QwenNames, QwenVision, QwenVl, WholePatches};
use crate::lvlm::family::towers::Tower;
use crate::lvlm::family::traits::{Family, PartOf};
use crate::lvlm::loader::Loader;

/// The template of the published models, for one picture.
const TEMPLATE: DefaultTemplate = DefaultTemplate {
    name: "Qwen2-VL",
    text: "<|im_start|>system{{ '\n' }}You are a helpful assistant.<|im_end|>{{ '\n' }}\
           <|im_start|>user{{ '\n' }}{% for part in messages[0]['content'] %}\
           {% if part['type'] == 'image' %}<|vision_start|>{{ image_token }}<|vision_end|>\
           {% else %}{{ part['text'] }}{% endif %}{% endfor %}<|im_end|>{{ '\n' }}\
           <|im_start|>assistant{{ '\n' }}",
};
const QWEN2_5: &str = "qwen2_5_vl";
/// The types of the section of the decoder, whose fields older configs have at the top.
const DECODERS: [&str; 4] = ["qwen2_vl_text", "qwen2_5_vl_text", "qwen2_vl", QWEN2_5];

/// The config.
#[derive(Debug, Clone)]
pub(in crate::lvlm) struct Qwen2Vl(QwenVl);

impl Family for Qwen2Vl {
    const NAME: &'static str = "qwen2_vl";
    type ImageProcessing = WholePatches;
    type Vision<D: Device> = QwenVision<D>;

    fn claims(top: &Fields) -> ReadResult<bool> {
        Ok(matches!(
            top.text("model_type")?,
            Some("qwen2_vl" | QWEN2_5)
        ))
    }

    fn read(config: &Config) -> ReadResult<Self> {
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
        let model = QwenVl::new(&top, &vision, (encoder, text), QwenNames::of_4())?;
        Ok(Self(model))
    }

    fn fit(&mut self, tensors: &Tensors, _: Vec<Option<Tower>>) -> ReadResult<()> {
        self.0.fit(tensors)
    }

    fn decoder(&self) -> (&DecoderConfig, &DecoderNames) {
        (&self.0.text, &self.0.names.decoder)
    }

    fn image_token(&self) -> ImageToken {
        self.0.image_token()
    }

    fn image_token_text() -> &'static str {
        IMAGE_TOKEN
    }

    fn template(&self, _: &Tokenizer) -> Template {
        Template::Default(TEMPLATE)
    }

    fn image_processing(&self, file: &ProcessorFile) -> Result<WholePatches> {
        self.0.image_processing(file)
    }

    fn load<D: Device>(&self, loader: &Loader<D>) -> Result<QwenVision<D>> {
        self.0.load(loader)
    }

    fn parts(&self) -> Vec<PartOf> {
        self.0.parts()
    }

    fn whole(&self) -> Self {
        Self(self.0.whole())
    }

    fn never_used(&self) -> Vec<String> {
        Vec::new()
    }
}
