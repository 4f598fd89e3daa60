//! The names of tensors in both spellings of the layout.

use crate::checkpoint::Tensors;
use crate::lvlm::decoder::DecoderNames;
use crate::lvlm::error::ReadResult;
use crate::lvlm::family::hf_names::spelling;

/// The spelling that one checkpoint uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Names {
    /// The prefix of the encoder's tensors.
    pub vision: String,
    pub decoder: DecoderNames,
}

impl Default for Names {
    /// That of the published checkpoints.
    fn default() -> Self {
        Self {
            vision: "visual.".into(),
            decoder: DecoderNames::bare(),
        }
    }
}

impl Names {
    /// Finds the spelling of each part: the published one, or that of transformers 5. A part of
    /// which there is no tensor gets the published one.
    ///
    /// # Errors
    /// [`CheckpointError::AmbiguousNames`](crate::checkpoint::CheckpointError::AmbiguousNames) when
    /// a part is stored under both.
    pub fn find(tensors: &Tensors) -> ReadResult<Self> {
        let mut names = Self::default();
        if let Some(prefix) = spelling(tensors, "vision encoder", &["visual.", "model.visual."])? {
            names.vision = prefix.to_string();
        }
        let (layers, nested) = ("model.layers.", "model.language_model.");
        if spelling(tensors, "decoder", &[layers, nested])? == Some(nested) {
            names.decoder.prefix = nested.to_string();
        }
        Ok(names)
    }
}
