//! The list of families. The config.json of a checkpoint tells which one it is of.

use super::llava::{hf, llava_anyres, llava_llama, next, onevision};
use super::{cambrian, gemma3, idefics3, internvl, mini_gemini, qwen2_vl, qwen3_vl};
use crate::checkpoint::{CheckpointError, Config};
use crate::lvlm::family::traits::Family;

/// The supported model types, for messages.
const SUPPORTED: &str = "llava, llava_next, llava_onevision, idefics3, smolvlm, internvl, \
                         qwen2_vl, qwen2_5_vl, qwen3_vl, gemma3 (in the layout of transformers), \
                         llava_llama, llava_mistral, llava_qwen \
                         (LLaVA-1.5, NeXT and OneVision in the original layout), internvl_chat \
                         (InternVL3 and InternVL3.5 in the original layout), mgm, mgm_gemma \
                         (Mini-Gemini), cambrian_llama, cambrian_phi3 (Cambrian-1)";

/// Work on a family of any type.
pub(in crate::lvlm) trait Visitor {
    /// The result of the work.
    type Output;

    fn visit<F: Family>(self, family: F) -> Self::Output;
}

/// Visits the first family that claims the config.
macro_rules! first_of {
    ($top:expr, $config:expr, $visitor:expr, $($family:ty),+ $(,)?) => {
        $(if <$family>::claims(&$top)? {
            return Ok($visitor.visit(<$family>::read($config)?));
        })+
    };
}

/// Reads a config as its family does, and passes the family to `visitor`.
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
        idefics3::Idefics3,
        internvl::hf::InternVl,
        internvl::chat::InternVlChat,
        qwen2_vl::Qwen2Vl,
        qwen3_vl::Qwen3Vl,
        gemma3::Gemma3,
    );
    let found = top.text("model_type")?.unwrap_or("left out");
    Err(top.unsupported("model_type", found, SUPPORTED))
}
