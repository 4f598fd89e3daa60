//! InternVL3 and InternVL3.5 in Hugging Face's layout (`InternVLForConditionalGeneration`).

use super::{InternNames, InternVision};
use crate::checkpoint::{
    Config, DefaultTemplate, Fields, ImageToken, ProcessorFile, Template, Tensors, Tokenizer,
};
use crate::device::Device;
use crate::lvlm::decoder::{DecoderConfig, DecoderNames, Kind};
use crate::lvlm::encoder::{InternVitConfig, Select};
use crate::lvlm::error::{ReadResult, Result};
use crate::lvlm::family::agreement::agree_on_rows;
use crate::lvlm::family::fields::{image_token_id, processor_class, select};
use crate::lvlm::family::hf_names::HfNames;
use crate::lvlm::family::mapped::MappedVision;
use crate::lvlm::family::projector::Projector;
use crate::lvlm::family::shuffled::{Frame, ShuffledProcessing};
use crate::lvlm::family::towers::Tower;
use crate::lvlm::family::traits::{Family, PartOf};
use crate::lvlm::loader::Loader;
use crate::picture::{StretchedTiles, Stretching};

/// The template of the published models.
const TEMPLATE: DefaultTemplate = DefaultTemplate {
    name: "InternVL",
    text: "<|im_start|>user{{ '\n' }}{% for part in messages[0]['content'] %}\
           {% if part['type'] == 'image' %}{{ image_token + '\n' }}{% else %}{{ part['text'] }}\
           {% endif %}{% endfor %}<|im_end|>{{ '\n' }}<|im_start|>assistant{{ '\n' }}",
};
const DECODERS: [&str; 3] = ["qwen2", "qwen3", "llama"];
const FEATURE_LAYER: &str = "vision_feature_layer";

/// The config.
#[derive(Debug, Clone)]
pub(in crate::lvlm) struct InternVl {
    vision: InternVision,
    text: DecoderConfig,
    image_token_id: u32,
    /// The image processor's class where its own file names none.
    processor_class: String,
    names: HfNames,
}

impl Family for InternVl {
    const NAME: &'static str = "internvl";
    type ImageProcessing = ShuffledProcessing;
    type Vision<D: Device> = MappedVision<D>;

    fn claims(top: &Fields) -> ReadResult<bool> {
        Ok(top.text("model_type")? == Some("internvl"))
    }

    fn read(config: &Config) -> ReadResult<Self> {
        let top = config.top();
        let (vision, text) = (top.section("vision_config")?, top.section("text_config")?);
        let expected = "qwen2, qwen3, llama";
        let kind = text.require_type("model_type", Some("qwen2"), &DECODERS, expected)?;
        let tied = top.flag("tie_word_embeddings", true)?;
        let encoder = InternVitConfig::read(&vision)?;
        if select(&top, Select::Default)? != Select::Default {
            let expected = "\"default\": a class token has no place among neighbours";
            return Err(top.error("vision_feature_select_strategy", "\"full\"", expected));
        }
        let projector = Projector {
            bias: true,
            ..Projector::read(&top)?
        };
        let mut text = DecoderConfig::read(&text, Kind::of(kind), Some(tied))?;
        text.tied_embeddings = tied;
        Ok(Self {
            text,
            image_token_id: image_token_id(&top, 151_667)?,
            vision: InternVision::new(&top, FEATURE_LAYER, encoder, projector)?,
            processor_class: processor_class(&top, "GotOcr2ImageProcessor")?,
            names: HfNames::default(),
        })
    }

    fn fit(&mut self, tensors: &Tensors, _: Vec<Option<Tower>>) -> ReadResult<()> {
        self.names = HfNames::find_plain(tensors)?;
        self.text.untie(tensors, &self.names.decoder);
        Ok(())
    }

    fn decoder(&self) -> (&DecoderConfig, &DecoderNames) {
        (&self.text, &self.names.decoder)
    }

    fn image_token(&self) -> ImageToken {
        ImageToken::Id(self.image_token_id)
    }

    fn image_token_name() -> &'static str {
        "context_image_token"
    }

    fn template(&self, _: &Tokenizer) -> Template {
        Template::Default(TEMPLATE)
    }

    fn image_processing(&self, file: &ProcessorFile) -> Result<ShuffledProcessing> {
        let class = self.processor_class.as_str();
        let tiles =
            StretchedTiles::from_json(file.text()?, &file.file, class, Stretching::GotOcr2)?;
        let InternVision {
            encoder, shuffle, ..
        } = &self.vision;
        agree_on_rows(file, "image_seq_length", 256, shuffle.rows())?;
        let (pixels, patch) = (encoder.image_size, encoder.patch_size);
        ShuffledProcessing::new(tiles, pixels, patch, *shuffle, Frame::InternVl)
    }

    fn several_pictures(&self, file: &ProcessorFile) -> Result<Option<ShuffledProcessing>> {
        self.image_processing(file).map(Some)
    }

    fn load<D: Device>(&self, loader: &Loader<D>) -> Result<MappedVision<D>> {
        let norm = format!("{}layer_norm", self.names.projector);
        let layers = self.names.projector_layers();
        let names = InternNames {
            vision: &self.names.vision,
            norm: &norm,
            layers: layers.each_ref().map(String::as_str),
        };
        self.vision.load(loader, &names, self.text.hidden)
    }

    fn parts(&self) -> Vec<PartOf> {
        let [encoder, projector] = self.vision.sizes(self.text.hidden);
        self.names.parts(encoder, projector).into()
    }

    fn whole(&self) -> Self {
        let mut whole = self.clone();
        whole.vision.all_layers();
        whole.text.tied_embeddings = false;
        whole
    }

    fn never_used(&self) -> Vec<String> {
        vec![format!("{}embeddings.mask_token", self.names.vision)]
    }
}
