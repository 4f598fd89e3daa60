//! The names of tensors in Hugging Face's layout, in each of the spellings that checkpoints use.

use serde_json::Value;

use super::traits::PartOf;
use crate::checkpoint::{CheckpointError, Tensors};
use crate::lvlm::decoder::DecoderNames;

/// Each part's prefixes; one that begins another comes after it.
const VISION: [&str; 4] = [
    "model.vision_tower.vision_model.",
    "model.vision_tower.",
    "vision_tower.vision_model.",
    "vision_tower.",
];
const PROJECTOR: [&str; 2] = ["model.multi_modal_projector.", "multi_modal_projector."];
const DECODER: [&str; 2] = ["language_model.model.", "model.language_model."];
const HEAD: [&str; 2] = ["language_model.lm_head.weight", "lm_head.weight"];

const NEWLINE: [&str; 2] = ["model.image_newline", "image_newline"];

/// The spelling that one checkpoint uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::lvlm) struct HfNames {
    /// The prefix of the encoder's tensors, such as `vision_tower.vision_model.`
    pub vision: String,
    /// The prefix of the projector's tensors, such as `multi_modal_projector.`
    pub projector: String,
    /// The row that ends lines of a picture in tiles, where a family has one.
    pub newline: String,
    /// The decoder's names.
    pub decoder: DecoderNames,
}

impl Default for HfNames {
    /// transformers 4's.
    fn default() -> Self {
        Self {
            vision: "vision_tower.vision_model.".into(),
            projector: "multi_modal_projector.".into(),
            newline: NEWLINE[1].into(),
            decoder: DecoderNames {
                prefix: "language_model.model.".into(),
                head: HEAD[0].into(),
            },
        }
    }
}

impl HfNames {
    /// The projector's two layers.
    pub fn projector_layers(&self) -> [String; 2] {
        ["linear_1", "linear_2"].map(|layer| format!("{}{layer}", self.projector))
    }

    /// The parts that all families have, of those sizes.
    pub fn parts(&self, encoder: Value, projector: Value) -> [PartOf; 2] {
        [
            PartOf {
                name: "vision encoder",
                prefixes: vec![self.vision.clone()],
                sizes: encoder,
            },
            PartOf {
                name: "projector",
                prefixes: vec![self.projector.clone()],
                sizes: projector,
            },
        ]
    }

    /// Finds the spelling of each part. A part of which there is no tensor at all gets transformers
    /// 4's, so that what is missing has a name.
    ///
    /// # Errors
    /// [`CheckpointError::AmbiguousNames`] when a part is stored under two spellings.
    pub fn find(tensors: &Tensors) -> Result<Self, CheckpointError> {
        let part = |part, prefixes| {
            let found = spelling(tensors, part, prefixes)?;
            Ok::<_, CheckpointError>(found.map(str::to_string))
        };
        let Self {
            vision,
            projector,
            newline,
            decoder,
        } = Self::default();
        let prefix = part("decoder", &DECODER)?.unwrap_or(decoder.prefix);
        // As found, or as it would be beside this decoder.
        let beside = if prefix.starts_with("language_model.") {
            HEAD[0]
        } else {
            HEAD[1]
        };
        let head = part("vocabulary projection", &HEAD)?.unwrap_or_else(|| beside.to_string());
        Ok(Self {
            vision: part("vision encoder", &VISION)?.unwrap_or(vision),
            projector: part("projector", &PROJECTOR)?.unwrap_or(projector),
            newline: part("newline", &NEWLINE)?.unwrap_or(newline),
            decoder: DecoderNames { prefix, head },
        })
    }

    /// Finds them like [`HfNames::find`], for an encoder whose own class has no `vision_model`: a
    /// missing one has its names.
    ///
    /// # Errors
    /// As [`HfNames::find`].
    pub fn find_plain(tensors: &Tensors) -> Result<Self, CheckpointError> {
        let mut names = Self::find(tensors)?;
        if let Some(prefix) = names.vision.strip_suffix("vision_model.") {
            names.vision = prefix.to_string();
        }
        Ok(names)
    }
}

/// Returns the one of these prefixes that names of tensors begin with, if any does; one that begins
/// another comes after it.
///
/// # Errors
/// [`CheckpointError::AmbiguousNames`] when a part is stored under two spellings.
pub(in crate::lvlm) fn spelling(
    tensors: &Tensors,
    part: &'static str,
    prefixes: &[&'static str],
) -> Result<Option<&'static str>, CheckpointError> {
    let of = |name: &str| prefixes.iter().find(|prefix| name.starts_with(**prefix));
    let mut found: Vec<&'static str> = tensors.names().filter_map(of).copied().collect();
    found.sort_unstable();
    found.dedup();
    match found[..] {
        [] => Ok(None),
        [prefix] => Ok(Some(prefix)),
        [first, second, ..] => Err(CheckpointError::AmbiguousNames {
            model: tensors.model().to_string(),
            part,
            first: first.to_string(),
            second: second.to_string(),
        }),
    }
}
