//! `image_grid_pinpoints` of config.json: the resolutions that a picture may be fitted into.

use super::family::ReadResult;
use crate::checkpoint::Fields;
use crate::picture::{MAX_EDGE, pairs_of_edges};

/// Pairs of rows and columns, when given.
///
/// # Errors
/// [`CheckpointError::Config`](crate::checkpoint::CheckpointError::Config).
pub(super) fn pinpoints(top: &Fields) -> ReadResult<Option<Vec<(u32, u32)>>> {
    let name = "image_grid_pinpoints";
    let Some(value) = top.value(name) else {
        return Ok(None);
    };
    let expected = || format!("a list of pairs of rows and columns from 1 to {MAX_EDGE}");
    pairs_of_edges(value)
        .map(Some)
        .ok_or_else(|| top.error(name, value, expected()))
}
