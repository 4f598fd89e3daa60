//! What the tokenizer's files say of added tokens and of the tokens that end an answer.

use super::special::TOKENIZER_CONFIG;
use super::tokenizer::TOKENIZER;
use super::{CheckpointError, Files};
use serde_json::Value;
use std::collections::BTreeMap;
use tokenizers::AddedToken;

/// What to do about a missing tokenizer.json.
pub(super) fn missing(files: &Files) -> &'static str {
    if files.exists("tokenizer.model") {
        "tokenizer.model alone (SentencePiece) is not read: convert it with transformers, \
         AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)"
    } else {
        "the tokenizer is read from it"
    }
}

/// Adds the tokens that only tokenizer_config.json's `added_tokens_decoder` has, as transformers does.
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
        let token: AddedToken = serde_json::from_value(token.clone())
            .map_err(|error| fail(format!("added_tokens_decoder: {id}: {error}")))?;
        tokens.insert(id, token);
    }
    for (id, token) in tokens {
        let text = token.content.clone();
        if tokenizer.token_to_id(&text).is_some() {
            continue;
        }
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

/// A field that is a token's id or a list of them; none when it is left out.
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

/// A token's text as it is written; the crate's own `id_to_token` gives an added token's normalised form.
pub(super) fn text_of(tokenizer: &tokenizers::Tokenizer, id: u32) -> Option<String> {
    let added = tokenizer
        .get_added_vocabulary()
        .get_added_tokens_decoder()
        .get(&id);
    added
        .map(|token| token.content.clone())
        .or_else(|| tokenizer.id_to_token(id))
}
