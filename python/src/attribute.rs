//! The method on a model of Python's.

use foveate::cli::keywords::{self, Keyword, Topic};
use foveate::{AttributionError, ForeignModel, ForeignPictures};
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes};

use crate::errors;
use crate::explanation;
use crate::progress::Watched;

/// A Python function of a batch's shape and its f32 elements, and of whether gradients are wanted,
/// to the f64 elements of scores and, where they are wanted, the f32 elements of gradients.
struct PythonModel {
    score: Py<PyAny>,
    height: usize,
    width: usize,
}

impl PythonModel {
    fn call(&self, batch: &[f32], count: usize, gradients: bool) -> PyResult<(Vec<f64>, Vec<f32>)> {
        Python::attach(|py| {
            let shape = (count, 3, self.height, self.width);
            let elements = PyByteArray::new(py, bytemuck::cast_slice(batch));
            let found = self.score.bind(py).call1((shape, elements, gradients))?;
            let (scores, by_pixel): (Bound<PyBytes>, Option<Bound<PyBytes>>) = found.extract()?;
            let by_pixel = by_pixel.map(|b| bytemuck::pod_collect_to_vec(b.as_bytes()));
            let scores = bytemuck::pod_collect_to_vec(scores.as_bytes());
            Ok((scores, by_pixel.unwrap_or_default()))
        })
    }
}

impl ForeignModel for PythonModel {
    type Error = PyErr;

    fn scores(&self, batch: Vec<f32>, count: usize) -> PyResult<Vec<f64>> {
        Ok(self.call(&batch, count, false)?.0)
    }

    fn gradients(&self, batch: Vec<f32>, count: usize) -> PyResult<(Vec<f64>, Vec<f32>)> {
        self.call(&batch, count, true)
    }
}

/// The parts of an iteration: deletion, insertion, regulariser, and its terms if there are any.
type Parts = (f64, f64, f64, Option<(f64, f64, f64)>);

/// The size of a mask and its f32 elements; the iterations; the number of evaluations.
type Found<'py> = (((usize, usize), Bound<'py, PyByteArray>), Vec<Parts>, usize);

/// Finds the part of a picture that a score depends on. `image` and `baseline` are the f32 elements
/// of `3 x height x width`.
#[pyfunction]
#[expect(
    clippy::too_many_arguments,
    reason = "the arguments of Python's function"
)]
pub fn attribute<'py>(
    py: Python<'py>,
    score: Py<PyAny>,
    height: usize,
    width: usize,
    image: Bound<'py, PyBytes>,
    baseline: Bound<'py, PyBytes>,
    visual_tokens: Option<usize>,
    batch: usize,
    keywords: Vec<Keyword>,
    progress: Option<Py<PyAny>>,
) -> PyResult<Found<'py>> {
    let found = keywords::explanation(Topic::Method, &keywords, None);
    let (settings, _) = found.map_err(errors::of)?;
    let picture: Vec<f32> = bytemuck::pod_collect_to_vec(image.as_bytes());
    let other: Vec<f32> = bytemuck::pod_collect_to_vec(baseline.as_bytes());
    let model = PythonModel {
        score,
        height,
        width,
    };
    let mut watched = Watched::new(progress);
    let found = py.detach(|| {
        let pictures = ForeignPictures {
            height,
            width,
            picture: &picture,
            baseline: &other,
            visual_tokens: visual_tokens.unwrap_or(settings.mask_size * settings.mask_size),
        };
        foveate::attribute(&model, pictures, &settings, batch, &mut watched)
    });
    let found = found.map_err(|error| match error {
        AttributionError::Model(error) => error,
        AttributionError::Explain(error) => watched.raised().unwrap_or_else(|| errors::of(error)),
    })?;
    let parts = found.iterations.iter();
    let parts = parts
        .map(|i| {
            let terms = i.terms.map(|terms| (terms.l1, terms.l2, terms.l3));
            (i.deletion, i.insertion, i.regulariser, terms)
        })
        .collect();
    Ok((
        explanation::cells(py, &found.mask),
        parts,
        found.evaluations,
    ))
}

/// Returns `1 - mask` at the pixels of a picture of `height x width`; `mask` is the f32 elements of
/// a mask of `size` cells a side.
#[pyfunction]
pub fn saliency<'py>(
    py: Python<'py>,
    size: usize,
    mask: Bound<'py, PyBytes>,
    height: u32,
    width: u32,
) -> PyResult<((u32, u32), Bound<'py, PyByteArray>)> {
    let values: Vec<f32> = bytemuck::pod_collect_to_vec(mask.as_bytes());
    let mask = foveate::Mask::new(size, values.into_iter().map(f64::from).collect());
    let mask = mask.map_err(|error| errors::raise("SettingError", &error.to_string(), None))?;
    explanation::saliency(py, &mask, width, height)
}
