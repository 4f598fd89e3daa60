//! LLaVA-1.5 in its authors' own layout (`LlavaLlamaForCausalLM`): the decoder's config with `mm_*` fields beside it, the projector
//! under `model.mm_projector`, and CLIP in a checkpoint of its own.

use serde_json::{Value, json};

use super::Result;
use super::conversations::VICUNA_V1;
use super::decoder::{DecoderConfig, DecoderNames, Kind};
use super::encoder::state_index;
use super::family::{Family, Outside, PartOf, ReadResult};
use super::llava::{LlavaVision, OneView};
use super::load::Loader;
use super::projector::Projector;
use super::towers::{Tower, TowerName};
use super::vit_tower::{FIELD, LAYER_FIELD, VitTower, encoder_name, only};
use crate::checkpoint::{Config, Fields, ImageToken, ProcessorFile, Template, Tensors, Tokenizer};
use crate::device::Device;
use crate::picture::Processor;

/// The decoder's `model_type` in a config of the LLaVAs' authors; `None` for any other config.
///
/// # Errors
/// A field of the wrong type.
pub(super) fn authors_decoder(top: &Fields) -> ReadResult<Option<&'static str>> {
    // Many files say "llava" whatever the decoder is; Hugging Face's own llava has a section for its encoder.
    let tower = top.value(FIELD).is_some();
    let whole = top.value("vision_config").is_some();
    let class = top.value("architectures").and_then(|list| list.get(0));
    Ok(match top.text("model_type")? {
        Some("llava_llama") => Some("llama"),
        Some("llava_mistral") => Some("mistral"),
        Some("llava_qwen") => Some("qwen2"),
        Some("llava") if tower && !whole => Some(match class.and_then(Value::as_str) {
            Some("LlavaQwenForCausalLM") => "qwen2",
            Some("LlavaMistralForCausalLM") => "mistral",
            _ => "llama",
        }),
        _ => None,
    })
}

/// Fails where a config of the LLaVAs' authors puts tokens of its own around a picture.
///
/// # Errors
/// [`CheckpointError::Config`](crate::checkpoint::CheckpointError::Config).
pub(super) fn unsupported_tokens(top: &Fields) -> ReadResult<()> {
    for name in ["mm_use_im_start_end", "mm_use_im_patch_token"] {
        if top.flag(name, false)? {
            return Err(top.error(name, "true", "false"));
        }
    }
    Ok(())
}

/// The config.
#[derive(Debug, Clone)]
pub(super) struct LlavaLlama {
    config: Config,
    text: DecoderConfig,
    names: DecoderNames,
    /// What `mm_vision_tower` names.
    encoder: String,
    /// Index of the encoder's hidden state that is taken.
    select_layer: i64,
    pad_to_square: bool,
    /// The encoder, once it is found.
    tower: Option<VitTower>,
}

impl LlavaLlama {
    fn tower(&self) -> Result<&VitTower> {
        let missing = || VitTower::missing(&self.config, &self.encoder);
        Ok(self.tower.as_ref().ok_or_else(missing)?)
    }
}

impl Family for LlavaLlama {
    const NAME: &'static str = "llava_llama";
    type Sight = OneView;
    type Vision<D: Device> = LlavaVision<D>;

    fn claims(top: &Fields) -> ReadResult<bool> {
        Ok(authors_decoder(top)? == Some("llama"))
    }

    fn read(config: &Config) -> ReadResult<Self> {
        let top = config.top();
        let encoder = encoder_name(&top, FIELD)?;
        only(&top, "mm_projector_type", "mlp2x_gelu", "linear")?;
        only(&top, "mm_vision_select_feature", "patch", "patch")?;
        unsupported_tokens(&top)?;
        let pad_to_square = match top.text("image_aspect_ratio")? {
            None | Some("square") => false,
            Some("pad") => true,
            Some(other) => {
                let expected = "\"square\", \"pad\", \"anyres\" or anyres_max_N";
                return Err(top.error("image_aspect_ratio", format!("{other:?}"), expected));
            }
        };
        Ok(Self {
            config: config.clone(),
            text: DecoderConfig::read(&top, Kind::of("llama"), None)?,
            names: DecoderNames::bare(),
            encoder,
            select_layer: state_index(&top, LAYER_FIELD, -2)?,
            pad_to_square,
            tower: None,
        })
    }

    fn towers(&self, tensors: &Tensors) -> Vec<TowerName> {
        vec![VitTower::name(&self.encoder, tensors)]
    }

    fn fit(&mut self, tensors: &Tensors, towers: Vec<Option<Tower>>) -> ReadResult<()> {
        self.text.untie(tensors, &self.names);
        if let Some(tower) = towers.into_iter().next() {
            let taken = (self.encoder.as_str(), self.select_layer);
            self.tower = VitTower::find(&self.config, taken, tensors, tower)?;
        }
        Ok(())
    }

    fn decoder(&self) -> (&DecoderConfig, &DecoderNames) {
        (&self.text, &self.names)
    }

    fn image_token(&self) -> ImageToken {
        ImageToken::Text("<image>")
    }

    fn template(&self, _: &Tokenizer) -> Template {
        Template::Fixed(VICUNA_V1)
    }

    fn sight(&self, _: &ProcessorFile) -> Result<OneView> {
        let tower = self.tower()?;
        let file = &tower.processor;
        let processor = Processor::from_json(file.text()?, &file.file)?;
        let processor = processor.with_pad_to_square(self.pad_to_square);
        let (pixels, vit) = (tower.config.image_size(), tower.config.vit());
        Ok(OneView::new(processor, pixels, &vit, tower.taken))
    }

    fn load<D: Device>(&self, loader: &Loader<D>) -> Result<LlavaVision<D>> {
        let tower = self.tower()?;
        let widths = (tower.config.hidden(), self.text.hidden);
        let names = ["model.mm_projector.0", "model.mm_projector.2"];
        Ok(LlavaVision {
            encoder: tower.load(loader)?,
            projector: Projector::MLP2X_GELU.load(loader, names, widths)?,
        })
    }

    fn parts(&self) -> Vec<PartOf> {
        let mut parts: Vec<PartOf> = self.tower.iter().map(VitTower::part).collect();
        let to = self.text.hidden;
        parts.push(PartOf {
            name: "projector",
            prefixes: vec!["model.mm_projector.".into()],
            sizes: json!({ "kind": "two-layer MLP", "to": to, "activation": "gelu" }),
        });
        parts
    }

    fn outside(&self) -> Vec<Outside<'_>> {
        self.tower.iter().filter_map(VitTower::outside).collect()
    }

    fn whole(&self) -> Self {
        let mut whole = self.clone();
        whole.text.tied_embeddings = false;
        whole.tower = whole.tower.map(VitTower::whole);
        whole
    }

    fn never_used(&self) -> Vec<String> {
        self.tower.iter().flat_map(VitTower::never_used).collect()
    }
}
