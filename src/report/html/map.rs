//! A compact encoding of a map.

use image::{GrayImage, imageops};
use serde::Serialize;

use super::embed::base64;
use crate::report::{Result, saliency_grey};

/// The largest number of cells per side; larger maps are reduced. A picture on the page then has
/// two or three pixels per cell.
const MOST: u32 = 128;

/// A map with one byte per cell, row by row, 255 where the answer depends on the picture most.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MapCells {
    /// Cells per side.
    pub size: u32,
    /// The bytes in base64.
    pub cells: String,
}

impl MapCells {
    /// Encodes a saliency map of `size x size` values, row by row, clamped to 0..1. A map of more
    /// than 128 cells per side is averaged.
    ///
    /// # Errors
    /// Returns the errors of [`saliency_grey`].
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
