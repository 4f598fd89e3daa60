//! Fields of config.json that several families have.

use crate::checkpoint::Fields;
use crate::lvlm::encoder::{Select, hidden_state_indices, hidden_state_layers};
use crate::lvlm::error::ReadResult;

/// Reads the id of the image token, under either of its names.
///
/// # Errors
/// [`CheckpointError::Config`](crate::checkpoint::CheckpointError::Config); so for every function
/// here.
pub(in crate::lvlm) fn image_token(top: &Fields, default: u32) -> ReadResult<u32> {
    let mut ids = Vec::new();
    for name in ["image_token_index", "image_token_id"] {
        let Some(value) = top.value(name) else {
            continue;
        };
        match value.as_u64().and_then(|id| u32::try_from(id).ok()) {
            Some(id) => ids.push((name, id)),
            None => return Err(top.error(name, value, "a token's id")),
        }
    }
    match ids[..] {
        [(first, a), (second, b)] if a != b => {
            Err(top.error(second, b, format!("the same as {first}, {a}")))
        }
        [(_, id), ..] => Ok(id),
        [] => Ok(default),
    }
}

/// Reads the id of the image token of a class that has no other name for it.
pub(in crate::lvlm) fn image_token_id(top: &Fields, default: u32) -> ReadResult<u32> {
    let name = "image_token_id";
    let Some(value) = top.value(name) else {
        return Ok(default);
    };
    let id = value.as_u64().and_then(|id| u32::try_from(id).ok());
    id.ok_or_else(|| top.error(name, value, "a token's id"))
}

/// Returns how many of an encoder's `layers` run to compute each hidden state that
/// `vision_feature_layer` names, at least one.
pub(in crate::lvlm) fn feature_layers(
    top: &Fields,
    default: i64,
    layers: usize,
) -> ReadResult<Vec<usize>> {
    let name = "vision_feature_layer";
    let indices = hidden_state_indices(top, name, default)?.into_iter();
    indices
        .map(|index| hidden_state_layers(top, name, index, layers))
        .collect()
}

/// Reads `vision_feature_select_strategy`.
pub(in crate::lvlm) fn select(top: &Fields, default: Select) -> ReadResult<Select> {
    let name = "vision_feature_select_strategy";
    match top.text(name)? {
        None => Ok(default),
        Some("default") => Ok(Select::Default),
        Some("full") => Ok(Select::Full),
        Some(other) => Err(top.error(name, format!("{other:?}"), "\"default\" or \"full\"")),
    }
}

/// Reads the image processor's class where its own file names none: config.json's, else the
/// family's.
///
/// # Errors
/// A name that is no text.
pub(in crate::lvlm) fn processor_class(top: &Fields, family: &str) -> ReadResult<String> {
    Ok(top
        .text("image_processor_type")?
        .unwrap_or(family)
        .to_string())
}

/// Parses N of `anyres_max_N`: the large picture's rows are made fewer where they are many more
/// than those of N views.
pub(in crate::lvlm) fn anyres_max(text: &str) -> Option<usize> {
    let number: usize = text.strip_prefix("anyres_max_")?.parse().ok()?;
    (1..=1024).contains(&number).then_some(number)
}

/// Reads the name in a field that must name an encoder.
///
/// # Errors
/// [`CheckpointError::Config`](crate::checkpoint::CheckpointError::Config).
pub(in crate::lvlm) fn encoder_name(top: &Fields, field: &str) -> ReadResult<String> {
    match top.text(field)? {
        Some(name) => Ok(name.to_string()),
        None => Err(top.error(field, "left out", "the name of a vision encoder")),
    }
}

/// Fails unless a text field is `wanted`; `default` is what it means to leave it out.
///
/// # Errors
/// [`CheckpointError::Config`](crate::checkpoint::CheckpointError::Config).
pub(in crate::lvlm) fn require_text(
    top: &Fields,
    field: &str,
    wanted: &str,
    default: &str,
) -> ReadResult<()> {
    let found = top.text(field)?;
    match found.unwrap_or(default) == wanted {
        true => Ok(()),
        false => {
            let found = found.map_or("left out".to_string(), |found| format!("{found:?}"));
            Err(top.error(field, found, format!("{wanted:?}")))
        }
    }
}
