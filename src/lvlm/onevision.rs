//! LLaVA-OneVision in Hugging Face's layout (`LlavaOnevisionForConditionalGeneration`): SigLIP on the picture and its tiles, a
//! two-layer projector, rows without padding, made fewer where they are too many, a newline after each, and a Qwen2 decoder.

use super::decoder::{DecoderConfig, DecoderNames, Kind};
use super::encoder::{Select, SiglipConfig, SiglipDefaults, Taken};
use super::family::{Family, PartOf};
use super::llava::{feature_layers, image_token, select};
use super::load::Loader;
use super::names::HfNames;
use super::tiled::{Projector, TiledNames, TiledSight, TiledVision};
use super::towers::Tower;
use super::{Result, pinpoints::pinpoints};
use crate::checkpoint::{
    Activation, CheckpointError, Config, DefaultTemplate, Fields, ImageToken, ProcessorFile,
    Template, Tensors, Tokenizer, activation,
};
use crate::device::Device;
use crate::picture::AnyResolution;

type ReadResult<T> = std::result::Result<T, CheckpointError>;

/// What `LlavaOnevisionConfig` gives to a vision config that is left out.
const SIGLIP: SiglipDefaults = SiglipDefaults {
    hidden: 1152,
    intermediate: 4304,
    layers: 26,
    heads: 16,
    image_size: 384,
    patch_size: 14,
};
/// Tiles each way of the resolutions that the config class gives.
const MOST_TILES: u32 = 6;
const TEMPLATE: DefaultTemplate = DefaultTemplate {
    name: "LLaVA-OneVision",
    text: "<|im_start|>user {% for part in messages[0]['content'] %}{% if part['type'] == 'image' %}{{ image_token + '\n' }}\
    {% else %}{{ part['text'] }}{% endif %}{% endfor %}<|im_end|><|im_start|>assistant{{ '\n' }}",
};

/// The config.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Onevision {
    vision: SiglipConfig,
    text: DecoderConfig,
    image_token_id: u32,
    projector: Projector,
    taken: Taken,
    /// Rows and columns that a picture may be fitted into.
    pinpoints: Vec<(u32, u32)>,
    /// From how many views' tokens on rows are made fewer.
    most_views: usize,
    names: HfNames,
}

impl Family for Onevision {
    const NAME: &'static str = "llava_onevision";
    type Sight = TiledSight;
    type Vision<D: Device> = TiledVision<D>;

    fn claims(top: &Fields) -> ReadResult<bool> {
        Ok(top.text("model_type")? == Some("llava_onevision"))
    }

    fn read(config: &Config) -> ReadResult<Self> {
        let top = config.top();
        let (vision, text) = (top.section("vision_config")?, top.section("text_config")?);
        let kinds = ["qwen2", "llama", "mistral"];
        let kind =
            text.require_type("model_type", Some("qwen2"), &kinds, "qwen2, llama, mistral")?;
        let siglip = "siglip_vision_model";
        vision.require_type("model_type", Some(siglip), &[siglip], siglip)?;
        let tied = top.flag("tie_word_embeddings", false)?;
        let vision = SiglipConfig::read(&vision, SIGLIP)?;
        let side = vision.image_size as u32;
        let steps = || (1..=MOST_TILES).map(|n| n * side);
        let default = steps().flat_map(|rows| steps().map(move |columns| (rows, columns)));
        Ok(Self {
            text: DecoderConfig::read(&text, Kind::of(kind), Some(tied))?,
            image_token_id: image_token(&top, 151_646)?,
            projector: Projector {
                activation: activation(&top, "projector_hidden_act", Activation::Gelu)?,
                bias: top.flag("multimodal_projector_bias", true)?,
            },
            taken: Taken {
                layers: feature_layers(&top, -1, vision.layers)?,
                select: match select(&top, Select::Full)? {
                    Select::Full => Select::Full,
                    Select::Default => {
                        let expected = "\"full\": SigLIP has no class token to leave out";
                        let name = "vision_feature_select_strategy";
                        return Err(top.error(name, "\"default\"", expected));
                    }
                },
            },
            pinpoints: pinpoints(&top)?.unwrap_or_else(|| default.collect()),
            most_views: most_views(&top)?,
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
        Template::Default(TEMPLATE)
    }

    fn sight(&self, file: &ProcessorFile) -> Result<TiledSight> {
        let processor = AnyResolution::from_json(file.text()?, &file.file, &self.pinpoints)?;
        let sizes = (self.vision.image_size, self.vision.patch_size);
        TiledSight::new(processor, sizes, Some(self.most_views))
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
        SiglipConfig::never_used(&self.names.vision)
    }
}

/// N of `vision_aspect_ratio: anyres_max_N`.
fn most_views(top: &Fields) -> ReadResult<usize> {
    let name = "vision_aspect_ratio";
    let text = top.text(name)?.unwrap_or("anyres_max_9");
    let number = text
        .strip_prefix("anyres_max_")
        .and_then(|n| n.parse().ok());
    match number {
        Some(n @ 1..=1024) => Ok(n),
        _ => Err(top.error(
            name,
            format!("{text:?}"),
            "anyres_max_N, such as anyres_max_9",
        )),
    }
}
