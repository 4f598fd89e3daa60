//! The tokens that have a name (`bos_token`, `eos_token`, ...), from the tokenizer's own config files.

use super::{CheckpointError, Files};
use serde_json::Value;
use std::collections::BTreeMap;

/// The tokenizer's settings.
pub(super) const TOKENIZER_CONFIG: &str = "tokenizer_config.json";
pub(super) const SPECIAL_TOKENS_MAP: &str = "special_tokens_map.json";

/// Named special tokens: name to text.
#[derive(Debug, Clone, Default)]
pub(super) struct SpecialTokens(BTreeMap<String, String>);

impl SpecialTokens {
    /// Reads tokenizer_config.json, then what special_tokens_map.json adds. Both may be absent.
    pub fn read(files: &Files) -> Result<Self, CheckpointError> {
        let mut tokens = Self::default();
        for file in [TOKENIZER_CONFIG, SPECIAL_TOKENS_MAP] {
            let Some(json) = files.json(file)? else {
                continue;
            };
            tokens.take(&json);
            for extra in ["extra_special_tokens", "model_specific_special_tokens"] {
                if let Some(map) = json.get(extra) {
                    tokens.take(map);
                }
            }
        }
        Ok(tokens)
    }

    /// Takes the fields `*_token` of a JSON object; a token is its text, or an object with the text under `content`.
    fn take(&mut self, json: &Value) {
        for (name, value) in json.as_object().into_iter().flatten() {
            let text = value
                .as_str()
                .or_else(|| value.get("content").and_then(Value::as_str));
            if let (true, Some(text)) =
                (name.ends_with("_token") && !name.starts_with("add_"), text)
            {
                self.insert(name, text);
            }
        }
    }

    /// Gives a token a name that has none yet.
    pub fn insert(&mut self, name: &str, text: &str) {
        self.0
            .entry(name.to_string())
            .or_insert_with(|| text.to_string());
    }

    /// A named token's text.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// All of them: name and text.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, text)| (name.as_str(), text.as_str()))
    }
}
