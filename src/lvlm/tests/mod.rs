//! Tests of configs, names and whole checkpoints, on small made-up ones and on what `transformers` says of some
//! (`tests/data/checkpoint`).

mod cambrian;
mod configs;
mod mini_gemini;
mod names;
mod whole;

use super::family::Family;
use super::llava::Llava;
use super::open::listed;
use crate::checkpoint::tests::{Spec, config, data, weights, write};
use crate::checkpoint::{CheckpointError, Config};
use serde_json::Value;
use tempfile::TempDir;

fn parse(config: &Value) -> Result<Llava, CheckpointError> {
    Llava::read(&Config::from_json(&config.to_string(), "config.json")?)
}

/// The tensors that a config needs.
fn listed_of(config: &Llava) -> Vec<(String, Vec<usize>)> {
    listed(config).unwrap()
}

/// The tensors that the small config needs.
fn small_tensors(config: &Llava) -> Vec<Spec> {
    let listed = listed_of(config).into_iter();
    listed.map(|(name, shape)| (name, "F16", shape)).collect()
}

/// A whole small checkpoint.
fn checkpoint() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let config = config();
    write(&dir, "config.json", config.to_string());
    write(
        &dir,
        "model.safetensors",
        weights(&small_tensors(&parse(&config).unwrap())),
    );
    for name in [
        "tokenizer.json",
        "tokenizer_config.json",
        "chat_template.json",
    ] {
        std::fs::copy(data("chatml").join(name), dir.path().join(name)).unwrap();
    }
    write(&dir, "preprocessor_config.json", "{\"size\": 8}");
    dir
}
