//! Opening a model: a checkpoint folder, or the demo model.

use std::path::Path;

use super::demo::demo_files;
#[cfg(any(test, feature = "cli"))]
use super::fit::listed;
use super::fit::{OpenOptions, complete, fit};
use super::model::Model;
use super::model_device::ModelDevice;
use crate::checkpoint::{
    ChatTemplate, Checkpoint, Config, Files, ImageToken, ProcessorFile, Tensors, Tokenizer, cache,
};
use crate::device::Device;
use crate::lvlm::error::{ReadResult, Result};
use crate::lvlm::families::refused;
use crate::lvlm::families::registry::{Visitor, visit};
use crate::lvlm::family::traits::Family;
#[cfg(any(test, feature = "cli"))]
use crate::lvlm::loader::Listed;
use crate::lvlm::model::Lvlm;

/// Opens the checkpoint in a folder or, by its name such as `llava-hf/llava-1.5-7b-hf`, in Hugging
/// Face's cache; that of the built-in demo model without one.
///
/// # Errors
/// The first fault found: of the folder, the config (an unsupported architecture before anything
/// that is missing), the weights, the tokenizer, the chat template, the image processor's config.
pub fn checkpoint(model: Option<&Path>, options: &OpenOptions) -> Result<Checkpoint> {
    match model {
        Some(model) => open_files(files(model)?, options),
        None => open_files(demo_files(), options),
    }
}

/// Opens the built-in demo model: a LLaVA of two million parameters that answers questions about
/// drawn shapes.
///
/// # Errors
/// When the embedded files are damaged.
pub fn demo_checkpoint() -> Result<Checkpoint> {
    open_files(demo_files(), &OpenOptions::default())
}

/// Returns the files of a folder, or of a repository in Hugging Face's cache.
pub(super) fn files(model: &Path) -> Result<Files> {
    if !model.exists()
        && let (Some(hub), Some(name)) = (cache::hub(), model.to_str())
        && let Some(snapshot) = cache::snapshot(&hub, name)
    {
        return Ok(Files::folder(snapshot)?);
    }
    Ok(Files::folder(model)?)
}

/// Opens the checkpoint that `files` are, and checks it as far as that is possible without
/// computing: every tensor that the model needs is there with the shape that the config says.
///
/// # Errors
/// As [`checkpoint`].
pub fn open_files(files: Files, options: &OpenOptions) -> Result<Checkpoint> {
    refused::adapter(&files)?;
    let config = Config::read(&files)?;
    refused::kinds(&config)?;
    visit(&config, Open(files, config.clone(), options.clone()))?
}

/// Loads the model of a checkpoint onto a device.
///
/// # Errors
/// A tensor that is missing or has another shape than the config says; what the device reports.
pub fn load<D: ModelDevice>(checkpoint: Checkpoint, device: D) -> Result<Box<dyn Lvlm>> {
    device.load_model(checkpoint)
}

/// As [`load`], compiled for `D` where it is called.
pub(super) fn instantiate<D: Device>(checkpoint: Checkpoint, device: D) -> Result<Box<dyn Lvlm>> {
    let config = checkpoint.config.clone();
    visit(&config, Load(checkpoint, device))?
}

/// Opens and loads the model in a checkpoint folder, or the built-in demo model without one.
///
/// # Errors
/// Everything that can be wrong with a checkpoint; see
/// [`CheckpointError`](crate::checkpoint::CheckpointError).
pub fn open<D: ModelDevice>(model: Option<&Path>, device: D) -> Result<Box<dyn Lvlm>> {
    load(checkpoint(model, &OpenOptions::default())?, device)
}

/// Lists every tensor that a model of this config needs, by its usual name, with its shape.
///
/// # Errors
/// Errors of the config.
#[cfg(any(test, feature = "cli"))]
pub(crate) fn expected_tensors(config: &Config) -> Result<Listed> {
    visit(config, Expected)?
}

struct Open(Files, Config, OpenOptions);
struct Load<D>(Checkpoint, D);
#[cfg(any(test, feature = "cli"))]
struct Expected;

/// Loads the tokenizer, which knows the tokens of a picture.
pub(super) fn tokenizer<F: Family>(files: &Files, family: &F) -> ReadResult<Tokenizer> {
    let mut tokenizer = Tokenizer::load(files, family.image_token())?;
    if let Some(name) = F::picture_mark_name() {
        tokenizer.mark_picture_by(name)?;
    }
    Ok(tokenizer)
}

impl Visitor for Open {
    type Output = Result<Checkpoint>;

    fn visit<F: Family>(self, mut family: F) -> Self::Output {
        let Open(files, config, options) = self;
        let tensors = Tensors::open(&files)?;
        refused::quantised(&files, &tensors)?;
        fit(&mut family, &files, &tensors, &options)?;
        complete(&family, &tensors)?;
        let mut tokenizer = tokenizer(&files, &family)?;
        tokenizer.stop_at(family.stops());
        let template = ChatTemplate::load(&files, &tokenizer, family.template(&tokenizer))?;
        let mut processor = ProcessorFile::read(&files)?;
        family.image_processing(&processor)?;
        if let ImageToken::Id(_) = family.image_token() {
            processor.check_image_token(
                &files,
                &tokenizer,
                F::image_token_name(),
                F::image_token_text(),
            )?;
            processor = processor.with_text_limit(&files)?;
        }
        Ok(Checkpoint {
            processor,
            encoders: options.encoders,
            compat: options.compat,
            randomized: None,
            files,
            config,
            tensors,
            tokenizer,
            template,
        })
    }
}

impl<D: Device> Visitor for Load<D> {
    type Output = Result<Box<dyn Lvlm>>;

    fn visit<F: Family>(self, family: F) -> Self::Output {
        let Load(checkpoint, device) = self;
        Ok(Box::new(Model::load(family, checkpoint, device)?))
    }
}

#[cfg(any(test, feature = "cli"))]
impl Visitor for Expected {
    type Output = Result<Listed>;

    fn visit<F: Family>(self, family: F) -> Self::Output {
        listed(&family)
    }
}
