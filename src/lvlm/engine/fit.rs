//! A family against a checkpoint: its encoders found, its tensors there.

use std::cell::RefCell;
use std::path::PathBuf;

use super::layers;
use crate::checkpoint::{Checkpoint, Compat, Files, Tensors};
use crate::device::meta::Meta;
use crate::lvlm::error::Result;
use crate::lvlm::family::towers;
use crate::lvlm::family::traits::Family;
use crate::lvlm::loader::{Listed, Loader};
use crate::lvlm::randomize::Randomize;

/// Options of opening a model.
#[derive(Clone, Debug, Default)]
pub struct OpenOptions {
    /// Folders that are searched for encoders with checkpoints of their own.
    pub encoders: Vec<PathBuf>,
    /// The program to reproduce: its views, and the part of the picture that its mask covers.
    pub compat: Option<Compat>,
}

impl OpenOptions {
    /// Returns the options that a checkpoint was opened with.
    pub(super) fn of(checkpoint: &Checkpoint) -> OpenOptions {
        OpenOptions {
            encoders: checkpoint.encoders.clone(),
            compat: checkpoint.compat,
        }
    }
}

/// Fits a family to a checkpoint: finds its encoders, reads the names of its tensors, and applies
/// the options.
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

/// Fails unless every tensor that a family's layers need is there, and of the right shape.
///
/// # Errors
/// The first tensor that is missing or of another shape.
pub(super) fn complete<F: Family>(family: &F, tensors: &Tensors) -> Result<()> {
    let loader = Loader {
        tensors,
        device: &Meta::new(2),
        list: None,
        randomize: Randomize::default(),
    };
    layers::load(family, &loader)?;
    Ok(())
}

/// Lists every tensor of the model's own that a family's layers need.
pub(in crate::lvlm) fn listed<F: Family>(family: &F) -> Result<Listed> {
    let list = RefCell::default();
    let loader = Loader {
        tensors: &Tensors::made("none", []),
        device: &Meta::new(2),
        list: Some(&list),
        randomize: Randomize::default(),
    };
    layers::load(family, &loader)?;
    let mut seen = std::collections::BTreeSet::new();
    let mut list = list.into_inner();
    list.retain(|(name, _)| seen.insert(name.clone()));
    Ok(list)
}
