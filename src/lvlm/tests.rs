//! Tests of configs, names and whole checkpoints, on small made-up ones and on what `transformers`
//! says of some (`tests/data/checkpoint`).

mod cambrian;
mod configs;
mod gemma3;
mod internals;
mod internvl_chat;
mod mini_gemini;
mod names;
mod original;
mod published;
mod qwen2_vl;
mod qwen3_vl;
mod sessions;
mod stretched;
mod whole;

use std::path::{Path, PathBuf};

use super::{LvlmError, OpenOptions, SessionOptions, go_on, load};
use crate::blend;
use crate::checkpoint::tests::{Spec, config, data, weights, write};
use crate::checkpoint::{CheckpointError, Config};
use crate::device::cpu::Cpu;
use crate::lvlm::engine::fit::listed;
use crate::lvlm::families::llava::hf::Llava;
use crate::lvlm::families::registry::{Visitor, visit};
use crate::lvlm::family::traits::Family;
use crate::picture::Picture;
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

/// The models that results are recorded of.
fn models() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracle/models")
}

/// The config of one of them.
fn config_of(model: &str) -> Value {
    let text = std::fs::read_to_string(models().join(model).join("config.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// A copy of one of them, without its encoders' folders but those of `encoders`.
fn copied(model: &str, encoders: &[&str]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for folder in [model].iter().chain(encoders) {
        std::fs::create_dir_all(dir.path().join(folder)).unwrap();
        for entry in std::fs::read_dir(models().join(folder)).unwrap() {
            let entry = entry.unwrap();
            let to = dir.path().join(folder).join(entry.file_name());
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
    dir
}

/// Renames a model's tensors.
fn rename(folder: &Path, renamed: impl Fn(&str) -> String) {
    let file = folder.join("model.safetensors");
    let bytes = std::fs::read(&file).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let tensors = tensors.iter().map(|(name, view)| (renamed(name), view));
    let bytes = safetensors::serialize(tensors, None).unwrap();
    std::fs::write(file, bytes).unwrap();
}

/// The ids of a prompt, and three tokens of the answer.
fn answer(folder: &Path, question: &str, picture: &Picture) -> (Vec<u32>, Vec<u32>) {
    let opened = super::checkpoint(Some(folder), &OpenOptions::default()).unwrap();
    let opened = load(opened, Cpu::<f32>::new(1).unwrap()).unwrap();
    let prompt = opened
        .prompt(question, std::slice::from_ref(picture))
        .unwrap();
    let options = SessionOptions {
        mask_size: 4,
        memory_budget: 1 << 30,
    };
    let session = opened.start(picture, picture, &prompt, options).unwrap();
    let whole = blend::Path::Deletion;
    let answer = session.generate(whole, 3, &mut go_on).unwrap();
    (prompt.ids, answer)
}

/// Returns the error of opening a copy.
fn fails(dir: &TempDir, model: &str) -> CheckpointError {
    match super::checkpoint(Some(&dir.path().join(model)), &OpenOptions::default()) {
        Err(LvlmError::Checkpoint(error)) => error,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("{model} opened"),
    }
}

/// Passes the family of a config to `visitor`, or returns the error of the config.
fn visited<V: Visitor>(config: &Value, visitor: V) -> Result<V::Output, CheckpointError> {
    visit(
        &Config::from_json(&config.to_string(), "config.json").unwrap(),
        visitor,
    )
}

/// Returns the family's name, or the error of its config.
fn read(config: &Value) -> Result<&'static str, CheckpointError> {
    visited(config, Name)
}

/// The family's name.
struct Name;

impl Visitor for Name {
    type Output = &'static str;

    fn visit<F: Family>(self, _: F) -> &'static str {
        F::NAME
    }
}
