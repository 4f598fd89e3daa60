//! Tokenizer classes that transformers 5 builds from their own rules instead of tokenizer.json's
//! rules for splitting text.
//!
//! `AutoTokenizer` reads tokenizer.json unchanged for most model types that are known here, since
//! their published classes are often wrong (`MODELS_WITH_INCORRECT_HUB_TOKENIZER_CLASS`: LLaVA,
//! LLaVA-NeXT, SmolVLM, ...). For those of `TRUSTED` it trusts `tokenizer_class`, and a class with
//! an `__init__` of its own takes only the vocabulary, the post-processor and the added tokens from
//! the file. Some have a class of their own where none is named.

use serde_json::{Value, json};
use tokenizers::normalizers::NormalizerWrapper;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::{DecoderWrapper, Tokenizer};

use super::shape::Shape;
use super::special::TOKENIZER_CONFIG;
use super::{CheckpointError, Files};

/// The model types whose tokenizer class is trusted.
const TRUSTED: [&str; 7] = [
    "llava_onevision",
    "idefics3",
    "internvl",
    "qwen2_vl",
    "qwen2_5_vl",
    "qwen3_vl",
    "gemma3",
];
/// Those whose class is Qwen2's where none is named.
const QWEN2_BY_DEFAULT: [&str; 4] = ["internvl", "qwen2_vl", "qwen2_5_vl", "qwen3_vl"];
/// Those whose class is Gemma's where none is named.
const GEMMA_BY_DEFAULT: [&str; 1] = ["gemma3"];
/// Classes that read tokenizer.json unchanged.
const PLAIN: [&str; 3] = ["TokenizersBackend", "PreTrainedTokenizer", "PythonBackend"];
/// The regular expression by which Qwen2's tokenizer splits text.
const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// Applies the rules of the tokenizer's class where transformers does.
///
/// # Errors
/// [`CheckpointError::Config`] for an unknown class, and [`CheckpointError::Tokenizer`] if
/// tokenizer.json's model is not that of the class.
pub(super) fn rebuild(
    tokenizer: &mut Tokenizer,
    shape: &Shape,
    files: &Files,
) -> Result<(), CheckpointError> {
    let model = files.json("config.json")?.unwrap_or_default();
    let config = files.json(TOKENIZER_CONFIG)?.unwrap_or_default();
    let class = config
        .get("tokenizer_class")
        .or_else(|| model.get("tokenizer_class"));
    let model_type = model["model_type"].as_str().unwrap_or_default();
    let default = match model_type {
        known if QWEN2_BY_DEFAULT.contains(&known) => Some("Qwen2Tokenizer"),
        known if GEMMA_BY_DEFAULT.contains(&known) => Some("GemmaTokenizer"),
        _ => None,
    };
    let Some(class) = class.and_then(Value::as_str).or(default) else {
        return Ok(());
    };
    let class = class.strip_suffix("Fast").unwrap_or(class);
    let trusted = TRUSTED.contains(&model_type) && config.get("auto_map").is_none();
    if !trusted || PLAIN.contains(&class) {
        return Ok(());
    }
    let prefix = config.get("add_prefix_space").and_then(Value::as_bool);
    let (normalizer, pre_tokenizer, decoder, fallback) = match class {
        "Qwen2Tokenizer" => (
            json!({ "type": "NFC" }),
            json!({ "type": "Sequence", "pretokenizers": [
                {
                    "type": "Split", "pattern": { "Regex": QWEN2 },
                    "behavior": "Isolated", "invert": false
                },
                {
                    "type": "ByteLevel", "add_prefix_space": prefix.unwrap_or(false),
                    "trim_offsets": true, "use_regex": false
                },
            ] }),
            json!({
                "type": "ByteLevel", "add_prefix_space": true,
                "trim_offsets": true, "use_regex": true
            }),
            false,
        ),
        "GPT2Tokenizer" => (
            Value::Null,
            json!({
                "type": "ByteLevel", "add_prefix_space": prefix.unwrap_or(false),
                "trim_offsets": true, "use_regex": true
            }),
            json!({
                "type": "ByteLevel", "add_prefix_space": true,
                "trim_offsets": true, "use_regex": true
            }),
            false,
        ),
        "GemmaTokenizer" => (
            json!({
                "type": "Replace", "pattern": { "String": " " }, "content": "\u{2581}"
            }),
            json!({
                "type": "Split", "pattern": { "String": " " },
                "behavior": "MergedWithPrevious", "invert": false
            }),
            json!({ "type": "Sequence", "decoders": [
                { "type": "Replace", "pattern": { "String": "\u{2581}" }, "content": " " },
                { "type": "ByteFallback" },
                { "type": "Fuse" },
            ] }),
            true,
        ),
        "LlamaTokenizer" if shape.is_byte_level() => return Ok(()),
        "LlamaTokenizer" => {
            let prefix = prefix.unwrap_or(true);
            let legacy = config
                .get("legacy")
                .and_then(Value::as_bool)
                .unwrap_or(false);
            let scheme = match (prefix, legacy) {
                (false, _) => "never",
                (true, true) => "always",
                (true, false) => "first",
            };
            let mut decoders = vec![
                json!({ "type": "Replace", "pattern": { "String": "\u{2581}" }, "content": " " }),
                json!({ "type": "ByteFallback" }),
                json!({ "type": "Fuse" }),
            ];
            if prefix {
                decoders.push(json!({ "type": "Strip", "content": " ", "start": 1, "stop": 0 }));
            }
            (
                Value::Null,
                json!({
                    "type": "Metaspace", "replacement": "\u{2581}",
                    "prepend_scheme": scheme, "split": false
                }),
                json!({ "type": "Sequence", "decoders": decoders }),
                true,
            )
        }
        other => {
            return Err(CheckpointError::Config {
                file: files.path(TOKENIZER_CONFIG),
                field: "tokenizer_class".to_string(),
                found: other.to_string(),
                expected: "Qwen2Tokenizer, GPT2Tokenizer, LlamaTokenizer, GemmaTokenizer or a class \
                           that takes tokenizer.json as it stands (TokenizersBackend, PreTrainedTokenizerFast)"
                    .to_string(),
            });
        }
    };
    let fail = |reason: String| CheckpointError::Tokenizer {
        file: files.path(super::tokenizer::TOKENIZER),
        reason,
    };
    let flag = |value: &Value| value.as_bool().unwrap_or(false);
    let own = &shape.model;
    if flag(&own.byte_fallback) != fallback || flag(&own.fuse_unk) != fallback {
        return Err(fail(format!(
            "model: transformers rebuilds a {class} with byte_fallback and fuse_unk \
             {fallback}; found {} and {}",
            own.byte_fallback, own.fuse_unk
        )));
    }
    let wrong = |error: serde_json::Error| fail(error.to_string());
    let normalizer: Option<NormalizerWrapper> =
        serde_json::from_value(normalizer).map_err(wrong)?;
    let pre_tokenizer: Option<PreTokenizerWrapper> =
        serde_json::from_value(pre_tokenizer).map_err(wrong)?;
    let decoder: Option<DecoderWrapper> = serde_json::from_value(decoder).map_err(wrong)?;
    tokenizer
        .with_normalizer(normalizer)
        .map_err(|error| fail(error.to_string()))?
        .with_pre_tokenizer(pre_tokenizer)
        .with_decoder(decoder);
    Ok(())
}
