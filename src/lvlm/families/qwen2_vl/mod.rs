//! Qwen2-VL and Qwen2.5-VL (`Qwen2VLForConditionalGeneration`,
//! `Qwen2_5_VLForConditionalGeneration`): a picture of any shape in whole patches, a vision
//! transformer with two-dimensional rotary positions, and a Qwen2 decoder whose rotary positions
//! have three axes: time, rows and columns.

mod names;
mod processing;
mod vision;

use serde_json::json;

use self::names::Names;
use self::processing::WholePatches;
use self::vision::QwenVision;
use crate::checkpoint::{
    Activation, Config, DefaultTemplate, Fields, ImageToken, ProcessorFile, Template, Tensors,
    Tokenizer,
};
use crate::device::{Device, Part};
use crate::lvlm::decoder::{DecoderConfig, DecoderNames, Kind};
use crate::lvlm::encoder::{QwenVit, QwenVitConfig};
use crate::lvlm::error::{ReadResult, Result};
use crate::lvlm::family::fields::{image_token_id, processor_class};
use crate::lvlm::family::towers::Tower;
use crate::lvlm::family::traits::{Family, PartOf};
use crate::lvlm::loader::Loader;
use crate::nn::Mlp;

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
pub(in crate::lvlm) struct Qwen2Vl {
    encoder: QwenVitConfig,
    text: DecoderConfig,
    image_token_id: u32,
    /// The image processor's class where its own file names none.
    processor_class: String,
    names: Names,
}

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
        let (field, out) = encoder.out;
        if out != text.hidden {
            let expected = format!("the decoder's hidden_size, {}", text.hidden);
            return Err(vision.error(field, out, expected));
        }
        Ok(Self {
            encoder,
            text,
            image_token_id: image_token_id(&top, 151_655)?,
            processor_class: processor_class(&top, "Qwen2VLImageProcessor")?,
            names: Names::default(),
        })
    }

    fn fit(&mut self, tensors: &Tensors, _: Vec<Option<Tower>>) -> ReadResult<()> {
        self.names = Names::find(tensors)?;
        self.text.untie(tensors, &self.names.decoder);
        Ok(())
    }

    fn decoder(&self) -> (&DecoderConfig, &DecoderNames) {
        (&self.text, &self.names.decoder)
    }

    fn image_token(&self) -> ImageToken {
        ImageToken::Id(self.image_token_id)
    }

    fn image_token_text() -> &'static str {
        "<|image_pad|>"
    }

    fn template(&self, _: &Tokenizer) -> Template {
        Template::Default(TEMPLATE)
    }

    fn image_processing(&self, file: &ProcessorFile) -> Result<WholePatches> {
        WholePatches::read(file, &self.processor_class, &self.encoder)
    }

    fn load<D: Device>(&self, loader: &Loader<D>) -> Result<QwenVision<D>> {
        let prefix = &self.names.vision;
        let encoder = QwenVit::load(loader, &self.encoder, prefix)?;
        loader.device.part(Part::Projector);
        let merged = self.encoder.merged();
        let layer = |n: usize, out| {
            let name = format!("{prefix}merger.mlp.{n}");
            loader.linear(&name, out, merged, true)
        };
        Ok(QwenVision {
            encoder,
            norm: self.encoder.norm(loader, &format!("{prefix}merger.ln_q"))?,
            merged,
            mlp: Mlp::Plain {
                first: layer(0, merged)?,
                second: layer(2, self.text.hidden)?,
                activation: Activation::Gelu,
            },
        })
    }

    fn parts(&self) -> Vec<PartOf> {
        let merge = self.encoder.merge;
        vec![
            PartOf {
                name: "vision encoder",
                prefixes: vec![self.names.vision.clone()],
                sizes: self.encoder.sizes(),
            },
            PartOf {
                name: "projector",
                prefixes: vec![format!("{}merger.", self.names.vision)],
                sizes: json!({
                    "kind": "two-layer MLP", "patches": format!("{merge} x {merge}"),
                    "from": self.encoder.merged(), "to": self.text.hidden,
                    "activation": Activation::Gelu.to_string(),
                }),
            },
        ]
    }

    fn whole(&self) -> Self {
        let mut whole = self.clone();
        whole.text.tied_embeddings = false;
        whole
    }

    fn never_used(&self) -> Vec<String> {
        Vec::new()
    }
}
