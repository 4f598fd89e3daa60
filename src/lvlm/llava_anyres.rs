//! LLaVA-NeXT (LLaVA-1.6) and LLaVA-OneVision in their authors' own layout (`LlavaLlamaForCausalLM`, `LlavaMistralForCausalLM`,
//! `LlavaQwenForCausalLM`): the decoder's config with `mm_*` fields beside it, CLIP or SigLIP on the picture and its tiles, the
//! projector under `model.mm_projector`, and a newline after each row.

use serde_json::json;

use super::Result;
use super::anyres::Unpadding;
use super::conversations::{self, conversation};
use super::decoder::{DecoderConfig, DecoderNames, Kind};
use super::encoder::state_index;
use super::family::{Family, Outside, PartOf, ReadResult};
use super::llava_llama::{authors_decoder, unsupported_tokens};
use super::load::Loader;
use super::pinpoints::AuthorsPinpoints;
use super::projector::Projector;
use super::tiled::{TiledSight, TiledVision, anyres_max};
use super::towers::{Tower, TowerName};
use super::vit_tower::{FIELD, LAYER_FIELD, VitTower, encoder_name, only};
use crate::checkpoint::{
    Config, Fields, ImageToken, ProcessorFile, RopeScaling, Template, Tensors, Tokenizer,
};
use crate::device::Device;
use crate::picture::AnyResolution;

const NEWLINE: &str = "model.image_newline";
const ASPECT: &str = "image_aspect_ratio";

/// The config.
#[derive(Debug, Clone)]
pub(super) struct LlavaAnyres {
    config: Config,
    text: DecoderConfig,
    names: DecoderNames,
    /// What `mm_vision_tower` names.
    encoder: String,
    /// Index of the encoder's hidden state that is taken.
    select_layer: i64,
    pinpoints: AuthorsPinpoints,
    /// From how many views' tokens on rows are made fewer, if ever.
    most_views: Option<usize>,
    /// The encoder, once it is found.
    tower: Option<VitTower>,
}

impl LlavaAnyres {
    fn tower(&self) -> Result<&VitTower> {
        let missing = || VitTower::missing(&self.config, &self.encoder);
        Ok(self.tower.as_ref().ok_or_else(missing)?)
    }
}

impl Family for LlavaAnyres {
    const NAME: &'static str = "llava_anyres";
    type Sight = TiledSight;
    type Vision<D: Device> = TiledVision<D>;

    fn claims(top: &Fields) -> ReadResult<bool> {
        Ok(match authors_decoder(top)? {
            None => false,
            // With one view, and the same names: LLaVA-1.5.
            Some("llama") => top.text(ASPECT)?.is_some_and(|a| a.starts_with("anyres")),
            Some(_) => true,
        })
    }

    fn read(config: &Config) -> ReadResult<Self> {
        let top = config.top();
        let kind = authors_decoder(&top)?.unwrap_or("llama");
        only(&top, "mm_projector_type", "mlp2x_gelu", "linear")?;
        only(&top, "mm_vision_select_feature", "patch", "patch")?;
        only(&top, "mm_patch_merge_type", "spatial_unpad", "flat")?;
        unsupported_tokens(&top)?;
        let aspect = top.text(ASPECT)?.unwrap_or("square");
        let most_views = anyres_max(aspect);
        if aspect != "anyres" && most_views.is_none() {
            let expected = "\"anyres\" or anyres_max_N, such as \"anyres_max_9\"";
            return Err(top.error(ASPECT, format!("{aspect:?}"), expected));
        }
        let mut text = DecoderConfig::read(&top, Kind::of(kind), None)?;
        // The authors' classes on Mistral and Qwen2 set it so, whatever the config says.
        if kind != "llama" {
            text.rope_scaling = RopeScaling::None;
        }
        Ok(Self {
            config: config.clone(),
            text,
            names: DecoderNames::bare(),
            encoder: encoder_name(&top, FIELD)?,
            select_layer: state_index(&top, LAYER_FIELD, -2)?,
            pinpoints: AuthorsPinpoints::read(&top)?,
            most_views,
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

    fn template(&self, tokenizer: &Tokenizer) -> Template {
        Template::Fixed(conversation(&self.text.kind, tokenizer))
    }

    fn stops(&self) -> &'static [&'static str] {
        &conversations::STOPS
    }

    fn sight(&self, _: &ProcessorFile) -> Result<TiledSight> {
        let tower = self.tower()?;
        let (pixels, patch) = (tower.config.image_size(), tower.config.patch_size());
        let (file, pinpoints) = (&tower.processor, self.pinpoints.of_tiles(pixels));
        let processor = AnyResolution::around_one_view(file.text()?, &file.file, &pinpoints)?;
        let unpadding = Unpadding::Cut;
        TiledSight::new(processor, (pixels, patch), (self.most_views, unpadding))
    }

    fn load<D: Device>(&self, loader: &Loader<D>) -> Result<TiledVision<D>> {
        let tower = self.tower()?;
        let widths = (tower.config.hidden(), self.text.hidden);
        let names = ["model.mm_projector.0", "model.mm_projector.2"];
        Ok(TiledVision {
            encoder: tower.load(loader)?,
            projector: Projector::MLP2X_GELU.load(loader, names, widths)?,
            newline: loader.matrix(NEWLINE, &[widths.1], 1, widths.1)?,
        })
    }

    fn parts(&self) -> Vec<PartOf> {
        let mut parts: Vec<PartOf> = self.tower.iter().map(VitTower::part).collect();
        parts.push(PartOf {
            name: "projector",
            prefixes: vec!["model.mm_projector.".into(), NEWLINE.into()],
            sizes: json!({ "kind": "two-layer MLP", "to": self.text.hidden, "activation": "gelu" }),
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
