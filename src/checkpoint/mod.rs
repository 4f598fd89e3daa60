//! A checkpoint in Hugging Face's layout: memory-mapped weights, config, tokenizer, chat template, image processor's config.
//!
//! What the config means and which tensors a model needs is not known here: model families say so (`crate::lvlm`).

mod activation;
pub(crate) mod cache;
mod class;
mod config;
mod error;
mod fields;
mod files;
mod guard;
mod header;
mod jinja;
mod rope;
mod shape;
mod special;
mod template;
mod tensors;
#[cfg(test)]
pub(crate) mod tests;
mod tokenizer;
mod vocabulary;

pub use activation::{Activation, activation};
pub use config::Config;
pub use error::CheckpointError;
pub use fields::{Fields, LAYER_LIMIT, POSITION_LIMIT, SIZE_LIMIT};
pub use files::{Bytes, Files};
pub use rope::{RopeScaling, rope};
pub use template::{ChatTemplate, DefaultTemplate, Rendered, Template, VICUNA};
pub use tensors::{Dtype, Tensor, Tensors};
pub use tokenizer::{ImageToken, Tokenizer};

use std::path::PathBuf;

/// The image processor's config: transformers 4's file, then 5's.
const PROCESSOR: [&str; 2] = ["preprocessor_config.json", "processor_config.json"];

/// A checkpoint, opened: its files are there and can be read.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    /// Where it is from.
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
    /// Folders beside others in which encoders are looked for that have checkpoints of their own.
    pub encoders: Vec<PathBuf>,
}

/// An image processor's config as it stands, where a checkpoint has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessorFile {
    /// What messages call the file.
    pub file: String,
    /// The file's text.
    pub json: Option<String>,
}

impl ProcessorFile {
    /// Reads preprocessor_config.json, else processor_config.json.
    ///
    /// # Errors
    /// As [`Files::text`].
    pub fn read(files: &Files) -> Result<Self, CheckpointError> {
        for name in PROCESSOR {
            let json = files.text(name)?;
            if json.is_some() {
                let file = files.path(name);
                return Ok(Self { file, json });
            }
        }
        let file = files.path(PROCESSOR[0]);
        Ok(Self { file, json: None })
    }

    /// The file's text, for a model that cannot do without.
    ///
    /// # Errors
    /// [`CheckpointError::MissingFile`].
    pub fn text(&self) -> Result<&str, CheckpointError> {
        self.json.as_deref().ok_or_else(|| {
            let purpose = format!("it (or {}) says how pictures are prepared", PROCESSOR[1]);
            CheckpointError::MissingFile {
                file: self.file.clone(),
                purpose,
            }
        })
    }
}

impl Checkpoint {
    /// The dtype that most numbers of the weights are in.
    pub fn dtype(&self) -> Dtype {
        let numbers = |dtype: &Dtype| -> usize {
            let tensors = self.tensors.iter().filter(|t| t.dtype == *dtype);
            tensors.map(Tensor::elements).sum()
        };
        let all = [Dtype::F16, Dtype::Bf16, Dtype::F32];
        all.into_iter().max_by_key(numbers).unwrap_or(Dtype::F32)
    }
}
