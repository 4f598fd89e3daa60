//! The folder of pictures. Names in the data cannot lead out of it.

use std::io::Error;
use std::path::{Component, Path, PathBuf};

use crate::picture::{Limits, Picture, PictureError};

/// A folder of pictures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageFolder {
    path: PathBuf,
    anywhere: bool,
}

impl ImageFolder {
    /// Creates the folder at `path`. Names that lead out of it, by `..`, as absolute paths or
    /// through symbolic links, are followed only if `anywhere` is true.
    pub fn new(path: &Path, anywhere: bool) -> ImageFolder {
        let path = if path.as_os_str().is_empty() {
            Path::new(".")
        } else {
            path
        };
        ImageFolder {
            path: path.to_path_buf(),
            anywhere,
        }
    }

    /// Returns the path of the folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Checks whether a file of this name exists.
    pub(super) fn has(&self, name: &str) -> bool {
        (self.anywhere || is_below(name)) && self.path.join(name).is_file()
    }

    /// Decodes the picture of this name within limits.
    ///
    /// # Errors
    /// Returns [`PictureError::Open`] if the file does not exist, is not a regular file, or lies
    /// outside the folder; otherwise as [`Picture::open`].
    pub fn open(&self, name: &str, limits: &Limits) -> Result<Picture, PictureError> {
        let path = self.path.join(name);
        let failed = |source| PictureError::Open {
            name: path.display().to_string(),
            source,
        };
        if !self.anywhere {
            self.expect_below(name, &path).map_err(failed)?;
        }
        Picture::open_within(&path, limits)
    }

    fn expect_below(&self, name: &str, path: &Path) -> std::io::Result<()> {
        if is_below(name) && is_inside(&self.path, path)? {
            return Ok(());
        }
        Err(Error::other(format!(
            "expected a file below {}, found a name that leads out of it; with \
             --images-anywhere it is read",
            self.path.display()
        )))
    }
}

/// Checks whether a file lies in a folder, or in the blobs of that folder's repository, once links
/// are followed.
pub(super) fn is_inside(folder: &Path, path: &Path) -> std::io::Result<bool> {
    let (folder, found) = (folder.canonicalize()?, path.canonicalize()?);
    Ok(found.starts_with(&folder) || blobs(&folder).is_some_and(|b| found.starts_with(b)))
}

/// Checks whether a name alone stays below its folder.
fn is_below(name: &str) -> bool {
    let mut parts = Path::new(name).components();
    parts.all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
}

/// Returns the folder that the links of a snapshot in Hugging Face's cache point into:
/// `REPOSITORY/blobs` for everything in `REPOSITORY/snapshots/REVISION`.
fn blobs(folder: &Path) -> Option<PathBuf> {
    let parts = folder.ancestors();
    let snapshots = parts
        .skip(1)
        .find(|at| at.file_name().is_some_and(|name| name == "snapshots"))?;
    let repository = snapshots.parent()?;
    let name = repository.file_name()?.to_str()?;
    let kinds = ["datasets--", "models--", "spaces--"];
    kinds
        .iter()
        .any(|kind| name.starts_with(kind))
        .then(|| repository.join("blobs"))
}

#[cfg(all(test, unix))]
mod tests;
