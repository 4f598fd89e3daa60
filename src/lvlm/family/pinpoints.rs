//! `image_grid_pinpoints` of config.json: the resolutions that a picture may be fitted into.

use serde_json::Value;

use crate::checkpoint::Fields;
use crate::lvlm::error::ReadResult;
use crate::picture::{MAX_EDGE, pairs_of_edges};

const NAME: &str = "image_grid_pinpoints";
/// The most tiles each way of a range.
const MOST_TILES: u32 = 64;

/// Reads the pairs of rows and columns, when given.
///
/// # Errors
/// [`CheckpointError::Config`](crate::checkpoint::CheckpointError::Config).
pub(in crate::lvlm) fn pinpoints(top: &Fields) -> ReadResult<Option<Vec<(u32, u32)>>> {
    let Some(value) = top.value(NAME) else {
        return Ok(None);
    };
    let expected = || format!("a list of pairs of rows and columns from 1 to {MAX_EDGE}");
    pairs_of_edges(value)
        .map(Some)
        .ok_or_else(|| top.error(NAME, value, expected()))
}

/// The field in the original layout; widths come first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::lvlm) enum OriginalPinpoints {
    /// Widths and heights in pixels: a list, or one as text, `[(336, 672), (672, 336)]`.
    Pixels(Vec<(u32, u32)>),
    /// The first and the last of a range of tiles: `(1x1),...,(6x6)`.
    Tiles((u32, u32), (u32, u32)),
}

impl OriginalPinpoints {
    /// Reads the field, which must be there.
    ///
    /// # Errors
    /// [`CheckpointError::Config`](crate::checkpoint::CheckpointError::Config).
    pub fn read(top: &Fields) -> ReadResult<OriginalPinpoints> {
        let Some(value) = top.value(NAME) else {
            return Err(top.error(NAME, "left out", expected()));
        };
        let found = match value {
            Value::String(text) if text.contains('x') => range(text),
            Value::String(text) => {
                let list = text.replace('(', "[").replace(')', "]");
                let list = serde_json::from_str(&list).ok();
                list.and_then(|list| pairs_of_edges(&list))
                    .map(OriginalPinpoints::Pixels)
            }
            _ => pairs_of_edges(value).map(OriginalPinpoints::Pixels),
        };
        found.ok_or_else(|| top.error(NAME, value, expected()))
    }

    /// Returns the rows and columns of each, in the original order, for tiles of `side` pixels.
    pub fn of_tiles(&self, side: usize) -> Vec<(u32, u32)> {
        let side = side as u32;
        match self {
            OriginalPinpoints::Pixels(list) => list.iter().map(|&(w, h)| (h, w)).collect(),
            &OriginalPinpoints::Tiles(first, last) => {
                let widths = first.0..=last.0;
                let pairs = widths.flat_map(|w| (first.1..=last.1).map(move |h| (h, w)));
                pairs.map(|(h, w)| (h * side, w * side)).collect()
            }
        }
    }
}

fn expected() -> String {
    format!(
        "a list of pairs of widths and heights from 1 to {MAX_EDGE}, or a range of tiles such as \
         \"(1x1),...,(6x6)\" of at most {MOST_TILES} each way"
    )
}

/// Returns the first and the last pair of a text like `(1x1),(1x2),(2x2)`, where that is a range.
fn range(text: &str) -> Option<OriginalPinpoints> {
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        // One that is too long is too large.
        digits.then(|| text.parse().unwrap_or(u32::MAX))
    };
    let pair = |piece: &str| {
        let (inside, _) = piece.split_once(')')?;
        let (width, height) = inside.split_once('x')?;
        Some((number(width)?, number(height)?))
    };
    let mut pairs = text.split('(').filter_map(pair);
    let first: (u32, u32) = pairs.next()?;
    let last = pairs.next_back().unwrap_or(first);
    let counts = |from: u32, to: u32| 1 <= from && from <= to && to <= MOST_TILES;
    let fits = counts(first.0, last.0) && counts(first.1, last.1);
    fits.then_some(OriginalPinpoints::Tiles(first, last))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::checkpoint::Config;

    fn read(value: &Value) -> ReadResult<OriginalPinpoints> {
        let config = json!({ NAME: value }).to_string();
        OriginalPinpoints::read(&Config::from_json(&config, "config.json").unwrap().top())
    }

    #[test]
    fn every_spelling_of_the_original_layout() {
        let wanted = vec![(20, 10), (10, 30)];
        for value in [
            json!([[10, 20], [30, 10]]),
            json!("[[10, 20], [30, 10]]"),
            json!("[(10, 20), (30, 10)]"),
        ] {
            assert_eq!(read(&value).unwrap().of_tiles(10), wanted, "{value}");
        }
        // The range is told by its ends: what stands between does not matter.
        for value in ["(1x1),(2x3)", "(1x1),...,(2x3)", "(1x1),(9x9),(2x3)"] {
            let found = read(&json!(value)).unwrap().of_tiles(10);
            let wanted = [(10, 10), (20, 10), (30, 10), (10, 20), (20, 20), (30, 20)];
            assert_eq!(found, wanted, "{value}");
        }
    }

    #[test]
    fn others_are_refused() {
        for value in [
            json!(null),
            json!([]),
            json!([[1]]),
            json!([[0, 1]]),
            json!("x"),
            json!("(0x1),(2x2)"),
            json!("(3x1),(2x2)"),
            json!("(1x1),(65x1)"),
            json!("(1x1),(4294967296x1)"),
            json!("[(1, 2"),
            json!("224,448"),
        ] {
            let error = read(&value).unwrap_err().to_string();
            assert!(error.contains(NAME), "{value}: {error}");
        }
    }
}
