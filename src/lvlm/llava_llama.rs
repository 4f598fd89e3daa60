//! LLaVA-1.5 in its authors' own layout (`LlavaLlamaForCausalLM`): the decoder's config with `mm_*` fields beside it, the projector
//! under `model.mm_projector`, and CLIP in a checkpoint of its own.

use serde_json::json;

use super::Result;
use super::decoder::{DecoderConfig, DecoderNames, Kind};
use super::encoder::{ClipConfig, Select, Taken, Vit};
use super::family::{Family, PartOf};
use super::llava::{LlavaVision, OneView};
use super::load::Loader;
use super::towers::{Tower, TowerName};
use crate::checkpoint::{
    Activation, CheckpointError, Config, DefaultTemplate, Fields, ImageToken, ProcessorFile,
    Template, Tensors, Tokenizer,
};
use crate::device::{Device, Part};
use crate::nn::Mlp;
use crate::picture::Processor;

type ReadResult<T> = std::result::Result<T, CheckpointError>;

/// `conv_vicuna_v1` of the authors' program.
const TEMPLATE: DefaultTemplate = DefaultTemplate {
    name: "LLaVA-1.5, vicuna_v1",
    text: "A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, detailed, and \
    polite answers to the user's questions. USER: {% for part in messages[0]['content'] %}{% if part['type'] == 'image' %}\
    {{ image_token + '\n' }}{% else %}{{ part['text'] }}{% endif %}{% endfor %} ASSISTANT:",
};
/// Beginnings of the encoder's tensors where the checkpoint itself holds them.
const INSIDE: &str = "model.vision_tower.vision_tower.vision_model.";

/// The config.
#[derive(Debug, Clone)]
pub(super) struct LlavaLlama {
    text: DecoderConfig,
    names: DecoderNames,
    /// What `mm_vision_tower` names.
    tower_name: String,
    /// Index of the encoder's hidden state that is taken.
    select_layer: i64,
    pad_to_square: bool,
    /// The encoder, once it is found.
    tower: Option<ClipTower>,
}

/// CLIP.
#[derive(Debug, Clone)]
struct ClipTower {
    config: ClipConfig,
    taken: Taken,
    processor: ProcessorFile,
    /// Its tensors, where the model's own checkpoint does not hold them.
    tensors: Option<Tensors>,
    prefix: String,
}

impl LlavaLlama {
    fn tower(&self) -> Result<&ClipTower> {
        // Only a family that was not fitted has none.
        let missing = || CheckpointError::MissingEncoder {
            file: "config.json".into(),
            field: "mm_vision_tower".into(),
            encoder: self.tower_name.clone(),
            looked: Vec::new(),
        };
        Ok(self.tower.as_ref().ok_or_else(missing)?)
    }
}

impl Family for LlavaLlama {
    const NAME: &'static str = "llava_llama";
    type Sight = OneView;
    type Vision<D: Device> = LlavaVision<D>;

    fn claims(top: &Fields) -> ReadResult<bool> {
        // Older files say "llava"; Hugging Face's own llava has a section for its encoder.
        let kind = top.text("model_type")?;
        let tower = top.value("mm_vision_tower").is_some();
        let whole = top.value("vision_config").is_some();
        Ok(kind == Some("llava_llama") || (kind == Some("llava") && tower && !whole))
    }

    fn read(config: &Config) -> ReadResult<Self> {
        let top = config.top();
        let text = |name: &str| Ok::<_, CheckpointError>(top.text(name)?.map(str::to_string));
        let Some(tower_name) = text("mm_vision_tower")? else {
            return Err(top.error(
                "mm_vision_tower",
                "left out",
                "the name of the vision encoder",
            ));
        };
        let only = |name: &str, wanted: &str, default: &str| match top.text(name)? {
            None if wanted == default => Ok(()),
            Some(found) if found == wanted => Ok(()),
            found => {
                let found = format!("{:?}", found.unwrap_or("left out"));
                Err(top.error(name, found, format!("{wanted:?}")))
            }
        };
        only("mm_projector_type", "mlp2x_gelu", "linear")?;
        only("mm_vision_select_feature", "patch", "patch")?;
        for name in ["mm_use_im_start_end", "mm_use_im_patch_token"] {
            if top.flag(name, false)? {
                return Err(top.error(name, "true", "false"));
            }
        }
        let pad_to_square = match top.text("image_aspect_ratio")? {
            None | Some("square") => false,
            Some("pad") => true,
            Some(other) => {
                let expected =
                    "\"square\" or \"pad\"; for tiles, checkpoints converted to llava_next";
                return Err(top.error("image_aspect_ratio", format!("{other:?}"), expected));
            }
        };
        let select_layer = match top.value("mm_vision_select_layer") {
            None => -2,
            Some(value) => value
                .as_i64()
                .ok_or_else(|| top.error("mm_vision_select_layer", value, "a whole number"))?,
        };
        Ok(Self {
            text: DecoderConfig::read(&top, Kind::of("llama"), None)?,
            names: DecoderNames {
                prefix: "model.".into(),
                head: "lm_head.weight".into(),
            },
            tower_name,
            select_layer,
            pad_to_square,
            tower: None,
        })
    }

    fn towers(&self, _: &Tensors) -> Vec<TowerName> {
        vec![TowerName {
            field: "mm_vision_tower".into(),
            names: vec![self.tower_name.clone()],
            optional: false,
            weights: &[],
        }]
    }

    fn fit(&mut self, tensors: &Tensors, towers: Vec<Option<Tower>>) -> ReadResult<()> {
        self.text.untie(tensors, &self.names);
        let Some(tower) = towers.into_iter().flatten().next() else {
            return Ok(());
        };
        let own = Config::read(&tower.files)?;
        let config = ClipConfig::of_own_checkpoint(&own)?;
        let name = "mm_vision_select_layer";
        let layers = config.state_layers(&own.top(), name, self.select_layer)?;
        let inside = tensors.names().any(|name| name.starts_with(INSIDE));
        self.tower = Some(ClipTower {
            taken: Taken {
                layers,
                select: Select::Default,
            },
            processor: ProcessorFile::read(&tower.files)?,
            tensors: (!inside).then_some(tower.tensors),
            prefix: if inside { INSIDE } else { "vision_model." }.into(),
            config,
        });
        Ok(())
    }

    fn decoder(&self) -> (&DecoderConfig, &DecoderNames) {
        (&self.text, &self.names)
    }

    fn image_token(&self) -> ImageToken {
        ImageToken::Text("<image>")
    }

    fn template(&self, _: &Tokenizer) -> Template {
        Template::Default(TEMPLATE)
    }

    fn sight(&self, _: &ProcessorFile) -> Result<OneView> {
        let tower = self.tower()?;
        let file = &tower.processor;
        let processor = Processor::from_json(file.text()?, &file.file)?;
        let processor = processor.with_pad_to_square(self.pad_to_square);
        Ok(OneView::new(processor, &tower.config, tower.taken.select))
    }

    fn load<D: Device>(&self, loader: &Loader<D>) -> Result<LlavaVision<D>> {
        let tower = self.tower()?;
        let own = loader.beside(tower.tensors.as_ref());
        let encoder = Vit::load(&own, &tower.config.vit(), &tower.prefix, tower.taken)?;
        loader.device.part(Part::Projector);
        let (inside, out) = (tower.config.hidden, self.text.hidden);
        let projector = Mlp::Plain {
            first: loader.linear("model.mm_projector.0", out, inside, true)?,
            second: loader.linear("model.mm_projector.2", out, out, true)?,
            activation: Activation::Gelu,
        };
        Ok(LlavaVision::new(encoder, projector))
    }

    fn parts(&self) -> Vec<PartOf> {
        let mut parts = Vec::new();
        if let Some(tower) = &self.tower {
            parts.push(PartOf {
                name: "vision encoder",
                prefixes: vec![INSIDE.into()],
                sizes: tower.config.sizes(tower.taken.layers),
            });
        }
        let to = self.text.hidden;
        parts.push(PartOf {
            name: "projector",
            prefixes: vec!["model.mm_projector.".into()],
            sizes: json!({ "kind": "two-layer MLP", "to": to, "activation": "gelu" }),
        });
        parts
    }

    fn whole(&self) -> Self {
        let mut whole = self.clone();
        whole.text.tied_embeddings = false;
        if let Some(tower) = &mut whole.tower {
            tower.taken.layers = tower.config.layers;
        }
        whole
    }

    fn never_used(&self) -> Vec<String> {
        ClipConfig::never_used(INSIDE)
    }
}
