//! The names of tensors in both spellings of the layout.

use crate::checkpoint::Tensors;
use crate::lvlm::decoder::DecoderNames;
use crate::lvlm::error::ReadResult;
use crate::lvlm::family::hf_names::spelling;

/// The prefixes of the encoder's tensors in transformers 4 and 5.
const VISION: [&str; 2] = ["visual.", "model.visual."];
/// The prefix of the decoder's tensors in transformers 5.
const NESTED: &str = "model.language_model.";

/// The spelling that one checkpoint uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::lvlm) struct QwenNames {
    /// The prefix of the encoder's tensors.
    pub vision: String,
    pub decoder: DecoderNames,
}

impl QwenNames {
    /// Returns those of transformers 4, under which Qwen2-VL and Qwen2.5-VL are published.
    pub fn of_4() -> Self {
        Self {
            vision: VISION[0].into(),
            decoder: DecoderNames::bare(),
        }
    }

    /// Returns those of transformers 5, under which Qwen3-VL is published.
    pub fn of_5() -> Self {
        let mut decoder = DecoderNames::bare();
        decoder.prefix = NESTED.into();
        Self {
            vision: VISION[1].into(),
            decoder,
        }
    }

    /// Finds the spelling of each part, and keeps that of a part of which there is no tensor.
    ///
    /// # Errors
    /// [`CheckpointError::AmbiguousNames`](crate::checkpoint::CheckpointError::AmbiguousNames) when
    /// a part is stored under both.
    pub fn find(&mut self, tensors: &Tensors) -> ReadResult<()> {
        if let Some(prefix) = spelling(tensors, "vision encoder", &VISION)? {
            self.vision = prefix.to_string();
        }
        let layers = "model.layers.";
        if let Some(found) = spelling(tensors, "decoder", &[layers, NESTED])? {
            self.decoder.prefix = match found == layers {
                true => DecoderNames::bare().prefix,
                false => NESTED.into(),
            };
        }
        Ok(())
    }
}
