//! A checkpoint in Hugging Face's layout: memory-mapped weights, config, tokenizer, chat template, image processor's config.

mod activation;
mod config;
mod error;
mod fields;
mod files;
mod header;
mod inspect;
mod names;
mod rope;
mod special;
mod template;
mod tensors;
#[cfg(test)]
mod tests;
mod tokenizer;
mod vocabulary;

pub use activation::Activation;
pub use config::{ClipConfig, LlamaConfig, LlavaConfig, Select};
pub use error::CheckpointError;
pub use files::{Bytes, Files};
pub use inspect::{Contradiction, Inspection, NamedShape, Part, inspect, inspect_files};
pub use names::{Names, expected_tensors};
pub use rope::RopeScaling;
pub use template::{ChatTemplate, Rendered};
pub use tensors::{Dtype, Tensor, Tensors};
pub use tokenizer::Tokenizer;

use std::path::Path;

const CONFIG: &str = "config.json";
/// The image processor's config: transformers 4's file, then 5's.
const PROCESSOR: [&str; 2] = ["preprocessor_config.json", "processor_config.json"];

/// A LLaVA checkpoint, opened and checked as far as that is possible without computing: the architecture is supported, and
/// every tensor that it needs is there with the shape that the config asks for.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    /// Where it is from.
    pub files: Files,
    /// Its sizes and choices.
    pub config: LlavaConfig,
    /// Its weights.
    pub tensors: Tensors,
    /// How its weights are called.
    pub names: Names,
    /// Its tokenizer.
    pub tokenizer: Tokenizer,
    /// Its chat template.
    pub template: ChatTemplate,
    /// What messages call the image processor's config file.
    pub processor_file: String,
    /// That file's text.
    pub processor_json: String,
}

impl Checkpoint {
    /// Opens the checkpoint in a folder.
    ///
    /// # Errors
    /// The first fault found: of the folder, the config (an unsupported architecture before anything that is missing), the
    /// weights, the tokenizer, the chat template, the image processor's config.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, CheckpointError> {
        Self::from_files(Files::folder(path)?)
    }

    /// Opens a checkpoint embedded in the program, given as pairs of file name and content; `name` is for messages.
    ///
    /// # Errors
    /// As [`Checkpoint::open`].
    pub fn embedded(
        name: &'static str,
        files: &'static [(&'static str, &'static [u8])],
    ) -> Result<Self, CheckpointError> {
        Self::from_files(Files::embedded(name, files))
    }

    /// Opens the checkpoint that `files` are.
    ///
    /// # Errors
    /// As [`Checkpoint::open`].
    pub fn from_files(files: Files) -> Result<Self, CheckpointError> {
        let mut config = read_config(&files)?;
        let tensors = Tensors::open(&files)?;
        let names = Names::find(&tensors)?;
        untie(&mut config, &tensors, &names);
        for (name, shape) in expected_tensors(&config, &names) {
            tensors.require(&name, &shape)?;
        }
        let tokenizer = Tokenizer::load(&files, &config)?;
        let template = ChatTemplate::load(&files, &tokenizer)?;
        let (processor_file, processor_json) = read_processor(&files)?;
        Ok(Self {
            files,
            config,
            tensors,
            names,
            tokenizer,
            template,
            processor_file,
            processor_json,
        })
    }

    /// The dtype that most numbers of the weights are in.
    pub fn dtype(&self) -> Dtype {
        let numbers = |dtype: &Dtype| -> usize {
            let tensors = self.tensors.iter().filter(|t| t.dtype == *dtype);
            tensors.map(Tensor::elements).sum()
        };
        let all = [Dtype::F16, Dtype::Bf16, Dtype::F32];
        all.into_iter().max_by_key(numbers).unwrap_or(Dtype::F32)
    }

    /// A tensor that must be there with that shape.
    ///
    /// # Errors
    /// As [`Tensors::require`].
    pub fn require(&self, name: &str, shape: &[usize]) -> Result<Tensor, CheckpointError> {
        self.tensors.require(name, shape)
    }
}

fn read_config(files: &Files) -> Result<LlavaConfig, CheckpointError> {
    let text = files.required_text(CONFIG, "it says what the model is")?;
    LlavaConfig::from_json(&text, &files.path(CONFIG))
}

/// The image processor's config: what messages call its file, and its text.
fn read_processor(files: &Files) -> Result<(String, String), CheckpointError> {
    for name in PROCESSOR {
        if let Some(text) = files.text(name)? {
            return Ok((files.path(name), text));
        }
    }
    let purpose = format!("it (or {}) says how pictures are prepared", PROCESSOR[1]);
    Err(CheckpointError::MissingFile {
        file: files.path(PROCESSOR[0]),
        purpose,
    })
}

/// A config that ties the vocabulary projection to the embedding is overruled by a file that holds a different projection,
/// as in transformers 5.
fn untie(config: &mut LlavaConfig, tensors: &Tensors, names: &Names) {
    let embedding = tensors.get(&format!("{}embed_tokens.weight", names.decoder));
    let head = names.head.as_ref().and_then(|name| tensors.get(name));
    if let (Some(embedding), Some(head)) = (embedding, head)
        && embedding.bytes() != head.bytes()
    {
        config.text.tied_embeddings = false;
    }
}
