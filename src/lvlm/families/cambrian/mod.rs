//! Cambrian-1 (Tong et al., arXiv 2406.16860) in the original layout: SigLIP, CLIP, DINOv2 and
//! ConvNeXt, whose grids of features are aggregated by queries before the decoder and between its
//! layers; Phi-3, Llama-3, Vicuna or Yi.

mod aggregator;
mod branch;
mod encoders;
mod layout;
mod processing;
mod prompt;
mod sampler;
mod vision;

use std::sync::Arc;

use serde_json::json;

use crate::checkpoint::{
    CheckpointError, Compat, Config, Fields, ImageToken, LAYER_LIMIT, ProcessorFile, SIZE_LIMIT,
    Template, Tensors, Tokenizer,
};
use crate::device::{Device, Part, RowMap};
use crate::lvlm::decoder::{DecoderConfig, DecoderNames, Kind};
use crate::lvlm::encoder::hidden_state_index;
use crate::lvlm::error::{ReadResult, Result};
use crate::lvlm::family::fields::require_text;
use crate::lvlm::family::projector::Projector;
use crate::lvlm::family::towers::{Tower, TowerName};
use crate::lvlm::family::traits::{Family, Outside, PartOf};
use crate::lvlm::family::vit_tower::LAYER_FIELD;
use crate::lvlm::loader::Loader;
use crate::picture::Processor;
use aggregator::{Aggregator, HEADS};
use branch::EncoderBranch;
use encoders::{FIELD, Found, Named};
use processing::CambrianProcessing;
use sampler::Steps;
use vision::CambrianVision;

const MODELS: &str = "cambrian_llama, cambrian_phi3 (Cambrian-1 on Llama, Vicuna, Yi and Phi-3)";
/// The encoders' names among the model's parts.
const PARTS: [&str; 4] = [
    "vision encoder",
    "second encoder",
    "third encoder",
    "fourth encoder",
];
/// The field of the first of the picture's rows.
const IMAGE_POSITION: &str = "image_position";
/// Lengths of the lists of tokens are at most this squared.
const MOST_TOKENS: usize = 1 << 16;

/// The config.
#[derive(Debug, Clone)]
pub(in crate::lvlm) struct Cambrian {
    config: Config,
    text: DecoderConfig,
    names: DecoderNames,
    encoders: Vec<Named>,
    /// Index of CLIP's selected hidden state.
    select_layer: i64,
    /// By encoder, tokens each way.
    sides: Vec<usize>,
    /// Queries each way.
    queries: usize,
    /// Width of the aggregators.
    width: usize,
    /// Aggregators before the decoder.
    depth: usize,
    steps: Steps,
    /// Whether aggregators are loaded that never run.
    all: bool,
    image_position: usize,
    found: Vec<Found>,
}

/// A whole number from 0 on.
fn number(top: &Fields, name: &str, default: usize) -> ReadResult<usize> {
    let Some(value) = top.value(name) else {
        return Ok(default);
    };
    let number = value.as_u64().and_then(|n| usize::try_from(n).ok());
    let number = number.filter(|&n| n <= SIZE_LIMIT);
    number.ok_or_else(|| top.error(name, value, format!("a whole number up to {SIZE_LIMIT}")))
}

/// Tokens each way of a square of so many.
fn side(top: &Fields, name: &str, tokens: usize) -> ReadResult<usize> {
    let side = tokens.isqrt();
    match side * side == tokens {
        true => Ok(side),
        false => Err(top.error(name, tokens, "a square number")),
    }
}

impl Cambrian {
    fn found(&self) -> Result<&[Found]> {
        if self.found.len() == self.encoders.len() {
            return Ok(&self.found);
        }
        // Only a family that was not fitted has none.
        let tower = self.encoders[self.found.len()].tower();
        Err(CheckpointError::MissingEncoder {
            file: self.config.file().into(),
            field: tower.field,
            encoder: tower.names.into_iter().next().unwrap_or_default(),
            looked: Vec::new(),
        }
        .into())
    }

    /// By encoder, keys of a query's window.
    fn keys(&self) -> Vec<usize> {
        let keys = |side: &usize| (side / self.queries).pow(2);
        self.sides.iter().map(keys).collect()
    }

    /// Aggregators inside the decoder that are loaded.
    fn inside(&self) -> usize {
        match self.all {
            true => self.steps.count,
            false => self.steps.used(),
        }
    }

    /// Fails for choices of the original program that are not supported.
    fn require(top: &Fields) -> ReadResult<()> {
        require_text(top, "mm_projector_type", "sva", "linear")?;
        require_text(top, "image_aspect_ratio", "pad", "square")?;
        require_text(top, "mm_vision_select_feature", "patch", "patch")?;
        for name in ["mm_use_im_start_end", "mm_use_im_patch_token"] {
            if top.flag(name, false)? {
                return Err(top.error(name, "true", "false"));
            }
        }
        match top.size("num_query_group", 1, SIZE_LIMIT)? {
            1 => Ok(()),
            found => Err(top.error("num_query_group", found, "1")),
        }
    }
}

impl Family for Cambrian {
    const NAME: &'static str = "cambrian";
    type ImageProcessing = CambrianProcessing;
    type Vision<D: Device> = CambrianVision<D>;

    fn claims(top: &Fields) -> ReadResult<bool> {
        let kind = top.text("model_type")?.unwrap_or_default();
        Ok(kind.starts_with("cambrian"))
    }

    fn read(config: &Config) -> ReadResult<Self> {
        let top = config.top();
        let known = ["cambrian_llama", "cambrian_phi3"];
        let kind = match top.require_type("model_type", None, &known, MODELS)? {
            "cambrian_phi3" => "phi3",
            _ => "llama",
        };
        Self::require(&top)?;
        let encoders = encoders::named(&top)?;
        let needed = |name: &str, what: &str| match top.optional_size(name, MOST_TOKENS)? {
            Some(number) => Ok(number),
            None => Err(top.error(name, "left out", what)),
        };
        let tokens = needed("image_token_len", "the number of visual tokens")?;
        let queries = side(&top, "image_token_len", tokens)?;
        let list = top.sizes("query_num_list", MOST_TOKENS)?;
        if list.as_ref().is_some_and(|list| list[..] != [tokens]) {
            let expected = format!("[{tokens}], the same as image_token_len");
            return Err(top.error(
                "query_num_list",
                format!("{:?}", list.unwrap_or_default()),
                expected,
            ));
        }
        let name = "mm_vision_tower_aux_token_len_list";
        let lengths = top.sizes(name, MOST_TOKENS)?.unwrap_or_default();
        if lengths.len() != encoders.len() {
            let expected = format!("as many numbers as {FIELD} has names, {}", encoders.len());
            return Err(top.error(name, format!("{lengths:?}"), expected));
        }
        let sides = lengths.iter().map(|&tokens| side(&top, name, tokens));
        let sides: Vec<usize> = sides.collect::<ReadResult<_>>()?;
        if sides.iter().any(|side| !side.is_multiple_of(queries)) {
            let expected = format!("squares of multiples of {queries}, the visual tokens each way");
            return Err(top.error(name, format!("{lengths:?}"), expected));
        }
        let width = needed("vision_hidden_size", "the width of the aggregators")?;
        top.divides(("vision_hidden_size", width), ("its heads", HEADS))?;
        let text = DecoderConfig::read(&top, Kind::of(kind), None)?;
        let count = match top.flag("connector_only", true)? {
            true => 0,
            false => number(&top, "num_of_vision_sampler_layers", 0)?,
        };
        let steps = Steps {
            start: number(&top, "start_of_vision_sampler_layers", 0)?,
            stride: top.size("stride_of_vision_sampler_layers", 1, LAYER_LIMIT)?,
            count,
            layers: text.layers,
        };
        Ok(Self {
            text,
            names: DecoderNames {
                prefix: "model.".into(),
                head: "lm_head.weight".into(),
            },
            encoders,
            select_layer: hidden_state_index(&top, LAYER_FIELD, -2)?,
            sides,
            queries,
            width,
            depth: top.size("connector_depth", 1, LAYER_LIMIT)?,
            steps,
            all: false,
            image_position: number(&top, IMAGE_POSITION, 0)?,
            found: Vec::new(),
            config: config.clone(),
        })
    }

    fn towers(&self, _: &Tensors) -> Vec<TowerName> {
        self.encoders.iter().map(Named::tower).collect()
    }

    fn fit(&mut self, tensors: &Tensors, towers: Vec<Option<Tower>>) -> ReadResult<()> {
        self.text.untie(tensors, &self.names);
        let top = self.config.top();
        let all = self.encoders.iter().zip(towers.into_iter().flatten());
        let found = all.map(|(named, tower)| named.found(tower, &top, self.select_layer));
        self.found = found.collect::<ReadResult<_>>()?;
        Ok(())
    }

    fn follow(&mut self, _: Compat) -> Result<()> {
        Ok(())
    }

    fn decoder(&self) -> (&DecoderConfig, &DecoderNames) {
        (&self.text, &self.names)
    }

    fn image_token(&self) -> ImageToken {
        ImageToken::Text("<image>")
    }

    fn image_position(&self) -> Option<(&'static str, usize)> {
        (self.steps.used() > 0).then_some((IMAGE_POSITION, self.image_position))
    }

    fn template(&self, tokenizer: &Tokenizer) -> Template {
        Template::Fixed(prompt::conversation(tokenizer))
    }

    fn stops(&self) -> &'static [&'static str] {
        &prompt::STOPS
    }

    fn image_processing(&self, _: &ProcessorFile) -> Result<CambrianProcessing> {
        let encoder = |found: &Found| {
            let file = &found.processor;
            let processor = Processor::from_json(file.text()?, &file.file)?;
            let processor = processor.with_square(found.pixels as u32, found.padding);
            Ok((processor, found.patch))
        };
        Ok(CambrianProcessing {
            encoders: self.found()?.iter().map(encoder).collect::<Result<_>>()?,
            queries: self.queries,
            sides: self.sides.clone(),
        })
    }

    fn load<D: Device>(&self, loader: &Loader<D>) -> Result<CambrianVision<D>> {
        let branches = self.found()?.iter().zip(&self.sides).enumerate();
        let branches = branches
            .map(|(i, (found, &side))| EncoderBranch::load(loader, found, i, side, self.width));
        let branches = branches.collect::<Result<_>>()?;
        loader.device.part(Part::Projector);
        let (width, hidden, keys) = (self.width, self.text.hidden, self.keys());
        let aggregator = |prefix: String, columns: usize| {
            Aggregator::load(loader, &prefix, columns, width, &keys)
        };
        let connector = (0..self.depth)
            .map(|i| aggregator(format!("model.vision_sampler_0.layers.{i}."), width));
        let connector = connector.collect::<Result<_>>()?;
        let inside = (0..self.inside())
            .map(|i| aggregator(format!("model.vision_sampler_layers.{i}.layers.0."), hidden));
        let inside = inside.collect::<Result<_>>()?;
        let first = self.sides.first().map_or(0, |side| side * side);
        Ok(CambrianVision {
            branches,
            mean: RowMap::new(
                first,
                vec![(0..first).map(|i| (i, 1.0 / first as f64)).collect()],
            ),
            query: loader.matrix("model.vision_query", &[1, width], 1, width)?,
            connector,
            projector: Projector::MLP2X_GELU.load(
                loader,
                ["model.mm_projector.0", "model.mm_projector.2"],
                width,
                hidden,
            )?,
            newline: loader.matrix("model.image_newline", &[hidden], 1, hidden)?,
            inside: Arc::new(inside),
            steps: self.steps,
        })
    }

    fn parts(&self) -> Vec<PartOf> {
        let encoders = PARTS.into_iter().zip(&self.found);
        let mut parts: Vec<PartOf> = encoders
            .map(|(name, found)| PartOf {
                name,
                prefixes: Vec::new(),
                sizes: found.sizes.clone(),
            })
            .collect();
        let prefixes = [
            "mm_projector",
            "vision_query",
            "vision_sampler",
            "image_newline",
        ];
        parts.push(PartOf {
            name: "projector",
            prefixes: prefixes.map(|name| format!("model.{name}")).to_vec(),
            sizes: json!({
                "kind": "spatial vision aggregator", "width": self.width,
                "tokens": self.queries.pow(2),
                "layers before the decoder": self.depth,
                "layers inside": self.steps.used(), "to": self.text.hidden,
            }),
        });
        parts
    }

    fn outside(&self) -> Vec<Outside<'_>> {
        let encoders = PARTS.into_iter().zip(&self.found);
        let encoders = encoders.map(|(part, found)| Outside {
            part,
            tensors: &found.tensors,
            prefix: found.prefix,
        });
        encoders.collect()
    }

    fn whole(&self) -> Self {
        let mut whole = self.clone();
        whole.text.tied_embeddings = false;
        whole.all = true;
        whole
    }

    fn never_used(&self) -> Vec<String> {
        Vec::new()
    }
}
