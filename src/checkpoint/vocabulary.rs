//! Added tokens and the tokens that end an answer, from the tokenizer's files.

use super::special::{SPECIAL_TOKENS_MAP, TOKENIZER_CONFIG};
use super::tokenizer::TOKENIZER;
use super::{CheckpointError, Files};
use serde_json::Value;
use std::collections::BTreeMap;
use tokenizers::AddedToken;

/// Returns advice about a missing tokenizer.json.
pub(super) fn missing(files: &Files) -> &'static str {
    if files.exists("tokenizer.model") {
        "tokenizer.model alone (SentencePiece) is not read: convert it with transformers, \
         AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)"
    } else {
        "the tokenizer is read from it"
    }
}

/// Adds the tokens of tokenizer_config.json's `added_tokens_decoder`, as transformers does. Its
/// flags for finding them in text override those of tokenizer.json.
pub(super) fn add_configured(
    tokenizer: &mut tokenizers::Tokenizer,
    files: &Files,
) -> Result<(), CheckpointError> {
    let file = files.path(TOKENIZER_CONFIG);
    let fail = |reason: String| CheckpointError::Tokenizer {
        file: file.clone(),
        reason,
    };
    let config = files.json(TOKENIZER_CONFIG)?;
    let listed = config
        .as_ref()
        .and_then(|config| config.get("added_tokens_decoder"))
        .and_then(Value::as_object);
    let mut tokens = BTreeMap::new();
    for (id, token) in listed.into_iter().flatten() {
        let id: u32 = id
            .parse()
            .map_err(|_| fail(format!("added_tokens_decoder: {id:?} is not a token's id")))?;
        let token = added_token(token, false)
            .map_err(|error| fail(format!("added_tokens_decoder: {id}: {error}")))?;
        tokens.insert(id, token);
    }
    for (id, token) in tokens {
        let text = token.content.clone();
        tokenizer
            .add_tokens([token])
            .map_err(|error| fail(error.to_string()))?;
        let found = tokenizer.token_to_id(&text);
        if found != Some(id) {
            let found = found.map_or("none".to_string(), |found| found.to_string());
            return Err(fail(format!(
                "added_tokens_decoder: {text:?} has id {id}, its place in {TOKENIZER} is {found}"
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

/// Adds the tokens that are named in tokenizer_config.json (and, if it has no
/// `added_tokens_decoder`, in special_tokens_map.json) or are listed as special, unless they are
/// added tokens already. As in transformers, tokens that the vocabulary lacks get ids after the
/// existing ones.
pub(super) fn add_named(
    tokenizer: &mut tokenizers::Tokenizer,
    files: &Files,
) -> Result<(), CheckpointError> {
    let config = files.json(TOKENIZER_CONFIG)?.unwrap_or_default();
    let mut sources = vec![(TOKENIZER_CONFIG, config)];
    if sources[0].1.get("added_tokens_decoder").is_none() {
        let map = files.json(SPECIAL_TOKENS_MAP)?.unwrap_or_default();
        sources.insert(0, (SPECIAL_TOKENS_MAP, map));
    }
    let mut named = Vec::new();
    for (file, json) in &sources {
        let fields = json.as_object().into_iter().flatten();
        let single =
            fields.filter(|(name, _)| name.ends_with("_token") && !name.starts_with("add_"));
        named.extend(single.map(|(name, value)| (file, name.as_str(), value)));
        // The second is the older name of the list, which is ignored if the newer one is present.
        for list in ["extra_special_tokens", "additional_special_tokens"] {
            match json.get(list) {
                Some(Value::Array(tokens)) if !tokens.is_empty() => {
                    named.extend(tokens.iter().map(|token| (file, list, token)));
                    break;
                }
                Some(Value::Object(tokens)) => {
                    named.extend(tokens.values().map(|token| (file, list, token)));
                }
                _ => {}
            }
        }
    }
    for (file, name, value) in named {
        let fail = |reason: String| CheckpointError::Tokenizer {
            file: files.path(file),
            reason: format!("{name}: {reason}"),
        };
        let token = match value {
            Value::String(text) => AddedToken::from(text, true),
            Value::Object(_) => added_token(value, true).map_err(fail)?,
            _ => continue,
        };
        let known = tokenizer.get_added_vocabulary().get_vocab();
        if !token.content.is_empty() && !known.contains_key(&token.content) {
            tokenizer
                .add_special_tokens([token])
                .map_err(|error| fail(error.to_string()))?;
        }
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
