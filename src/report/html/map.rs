//! A map in few bytes.

use image::{GrayImage, imageops};
use serde::Serialize;

use super::embed::base64;
use crate::report::{Result, saliency_grey};

/// Cells a side beyond which a map is made smaller: a picture on the page has two or three pixels
/// to a cell then.
const MOST: u32 = 128;

/// A map: a byte for each cell, row by row, 255 where the answer needs the picture most.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MapCells {
    /// Cells per side.
    pub size: u32,
    /// The bytes in base64.
    pub cells: String,
}

impl MapCells {
    /// Of a saliency map of `size x size` values, row by row, clamped to 0..1. One of more than 128
    /// cells a side is averaged.
    ///
    /// # Errors
    /// As [`saliency_grey`].
    pub fn new(saliency: &[f32], size: usize) -> Result<MapCells> {
        let side = u32::try_from(size).unwrap_or(u32::MAX);
        let cells = saliency_grey(saliency, size, side, side)?;
        let cells: GrayImage = if side > MOST {
            imageops::thumbnail(&cells, MOST, MOST)
        } else {
            cells
        };
        Ok(MapCells {
            size: cells.width(),
            cells: base64(cells.as_raw()),
        })
    }
}
