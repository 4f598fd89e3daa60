//! The tokens that end an answer.

use super::vocabulary::ids;
use super::{CheckpointError, Files};
use serde_json::Value;
use std::collections::BTreeSet;

const GENERATION: &str = "generation_config.json";
const FIELD: &str = "eos_token_id";

/// Returns the tokens that end an answer, as in transformers' `generate`: those of
/// generation_config.json if the file exists, even if it has none; else those of config.json, else
/// of its `text_config`. `None` if none of these files defines any.
///
/// # Errors
/// As [`Files::json`], and [`CheckpointError::Config`] for a value that is neither a token's id nor
/// a list of ids.
pub(super) fn stops(files: &Files) -> Result<Option<BTreeSet<u32>>, CheckpointError> {
    if let Some(json) = files.json(GENERATION)? {
        let found = ids(Some(&json), FIELD, &files.path(GENERATION), "")?;
        return Ok(Some(found.into_iter().collect()));
    }
    let file = files.path(super::config::CONFIG);
    let config = files.json(super::config::CONFIG)?;
    let text = config.as_ref().and_then(|config| config.get("text_config"));
    for (section, prefix) in [(config.as_ref(), ""), (text, "text_config.")] {
        let found = ids(section, FIELD, &file, prefix)?;
        let named = section.and_then(|section| section.get(FIELD));
        if named.is_some_and(|value| !matches!(value, Value::Null)) {
            return Ok(Some(found.into_iter().collect()));
        }
    }
    Ok(None)
}
