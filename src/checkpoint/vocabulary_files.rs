//! A tokenizer without a tokenizer.json: vocab.json and merges.txt, of which transformers 5 makes
//! the model of `Qwen2Tokenizer` and `GPT2Tokenizer`.

use serde_json::{Value, json};

use super::class::Class;
use super::special::TOKENIZER_CONFIG;
use super::tokenizer::TOKENIZER;
use super::{CheckpointError, Files};

const VOCABULARY: &str = "vocab.json";
const MERGES: &str = "merges.txt";
/// Files that transformers reads in the place of vocab.json.
const SENTENCE_PIECE: &str = "tokenizer.model";
const OTHERS: [&str; 3] = [SENTENCE_PIECE, "tekken.json", "tiktoken.model"];
/// Fields of tokenizer_config.json that take the place of these files, and that add or split tokens.
/// Beside a tokenizer.json they have no effect, or none that is read here.
const FIELDS: [&str; 10] = [
    "vocab",
    "merges",
    "tokenizer_object",
    "tokenizer_padding",
    "tokenizer_truncation",
    "post_processor",
    "init_inputs",
    "add_bos_token",
    "add_eos_token",
    "split_special_tokens",
];

/// Returns tokenizer.json, or what it would be if it were made of vocab.json and merges.txt.
///
/// # Errors
/// [`CheckpointError::MissingFile`] where there is neither or the class is another,
/// [`Tokenizer`](CheckpointError::Tokenizer) for faults of the two files, and
/// [`Config`](CheckpointError::Config) for fields that change their meaning.
pub(super) fn tokenizer_json(
    files: &Files,
    class: Option<&Class>,
) -> Result<String, CheckpointError> {
    if let Some(text) = files.text(TOKENIZER)? {
        return Ok(text);
    }
    let rules = class.and_then(Class::of_vocabulary);
    let (Some(rules), Some(vocabulary), false) = (
        rules,
        files.json(VOCABULARY)?,
        OTHERS.iter().any(|other| files.exists(other)),
    ) else {
        return Err(CheckpointError::MissingFile {
            file: files.path(TOKENIZER),
            purpose: advice(files).to_string(),
        });
    };
    let config = files.json(TOKENIZER_CONFIG)?.unwrap_or_default();
    for field in FIELDS {
        let value = config.get(field).unwrap_or(&Value::Null);
        if ![json!(null), json!(false), json!([]), json!({})].contains(value) {
            return Err(CheckpointError::Config {
                file: files.path(TOKENIZER_CONFIG),
                field: field.to_string(),
                found: value.to_string(),
                expected: format!("no such field, or false: there is no {TOKENIZER}"),
            });
        }
    }
    let purpose = "the tokenizer is made of it and vocab.json";
    let text = files.required_text(MERGES, purpose)?;
    let merges = merges(&text).map_err(|reason| {
        let file = files.path(MERGES);
        CheckpointError::Tokenizer { file, reason }
    })?;
    let made = json!({
        "version": "1.0",
        "added_tokens": [],
        "normalizer": rules.normalizer,
        "pre_tokenizer": rules.pre_tokenizer,
        "decoder": rules.decoder,
        "model": {
            "type": "BPE",
            "continuing_subword_prefix": "",
            "end_of_word_suffix": "",
            "fuse_unk": false,
            "byte_fallback": false,
            "vocab": vocabulary,
            "merges": merges,
        },
    });
    Ok(made.to_string())
}

/// Parses merges.txt: two tokens a line, with one space between, and comments on its version.
fn merges(text: &str) -> Result<Vec<[&str; 2]>, String> {
    let mut pairs = Vec::new();
    for (line, number) in text.lines().zip(1..) {
        if line.starts_with("#version") {
            continue;
        }
        let parts: Vec<&str> = line.split(' ').collect();
        let found = parts.len();
        pairs.push(parts.try_into().map_err(|_| {
            format!("line {number}: expected two tokens with one space between, found {found}")
        })?);
    }
    Ok(pairs)
}

/// Returns advice about a missing tokenizer.json.
fn advice(files: &Files) -> &'static str {
    if files.exists(SENTENCE_PIECE) {
        "tokenizer.model alone (SentencePiece) is not read: convert it with transformers, \
         AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)"
    } else if files.exists(VOCABULARY) {
        "vocab.json and merges.txt are read alone for a model whose tokenizer_class counts and is \
         Qwen2Tokenizer or GPT2Tokenizer; convert them with transformers, \
         AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)"
    } else {
        "the tokenizer is read from it"
    }
}
