//! Explanations.

use std::collections::BTreeMap;
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
    pictures: Arc<[Picture]>,
    question: String,
}

impl Explanation {
    pub fn new(
        record: Value,
        explanation: foveate::Explanation,
        pictures: Arc<[Picture]>,
        question: String,
    ) -> Explanation {
        Explanation {
            record,
            explanation,
            pictures,
            question,
        }
    }

    /// Returns the mask of a word or key token.
    fn unit(&self, place: usize) -> PyResult<&Mask> {
        let map = self.explanation.each.get(place);
        let mask = map.map(|map| &map.mask);
        mask.ok_or_else(|| PyIndexError::new_err(format!("each: there is none at {place}")))
    }

    /// Returns an explained picture by its number from 1, and its place among those of a mask; the
    /// first without a number.
    fn explained(&self, number: Option<usize>) -> PyResult<(usize, &Picture)> {
        let numbers = &self.explanation.explained_images;
        let place = match number {
            None => Some(0),
            Some(number) => numbers.iter().position(|&own| own == number),
        };
        let found = place.and_then(|place| {
            let at = numbers.get(place)?.checked_sub(1)?;
            Some((place, self.pictures.get(at)?))
        });
        found.ok_or_else(|| {
            let found = number.unwrap_or_default();
            PyIndexError::new_err(format!("image: expected one of {numbers:?}, found {found}"))
        })
    }

    /// Returns the values of a mask: S x S, and P x S x S where there are several pictures.
    fn values<'py>(&self, py: Python<'py>, mask: &Mask) -> Cells<'py> {
        let ((size, _), values) = cells(py, mask);
        let shape = match self.pictures.len() {
            1 => vec![size, size],
            _ => vec![mask.pictures(), size, size],
        };
        (shape, values)
    }
}

/// A picture as PNG, and under its map if it has one.
type Figure<'py> = (Bound<'py, PyBytes>, Option<Bound<'py, PyBytes>>);

/// An array of any number of axes, as [`Array`].
type Cells<'py> = (Vec<usize>, Bound<'py, PyByteArray>);

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

    /// A picture by its number from 1, H x W x 3 u8.
    fn picture<'py>(
        &self,
        py: Python<'py>,
        number: usize,
    ) -> PyResult<Array<'py, (u32, u32, u32)>> {
        let picture = number.checked_sub(1).and_then(|at| self.pictures.get(at));
        let picture = picture.ok_or_else(|| {
            let count = self.pictures.len();
            PyIndexError::new_err(format!("image: expected 1 to {count}, found {number}"))
        })?;
        let shape = (picture.height(), picture.width(), 3);
        Ok((shape, PyByteArray::new(py, picture.rgb())))
    }

    /// The mask, S x S f32, or P x S x S of several pictures; None without one.
    fn mask<'py>(&self, py: Python<'py>) -> Option<Cells<'py>> {
        let mask = self.explanation.mask.as_ref();
        mask.map(|mask| self.values(py, mask))
    }

    /// 1 - mask at a picture's pixels, H x W f32; None without a mask.
    fn saliency<'py>(
        &self,
        py: Python<'py>,
        number: Option<usize>,
    ) -> PyResult<Option<Array<'py, (u32, u32)>>> {
        let (place, picture) = self.explained(number)?;
        let mask = self.explanation.mask.as_ref();
        mask.map(|mask| saliency(py, &mask.split()[place], picture.width(), picture.height()))
            .transpose()
    }

    /// A picture under the map, H x W x 3 u8; None without a mask.
    fn overlay<'py>(
        &self,
        py: Python<'py>,
        number: Option<usize>,
    ) -> PyResult<Option<Array<'py, (u32, u32, u32)>>> {
        let (place, _) = self.explained(number)?;
        let drawn = py.detach(|| report::explanation_overlays(&self.pictures, &self.explanation));
        let drawn = drawn.map_err(errors::of)?;
        Ok(drawn.get(place).map(|drawn| pixels(py, drawn)))
    }

    /// The masks of the words or key tokens, as that of the answer.
    fn each_masks<'py>(&self, py: Python<'py>) -> Vec<Cells<'py>> {
        let maps = self.explanation.each.iter();
        maps.map(|map| self.values(py, &map.mask)).collect()
    }

    /// 1 - mask of a word or key token at a picture's pixels, H x W f32.
    fn each_saliency<'py>(
        &self,
        py: Python<'py>,
        unit: usize,
        number: Option<usize>,
    ) -> PyResult<Array<'py, (u32, u32)>> {
        let (place, picture) = self.explained(number)?;
        let mask = &self.unit(unit)?.split()[place];
        saliency(py, mask, picture.width(), picture.height())
    }

    /// A picture under the map of a word or key token, H x W x 3 u8.
    fn each_overlay<'py>(
        &self,
        py: Python<'py>,
        unit: usize,
        number: Option<usize>,
    ) -> PyResult<Array<'py, (u32, u32, u32)>> {
        let (place, picture) = self.explained(number)?;
        let mask = &self.unit(unit)?.split()[place];
        let drawn = py.detach(|| report::mask_overlay(picture, mask));
        Ok(pixels(py, &drawn.map_err(errors::of)?))
    }

    /// The pictures as PNG, with sides of at most `longest` pixels, and each one that is explained
    /// under its map.
    fn figures<'py>(&self, py: Python<'py>, longest: u32) -> PyResult<Vec<Figure<'py>>> {
        let drawn = py.detach(|| {
            let small = |picture: &Picture| {
                let (width, height) = (picture.width(), picture.height());
                let small = report::reduced(picture.rgb(), width, height, longest)?;
                let small = small.and_then(|small| {
                    Picture::from_rgb(small.width(), small.height(), small.into_raw()).ok()
                });
                Ok::<_, ReportError>(small.unwrap_or_else(|| picture.clone()))
            };
            let small = self
                .pictures
                .iter()
                .map(small)
                .collect::<Result<Vec<_>, _>>()?;
            let numbers = self.explanation.explained_images.iter();
            let over = report::explanation_overlays(&small, &self.explanation)?;
            let over: BTreeMap<usize, RgbImage> = numbers.copied().zip(over).collect();
            let figure = |(at, picture): (usize, &Picture)| {
                let (width, height) = (picture.width(), picture.height());
                let plain = RgbImage::from_raw(width, height, picture.rgb().to_vec());
                let plain = plain.map(|plain| report::png(&plain)).transpose()?;
                let over = over.get(&(at + 1)).map(report::png).transpose()?;
                Ok::<_, ReportError>((plain.unwrap_or_default(), over))
            };
            small
                .iter()
                .enumerate()
                .map(figure)
                .collect::<Result<Vec<_>, _>>()
        });
        let bytes = |bytes: &Vec<u8>| PyBytes::new(py, bytes);
        let drawn = drawn.map_err(errors::of)?;
        let figures = drawn.iter();
        Ok(figures
            .map(|(plain, over)| (bytes(plain), over.as_ref().map(bytes)))
            .collect())
    }

    /// Writes the files that `foveate explain` writes.
    fn save(&self, py: Python, folder: PathBuf) -> PyResult<()> {
        py.detach(|| {
            let (pictures, explanation) = (&self.pictures, &self.explanation);
            let files = report::explanation_files(pictures, &self.question, explanation);
            let files = files.map_err(errors::of)?;
            foveate::cli::save(&folder, &self.record, &files).map_err(errors::of)
        })
    }
}
