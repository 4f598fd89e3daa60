//! Explanations.

use std::path::PathBuf;
use std::sync::Arc;

use foveate::report::{self, ReportError};
use foveate::{Mask, Picture};
use image::RgbImage;
use pyo3::exceptions::PyIndexError;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes};
use serde_json::Value;

use crate::errors;

/// An explanation with what it is about.
#[pyclass(frozen, module = "foveate._foveate")]
pub struct Explanation {
    record: Value,
    explanation: foveate::Explanation,
    picture: Arc<Picture>,
    question: String,
}

impl Explanation {
    pub fn new(
        record: Value,
        explanation: foveate::Explanation,
        picture: Arc<Picture>,
        question: String,
    ) -> Explanation {
        Explanation {
            record,
            explanation,
            picture,
            question,
        }
    }

    /// Returns the mask of a word or key token.
    fn unit(&self, place: usize) -> PyResult<&Mask> {
        let map = self.explanation.each.get(place);
        let mask = map.map(|map| &map.mask);
        mask.ok_or_else(|| PyIndexError::new_err(format!("each: there is none at {place}")))
    }
}

/// An array that Python reads without copying: its shape, and its elements row by row.
type Array<'py, S> = (S, Bound<'py, PyByteArray>);

/// Returns the mask's values, S x S f32.
pub fn cells<'py>(py: Python<'py>, mask: &Mask) -> Array<'py, (usize, usize)> {
    let values: Vec<f32> = mask.values().iter().map(|&value| value as f32).collect();
    let shape = (mask.size(), mask.size());
    (shape, PyByteArray::new(py, bytemuck::cast_slice(&values)))
}

/// Returns the pixels of a drawn picture, H x W x 3 u8.
fn pixels<'py>(py: Python<'py>, drawn: &RgbImage) -> Array<'py, (u32, u32, u32)> {
    let shape = (drawn.height(), drawn.width(), 3);
    (shape, PyByteArray::new(py, drawn.as_raw()))
}

/// Returns `1 - mask` at the pixels of a picture, H x W f32.
pub fn saliency<'py>(
    py: Python<'py>,
    mask: &Mask,
    width: u32,
    height: u32,
) -> PyResult<Array<'py, (u32, u32)>> {
    let values = py.detach(|| report::saliency(&mask.saliency(), mask.size(), width, height));
    let values = values.map_err(errors::of)?;
    Ok((
        (height, width),
        PyByteArray::new(py, bytemuck::cast_slice(&values)),
    ))
}

#[pymethods]
impl Explanation {
    /// The record: the text of explanation.json without the list of files.
    fn record(&self) -> String {
        self.record.to_string()
    }

    /// The picture, H x W x 3 u8.
    fn picture<'py>(&self, py: Python<'py>) -> Array<'py, (u32, u32, u32)> {
        let shape = (self.picture.height(), self.picture.width(), 3);
        (shape, PyByteArray::new(py, self.picture.rgb()))
    }

    /// The mask, S x S f32; None without one.
    fn mask<'py>(&self, py: Python<'py>) -> Option<Array<'py, (usize, usize)>> {
        let mask = self.explanation.mask.as_ref();
        mask.map(|mask| cells(py, mask))
    }

    /// 1 - mask at the picture's pixels, H x W f32; None without a mask.
    fn saliency<'py>(&self, py: Python<'py>) -> PyResult<Option<Array<'py, (u32, u32)>>> {
        let (width, height) = (self.picture.width(), self.picture.height());
        let mask = self.explanation.mask.as_ref();
        mask.map(|mask| saliency(py, mask, width, height))
            .transpose()
    }

    /// The picture under the map, H x W x 3 u8; None without a mask.
    fn overlay<'py>(&self, py: Python<'py>) -> PyResult<Option<Array<'py, (u32, u32, u32)>>> {
        let drawn = py.detach(|| report::explanation_overlay(&self.picture, &self.explanation));
        let drawn = drawn.map_err(errors::of)?;
        Ok(drawn.map(|drawn| pixels(py, &drawn)))
    }

    /// The masks of the words or key tokens, each S x S f32.
    fn each_masks<'py>(&self, py: Python<'py>) -> Vec<Array<'py, (usize, usize)>> {
        let maps = self.explanation.each.iter();
        maps.map(|map| cells(py, &map.mask)).collect()
    }

    /// 1 - mask of a word or key token at the picture's pixels, H x W f32.
    fn each_saliency<'py>(
        &self,
        py: Python<'py>,
        place: usize,
    ) -> PyResult<Array<'py, (u32, u32)>> {
        let (width, height) = (self.picture.width(), self.picture.height());
        saliency(py, self.unit(place)?, width, height)
    }

    /// The picture under the map of a word or key token, H x W x 3 u8.
    fn each_overlay<'py>(
        &self,
        py: Python<'py>,
        place: usize,
    ) -> PyResult<Array<'py, (u32, u32, u32)>> {
        let mask = self.unit(place)?;
        let drawn = py.detach(|| report::mask_overlay(&self.picture, mask));
        Ok(pixels(py, &drawn.map_err(errors::of)?))
    }

    /// The picture and, with a mask, the picture under the map, as PNG, with sides of the picture
    /// of at most `longest` pixels.
    fn figures<'py>(
        &self,
        py: Python<'py>,
        longest: u32,
    ) -> PyResult<(Bound<'py, PyBytes>, Option<Bound<'py, PyBytes>>)> {
        let drawn = py.detach(|| {
            let (rgb, width, height) = (
                self.picture.rgb(),
                self.picture.width(),
                self.picture.height(),
            );
            let small = report::reduced(rgb, width, height, longest)?;
            let small = small.and_then(|small| {
                Picture::from_rgb(small.width(), small.height(), small.into_raw()).ok()
            });
            let picture = small.as_ref().unwrap_or(&self.picture);
            let (width, height) = (picture.width(), picture.height());
            let plain = RgbImage::from_raw(width, height, picture.rgb().to_vec());
            let plain = plain.map(|plain| report::png(&plain)).transpose()?;
            let over = report::explanation_overlay(picture, &self.explanation)?;
            let over = over.map(|over| report::png(&over)).transpose()?;
            Ok::<_, ReportError>((plain.unwrap_or_default(), over))
        });
        let (plain, over) = drawn.map_err(errors::of)?;
        Ok((
            PyBytes::new(py, &plain),
            over.map(|bytes| PyBytes::new(py, &bytes)),
        ))
    }

    /// Writes the files that `foveate explain` writes.
    fn save(&self, py: Python, folder: PathBuf) -> PyResult<()> {
        py.detach(|| {
            let (picture, explanation) = (&self.picture, &self.explanation);
            let files = report::explanation_files(picture, &self.question, explanation);
            let files = files.map_err(errors::of)?;
            foveate::cli::save(&folder, &self.record, &files).map_err(errors::of)
        })
    }
}
