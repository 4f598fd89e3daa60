//! A family against a checkpoint: its encoders found, its tensors there.

use std::cell::RefCell;
use std::path::PathBuf;

use super::layers::Layers;
use crate::checkpoint::{Checkpoint, Compat, Files, Tensors};
use crate::device::dry::Dry;
use crate::lvlm::error::Result;
use crate::lvlm::family::towers;
use crate::lvlm::family::traits::Family;
use crate::lvlm::loader::{Listed, Loader};

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

/// Fails unless every tensor that a family's layers ask for is there, and of the right shape.
///
/// # Errors
/// The first tensor that is missing or of another shape.
pub(super) fn complete<F: Family>(family: &F, tensors: &Tensors) -> Result<()> {
    let loader = Loader {
        tensors,
        device: &Dry::new(2),
        list: None,
    };
    Layers::load(family, &loader)?;
    Ok(())
}

/// Every tensor of the model's own that a family's layers ask for.
pub(in crate::lvlm) fn listed<F: Family>(family: &F) -> Result<Listed> {
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
