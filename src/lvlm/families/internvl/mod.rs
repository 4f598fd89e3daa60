//! InternVL3 and InternVL3.5 in Hugging Face's layout (`InternVLForConditionalGeneration`):
//! InternViT on the tiles of the grid whose shape is closest to the picture's and on the whole
//! picture, neighbouring patches side by side, a norm and two layers, and a Qwen2 or Qwen3 decoder.

use serde_json::json;

use crate::checkpoint::{
    Config, DefaultTemplate, Fields, ImageToken, ProcessorFile, Template, Tensors, Tokenizer,
};
use crate::device::{Device, Part};
use crate::lvlm::decoder::{DecoderConfig, DecoderNames, Kind};
use crate::lvlm::encoder::{
    FeatureSelect, InternVitConfig, Select, Vit, hidden_state_index, hidden_state_layers,
};
use crate::lvlm::error::{ReadResult, Result};
use crate::lvlm::family::agreement::agree_on_rows;
use crate::lvlm::family::fields::{image_token_id, processor_class, select};
use crate::lvlm::family::hf_names::HfNames;
use crate::lvlm::family::mapped::{MappedVision, RowLayers, RowProjector};
use crate::lvlm::family::projector::Projector;
use crate::lvlm::family::shuffled::{Frame, PixelShuffle, ShuffledProcessing};
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
/// Added to the variance in the projector's norm: PyTorch's default.
const PROJECTOR_EPS: f64 = 1e-5;

/// The config.
#[derive(Debug, Clone)]
pub(in crate::lvlm) struct InternVl {
    encoder: InternVitConfig,
    /// Layers of the encoder that run.
    layers: usize,
    /// Whether the encoder's own output is selected, with its last norm where it has one.
    output: bool,
    shuffle: PixelShuffle,
    projector: Projector,
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
        let index = hidden_state_index(&top, FEATURE_LAYER, -1)?;
        let layers = hidden_state_layers(&top, FEATURE_LAYER, index, encoder.layers)?;
        let mut text = DecoderConfig::read(&text, Kind::of(kind), Some(tied))?;
        text.tied_embeddings = tied;
        Ok(Self {
            text,
            image_token_id: image_token_id(&top, 151_667)?,
            shuffle: shuffle(&top, encoder.across())?,
            projector: Projector {
                bias: true,
                ..Projector::read(&top)?
            },
            processor_class: processor_class(&top, "GotOcr2ImageProcessor")?,
            names: HfNames::default(),
            output: index == -1,
            layers,
            encoder,
        })
    }

    fn fit(&mut self, tensors: &Tensors, _: Vec<Option<Tower>>) -> ReadResult<()> {
        self.names = HfNames::find(tensors)?;
        // Where there is no encoder at all.
        if let Some(prefix) = self.names.vision.strip_suffix("vision_model.") {
            self.names.vision = prefix.to_string();
        }
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
        agree_on_rows(file, "image_seq_length", 256, self.shuffle.rows())?;
        let (pixels, patch) = (self.encoder.image_size, self.encoder.patch_size);
        ShuffledProcessing::new(tiles, pixels, patch, self.shuffle, Frame::InternVl)
    }

    fn load<D: Device>(&self, loader: &Loader<D>) -> Result<MappedVision<D>> {
        let selected = FeatureSelect::last(self.layers, Select::Default);
        let sizes = self.encoder.vit(self.output);
        let encoder = Vit::load(loader, &sizes, &self.names.vision, &selected)?;
        loader.device.part(Part::Projector);
        let side_by_side = self.shuffle.side_by_side();
        let (from, to) = (self.encoder.hidden * side_by_side, self.text.hidden);
        let norm = format!("{}layer_norm", self.names.projector);
        let [first, second] = &self.names.projector_layers();
        let norm = loader.layer_norm(&norm, from, PROJECTOR_EPS)?;
        let layers = self.projector.load(loader, [first, second], from, to)?;
        Ok(MappedVision {
            encoder,
            side_by_side,
            projector: RowProjector {
                norm: Some(norm),
                layers: RowLayers::Perceptron(layers),
            },
        })
    }

    fn parts(&self) -> Vec<PartOf> {
        let factor = self.shuffle.factor;
        let from = self.encoder.hidden * factor.pow(2);
        let mut projector = self.projector.sizes(from, self.text.hidden);
        projector["patches"] = json!(format!("{factor} x {factor}"));
        let encoder = self.encoder.sizes(self.layers);
        self.names.parts(encoder, projector).into()
    }

    fn whole(&self) -> Self {
        let mut whole = self.clone();
        (whole.layers, whole.output) = (whole.encoder.layers, true);
        whole.text.tied_embeddings = false;
        whole
    }

    fn never_used(&self) -> Vec<String> {
        vec![format!("{}embeddings.mask_token", self.names.vision)]
    }
}

/// Reads `downsample_ratio`: one over the patches of a row each way.
fn shuffle(top: &Fields, across: usize) -> ReadResult<PixelShuffle> {
    let name = "downsample_ratio";
    let ratio = top.positive(name)?.unwrap_or(0.5);
    let factor = (1.0 / ratio) as usize;
    let whole = factor > 0 && 1.0 / factor as f64 == ratio;
    if !whole || !across.is_multiple_of(factor) {
        let expected = format!("1 / n, where n divides the {across} patches of a tile's side");
        return Err(top.error(name, ratio, expected));
    }
    Ok(PixelShuffle { across, factor })
}
