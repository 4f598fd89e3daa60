//! Tests of the whole room, on small made-up checkpoints and on what `transformers` says of some (`tests/data/checkpoint`).

mod configs;
mod prompts;
mod weights;
mod whole;

use super::{Files, LlavaConfig};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A tensor to be written: name, dtype, shape; its bytes are zero.
type Spec = (String, &'static str, Vec<usize>);

fn data(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data/checkpoint")
        .join(path)
}

fn recorded(path: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(data(path)).unwrap()).unwrap()
}

fn write(dir: &TempDir, name: &str, content: impl AsRef<[u8]>) {
    std::fs::write(dir.path().join(name), content).unwrap();
}

fn files(dir: &TempDir) -> Files {
    Files::folder(dir.path()).unwrap()
}

/// A safetensors file of this header and `data` bytes of zeros.
fn raw(header: &Value, data: usize) -> Vec<u8> {
    let header = header.to_string();
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.bytes());
    bytes.resize(bytes.len() + data, 0);
    bytes
}

/// A sound safetensors file.
fn weights(tensors: &[Spec]) -> Vec<u8> {
    let (mut header, mut end) = (serde_json::Map::new(), 0);
    for (name, dtype, shape) in tensors {
        let width = match *dtype {
            "F64" | "I64" => 8,
            "F32" => 4,
            "F16" | "BF16" => 2,
            _ => 1,
        };
        let begin = end;
        end += shape.iter().product::<usize>() * width;
        header.insert(
            name.clone(),
            json!({"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}),
        );
    }
    raw(&Value::Object(header), end)
}

/// A small config that the tests change.
fn config() -> Value {
    json!({
        "model_type": "llava", "image_token_index": 3,
        "vision_config": {
            "model_type": "clip_vision_model", "hidden_size": 8, "intermediate_size": 12, "num_hidden_layers": 2,
            "num_attention_heads": 2, "image_size": 8, "patch_size": 4,
        },
        "text_config": {
            "model_type": "llama", "vocab_size": 340, "hidden_size": 8, "intermediate_size": 12, "num_hidden_layers": 1,
            "num_attention_heads": 2, "eos_token_id": 2,
        },
    })
}

fn parse(config: &Value) -> Result<LlavaConfig, super::CheckpointError> {
    LlavaConfig::from_json(&config.to_string(), "config.json")
}

/// The tensors that the small config needs.
fn small_tensors(config: &LlavaConfig) -> Vec<Spec> {
    let names = super::Names {
        vision: "vision_tower.vision_model.".to_string(),
        projector: "multi_modal_projector.".to_string(),
        decoder: "language_model.model.".to_string(),
        head: None,
    };
    super::expected_tensors(config, &names)
        .into_iter()
        .map(|(name, shape)| (name, "F16", shape))
        .collect()
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

/// Sets one field by its dotted path; `null` leaves it out.
fn set(config: &mut Value, path: &str, value: Value) {
    let pointer = format!("/{}", path.replace('.', "/"));
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    config.pointer_mut(parent).unwrap()[name] = value;
}
