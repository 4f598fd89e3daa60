//! A digest that tells one checkpoint from another, without reading all of it.

use sha2::{Digest, Sha256};

use crate::checkpoint::{Checkpoint, Files, Tensors};
use crate::lvlm::error::Result;
use crate::lvlm::family::towers::{self, TowerName};

/// Text files that a model's answers depend on, where a checkpoint has them.
const TEXTS: [&str; 12] = [
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
    "additional_chat_templates/default.jinja",
    "preprocessor_config.json",
    "processor_config.json",
    "open_clip_config.json",
];

/// Those that count where there is no tokenizer.json.
const VOCABULARY: [&str; 2] = ["vocab.json", "merges.txt"];

/// Bytes that are hashed at each of three places of a tensor: its start, its middle and its end.
/// Training changes nearly every weight.
const SAMPLE: usize = 64;

/// Returns the digest of a model, of its `encoders`, which have checkpoints of their own, and of
/// what is random in it.
pub(super) fn model(encoders: &[TowerName], checkpoint: &Checkpoint) -> Result<String> {
    let mut digest = Sha256::new();
    add(&mut digest, &checkpoint.files, &checkpoint.tensors)?;
    for name in encoders {
        if let Some(tower) = towers::find(name, &checkpoint.files, &checkpoint.encoders)? {
            add(&mut digest, &tower.files, &tower.tensors)?;
        }
    }
    if let Some(random) = checkpoint.randomized {
        part(&mut digest, b"randomized layers, seed");
        part(&mut digest, &(random.layers as u64).to_le_bytes());
        part(&mut digest, &random.seed.to_le_bytes());
    }
    let bytes = digest.finalize();
    Ok(bytes[..16].iter().map(|b| format!("{b:02x}")).collect())
}

fn add(digest: &mut Sha256, files: &Files, tensors: &Tensors) -> Result<()> {
    let vocabulary = VOCABULARY.into_iter();
    let vocabulary = vocabulary.filter(|_| !files.exists("tokenizer.json"));
    for name in TEXTS.into_iter().chain(vocabulary) {
        if let Some(text) = files.text(name)? {
            part(digest, name.as_bytes());
            part(digest, text.as_bytes());
        }
    }
    for tensor in tensors.iter() {
        part(digest, tensor.name.as_bytes());
        part(
            digest,
            format!("{:?} {:?}", tensor.dtype, tensor.shape).as_bytes(),
        );
        let bytes = tensor.bytes();
        for start in [0, bytes.len() / 2, bytes.len().saturating_sub(SAMPLE)] {
            part(digest, &bytes[start..bytes.len().min(start + SAMPLE)]);
        }
    }
    Ok(())
}

/// Adds bytes with their number, so that parts cannot run into each other.
fn part(digest: &mut Sha256, bytes: &[u8]) {
    digest.update((bytes.len() as u64).to_le_bytes());
    digest.update(bytes);
}
