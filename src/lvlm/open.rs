//! Opening a model: a checkpoint folder, or the demo model.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use super::demo::demo_files;
use super::family::Family;
use super::layers::Layers;
use super::load::{Listed, Loader};
use super::model::Model;
use super::model_device::ModelDevice;
use super::registry::{Visitor, visit};
use super::{Lvlm, Result, refused, towers};
use crate::checkpoint::{
    ChatTemplate, Checkpoint, Compat, Config, Files, ImageToken, ProcessorFile, Tensors, Tokenizer,
    cache,
};
use crate::device::Device;
use crate::device::dry::Dry;

/// The checkpoint in a folder or, by its name such as `llava-hf/llava-1.5-7b-hf`, in Hugging Face's cache; that of the built-in
/// demo model without one.
///
/// # Errors
/// The first fault found: of the folder, the config (an unsupported architecture before anything that is missing), the
/// weights, the tokenizer, the chat template, the image processor's config.
pub fn checkpoint(model: Option<&Path>, options: &OpenOptions) -> Result<Checkpoint> {
    match model {
        Some(model) => open_files(files(model)?, options),
        None => open_files(demo_files(), options),
    }
}

/// What a model is opened with beside its name.
#[derive(Clone, Debug, Default)]
pub struct OpenOptions {
    /// Folders in which encoders are looked for that have checkpoints of their own.
    pub encoders: Vec<PathBuf>,
    /// The program as which it looks at pictures: which views it takes, and which part of the picture a mask covers.
    pub compat: Option<Compat>,
}

impl OpenOptions {
    /// What a checkpoint was opened with.
    pub(super) fn of(checkpoint: &Checkpoint) -> OpenOptions {
        OpenOptions {
            encoders: checkpoint.encoders.clone(),
            compat: checkpoint.compat,
        }
    }
}

/// The files of a folder, or of a repository in Hugging Face's cache.
pub(super) fn files(model: &Path) -> Result<Files> {
    if !model.exists()
        && let (Some(hub), Some(name)) = (cache::hub(), model.to_str())
        && let Some(snapshot) = cache::snapshot(&hub, name)
    {
        return Ok(Files::folder(snapshot)?);
    }
    Ok(Files::folder(model)?)
}

/// The checkpoint that `files` are, checked as far as that is possible without computing: every tensor that the model needs
/// is there with the shape that the config asks for.
///
/// # Errors
/// As [`checkpoint`].
pub fn open_files(files: Files, options: &OpenOptions) -> Result<Checkpoint> {
    refused::adapter(&files)?;
    let config = Config::read(&files)?;
    refused::kinds(&config)?;
    visit(&config, Open(files, config.clone(), options.clone()))?
}

/// The model of a checkpoint.
///
/// # Errors
/// A tensor that is missing or has another shape than the config says; what the device reports.
pub fn load<D: ModelDevice>(checkpoint: Checkpoint, device: D) -> Result<Box<dyn Lvlm>> {
    device.load_model(checkpoint)
}

/// [`load`], compiled for `D` where it is called.
pub(super) fn instantiate<D: Device>(checkpoint: Checkpoint, device: D) -> Result<Box<dyn Lvlm>> {
    let config = checkpoint.config.clone();
    visit(&config, Load(checkpoint, device))?
}

/// The model in a checkpoint folder, or the built-in demo model without one.
///
/// # Errors
/// Everything that can be wrong with a checkpoint; see [`CheckpointError`](crate::checkpoint::CheckpointError).
pub fn open<D: ModelDevice>(model: Option<&Path>, device: D) -> Result<Box<dyn Lvlm>> {
    load(checkpoint(model, &OpenOptions::default())?, device)
}

/// Every tensor that a model of this config needs, by its usual name, with its shape.
///
/// # Errors
/// Those of the config.
#[cfg(any(test, feature = "cli"))]
pub(crate) fn expected_tensors(config: &Config) -> Result<Listed> {
    visit(config, Expected)?
}

/// Lets a family see the tensors, its encoders' found, and what it is opened with.
pub(super) fn fit<F: Family>(
    family: &mut F,
    files: &Files,
    tensors: &Tensors,
    options: &OpenOptions,
) -> Result<()> {
    let names = family.towers(tensors);
    let towers = names
        .iter()
        .map(|name| towers::find(name, files, &options.encoders))
        .collect::<std::result::Result<_, _>>()?;
    family.fit(tensors, towers)?;
    match options.compat {
        Some(program) => family.follow(program),
        None => Ok(()),
    }
}

/// Every tensor that a family's layers ask for must be there, and of the right shape.
fn check<F: Family>(family: &F, tensors: &Tensors) -> Result<()> {
    let loader = Loader {
        tensors,
        device: &Dry::new(2),
        list: None,
    };
    Layers::load(family, &loader)?;
    Ok(())
}

/// Every tensor of the model's own that a family's layers ask for.
pub(super) fn listed<F: Family>(family: &F) -> Result<Listed> {
    let list = RefCell::default();
    let loader = Loader {
        tensors: &Tensors::made("none", []),
        device: &Dry::new(2),
        list: Some(&list),
    };
    Layers::load(family, &loader)?;
    let mut seen = std::collections::BTreeSet::new();
    let mut list = list.into_inner();
    list.retain(|(name, _)| seen.insert(name.clone()));
    Ok(list)
}

struct Open(Files, Config, OpenOptions);
struct Load<D>(Checkpoint, D);
#[cfg(any(test, feature = "cli"))]
struct Expected;

impl Visitor for Open {
    type Output = Result<Checkpoint>;

    fn visit<F: Family>(self, mut family: F) -> Self::Output {
        let Open(files, config, options) = self;
        let tensors = Tensors::open(&files)?;
        refused::quantised(&files, &tensors)?;
        fit(&mut family, &files, &tensors, &options)?;
        check(&family, &tensors)?;
        let mut tokenizer = Tokenizer::load(&files, family.image_token())?;
        tokenizer.stop_at(family.stops());
        let template = ChatTemplate::load(&files, &tokenizer, family.template(&tokenizer))?;
        let mut processor = ProcessorFile::read(&files)?;
        family.sight(&processor)?;
        if let ImageToken::Id(_) = family.image_token() {
            processor.check_image_token(&files, &tokenizer)?;
            processor = processor.with_text_limit(&files)?;
        }
        Ok(Checkpoint {
            processor,
            encoders: options.encoders,
            compat: options.compat,
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
