//! Opening a model: a checkpoint folder, or the demo model that is part of the program.

use std::path::Path;

use super::{Llava, Lvlm, Result};
use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::device::Device;

/// A file of the demo model, embedded.
macro_rules! file {
    ($name:literal) => {
        (
            $name,
            include_bytes!(concat!("../../assets/demo/model/", $name)).as_slice(),
        )
    };
}

static DEMO: [(&str, &[u8]); 7] = [
    file!("config.json"),
    file!("model.safetensors"),
    file!("tokenizer.json"),
    file!("tokenizer_config.json"),
    file!("chat_template.jinja"),
    file!("preprocessor_config.json"),
    file!("generation_config.json"),
];

/// The built-in demo model: a LLaVA of two million parameters that answers questions about drawn shapes.
///
/// # Errors
/// None in a program that was built whole.
pub fn demo_checkpoint() -> std::result::Result<Checkpoint, CheckpointError> {
    Checkpoint::embedded("built-in demo model", &DEMO)
}

/// The checkpoint in a folder, or that of the built-in demo model without one.
///
/// # Errors
/// Everything that can be wrong with a checkpoint; see [`CheckpointError`].
pub fn checkpoint(folder: Option<&Path>) -> std::result::Result<Checkpoint, CheckpointError> {
    match folder {
        Some(folder) => Checkpoint::open(folder),
        None => demo_checkpoint(),
    }
}

/// The model of a checkpoint.
///
/// # Errors
/// A tensor that is missing or has another shape than the config says; what the device reports.
pub fn load<D: Device>(checkpoint: Checkpoint, device: D) -> Result<Box<dyn Lvlm>> {
    Ok(Box::new(Llava::load(checkpoint, device)?))
}

/// The model in a checkpoint folder, or the built-in demo model without one.
///
/// # Errors
/// Everything that can be wrong with a checkpoint; see [`CheckpointError`].
pub fn open<D: Device>(folder: Option<&Path>, device: D) -> Result<Box<dyn Lvlm>> {
    load(checkpoint(folder)?, device)
}
