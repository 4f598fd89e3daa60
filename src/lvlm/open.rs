//! Opening a model: a checkpoint folder, or the demo model.

use std::cell::RefCell;
use std::path::Path;

use super::family::Family;
use super::layers::Layers;
use super::load::{Listed, Loader};
use super::model::Model;
use super::registry::{Visitor, visit};
use super::{Lvlm, Result, demo_checkpoint};
use crate::checkpoint::{
    ChatTemplate, Checkpoint, Config, Files, ProcessorFile, Tensors, Tokenizer,
};
use crate::device::Device;
use crate::device::dry::Dry;

/// The checkpoint in a folder, or that of the built-in demo model without one.
///
/// # Errors
/// The first fault found: of the folder, the config (an unsupported architecture before anything that is missing), the
/// weights, the tokenizer, the chat template, the image processor's config.
pub fn checkpoint(folder: Option<&Path>) -> Result<Checkpoint> {
    match folder {
        Some(folder) => open_files(Files::folder(folder)?),
        None => demo_checkpoint(),
    }
}

/// The checkpoint that `files` are, checked as far as that is possible without computing: every tensor that the model needs
/// is there with the shape that the config asks for.
///
/// # Errors
/// As [`checkpoint`].
pub fn open_files(files: Files) -> Result<Checkpoint> {
    let config = Config::read(&files)?;
    visit(&config, Open(files, config.clone()))?
}

/// The model of a checkpoint.
///
/// # Errors
/// A tensor that is missing or has another shape than the config says; what the device reports.
pub fn load<D: Device>(checkpoint: Checkpoint, device: D) -> Result<Box<dyn Lvlm>> {
    let config = checkpoint.config.clone();
    visit(&config, Load(checkpoint, device))?
}

/// The model in a checkpoint folder, or the built-in demo model without one.
///
/// # Errors
/// Everything that can be wrong with a checkpoint; see [`CheckpointError`](crate::checkpoint::CheckpointError).
pub fn open<D: Device>(folder: Option<&Path>, device: D) -> Result<Box<dyn Lvlm>> {
    load(checkpoint(folder)?, device)
}

/// Every tensor that a model of this config needs, by its usual name, with its shape.
///
/// # Errors
/// Those of the config.
pub(crate) fn expected_tensors(config: &Config) -> Result<Listed> {
    visit(config, Expected)?
}

/// Every tensor that a family's layers ask for.
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

struct Open(Files, Config);
struct Load<D>(Checkpoint, D);
struct Expected;

impl Visitor for Open {
    type Output = Result<Checkpoint>;

    fn visit<F: Family>(self, mut family: F) -> Self::Output {
        let Open(files, config) = self;
        let tensors = Tensors::open(&files)?;
        family.fit(&tensors)?;
        for (name, shape) in listed(&family)? {
            tensors.require(&name, &shape)?;
        }
        let tokenizer = Tokenizer::load(&files, family.image_token())?;
        let template = ChatTemplate::load(&files, &tokenizer, family.template())?;
        Ok(Checkpoint {
            processor: ProcessorFile::read(&files)?,
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

impl Visitor for Expected {
    type Output = Result<Listed>;

    fn visit<F: Family>(self, family: F) -> Self::Output {
        listed(&family)
    }
}
