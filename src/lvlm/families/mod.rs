//! The families, one folder each; the registry tells which one a checkpoint is of.

pub(super) mod cambrian;
pub(super) mod gemma3;
pub(super) mod idefics3;
pub(super) mod internvl;
pub(super) mod llava;
pub(super) mod mini_gemini;
pub(super) mod qwen2_vl;
pub(super) mod qwen3_vl;
pub(super) mod refused;
pub(super) mod registry;
