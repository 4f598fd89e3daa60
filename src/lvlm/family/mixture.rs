//! The parts that transformers' LLaVA classes are mixed from: an encoder, a projector and a decoder,
//! each of any type of two tables.

use serde_json::{Value, json};

use super::fields::{feature_layers, select};
use super::hf_names::HfNames;
use super::projector::Projector;
use crate::checkpoint::{Fields, Tensors};
use crate::lvlm::decoder::{DecoderConfig, Kind};
use crate::lvlm::encoder::{FeatureSelect, SECTION_KINDS, Select, VitConfig};
use crate::lvlm::error::ReadResult;

/// The decoders' `model_type`s, and for messages.
const DECODERS: [&str; 7] = [
    "llama", "mistral", "qwen2", "qwen3", "phi3", "gemma", "granite",
];
const DECODERS_TEXT: &str = "llama, mistral, qwen2, qwen3, phi3, gemma, granite";
/// The encoders' for messages: of all, and of those that see tiles.
const ENCODERS_TEXT: &str = "clip_vision_model, siglip_vision_model, internvl_vision";
const TILED_ENCODERS_TEXT: &str = "clip_vision_model, siglip_vision_model";

/// What a class means by fields that are left out, and allows.
#[derive(Debug, Clone, Copy)]
pub(in crate::lvlm) struct MixtureClass {
    /// `model_type` of `vision_config`.
    pub encoder: &'static str,
    /// `model_type` of `text_config`.
    pub decoder: &'static str,
    /// `vision_feature_layer`.
    pub feature_layer: i64,
    /// `vision_feature_select_strategy`.
    pub select: Select,
    /// Whether pictures are cut into tiles, whose features have to be those of patches.
    pub tiles: bool,
    /// Whether embeddings are tied where `text_config`'s class has them so.
    pub ties_as_decoder: bool,
}

/// The parts of one model.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::lvlm) struct Mixture {
    pub encoder: VitConfig,
    /// The selected features of the encoder.
    pub feature_select: FeatureSelect,
    pub projector: Projector,
    pub text: DecoderConfig,
}

impl Mixture {
    /// Reads the parts from a config's top level.
    ///
    /// # Errors
    /// [`CheckpointError::UnsupportedArchitecture`](crate::checkpoint::CheckpointError) of a type
    /// that is in no table, and what reading the parts reports.
    pub fn read(top: &Fields, class: MixtureClass) -> ReadResult<Mixture> {
        let encoder = encoder(&top.section("vision_config")?, class)?;
        let states = feature_layers(top, class.feature_layer, encoder.layers())?;
        Ok(Mixture {
            feature_select: FeatureSelect::states(states, positions(top, &encoder, class)?),
            projector: Projector::read(top)?,
            text: decoder(top, class)?,
            encoder,
        })
    }

    /// Finds the names of the tensors, as [`HfNames::find`] does; those of an encoder that is not
    /// there are as its class has them.
    ///
    /// # Errors
    /// As [`HfNames::find`].
    pub fn names(&self, tensors: &Tensors) -> ReadResult<HfNames> {
        match self.encoder {
            VitConfig::Intern(_) => HfNames::find_plain(tensors),
            _ => HfNames::find(tensors),
        }
    }

    /// Returns the columns of the features that enter the projector.
    pub fn columns(&self) -> usize {
        self.feature_select.columns(self.encoder.hidden())
    }

    /// Returns the tokens of a view that are no patches.
    pub fn beyond_patches(&self) -> usize {
        let all = self.feature_select.select == Select::Full;
        usize::from(all && has_class_token(&self.encoder))
    }

    /// Describes the encoder and the projector: sizes and choices by name.
    pub fn sizes(&self) -> [Value; 2] {
        let mut encoder = self.encoder.sizes(self.feature_select.layers);
        if !self.feature_select.states.is_empty() {
            encoder["hidden states side by side"] = json!(self.feature_select.states);
        }
        let projector = self.projector.sizes(self.columns(), self.text.hidden);
        [encoder, projector]
    }

    /// Returns it with every layer, and no tensor for two parts.
    #[must_use]
    pub fn whole(mut self) -> Mixture {
        self.feature_select.layers = self.encoder.layers();
        self.text.tied_embeddings = false;
        self
    }
}

fn has_class_token(encoder: &VitConfig) -> bool {
    encoder.vit().names.class.is_some()
}

fn encoder(vision: &Fields, class: MixtureClass) -> ReadResult<VitConfig> {
    let found = vision.text("model_type")?.unwrap_or(class.encoder);
    let mut kinds = SECTION_KINDS
        .iter()
        .filter(|kind| kind.tiles || !class.tiles);
    match kinds.find(|kind| kind.model_type == found) {
        Some(kind) => (kind.read)(vision),
        None => {
            let supported = match class.tiles {
                true => TILED_ENCODERS_TEXT,
                false => ENCODERS_TEXT,
            };
            Err(vision.unsupported("model_type", found, supported))
        }
    }
}

/// Reads which positions are selected. transformers drops the first one for `default`, whether or
/// not it is a class token.
fn positions(top: &Fields, encoder: &VitConfig, class: MixtureClass) -> ReadResult<Select> {
    let found = select(top, class.select)?;
    let expected = match (has_class_token(encoder), found) {
        (false, Select::Default) => "\"full\": the encoder has no class token to leave out",
        (true, Select::Full) if class.tiles => {
            "\"default\": a class token has no place among tiles"
        }
        _ => return Ok(found),
    };
    let found = match found {
        Select::Default => "\"default\"",
        Select::Full => "\"full\"",
    };
    Err(top.error("vision_feature_select_strategy", found, expected))
}

fn decoder(top: &Fields, class: MixtureClass) -> ReadResult<DecoderConfig> {
    let fields = top.section("text_config")?;
    let default = Some(class.decoder);
    let kind = fields.require_type("model_type", default, &DECODERS, DECODERS_TEXT)?;
    let kind = Kind::of(kind);
    let name = "use_bidirectional_attention";
    if fields.flag(name, false)? {
        return Err(fields.error(name, true, "false: text is read in one direction"));
    }
    let tie = "tie_word_embeddings";
    let as_decoder = class.ties_as_decoder && fields.value(tie).is_none() && kind.defaults.tied;
    let tied = top.flag(tie, false)? || as_decoder;
    DecoderConfig::read(&fields, kind, Some(tied))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The texts of messages name every type of the tables.
    #[test]
    fn messages_name_the_tables() {
        assert_eq!(DECODERS.join(", "), DECODERS_TEXT);
        for name in DECODERS {
            assert_eq!(Kind::of(name).model_type, name);
        }
        let names = |tiles: bool| {
            let kinds = SECTION_KINDS
                .iter()
                .filter(move |kind| kind.tiles || !tiles);
            let names: Vec<&str> = kinds.map(|kind| kind.model_type).collect();
            names.join(", ")
        };
        assert_eq!(names(false), ENCODERS_TEXT);
        assert_eq!(names(true), TILED_ENCODERS_TEXT);
    }
}
