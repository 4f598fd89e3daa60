//! Qwen3-VL (`Qwen3VLForConditionalGeneration`): `family/qwen`, with learned positions beside the
//! rotary ones, rows of the encoder's layers between that are added to the picture's after the
//! first layers of the decoder, and a Qwen3 decoder. Mixtures of experts are refused.

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
    name: "Qwen3-VL",
    text: "<|im_start|>user{{ '\n' }}{% for part in messages[0]['content'] %}\
           {% if part['type'] == 'image' %}<|vision_start|>{{ image_token }}<|vision_end|>\
           {% else %}{{ part['text'] }}{% endif %}{% endfor %}<|im_end|>{{ '\n' }}\
           <|im_start|>assistant{{ '\n' }}",
};
const MODEL: &str = "qwen3_vl";
const VISION: &str = "qwen3_vl_vision";
const TEXT: &str = "qwen3_vl_text";

/// The config.
#[derive(Debug, Clone)]
pub(in crate::lvlm) struct Qwen3Vl(QwenVl);

impl Family for Qwen3Vl {
    const NAME: &'static str = "qwen3_vl";
    type ImageProcessing = WholePatches;
    type Vision<D: Device> = QwenVision<D>;

    fn claims(top: &Fields) -> ReadResult<bool> {
        Ok(top.text("model_type")? == Some(MODEL))
    }

    fn read(config: &Config) -> ReadResult<Self> {
        let top = config.top();
        let (vision, text) = (top.section("vision_config")?, top.section("text_config")?);
        // The published configs have the model's type in the encoder's section.
        vision.require_type("model_type", Some(VISION), &[VISION, MODEL], VISION)?;
        text.require_type("model_type", Some(TEXT), &[TEXT], TEXT)?;
        let encoder = QwenVitConfig::qwen3(&vision)?;
        let tied = top.flag("tie_word_embeddings", false)?;
        let text = DecoderConfig::read(&text, Kind::of(MODEL), Some(tied))?;
        let model = QwenVl::new(&top, &vision, (encoder, text), QwenNames::of_5())?;
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
