//! Mini-Gemini (Li et al., arXiv 2403.18814) in the original layout: CLIP beside a ConvNeXt that
//! sees more pixels and is mined by CLIP's patches; Llama, Vicuna, Yi or Gemma. The HD models cut
//! what CLIP sees into tiles.

mod blocks;
mod mining;
mod processing;
mod prompt;
mod vision;

use serde_json::json;

use crate::checkpoint::{
    Compat, Config, Fields, ImageToken, ProcessorFile, SIZE_LIMIT, Template, Tensors, Tokenizer,
};
use crate::device::{Device, Part};
use crate::lvlm::decoder::{DecoderConfig, DecoderNames, Kind};
use crate::lvlm::encoder::{
    Convnext, ConvnextSizes, OPEN_CLIP_FILES, OPEN_CLIP_TRUNK, STEM, hidden_state_index,
};
use crate::lvlm::error::{ReadResult, Result};
use crate::lvlm::family::fields::{encoder_name, require_text};
use crate::lvlm::family::one_view::OneView;
use crate::lvlm::family::projector::Projector;
use crate::lvlm::family::towers::{Tower, TowerName};
use crate::lvlm::family::traits::{Family, Outside, PartOf};
use crate::lvlm::family::vit_tower::{FIELD, LAYER_FIELD, VitTower, holds};
use crate::lvlm::loader::Loader;
use crate::picture::Processor;
use blocks::{STAGES, ViewSizes};
use mining::Mining;
use processing::{BothProcessing, MiniGeminiProcessing};
use vision::{Large, MiniGeminiVision};

/// The config's field that names the second encoder.
const SECOND_FIELD: &str = "mm_vision_tower_aux";
/// Beginning of the second encoder's tensors where the checkpoint itself holds them.
const CONVNEXT_INSIDE: &str = "model.vision_tower_aux.vision_";
/// Its name among the model's parts.
const SECOND: &str = "second encoder";
/// Channels of the first stage of ConvNeXt-XXLarge, whose norms add more to the variance than the
/// others'.
const XXLARGE: usize = 384;
const MODELS: &str = "mgm, mgm_gemma (Mini-Gemini on Llama, Vicuna, Yi and Gemma)";
/// The most tiles each way.
const MOST_TILES: usize = 8;

/// The config.
#[derive(Debug, Clone)]
pub(in crate::lvlm) struct MiniGemini {
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
    /// Whether CLIP is alone, without the branch of high resolution.
    alone: bool,
    encoders: Option<Encoders>,
}

/// Both encoders, once they are found.
#[derive(Debug, Clone)]
struct Encoders {
    clip: VitTower,
    convnext: ConvnextSizes,
    /// The second's tensors, where the model's own checkpoint does not hold them, and the beginning
    /// of their names.
    own: Option<Tensors>,
    prefix: &'static str,
}

impl MiniGemini {
    fn encoders(&self) -> Result<&Encoders> {
        let missing = || VitTower::missing(&self.config, &self.towers[0]);
        Ok(self.encoders.as_ref().ok_or_else(missing)?)
    }

    fn views(&self, encoders: &Encoders) -> ViewSizes {
        ViewSizes {
            large: self.large,
            small: encoders.clip.config.image_size(),
            patch: encoders.clip.config.patch_size(),
            grid: self.grid,
        }
    }
}

impl MiniGemini {
    /// The branch of high resolution.
    fn load_large<D: Device>(&self, loader: &Loader<D>, encoders: &Encoders) -> Result<Large<D>> {
        let own = loader.beside(encoders.own.as_ref());
        let convnext = Convnext::load(&own, &encoders.convnext, encoders.prefix, self.large)?;
        loader.device.part(Part::Projector);
        let width = encoders.clip.config.hidden();
        Ok(Large {
            convnext,
            mining: Mining::load(loader, width, &encoders.convnext.widths)?,
        })
    }
}

impl Family for MiniGemini {
    const NAME: &'static str = "mini_gemini";
    type ImageProcessing = MiniGeminiProcessing;
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
            kind if gemma.contains(&kind) => "mgm_gemma",
            _ => "llama",
        };
        require_text(&top, "mm_projector_type", "mlp2x_gelu", "linear")?;
        require_text(&top, "mm_vision_select_feature", "patch", "patch")?;
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
        Ok(Self {
            config: config.clone(),
            text: DecoderConfig::read(&top, Kind::of(kind), None)?,
            names: DecoderNames::bare(),
            towers: [
                encoder_name(&top, FIELD)?,
                encoder_name(&top, SECOND_FIELD)?,
            ],
            select_layer: hidden_state_index(&top, LAYER_FIELD, -2)?,
            large,
            grid,
            pad_to_square: top.text("image_aspect_ratio")? == Some("pad"),
            alone: false,
            encoders: None,
        })
    }

    fn towers(&self, tensors: &Tensors) -> Vec<TowerName> {
        let [clip, convnext] = &self.towers;
        vec![
            VitTower::name(clip, tensors),
            TowerName {
                field: SECOND_FIELD.into(),
                names: vec![convnext.clone()],
                optional: holds(tensors, CONVNEXT_INSIDE),
                weights: &OPEN_CLIP_FILES,
                config_only: false,
            },
        ]
    }

    fn fit(&mut self, tensors: &Tensors, towers: Vec<Option<Tower>>) -> ReadResult<()> {
        self.text.untie(tensors, &self.names);
        let mut towers = towers.into_iter();
        let (Some(clip), convnext) = (towers.next(), towers.next().flatten()) else {
            return Ok(());
        };
        let (name, index) = (&self.towers[0], self.select_layer);
        let Some(clip) = VitTower::find(&self.config, name, index, tensors, clip)? else {
            return Ok(());
        };
        let convnext = match holds(tensors, CONVNEXT_INSIDE) {
            true => None,
            false => convnext.map(|tower| tower.tensors),
        };
        let prefix = match &convnext {
            None => CONVNEXT_INSIDE,
            Some(own) if holds(own, OPEN_CLIP_TRUNK) => OPEN_CLIP_TRUNK,
            // timm's own file of the same trunk.
            Some(_) => "",
        };
        let from = convnext.as_ref().unwrap_or(tensors);
        let mut sizes = ConvnextSizes::of(from, prefix, 1e-6);
        if sizes.widths.first() == Some(&XXLARGE) {
            sizes.eps = 1e-5;
        }
        let top = self.config.top();
        let stages = sizes.widths.len();
        if stages != STAGES {
            let found = format!("{:?} with {stages} stages", self.towers[1]);
            let expected = format!("a ConvNeXt of {STAGES} stages");
            return Err(top.error(SECOND_FIELD, found, expected));
        }
        let (side, across) = (
            self.large / STEM,
            clip.config.image_size() / clip.config.patch_size(),
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
            clip,
            convnext: sizes,
            own: convnext,
            prefix,
        });
        Ok(())
    }

    /// LVLM_Interpretation gives the model no picture of high resolution, and one view of the
    /// other, even with a grid.
    fn follow(&mut self, _: Compat) -> Result<()> {
        self.alone = true;
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

    fn image_processing(&self, _: &ProcessorFile) -> Result<MiniGeminiProcessing> {
        let encoders = self.encoders()?;
        let file = &encoders.clip.processor;
        let processor = Processor::from_json(file.text()?, &file.file)?;
        let processor = processor.with_pad_to_square(self.pad_to_square);
        if self.alone {
            let clip = &encoders.clip;
            let (pixels, vit) = (clip.config.image_size(), clip.config.vit());
            let one = OneView::new(processor, pixels, &vit, &clip.feature_select);
            return Ok(MiniGeminiProcessing::Clip(one));
        }
        Ok(MiniGeminiProcessing::Both(BothProcessing {
            processor: processor.with_edge(self.large as u32),
            views: self.views(encoders),
        }))
    }

    fn load<D: Device>(&self, loader: &Loader<D>) -> Result<MiniGeminiVision<D>> {
        let encoders = self.encoders()?;
        let clip = encoders.clip.load(loader)?;
        let large = match self.alone {
            true => None,
            false => Some(self.load_large(loader, encoders)?),
        };
        loader.device.part(Part::Projector);
        let (from, to) = (encoders.clip.config.hidden(), self.text.hidden);
        let names = ["model.mm_projector.0", "model.mm_projector.2"];
        Ok(MiniGeminiVision {
            clip,
            large,
            projector: Projector::MLP2X_GELU.load(loader, names, from, to)?,
        })
    }

    fn parts(&self) -> Vec<PartOf> {
        let mut parts = Vec::new();
        if let Some(encoders) = &self.encoders {
            parts.push(encoders.clip.part());
            parts.push(PartOf {
                name: SECOND,
                prefixes: vec![CONVNEXT_INSIDE.into()],
                sizes: encoders.convnext.described(self.large),
            });
        }
        parts.push(PartOf {
            name: "projector",
            prefixes: vec!["model.mm_projector.".into(), "model.vlm_uni_".into()],
            sizes: json!({
                "kind": "patch mining and a two-layer MLP",
                "to": self.text.hidden,
                "tiles": self.grid.pow(2),
            }),
        });
        parts
    }

    fn outside(&self) -> Vec<Outside<'_>> {
        let Some(encoders) = &self.encoders else {
            return Vec::new();
        };
        let second = encoders.own.as_ref().map(|tensors| Outside {
            part: SECOND,
            tensors,
            prefix: encoders.prefix,
        });
        encoders.clip.outside().into_iter().chain(second).collect()
    }

    fn whole(&self) -> Self {
        let mut whole = self.clone();
        whole.text.tied_embeddings = false;
        whole.encoders = whole.encoders.map(|encoders| Encoders {
            clip: encoders.clip.whole(),
            ..encoders
        });
        whole
    }

    fn never_used(&self) -> Vec<String> {
        let clip = self.encoders.iter().map(|encoders| &encoders.clip);
        clip.flat_map(VitTower::never_used).collect()
    }
}
