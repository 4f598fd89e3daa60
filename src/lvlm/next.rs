//! LLaVA-NeXT (LLaVA-1.6) in Hugging Face's layout (`LlavaNextForConditionalGeneration`): CLIP on the picture and its tiles, a
//! two-layer projector, rows without padding, a newline after each, and a Llama (Vicuna), Mistral or Qwen2 decoder.

use super::decoder::{DecoderConfig, DecoderNames, Kind};
use super::encoder::{ClipConfig, Select, Taken};
use super::family::{Family, PartOf};
use super::llava::{feature_layers, image_token, select};
use super::load::Loader;
use super::names::HfNames;
use super::tiled::{Projector, TiledNames, TiledSight, TiledVision};
use super::towers::Tower;
use super::{Result, pinpoints::pinpoints};
use crate::checkpoint::{
    Activation, CheckpointError, Config, Fields, ImageToken, ProcessorFile, Template, Tensors,
    Tokenizer, VICUNA, activation,
};
use crate::device::Device;
use crate::picture::AnyResolution;

type ReadResult<T> = std::result::Result<T, CheckpointError>;

/// What `LlavaNextConfig` gives to `image_grid_pinpoints`, rows and columns.
const PINPOINTS: [(u32, u32); 5] = [(336, 672), (672, 336), (672, 672), (1008, 336), (336, 1008)];

/// The config.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Next {
    vision: ClipConfig,
    text: DecoderConfig,
    image_token_id: u32,
    projector: Projector,
    taken: Taken,
    /// Rows and columns that a picture may be fitted into.
    pinpoints: Vec<(u32, u32)>,
    names: HfNames,
}

impl Family for Next {
    const NAME: &'static str = "llava_next";
    type Sight = TiledSight;
    type Vision<D: Device> = TiledVision<D>;

    fn claims(top: &Fields) -> ReadResult<bool> {
        Ok(top.text("model_type")? == Some("llava_next"))
    }

    fn read(config: &Config) -> ReadResult<Self> {
        let top = config.top();
        let (vision, text) = (top.section("vision_config")?, top.section("text_config")?);
        let kinds = ["llama", "mistral", "qwen2"];
        let kind =
            text.require_type("model_type", Some("llama"), &kinds, "llama, mistral, qwen2")?;
        let clip = "clip_vision_model";
        vision.require_type("model_type", Some(clip), &[clip], clip)?;
        let tied = top.flag("tie_word_embeddings", false)?;
        let vision = ClipConfig::read(&vision)?;
        Ok(Self {
            text: DecoderConfig::read(&text, Kind::of(kind), Some(tied))?,
            image_token_id: image_token(&top, 32000)?,
            projector: Projector {
                activation: activation(&top, "projector_hidden_act", Activation::Gelu)?,
                bias: top.flag("multimodal_projector_bias", true)?,
            },
            taken: Taken {
                layers: feature_layers(&top, -2, vision.layers)?,
                select: match select(&top, Select::Default)? {
                    Select::Default => Select::Default,
                    Select::Full => {
                        let expected = "\"default\": a class token has no place among tiles";
                        let name = "vision_feature_select_strategy";
                        return Err(top.error(name, "\"full\"", expected));
                    }
                },
            },
            pinpoints: pinpoints(&top)?.unwrap_or_else(|| PINPOINTS.to_vec()),
            names: HfNames::default(),
            vision,
        })
    }

    fn fit(&mut self, tensors: &Tensors, _: Vec<Option<Tower>>) -> ReadResult<()> {
        self.names = HfNames::find(tensors)?;
        self.text.untie(tensors, &self.names.decoder);
        Ok(())
    }

    fn decoder(&self) -> (&DecoderConfig, &DecoderNames) {
        (&self.text, &self.names.decoder)
    }

    fn image_token(&self) -> ImageToken {
        ImageToken::Id(self.image_token_id)
    }

    fn template(&self, _: &Tokenizer) -> Template {
        Template::Default(VICUNA)
    }

    fn sight(&self, file: &ProcessorFile) -> Result<TiledSight> {
        let processor = AnyResolution::from_json(file.text()?, &file.file, &self.pinpoints)?;
        let sizes = (self.vision.image_size, self.vision.patch_size);
        TiledSight::new(processor, sizes, None)
    }

    fn load<D: Device>(&self, loader: &Loader<D>) -> Result<TiledVision<D>> {
        let [first, second] = self.names.projector_layers();
        let names = TiledNames {
            vision: &self.names.vision,
            projector: [&first, &second],
            newline: &self.names.newline,
        };
        let projector = (self.projector, self.text.hidden);
        TiledVision::load(loader, (&self.vision.vit(), self.taken), projector, &names)
    }

    fn parts(&self) -> Vec<PartOf> {
        let (inside, out) = (self.vision.hidden, self.text.hidden);
        vec![
            PartOf {
                name: "vision encoder",
                prefixes: vec![self.names.vision.clone()],
                sizes: self.vision.sizes(self.taken.layers),
            },
            PartOf {
                name: "projector",
                prefixes: vec![self.names.projector.clone(), self.names.newline.clone()],
                sizes: self.projector.sizes(inside, out),
            },
        ]
    }

    fn whole(&self) -> Self {
        let mut whole = self.clone();
        whole.taken.layers = whole.vision.layers;
        whole.text.tied_embeddings = false;
        whole
    }

    fn never_used(&self) -> Vec<String> {
        ClipConfig::never_used(&self.names.vision)
    }
}
