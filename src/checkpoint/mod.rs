//! A checkpoint in Hugging Face's layout: memory-mapped weights, config, tokenizer, chat template,
//! image processor's config.
//!
//! This module does not interpret the config or know which tensors a model needs; the model
//! families do (`crate::lvlm`).

mod activation;
pub(crate) mod cache;
mod class;
mod compat;
mod config;
mod error;
mod fields;
mod files;
mod guard;
mod header;
mod jinja;
mod processor_file;
mod randomized;
mod rope;
mod shape;
mod special;
mod stops;
mod template;
mod template_file;
mod tensors;
#[cfg(test)]
pub(crate) mod tests;
mod text_kwargs;
mod tokenizer;
mod vocabulary;
mod vocabulary_files;

pub use activation::{Activation, activation};
pub use compat::Compat;
pub use config::Config;
pub use error::CheckpointError;
pub use fields::{Fields, LAYER_LIMIT, POSITION_LIMIT, SIZE_LIMIT};
pub use files::{Bytes, Files};
pub(crate) use processor_file::PROCESSOR_CONFIG;
pub use processor_file::ProcessorFile;
pub use randomized::RandomizedLayers;
pub use rope::{RopeAxes, RopeClass, RopeParameters, RopeScaling, layer_rope, rope, rope_axes};
pub use template::{ChatTemplate, DefaultTemplate, Rendered, Template, VICUNA};
pub use tensors::{Dtype, Tensor, Tensors};
pub use tokenizer::{ImageToken, PictureText, Tokenizer};

use std::path::PathBuf;

/// An opened checkpoint: its files exist and can be read.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    /// The source of its files.
    pub files: Files,
    /// Its config.json.
    pub config: Config,
    /// Its weights.
    pub tensors: Tensors,
    /// Its tokenizer.
    pub tokenizer: Tokenizer,
    /// Its chat template.
    pub template: ChatTemplate,
    /// Its image processor's config.
    pub processor: ProcessorFile,
    /// Additional folders in which to look for encoders with checkpoints of their own.
    pub encoders: Vec<PathBuf>,
    /// The program whose processing of pictures is reproduced, if any.
    pub compat: Option<Compat>,
    /// The layers whose weights are replaced by random ones when the model is loaded, if any.
    pub randomized: Option<RandomizedLayers>,
}

impl Checkpoint {
    /// Returns the dtype that most numbers of the weights are stored in.
    pub fn dtype(&self) -> Dtype {
        let numbers = |dtype: &Dtype| -> usize {
            let tensors = self.tensors.iter().filter(|t| t.dtype == *dtype);
            tensors.map(Tensor::elements).sum()
        };
        let all = [Dtype::F16, Dtype::Bf16, Dtype::F32];
        all.into_iter().max_by_key(numbers).unwrap_or(Dtype::F32)
    }
}
