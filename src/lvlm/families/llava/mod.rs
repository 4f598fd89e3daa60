//! The LLaVAs: 1.5, NeXT (1.6) and OneVision, in Hugging Face's layout and in the original one.

pub(in crate::lvlm) mod hf;
mod hf_tiled;
pub(in crate::lvlm) mod llava_anyres;
pub(in crate::lvlm) mod llava_llama;
pub(in crate::lvlm) mod next;
pub(in crate::lvlm) mod onevision;
mod original;
