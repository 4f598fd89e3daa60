//! `image_grid_pinpoints` of config.json: the resolutions that a picture may be fitted into.

use crate::checkpoint::{CheckpointError, Fields};

/// Longest edge, in pixels.
const EDGE: u64 = 1 << 16;

/// Pairs of rows and columns, when given.
///
/// # Errors
/// [`CheckpointError::Config`].
pub(super) fn pinpoints(top: &Fields) -> Result<Option<Vec<(u32, u32)>>, CheckpointError> {
    let name = "image_grid_pinpoints";
    let Some(value) = top.value(name) else {
        return Ok(None);
    };
    let edge = |value: &serde_json::Value| {
        let edge = value.as_u64().filter(|n| (1..=EDGE).contains(n))?;
        u32::try_from(edge).ok()
    };
    let pair = |value: &serde_json::Value| match value.as_array().map(Vec::as_slice) {
        Some([rows, columns]) => Some((edge(rows)?, edge(columns)?)),
        _ => None,
    };
    let list = value
        .as_array()
        .filter(|list| !list.is_empty())
        .and_then(|list| list.iter().map(pair).collect());
    let expected = || format!("a list of pairs of rows and columns from 1 to {EDGE}");
    list.map(Some)
        .ok_or_else(|| top.error(name, value, expected()))
}
