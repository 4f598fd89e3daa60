//! The fields of a class that keeps a picture's shape and resizes it to whole patches.

use serde_json::Value;

use super::{Fields, SizeRule};
use crate::picture::PictureError;

/// Longer sides than this many times the shorter one are refused, as transformers does.
pub(in crate::picture) const LARGEST_RATIO: f64 = 200.0;
/// The most pixels that a config may ask for.
const MOST: u64 = 1 << 32;

/// The patches of a class that resizes to whole groups of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patches {
    /// Side of a patch in pixels: `patch_size`.
    pub size: usize,
    /// Patches of a group each way: `merge_size`.
    pub merge: usize,
    /// Equal frames that a picture is repeated to: `temporal_patch_size`.
    pub frames: usize,
}

/// Reads the fields of `Qwen2VLImageProcessor`: `min_pixels` and `max_pixels` come before the
/// `shortest_edge` and `longest_edge` of `size`, which are numbers of pixels too.
pub(super) fn read(fields: &Fields) -> Result<(SizeRule, Patches), PictureError> {
    let number = |name: &str, default: u32| match fields.map.get(name) {
        None => Ok(default as usize),
        Some(value) => fields.edge(name, value).map(|edge| edge as usize),
    };
    let patches = Patches {
        size: number("patch_size", 14)?,
        merge: number("merge_size", 2)?,
        frames: number("temporal_patch_size", 2)?,
    };
    let size = fields.get("size");
    let pixels = |name: &str, key: &str, default: u64| {
        let (name, value) = match (fields.get(name), size) {
            (Some(value), _) => (name.to_owned(), value),
            (None, None) => return Ok(default),
            (None, Some(size)) => {
                let whole = "an object of shortest_edge and longest_edge, in pixels";
                let value = size.get(key).filter(|value| !value.is_null());
                let value = value.ok_or_else(|| fields.wrong("size", whole, size))?;
                (format!("size.{key}"), value)
            }
        };
        let expected = format!("a number of pixels from 1 to {MOST}");
        let number = value.as_u64().filter(|n| (1..=MOST).contains(n));
        number.ok_or_else(|| fields.wrong(&name, &expected, value))
    };
    let least = pixels("min_pixels", "shortest_edge", 56 * 56)?;
    let most = pixels("max_pixels", "longest_edge", 28 * 28 * 1280)?;
    if !fields.flag("do_resize", true)? {
        let expected = "true: views are whole patches";
        return Err(fields.wrong("do_resize", expected, &Value::from(false)));
    }
    let factor = (patches.size * patches.merge) as u64;
    let rule = SizeRule::Smart {
        factor,
        least,
        most,
    };
    Ok((rule, patches))
}

/// Returns the rows and columns of a resized picture: multiples of `factor` whose product lies from
/// `least` to `most` where that is possible. This is transformers' `smart_resize`, in f64 as there.
pub(in crate::picture) fn smart_resize(
    (factor, least, most): (u64, u64, u64),
    width: u64,
    height: u64,
) -> (u64, u64) {
    let (rows, columns, unit) = (height as f64, width as f64, factor as f64);
    let near = |length: f64| (length / unit).round_ties_even() as u64 * factor;
    let near = (near(rows), near(columns));
    let pixels = near.0.saturating_mul(near.1);
    let area = height as f64 * width as f64;
    if pixels > most {
        let beta = (area / most as f64).sqrt();
        let below = |length: f64| ((length / beta / unit).floor() as u64 * factor).max(factor);
        (below(rows), below(columns))
    } else if pixels < least {
        let beta = (least as f64 / area).sqrt();
        let above = |length: f64| (length * beta / unit).ceil() as u64 * factor;
        (above(rows), above(columns))
    } else {
        near
    }
}
