//! The index of an encoder's hidden state in a config: 0 is before the first layer, negative ones
//! count from the end.

use serde_json::Value;

use crate::checkpoint::{CheckpointError, Fields, LAYER_LIMIT};

/// Reads the index in the field `name`; `default` where it is left out.
///
/// # Errors
/// [`CheckpointError::Config`] for anything but one whole number.
pub(in crate::lvlm) fn hidden_state_index(
    fields: &Fields,
    name: &str,
    default: i64,
) -> Result<i64, CheckpointError> {
    let Some(value) = fields.value(name) else {
        return Ok(default);
    };
    let expected = "a single index: lists of layers are not supported";
    value
        .as_i64()
        .ok_or_else(|| fields.error(name, value, expected))
}

/// Reads the indices in the field `name`, of which there is at least one; `default` where it is left
/// out.
///
/// # Errors
/// [`CheckpointError::Config`] for anything but a whole number or a list of them.
pub(in crate::lvlm) fn hidden_state_indices(
    fields: &Fields,
    name: &str,
    default: i64,
) -> Result<Vec<i64>, CheckpointError> {
    let value = fields.value(name);
    let Some(list) = value.and_then(Value::as_array) else {
        return hidden_state_index(fields, name, default).map(|index| vec![index]);
    };
    let indices: Option<Vec<i64>> = list.iter().map(Value::as_i64).collect();
    indices
        .filter(|indices| (1..=LAYER_LIMIT).contains(&indices.len()))
        .ok_or_else(|| {
            fields.error(
                name,
                Value::from(list.as_slice()),
                "an index, or a list of them",
            )
        })
}

/// Returns how many of an encoder's `layers` run to compute the hidden state of that index, which
/// is from the field `name`.
///
/// # Errors
/// [`CheckpointError::Config`] for an index out of range.
pub(in crate::lvlm) fn hidden_state_layers(
    fields: &Fields,
    name: &str,
    index: i64,
    layers: usize,
) -> Result<usize, CheckpointError> {
    let count = layers as i64 + 1;
    if !(-count..count).contains(&index) {
        let expected = format!(
            "an index from {} to {layers}: the encoder has {layers} layers",
            -count
        );
        return Err(fields.error(name, index, expected));
    }
    Ok(if index < 0 { index + count } else { index } as usize)
}
