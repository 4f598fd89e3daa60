//! Tokens that the tokenizer's config files name (`bos_token`, `image_token`, ...) or list as
//! special.

use super::{CheckpointError, Files};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// Token texts by name.
type Names = BTreeMap<String, String>;

/// The tokenizer's settings.
pub(super) const TOKENIZER_CONFIG: &str = "tokenizer_config.json";
pub(super) const SPECIAL_TOKENS_MAP: &str = "special_tokens_map.json";
/// The standard names, in the order in which transformers adds tokens that the vocabulary lacks.
const STANDARD: [&str; 7] = [
    "bos_token",
    "eos_token",
    "unk_token",
    "sep_token",
    "pad_token",
    "cls_token",
    "mask_token",
];
/// Tables of further names; the first may also be a list of tokens without names.
const EXTRA: &str = "extra_special_tokens";
const EXPLICIT: &str = "model_specific_special_tokens";
/// The list's older name.
const ADDITIONAL: &str = "additional_special_tokens";

/// The special tokens, named or only listed.
#[derive(Debug, Clone, Default)]
pub(super) struct SpecialTokens {
    /// Names and texts, the standard names first.
    named: Vec<(String, String)>,
    /// Texts without names.
    listed: Vec<String>,
    /// Texts that transformers knows to be special when it reads added_tokens.json.
    known: BTreeSet<String>,
}

impl SpecialTokens {
    /// Reads tokenizer_config.json and special_tokens_map.json, either of which may be absent, as
    /// transformers' `PreTrainedTokenizerBase._from_pretrained` does: the second is read only if
    /// the first has no `added_tokens_decoder`, and then takes precedence, except for names that
    /// are not standard. Among those, tables of names take precedence over fields. `defaults` are
    /// the names and texts of tokens that both files leave out.
    ///
    /// # Errors
    /// As [`Files::json`].
    pub fn read(files: &Files, defaults: &[(&str, &str)]) -> Result<Self, CheckpointError> {
        let object = |file| {
            let json = files.json(file)?;
            Ok(match json {
                Some(Value::Object(map)) => map,
                _ => Map::new(),
            })
        };
        let config = object(TOKENIZER_CONFIG)?;
        let map = match config.contains_key("added_tokens_decoder") {
            true => Map::new(),
            false => object(SPECIAL_TOKENS_MAP)?,
        };
        Ok(Self::of(&config, &map, defaults))
    }

    fn of(
        config: &Map<String, Value>,
        map: &Map<String, Value>,
        defaults: &[(&str, &str)],
    ) -> Self {
        let is_name = |name: &str| name.ends_with("_token");
        let is_standard = |name: &str| STANDARD.contains(&name);
        let mut own = Names::new();
        for (name, value) in config {
            if let (true, false, Value::String(text)) = (is_name(name), is_standard(name), value) {
                own.insert(name.clone(), text.clone());
            }
        }
        own.extend(table(config.get(EXTRA)));
        if own.is_empty() {
            own.extend(table(config.get(EXPLICIT)));
        }
        own.extend(table(map.get(EXTRA)));

        let mut found = Names::new();
        for (name, value) in config.iter().chain(map).filter(|(name, _)| is_name(name)) {
            match text_of(value) {
                Some(text) => found.insert(name.clone(), text.to_string()),
                // A null in the second file removes the name.
                None => found.remove(name),
            };
        }
        let mut known: BTreeSet<String> = STANDARD
            .iter()
            .filter_map(|name| found.get(*name).cloned())
            .collect();
        for (name, text) in defaults {
            if !config.contains_key(*name) && !map.contains_key(*name) {
                found.insert((*name).to_string(), (*text).to_string());
            }
        }
        found.extend(own);
        let standard = STANDARD.iter().filter_map(|name| found.remove_entry(*name));
        let mut named: Vec<_> = standard.collect();
        named.extend(found);

        let list = |value: Option<&Value>| -> Vec<String> {
            let texts = value.and_then(Value::as_array).into_iter().flatten();
            texts.filter_map(text_of).map(str::to_string).collect()
        };
        let mut listed = list(config.get(EXTRA));
        if listed.is_empty() {
            listed = list(config.get(ADDITIONAL));
        }
        listed.extend(list(map.get(EXTRA)));
        known.extend(listed.iter().cloned());
        if listed.is_empty() {
            listed = list(map.get(ADDITIONAL));
        }
        Self {
            named,
            listed,
            known,
        }
    }

    /// Names a token, replacing the previous token of that name.
    pub fn set(&mut self, name: &str, text: &str) {
        self.named.retain(|(other, _)| other != name);
        self.named.push((name.to_string(), text.to_string()));
    }

    /// Returns a named token's text.
    pub fn get(&self, name: &str) -> Option<&str> {
        let mut named = self.iter();
        named.find_map(|(found, text)| (found == name).then_some(text))
    }

    /// Returns whether transformers knows a token of added_tokens.json to be special when it reads
    /// that file: by a standard name, or as one of the listed tokens.
    pub fn is_known(&self, text: &str) -> bool {
        self.known.contains(text)
    }

    /// Returns the names and texts of all named tokens.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let named = self.named.iter();
        named.map(|(name, text)| (name.as_str(), text.as_str()))
    }

    /// Returns the texts of all tokens, named or listed, in the order in which they are added to a
    /// vocabulary that lacks them.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        let listed = self.listed.iter().map(String::as_str);
        self.iter().map(|(_, text)| text).chain(listed)
    }
}

/// Returns a token's text: a string, or an object with the text under `content`.
fn text_of(token: &Value) -> Option<&str> {
    let content = || token.get("content").and_then(Value::as_str);
    token.as_str().or_else(content)
}

/// Returns the tokens of a table of names.
fn table(value: Option<&Value>) -> impl Iterator<Item = (String, String)> + '_ {
    let entries = value.and_then(Value::as_object).into_iter().flatten();
    entries.filter_map(|(name, token)| Some((name.clone(), text_of(token)?.to_string())))
}
