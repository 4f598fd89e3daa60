//! The fields of classes that cut pictures into tiles.

use serde_json::Value;

use super::{Fields, LLAVA_NEXT_PINPOINTS, llava_onevision_pinpoints};
use crate::picture::PictureError;

/// The most tiles of a picture.
pub(crate) const MOST_TILES: u32 = 1024;

/// How a class cuts pictures into tiles.
#[derive(Clone, Debug)]
pub(in crate::picture) enum Cut {
    /// Resolutions, as rows and columns, that a picture may be fitted into before it is cut.
    Pinpoints(Vec<(u32, u32)>),
    /// Stretched to tiles of `tile` pixels each way, after it was resized.
    Idefics3 {
        tile: u32,
        /// Whether it is cut, or seen as one tile only.
        split: bool,
    },
    /// Stretched to the grid of `least` to `most` tiles whose shape is closest to its own.
    GotOcr2 { least: u32, most: u32 },
}

impl Cut {
    /// Describes the class of a config where another one is expected, for its error.
    pub fn described(cut: Option<&Cut>) -> String {
        let tiles = cut.map_or("no tiles", |_| "tiles of another kind");
        format!("one that makes {tiles}")
    }
}

/// The classes that cut.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Tiles {
    LlavaNext,
    LlavaOnevision,
    Idefics3,
    GotOcr2,
}

impl Tiles {
    /// Reads the class's own fields.
    pub fn read(self, fields: &Fields) -> Result<Cut, PictureError> {
        match self {
            Tiles::LlavaNext => {
                let given = fields.pinpoints()?;
                let default = || LLAVA_NEXT_PINPOINTS.to_vec();
                Ok(Cut::Pinpoints(given.unwrap_or_else(default)))
            }
            Tiles::LlavaOnevision => {
                let given = fields.pinpoints()?;
                Ok(Cut::Pinpoints(
                    given.unwrap_or_else(llava_onevision_pinpoints),
                ))
            }
            // It stretches, and so resizes, whatever `do_resize` says.
            Tiles::Idefics3 if fields.is_null("resample") => {
                Err(fields.wrong("resample", "a filter", &Value::Null))
            }
            Tiles::Idefics3 => Ok(Cut::Idefics3 {
                tile: max_image_size(fields)?,
                split: fields.flag("do_image_splitting", true)?,
            }),
            Tiles::GotOcr2 => {
                let count = |name, default| count(fields, name, default);
                let (least, most) = (count("min_patches", 1)?, count("max_patches", 12)?);
                if least > most {
                    let expected = format!("at most max_patches, {most}");
                    return Err(fields.wrong("min_patches", &expected, &Value::from(least)));
                }
                Ok(Cut::GotOcr2 { least, most })
            }
        }
    }
}

/// Reads `max_image_size`, an object of `longest_edge`.
fn max_image_size(fields: &Fields) -> Result<u32, PictureError> {
    let name = "max_image_size";
    if fields.is_null(name) {
        return Err(fields.wrong(name, "an object of longest_edge", &Value::Null));
    }
    let Some(value) = fields.get(name) else {
        return Ok(364);
    };
    match value.get("longest_edge") {
        Some(edge) => fields.edge("max_image_size.longest_edge", edge),
        None => Err(fields.wrong(name, "an object of longest_edge", value)),
    }
}

fn count(fields: &Fields, name: &str, default: u32) -> Result<u32, PictureError> {
    let expected = format!("an integer from 1 to {MOST_TILES}");
    if fields.is_null(name) {
        return Err(fields.wrong(name, &expected, &Value::Null));
    }
    let Some(value) = fields.get(name) else {
        return Ok(default);
    };
    let number = value.as_u64().and_then(|n| u32::try_from(n).ok());
    let number = number.filter(|n| (1..=MOST_TILES).contains(n));
    number.ok_or_else(|| fields.wrong(name, &expected, value))
}
