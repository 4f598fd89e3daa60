//! Pictures from Python.

use std::path::PathBuf;

use foveate::{Limits, Picture, PictureError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::errors;

/// A picture as Python gives it.
#[derive(FromPyObject)]
pub enum Source<'py> {
    /// The path of a file.
    Path(PathBuf),
    /// Height, width, their pixels of three bytes, row by row, and the file that they are from.
    Pixels(u32, u32, Bound<'py, PyBytes>, Option<PathBuf>),
}

/// A picture, and the file that it was read from.
pub struct Opened {
    pub picture: Picture,
    pub path: Option<PathBuf>,
}

/// A picture that needs no lock to be opened.
pub enum Pending {
    Path(PathBuf),
    Pixels(Picture, Option<PathBuf>),
}

impl Source<'_> {
    /// Copies pixels; a file is not opened yet.
    pub fn pending(self) -> PyResult<Pending> {
        match self {
            Source::Path(path) => Ok(Pending::Path(path)),
            Source::Pixels(height, width, bytes, path) => {
                let picture = Picture::from_rgb(width, height, bytes.as_bytes().to_vec());
                Ok(Pending::Pixels(picture.map_err(errors::of)?, path))
            }
        }
    }
}

impl Pending {
    /// Opens and decodes a file.
    pub fn open(self, limits: &Limits) -> Result<Opened, PictureError> {
        let (picture, path) = match self {
            Pending::Path(path) => (Picture::open_within(&path, limits)?, Some(path)),
            Pending::Pixels(picture, path) => (picture, path),
        };
        Ok(Opened { picture, path })
    }
}
