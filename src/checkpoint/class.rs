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
const TRUSTED: [&str; 8] = [
    "llava_onevision",
    "idefics3",
    "internvl",
    "internvl_chat",
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
/// The token that stands for a name which the files of a Qwen2 or GPT-2 tokenizer leave out.
const END_OF_TEXT: &str = "<|endoftext|>";

/// A class with rules of its own, and the settings that they depend on.
#[derive(Debug, Clone)]
pub(super) struct Class {
    name: Name,
    /// `add_prefix_space`.
    prefix: Option<bool>,
    /// `legacy`.
    legacy: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Name {
    Qwen2,
    Gpt2,
    Gemma,
    Llama,
}

/// The rules of a class, as tokenizer.json spells them.
pub(super) struct Rules {
    pub normalizer: Value,
    pub pre_tokenizer: Value,
    pub decoder: Value,
    /// Whether the model has `byte_fallback` and `fuse_unk`.
    fallback: bool,
}

impl Class {
    /// Returns the class of a checkpoint's tokenizer; `None` where tokenizer.json counts as it
    /// stands.
    ///
    /// # Errors
    /// [`CheckpointError::Config`] for an unknown class.
    pub fn of(files: &Files) -> Result<Option<Class>, CheckpointError> {
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
            return Ok(None);
        };
        let class = class.strip_suffix("Fast").unwrap_or(class);
        let trusted = TRUSTED.contains(&model_type) && config.get("auto_map").is_none();
        if !trusted || PLAIN.contains(&class) {
            return Ok(None);
        }
        let name = match class {
            "Qwen2Tokenizer" => Name::Qwen2,
            "GPT2Tokenizer" => Name::Gpt2,
            "GemmaTokenizer" => Name::Gemma,
            "LlamaTokenizer" => Name::Llama,
            other => {
                return Err(CheckpointError::Config {
                    file: files.path(TOKENIZER_CONFIG),
                    field: "tokenizer_class".to_string(),
                    found: other.to_string(),
                    expected: "Qwen2Tokenizer, GPT2Tokenizer, LlamaTokenizer, GemmaTokenizer or a \
                               class that takes tokenizer.json as it stands (TokenizersBackend, \
                               PreTrainedTokenizerFast)"
                        .to_string(),
                });
            }
        };
        let flag = |name: &str| config.get(name).and_then(Value::as_bool);
        Ok(Some(Class {
            name,
            prefix: flag("add_prefix_space"),
            legacy: flag("legacy").unwrap_or(false),
        }))
    }

    /// Returns the rules of a class whose model can be read from vocab.json and merges.txt.
    pub fn of_vocabulary(&self) -> Option<Rules> {
        match self.name {
            Name::Qwen2 | Name::Gpt2 => Some(self.rules()),
            Name::Gemma | Name::Llama => None,
        }
    }

    /// Returns the names of tokens that the class gives a text where the files leave them out.
    pub fn default_names(&self) -> &'static [(&'static str, &'static str)] {
        match self.name {
            Name::Qwen2 => &[
                ("eos_token", END_OF_TEXT),
                ("unk_token", END_OF_TEXT),
                ("pad_token", END_OF_TEXT),
            ],
            Name::Gpt2 => &[
                ("bos_token", END_OF_TEXT),
                ("eos_token", END_OF_TEXT),
                ("unk_token", END_OF_TEXT),
            ],
            Name::Gemma | Name::Llama => &[],
        }
    }

    /// Returns whether the class adds named and listed tokens again, which resets their flags.
    pub fn resets_flags(&self) -> bool {
        self.name == Name::Qwen2
    }

    /// Replaces a tokenizer.json's rules by those of the class.
    ///
    /// # Errors
    /// [`CheckpointError::Tokenizer`] if tokenizer.json's model is not that of the class.
    pub fn rebuild(
        &self,
        tokenizer: &mut Tokenizer,
        shape: &Shape,
        files: &Files,
    ) -> Result<(), CheckpointError> {
        if self.name == Name::Llama && shape.is_byte_level() {
            return Ok(());
        }
        let Rules {
            normalizer,
            pre_tokenizer,
            decoder,
            fallback,
        } = self.rules();
        let fail = |reason: String| CheckpointError::Tokenizer {
            file: files.path(super::tokenizer::TOKENIZER),
            reason,
        };
        let flag = |value: &Value| value.as_bool().unwrap_or(false);
        let own = &shape.model;
        if flag(&own.byte_fallback) != fallback || flag(&own.fuse_unk) != fallback {
            return Err(fail(format!(
                "model: transformers rebuilds a {:?} tokenizer with byte_fallback and fuse_unk \
                 {fallback}; found {} and {}",
                self.name, own.byte_fallback, own.fuse_unk
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

    fn rules(&self) -> Rules {
        match self.name {
            Name::Qwen2 => Rules {
                normalizer: json!({ "type": "NFC" }),
                pre_tokenizer: json!({ "type": "Sequence", "pretokenizers": [
                    {
                        "type": "Split", "pattern": { "Regex": QWEN2 },
                        "behavior": "Isolated", "invert": false
                    },
                    byte_level(self.prefix.unwrap_or(false), false),
                ] }),
                decoder: byte_level(true, true),
                fallback: false,
            },
            Name::Gpt2 => Rules {
                normalizer: Value::Null,
                pre_tokenizer: byte_level(self.prefix.unwrap_or(false), true),
                decoder: byte_level(true, true),
                fallback: false,
            },
            Name::Gemma => Rules {
                normalizer: json!({
                    "type": "Replace", "pattern": { "String": " " }, "content": "\u{2581}"
                }),
                pre_tokenizer: json!({
                    "type": "Split", "pattern": { "String": " " },
                    "behavior": "MergedWithPrevious", "invert": false
                }),
                decoder: pieces(false),
                fallback: true,
            },
            Name::Llama => {
                let prefix = self.prefix.unwrap_or(true);
                let scheme = match (prefix, self.legacy) {
                    (false, _) => "never",
                    (true, true) => "always",
                    (true, false) => "first",
                };
                Rules {
                    normalizer: Value::Null,
                    pre_tokenizer: json!({
                        "type": "Metaspace", "replacement": "\u{2581}",
                        "prepend_scheme": scheme, "split": false
                    }),
                    decoder: pieces(prefix),
                    fallback: true,
                }
            }
        }
    }
}

/// Text as bytes.
fn byte_level(prefix: bool, regex: bool) -> Value {
    json!({
        "type": "ByteLevel", "add_prefix_space": prefix,
        "trim_offsets": true, "use_regex": regex
    })
}

/// The decoder of a model of pieces, which removes a space at the beginning if `prefix`.
fn pieces(prefix: bool) -> Value {
    let mut decoders = vec![
        json!({ "type": "Replace", "pattern": { "String": "\u{2581}" }, "content": " " }),
        json!({ "type": "ByteFallback" }),
        json!({ "type": "Fuse" }),
    ];
    if prefix {
        decoders.push(json!({ "type": "Strip", "content": " ", "start": 1, "stop": 0 }));
    }
    json!({ "type": "Sequence", "decoders": decoders })
}
