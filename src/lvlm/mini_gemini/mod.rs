//! Mini-Gemini (Li et al., arXiv 2403.18814) in its authors' layout: CLIP beside a ConvNeXt that sees more pixels and is mined by
//! CLIP's patches; Llama, Vicuna, Yi or Gemma. The HD models cut what CLIP sees into tiles.

mod mining;
mod prompt;
mod sight;
mod vision;

use serde_json::json;

use super::Result;
use super::decoder::{DecoderConfig, DecoderNames, Kind};
use super::encoder::{
    ClipConfig, Convnext, ConvnextSizes, OPEN_CLIP_FILES, OPEN_CLIP_TRUNK, Select, Taken, Vit,
};
use super::family::{Family, PartOf};
use super::load::Loader;
use super::towers::{Tower, TowerName};
use crate::checkpoint::{
    Activation, CheckpointError, Config, Fields, ImageToken, ProcessorFile, SIZE_LIMIT, Template,
    Tensors, Tokenizer,
};
use crate::device::{Device, Part};
use crate::nn::Mlp;
use crate::picture::Processor;
use mining::{Mining, STAGES};
use sight::{MiniGeminiSight, Views};
use vision::MiniGeminiVision;

type ReadResult<T> = std::result::Result<T, CheckpointError>;

/// Beginnings of the encoders' tensors where the checkpoint itself holds them.
const CLIP_INSIDE: &str = "model.vision_tower.vision_tower.vision_model.";
const CONVNEXT_INSIDE: &str = "model.vision_tower_aux.vision_";
/// And in checkpoints of their own.
const CLIP_OWN: &str = "vision_model.";

/// Channels of the first stage of ConvNeXt-XXLarge, whose norms add more to the variance than the others'.
const XXLARGE: usize = 384;
const MODELS: &str = "mgm, mgm_gemma (Mini-Gemini on Llama, Vicuna, Yi and Gemma)";
/// How pictures are prepared for CLIP where its own checkpoint is nowhere: as its class does without a config. Sizes are those of
/// the second encoder anyway.
const PROCESSOR: &str = r#"{"image_processor_type": "CLIPImageProcessor"}"#;
/// The most tiles each way.
const MOST_TILES: usize = 8;

/// The config.
#[derive(Debug, Clone)]
pub(super) struct MiniGemini {
    config: Config,
    text: DecoderConfig,
    names: DecoderNames,
    /// `mm_vision_tower` and `mm_vision_tower_aux`.
    towers: [String; 2],
    select_layer: i64,
    /// Pixels each way of what ConvNeXt sees.
    large: usize,
    grid: usize,
    pad_to_square: bool,
    encoders: Option<Encoders>,
}

/// Both encoders, once they are found.
#[derive(Debug, Clone)]
struct Encoders {
    clip: ClipConfig,
    taken: Taken,
    processor: ProcessorFile,
    convnext: ConvnextSizes,
    /// Their tensors and the beginnings of their names, where the model's own checkpoint does not hold them.
    own: [Option<Tensors>; 2],
    prefixes: [&'static str; 2],
}

fn holds(tensors: &Tensors, prefix: &str) -> bool {
    tensors.names().any(|name| name.starts_with(prefix))
}

impl MiniGemini {
    fn encoders(&self) -> Result<&Encoders> {
        // Only a family that was not fitted has none.
        let missing = || CheckpointError::MissingEncoder {
            file: "config.json".into(),
            field: "mm_vision_tower".into(),
            encoder: self.towers[0].clone(),
            looked: Vec::new(),
        };
        Ok(self.encoders.as_ref().ok_or_else(missing)?)
    }

    fn views(&self, encoders: &Encoders) -> Views {
        Views {
            large: self.large,
            small: encoders.clip.image_size,
            patch: encoders.clip.patch_size,
            grid: self.grid,
        }
    }
}

impl Family for MiniGemini {
    const NAME: &'static str = "mini_gemini";
    type Sight = MiniGeminiSight;
    type Vision<D: Device> = MiniGeminiVision<D>;

    fn claims(top: &Fields) -> ReadResult<bool> {
        let kind = top.text("model_type")?.unwrap_or_default();
        Ok(kind.starts_with("mgm") || kind.starts_with("mini_gemini"))
    }

    fn read(config: &Config) -> ReadResult<Self> {
        let top = config.top();
        let gemma = ["mgm_gemma", "mini_gemini_gemma"];
        let known = ["mgm", "mini_gemini", gemma[0], gemma[1]];
        let kind = match top.require_type("model_type", None, &known, MODELS)? {
            kind if gemma.contains(&kind) => "gemma",
            _ => "llama",
        };
        let tower = |name: &str| match top.text(name)? {
            Some(tower) => Ok(tower.to_string()),
            None => Err(top.error(name, "left out", "the name of a vision encoder")),
        };
        let projector = top.text("mm_projector_type")?.unwrap_or("linear");
        if projector != "mlp2x_gelu" {
            return Err(top.error(
                "mm_projector_type",
                format!("{projector:?}"),
                "\"mlp2x_gelu\"",
            ));
        }
        let feature = top.text("mm_vision_select_feature")?.unwrap_or("patch");
        if feature != "patch" {
            let found = format!("{feature:?}");
            return Err(top.error("mm_vision_select_feature", found, "\"patch\""));
        }
        if top.flag("mm_use_im_start_end", false)? {
            return Err(top.error("mm_use_im_start_end", "true", "false"));
        }
        let Some(large) = top.optional_size("image_size_aux", SIZE_LIMIT)? else {
            return Err(top.error("image_size_aux", "left out", "the second encoder's pixels"));
        };
        let grid = top.size("image_grid", 1, MOST_TILES)?;
        if grid > 1 && !top.flag("image_global", false)? {
            let expected = "true: tiles without a view of the whole picture are not supported";
            return Err(top.error("image_global", "false", expected));
        }
        let select_layer = match top.value("mm_vision_select_layer") {
            None => -2,
            Some(value) => value
                .as_i64()
                .ok_or_else(|| top.error("mm_vision_select_layer", value, "a whole number"))?,
        };
        Ok(Self {
            config: config.clone(),
            text: DecoderConfig::read(&top, Kind::of(kind), None)?,
            names: DecoderNames {
                prefix: "model.".into(),
                head: "lm_head.weight".into(),
            },
            towers: [tower("mm_vision_tower")?, tower("mm_vision_tower_aux")?],
            select_layer,
            large,
            grid,
            pad_to_square: top.text("image_aspect_ratio")? == Some("pad"),
            encoders: None,
        })
    }

    fn towers(&self, tensors: &Tensors) -> Vec<TowerName> {
        let [clip, convnext] = self.towers.clone();
        vec![
            TowerName {
                field: "mm_vision_tower".into(),
                names: vec![clip],
                // Its config and its processor's are there; without them, its tensors must say what it is.
                optional: ClipConfig::of_tensors(tensors, CLIP_INSIDE).is_some(),
                weights: &[],
            },
            TowerName {
                field: "mm_vision_tower_aux".into(),
                names: vec![convnext],
                optional: holds(tensors, CONVNEXT_INSIDE),
                weights: &OPEN_CLIP_FILES,
            },
        ]
    }

    fn fit(&mut self, tensors: &Tensors, towers: Vec<Option<Tower>>) -> ReadResult<()> {
        self.text.untie(tensors, &self.names);
        let mut towers = towers.into_iter();
        let (Some(clip), convnext) = (towers.next(), towers.next().flatten()) else {
            return Ok(());
        };
        let (config, processor) = match &clip {
            Some(clip) => (
                ClipConfig::of_own_checkpoint(&Config::read(&clip.files)?)?,
                ProcessorFile::read(&clip.files)?,
            ),
            None => {
                let Some(config) = ClipConfig::of_tensors(tensors, CLIP_INSIDE) else {
                    return Ok(());
                };
                let file = format!("{} (as its class has it)", self.towers[0]);
                let json = Some(PROCESSOR.to_string());
                (config, ProcessorFile { file, json })
            }
        };
        let top = self.config.top();
        let layers = config.state_layers(&top, "mm_vision_select_layer", self.select_layer)?;
        let clip = match holds(tensors, CLIP_INSIDE) {
            true => None,
            false => clip.map(|tower| tower.tensors),
        };
        let convnext = match holds(tensors, CONVNEXT_INSIDE) {
            true => None,
            false => convnext.map(|tower| tower.tensors),
        };
        let convnext_prefix = match &convnext {
            None => CONVNEXT_INSIDE,
            Some(own) if holds(own, OPEN_CLIP_TRUNK) => OPEN_CLIP_TRUNK,
            // timm's own file of the same trunk.
            Some(_) => "",
        };
        let from = convnext.as_ref().unwrap_or(tensors);
        let mut sizes = ConvnextSizes::of(from, convnext_prefix, 1e-6);
        if sizes.widths.first() == Some(&XXLARGE) {
            sizes.eps = 1e-5;
        }
        let stages = sizes.widths.len();
        if stages != STAGES {
            let found = format!("{:?} with {stages} stages", self.towers[1]);
            let expected = format!("a ConvNeXt of {STAGES} stages");
            return Err(top.error("mm_vision_tower_aux", found, expected));
        }
        let (side, across) = (
            self.large / super::encoder::STEM,
            config.image_size / config.patch_size,
        );
        if !self.large.is_multiple_of(sizes.step()) || !side.is_multiple_of(self.grid * across) {
            let expected = format!(
                "a multiple of {} whose quarter is one of {}",
                sizes.step(),
                self.grid * across
            );
            return Err(top.error("image_size_aux", self.large, expected));
        }
        self.encoders = Some(Encoders {
            taken: Taken {
                layers,
                select: Select::Default,
            },
            clip: config,
            processor,
            convnext: sizes,
            prefixes: [
                if clip.is_none() {
                    CLIP_INSIDE
                } else {
                    CLIP_OWN
                },
                convnext_prefix,
            ],
            own: [clip, convnext],
        });
        Ok(())
    }

    fn decoder(&self) -> (&DecoderConfig, &DecoderNames) {
        (&self.text, &self.names)
    }

    fn image_token(&self) -> ImageToken {
        ImageToken::Text("<image>")
    }

    fn template(&self, tokenizer: &Tokenizer) -> Template {
        Template::Fixed(prompt::conversation(tokenizer))
    }

    fn stops(&self) -> &'static [&'static str] {
        &prompt::STOPS
    }

    fn sight(&self, _: &ProcessorFile) -> Result<MiniGeminiSight> {
        let encoders = self.encoders()?;
        let file = &encoders.processor;
        let processor = Processor::from_json(file.text()?, &file.file)?;
        Ok(MiniGeminiSight {
            processor: processor
                .with_pad_to_square(self.pad_to_square)
                .with_edge(self.large as u32),
            views: self.views(encoders),
        })
    }

    fn load<D: Device>(&self, loader: &Loader<D>) -> Result<MiniGeminiVision<D>> {
        let encoders = self.encoders()?;
        let ([clip, convnext], prefixes) = (&encoders.own, encoders.prefixes);
        let own = loader.beside(clip.as_ref());
        let clip = Vit::load(&own, &encoders.clip.vit(), prefixes[0], encoders.taken)?;
        let own = loader.beside(convnext.as_ref());
        let convnext = Convnext::load(&own, &encoders.convnext, prefixes[1], self.large)?;
        loader.device.part(Part::Projector);
        let (inside, out) = (encoders.clip.hidden, self.text.hidden);
        Ok(MiniGeminiVision {
            clip,
            convnext,
            mining: Mining::load(loader, inside, &encoders.convnext.widths)?,
            projector: Mlp::Plain {
                first: loader.linear("model.mm_projector.0", out, inside, true)?,
                second: loader.linear("model.mm_projector.2", out, out, true)?,
                activation: Activation::Gelu,
            },
        })
    }

    fn parts(&self) -> Vec<PartOf> {
        let mut parts = Vec::new();
        if let Some(encoders) = &self.encoders {
            parts.push(PartOf {
                name: "vision encoder",
                prefixes: vec![CLIP_INSIDE.into()],
                sizes: encoders.clip.sizes(encoders.taken.layers),
            });
            parts.push(PartOf {
                name: "second encoder",
                prefixes: vec![CONVNEXT_INSIDE.into()],
                sizes: encoders.convnext.described(self.large),
            });
        }
        parts.push(PartOf {
            name: "projector",
            prefixes: vec!["model.mm_projector.".into(), "model.vlm_uni_".into()],
            sizes: json!({ "kind": "patch mining and a two-layer MLP", "to": self.text.hidden, "tiles": self.grid.pow(2) }),
        });
        parts
    }

    fn whole(&self) -> Self {
        let mut whole = self.clone();
        whole.text.tied_embeddings = false;
        if let Some(encoders) = &mut whole.encoders {
            encoders.taken.layers = encoders.clip.layers;
        }
        whole
    }

    fn never_used(&self) -> Vec<String> {
        ClipConfig::never_used(CLIP_INSIDE)
    }
}
