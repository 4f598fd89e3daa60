//! Added tokens and the tokens that end an answer, from the tokenizer's files.

use super::shape::Shape;
use super::special::{SPECIAL_TOKENS_MAP, SpecialTokens, TOKENIZER_CONFIG};
use super::{CheckpointError, Files};
use serde_json::Value;
use std::collections::BTreeMap;
use tokenizers::AddedToken;

/// The tokens that a slow tokenizer of transformers 4 adds, with their ids.
const ADDED_TOKENS: &str = "added_tokens.json";
const LISTED: &str = "added_tokens_decoder";

/// Adds the tokens of tokenizer_config.json's `added_tokens_decoder`, as transformers does. Its
/// flags for finding them in text override those of tokenizer.json. Without that field those of
/// added_tokens.json are added that tokenizer.json lacks.
pub(super) fn add_configured(
    tokenizer: &mut tokenizers::Tokenizer,
    shape: &Shape,
    special: &SpecialTokens,
    files: &Files,
) -> Result<(), CheckpointError> {
    let config = files.json(TOKENIZER_CONFIG)?;
    let listed = config.as_ref().and_then(|config| config.get(LISTED));
    let (file, tokens) = match listed {
        Some(listed) => {
            let entries = listed.as_object().into_iter().flatten();
            let entry = |(id, token): (&String, &Value)| {
                let id: u32 = id
                    .parse()
                    .map_err(|_| format!("{LISTED}: {id:?} is not a token's id"))?;
                let token = added_token(token, false);
                let token = token.map_err(|error| format!("{LISTED}: {id}: {error}"))?;
                Ok((id, token))
            };
            (TOKENIZER_CONFIG, entries.map(entry).collect())
        }
        None => {
            let known = |id: u32| shape.added_tokens.iter().any(|token| token.id == id);
            let added = files.json(ADDED_TOKENS)?.unwrap_or_default();
            let entries = added.as_object().into_iter().flatten();
            let entry = |(text, id): (&String, &Value)| {
                let number = id.as_u64().and_then(|id| u32::try_from(id).ok());
                let number = number.ok_or(format!("{text:?}: {id} is not a token's id"))?;
                Ok((number, AddedToken::from(text, special.is_known(text))))
            };
            let entries = entries.map(entry);
            let lacking = |entry: &Result<(u32, AddedToken), String>| {
                entry.as_ref().map_or(true, |(id, _)| !known(*id))
            };
            (ADDED_TOKENS, entries.filter(lacking).collect())
        }
    };
    let fail = |reason: String| CheckpointError::Tokenizer {
        file: files.path(file),
        reason,
    };
    let tokens: Result<BTreeMap<u32, AddedToken>, String> = tokens;
    for (id, token) in tokens.map_err(fail)? {
        let text = token.content.clone();
        tokenizer
            .add_tokens([token])
            .map_err(|error| fail(error.to_string()))?;
        let found = tokenizer.token_to_id(&text);
        if found != Some(id) {
            let found = found.map_or("none".to_string(), |found| found.to_string());
            return Err(fail(format!(
                "{text:?} has id {id}, its place in the vocabulary is {found}"
            )));
        }
    }
    Ok(())
}

/// Reads a token as Python's class `AddedToken` does: absent flags are false, except `normalized`.
fn added_token(value: &Value, special: bool) -> Result<AddedToken, String> {
    let flag = |name: &str, default: bool| match value.get(name) {
        None => Ok(default),
        Some(value) => value
            .as_bool()
            .ok_or_else(|| format!("{name}: expected true or false, found {value}")),
    };
    let content = value.get("content").and_then(Value::as_str);
    let content = content.ok_or("content: expected the token's text")?;
    let special = special || flag("special", false)?;
    Ok(AddedToken {
        content: content.to_string(),
        single_word: flag("single_word", false)?,
        lstrip: flag("lstrip", false)?,
        rstrip: flag("rstrip", false)?,
        normalized: flag("normalized", !special)?,
        special,
    })
}

/// Adds the tokens that are named or listed as special, unless they are added tokens already. As in
/// transformers, tokens that the vocabulary lacks get ids after the existing ones. A token that
/// tokenizer_config.json (or, if it has no `added_tokens_decoder`, special_tokens_map.json) has as
/// an object keeps that object's flags; with `reset` none does.
pub(super) fn add_named(
    tokenizer: &mut tokenizers::Tokenizer,
    special: &SpecialTokens,
    files: &Files,
    reset: bool,
) -> Result<(), CheckpointError> {
    let config = files.json(TOKENIZER_CONFIG)?.unwrap_or_default();
    let mut sources = vec![(TOKENIZER_CONFIG, config)];
    if sources[0].1.get(LISTED).is_none() {
        let map = files.json(SPECIAL_TOKENS_MAP)?.unwrap_or_default();
        sources.insert(0, (SPECIAL_TOKENS_MAP, map));
    }
    let mut objects: BTreeMap<String, AddedToken> = BTreeMap::new();
    for (file, json) in &sources {
        let fields = json.as_object().into_iter().flatten();
        for (name, value) in fields {
            let tokens: Vec<&Value> = match (name.as_str(), value) {
                ("extra_special_tokens" | "additional_special_tokens", Value::Array(list)) => {
                    list.iter().collect()
                }
                ("extra_special_tokens", Value::Object(table)) => table.values().collect(),
                (name, value) if name.ends_with("_token") => vec![value],
                _ => Vec::new(),
            };
            for token in tokens.into_iter().filter(|token| token.is_object()) {
                let token = added_token(token, true).map_err(|reason| {
                    let (file, reason) = (files.path(file), format!("{name}: {reason}"));
                    CheckpointError::Tokenizer { file, reason }
                })?;
                objects.entry(token.content.clone()).or_insert(token);
            }
        }
    }
    let fail = |error: tokenizers::Error| CheckpointError::Tokenizer {
        file: files.path(TOKENIZER_CONFIG),
        reason: error.to_string(),
    };
    for text in special.texts() {
        let known = tokenizer.get_added_vocabulary().get_vocab();
        if !text.is_empty() && !known.contains_key(text) {
            let token = objects.get(text).cloned();
            let token = token.unwrap_or_else(|| AddedToken::from(text, true));
            tokenizer.add_special_tokens([token]).map_err(fail)?;
        }
    }
    if reset {
        let tokens = special.texts().map(|text| AddedToken::from(text, true));
        let tokens: Vec<AddedToken> = tokens.collect();
        tokenizer.add_tokens(tokens).map_err(fail)?;
    }
    Ok(())
}

/// Reads a field that is a token's id or a list of ids; none if it is absent.
pub(super) fn ids(
    section: Option<&Value>,
    field: &str,
    file: &str,
    prefix: &str,
) -> Result<Vec<u32>, CheckpointError> {
    let value = section
        .and_then(|section| section.get(field))
        .unwrap_or(&Value::Null);
    let one = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
    let ids = match value {
        Value::Null => Some(Vec::new()),
        Value::Array(list) => list.iter().map(one).collect(),
        other => one(other).map(|id| vec![id]),
    };
    ids.ok_or_else(|| CheckpointError::Config {
        file: file.to_string(),
        field: format!("{prefix}{field}"),
        found: value.to_string(),
        expected: "a token's id or a list of them".to_string(),
    })
}

/// Returns a token's text as written; the crate's own `id_to_token` returns an added token's
/// normalised form.
pub(super) fn text_of(tokenizer: &tokenizers::Tokenizer, id: u32) -> Option<String> {
    let added = tokenizer
        .get_added_vocabulary()
        .get_added_tokens_decoder()
        .get(&id);
    added
        .map(|token| token.content.clone())
        .or_else(|| tokenizer.id_to_token(id))
}
