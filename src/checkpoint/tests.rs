//! Tests of checkpoints, on small synthetic ones and on results recorded from `transformers`
//! (`tests/data/checkpoint`).

mod prompts;
mod templates;
mod tokens;
mod vocabularies;
mod weights;

use super::Files;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A tensor to write: name, dtype, shape; its bytes are zero.
pub(crate) type Spec = (String, &'static str, Vec<usize>);

pub(crate) fn data(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data/checkpoint")
        .join(path)
}

pub(crate) fn recorded(path: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(data(path)).unwrap()).unwrap()
}

pub(crate) fn write(dir: &TempDir, name: &str, content: impl AsRef<[u8]>) {
    std::fs::write(dir.path().join(name), content).unwrap();
}

pub(crate) fn files(dir: &TempDir) -> Files {
    Files::folder(dir.path()).unwrap()
}

/// Creates a safetensors file of this header and `data` bytes of zeros.
fn raw(header: &Value, data: usize) -> Vec<u8> {
    let header = header.to_string();
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.bytes());
    bytes.resize(bytes.len() + data, 0);
    bytes
}

/// Creates a valid safetensors file.
pub(crate) fn weights(tensors: &[Spec]) -> Vec<u8> {
    let (mut header, mut end) = (serde_json::Map::new(), 0);
    for (name, dtype, shape) in tensors {
        let width = match *dtype {
            "F64" | "I64" => 8,
            "F32" | "I32" => 4,
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

/// Returns a small config for the tests to change.
pub(crate) fn config() -> Value {
    json!({
        "model_type": "llava", "image_token_index": 3,
        "vision_config": {
            "model_type": "clip_vision_model", "hidden_size": 8, "intermediate_size": 12,
            "num_hidden_layers": 2,
            "num_attention_heads": 2, "image_size": 8, "patch_size": 4,
        },
        "text_config": {
            "model_type": "llama", "vocab_size": 340, "hidden_size": 8, "intermediate_size": 12,
            "num_hidden_layers": 1,
            "num_attention_heads": 2, "eos_token_id": 2,
        },
    })
}

/// Sets one field by its dotted path; `null` removes it.
pub(crate) fn set(config: &mut Value, path: &str, value: Value) {
    let pointer = format!("/{}", path.replace('.', "/"));
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    config.pointer_mut(parent).unwrap()[name] = value;
}
