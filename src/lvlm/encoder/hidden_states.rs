//! The index of an encoder's hidden state in a config: 0 is before the first layer, negative ones
//! count from the end.

use crate::checkpoint::{CheckpointError, Fields};

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
