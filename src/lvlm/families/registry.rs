//! The families, in one list. Which one a checkpoint is of is told by its config.json.

use super::llava::{hf, llava_anyres, llava_llama, next, onevision};
use super::{cambrian, mini_gemini};
use crate::checkpoint::{CheckpointError, Config};
use crate::lvlm::family::traits::Family;

/// What is supported, for messages.
const SUPPORTED: &str = "llava, llava_next, llava_onevision (in the layout of transformers), llava_llama, llava_mistral, llava_qwen (LLaVA-1.5, NeXT and OneVision in their authors' layout), mgm, mgm_gemma (Mini-Gemini), cambrian_llama, cambrian_phi3 (Cambrian-1)";

/// Something that is done with a family, whichever it is.
pub(in crate::lvlm) trait Visitor {
    /// What it makes.
    type Output;

    fn visit<F: Family>(self, family: F) -> Self::Output;
}

/// Tries one family after the other.
macro_rules! first_of {
    ($top:expr, $config:expr, $visitor:expr, $($family:ty),+ $(,)?) => {
        $(if <$family>::claims(&$top)? {
            return Ok($visitor.visit(<$family>::read($config)?));
        })+
    };
}

/// Reads a config as its family does, and lets `visitor` have it.
///
/// # Errors
/// [`CheckpointError::UnsupportedArchitecture`], and those of [`Family::read`].
pub(in crate::lvlm) fn visit<V: Visitor>(
    config: &Config,
    visitor: V,
) -> Result<V::Output, CheckpointError> {
    let top = config.top();
    first_of!(
        top,
        config,
        visitor,
        llava_anyres::LlavaAnyres,
        llava_llama::LlavaLlama,
        hf::Llava,
        mini_gemini::MiniGemini,
        cambrian::Cambrian,
        next::Next,
        onevision::Onevision,
    );
    let found = top.text("model_type")?.unwrap_or("left out");
    Err(top.unsupported("model_type", found, SUPPORTED))
}
