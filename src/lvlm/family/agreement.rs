//! Fields that a processor's files and config.json share. transformers' processor counts a
//! picture's tokens by its own fields and the model by config.json's; where they differ, it fails.

use serde_json::Value;

use super::fields::anyres_max;
use crate::checkpoint::{
    CheckpointError, Config, Fields, PROCESSOR_CONFIG, ProcessorFile, SIZE_LIMIT,
};
use crate::lvlm::encoder::Select;
use crate::lvlm::error::ReadResult;

const PATCH: &str = "patch_size";
const MORE: &str = "num_additional_image_tokens";
const SELECT: &str = "vision_feature_select_strategy";

/// Fails where the fields of `LlavaProcessor` and `LlavaNextProcessor` make other numbers of tokens
/// than the model: for an encoder of `pixels` each way and patches of `patch`, with the positions
/// of `select`, of which `beyond` are no patches. Fields that are left out agree.
///
/// # Errors
/// [`CheckpointError::Config`](crate::checkpoint::CheckpointError::Config).
pub(in crate::lvlm) fn agree_on_patches(
    file: &ProcessorFile,
    pixels: usize,
    patch: usize,
    (select, beyond): (Select, usize),
) -> ReadResult<()> {
    let Some(top) = file.processor.as_ref().map(Config::top) else {
        return Ok(());
    };
    if let Some(found) = top.optional_size(PATCH, SIZE_LIMIT)?
        && pixels / found != pixels / patch
    {
        return Err(top.error(PATCH, found, agreeing(patch)));
    }
    let strategy = top.text(SELECT)?;
    let (Some(more), Some(_)) = (top.value(MORE), top.value(PATCH)) else {
        return agree_on_strategy(&top, strategy, select);
    };
    // The encoder's class token is one more; a strategy that leaves it out takes it away again.
    let fewer = u64::from(strategy == Some("default"));
    let beyond = beyond as u64;
    if more.as_u64() == Some(beyond + fewer) {
        return Ok(());
    }
    agree_on_strategy(&top, strategy, select)?;
    Err(top.error(MORE, more, beyond + fewer))
}

/// Fails where the positions that are selected are named and are not the model's.
fn agree_on_strategy(top: &Fields, found: Option<&str>, select: Select) -> ReadResult<()> {
    let wanted = match select {
        Select::Default => "default",
        Select::Full => "full",
    };
    match found.filter(|found| *found != wanted) {
        None => Ok(()),
        Some(found) => Err(top.error(
            SELECT,
            format!("{found:?}"),
            agreeing(format!("{wanted:?}")),
        )),
    }
}

/// Fails where the fields of `LlavaOnevisionProcessor` make other numbers of tokens than the model:
/// for `tokens` of the encoder for one view at the positions of `select`, and rows that are made
/// fewer above the tokens of `most_views` views.
///
/// # Errors
/// As [`agree_on_patches`].
pub(in crate::lvlm) fn agree_on_tiles(
    file: &ProcessorFile,
    (tokens, select): (usize, Select),
    most_views: Option<usize>,
) -> ReadResult<()> {
    let (number, aspect) = ("num_image_tokens", "vision_aspect_ratio");
    let Some(top) = file.processor.as_ref().map(Config::top) else {
        return Ok(());
    };
    let Some(value) = top.value(number) else {
        return Ok(());
    };
    // The processor takes one token away for a strategy that leaves the class token out.
    let strategy = top.text(SELECT)?;
    let fewer = usize::from(select == Select::Default && strategy == Some("default"));
    if value.as_u64() != Some((tokens + fewer) as u64) {
        return Err(top.error(number, value, agreeing(tokens + fewer)));
    }
    agree_on_strategy(&top, strategy, select)?;
    let text = top.text(aspect)?;
    if anyres_max(text.unwrap_or("anyres_max_9")) != most_views {
        let found = top
            .value(aspect)
            .map_or("left out (anyres_max_9)".into(), Value::to_string);
        let expected = most_views.map(|views| format!("anyres_max_{views}"));
        return Err(top.error(aspect, found, agreeing(expected.unwrap_or_default())));
    }
    Ok(())
}

/// Fails where a processor's number of rows for a view, which is `default` where the field is left
/// out, is not the model's.
///
/// # Errors
/// As [`agree_on_patches`].
pub(in crate::lvlm) fn agree_on_rows(
    file: &ProcessorFile,
    field: &str,
    default: usize,
    rows: usize,
) -> ReadResult<()> {
    let top = file.processor.as_ref().map(Config::top);
    let value = top.and_then(|top| top.value(field));
    let agrees = match value {
        Some(value) => value.as_u64() == Some(rows as u64),
        None => default == rows,
    };
    if agrees {
        return Ok(());
    }
    let found = value.map_or(format!("left out ({default})"), Value::to_string);
    Err(CheckpointError::Config {
        file: top.map_or(PROCESSOR_CONFIG, |top| top.file).to_string(),
        field: field.to_string(),
        found,
        expected: agreeing(rows),
    })
}

/// Returns the expected value of a field: the one of config.json.
fn agreeing(value: impl ToString) -> String {
    format!("{}, as in config.json", value.to_string())
}
