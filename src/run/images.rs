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
        let folder = self.path.canonicalize()?;
        if is_below(name) {
            let found = path.canonicalize()?;
            if found.starts_with(&folder) || blobs(&folder).is_some_and(|b| found.starts_with(b)) {
                return Ok(());
            }
        }
        Err(Error::other(format!(
            "expected a file below {}, found a name that leads out of it; with --images-anywhere it is read",
            self.path.display()
        )))
    }
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
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    /// A grey pixel.
    const PIXEL: &[u8] = b"P5 1 1 255\n\x80";

    #[test]
    fn names_do_not_lead_out_of_the_folder() {
        let around = tempfile::tempdir().unwrap();
        let at = |name: &str| around.path().join(name);
        fs::create_dir_all(at("images/sub")).unwrap();
        for name in ["x.pgm", "images/x.pgm", "images/sub/y.pgm"] {
            fs::write(at(name), PIXEL).unwrap();
        }
        symlink(at("x.pgm"), at("images/out.pgm")).unwrap();
        symlink(around.path(), at("images/up")).unwrap();
        symlink("x.pgm", at("images/in.pgm")).unwrap();
        symlink(at("images"), at("linked")).unwrap();
        let absolute = at("x.pgm").display().to_string();
        let inside = at("images/x.pgm").display().to_string();
        for folder in ["images", "linked"] {
            let closed = ImageFolder::new(&at(folder), false);
            let open = ImageFolder::new(&at(folder), true);
            for name in ["x.pgm", "./x.pgm", "sub/y.pgm", "in.pgm"] {
                assert!(
                    closed.has(name) && closed.open(name, &Limits::default()).is_ok(),
                    "{name}"
                );
            }
            for name in [
                "../x.pgm",
                "sub/../../x.pgm",
                "out.pgm",
                "up/x.pgm",
                &absolute,
                &inside,
            ] {
                let error = closed
                    .open(name, &Limits::default())
                    .unwrap_err()
                    .to_string();
                assert!(error.contains("--images-anywhere"), "{name}: {error}");
                assert!(
                    open.has(name) && open.open(name, &Limits::default()).is_ok(),
                    "{name}"
                );
            }
            // The error does not reveal whether the file exists.
            assert!(!closed.has("../x.pgm") && !closed.has(&absolute));
            let missing = closed
                .open("../none.pgm", &Limits::default())
                .unwrap_err()
                .to_string();
            assert!(missing.contains("--images-anywhere"), "{missing}");
            assert!(
                !closed
                    .open("none.pgm", &Limits::default())
                    .unwrap_err()
                    .to_string()
                    .contains("anywhere")
            );
        }
    }

    #[test]
    fn a_snapshot_in_the_cache_has_its_files_as_links() {
        let cache = tempfile::tempdir().unwrap();
        let at = |name: &str| cache.path().join(name);
        let snapshot = "datasets--a--b/snapshots/0123/images";
        fs::create_dir_all(at(snapshot)).unwrap();
        fs::create_dir_all(at("datasets--a--b/blobs")).unwrap();
        fs::write(at("datasets--a--b/blobs/ab"), PIXEL).unwrap();
        fs::write(at("other"), PIXEL).unwrap();
        symlink("../../../blobs/ab", at(snapshot).join("x.pgm")).unwrap();
        symlink(at("other"), at(snapshot).join("y.pgm")).unwrap();
        for folder in [snapshot, "datasets--a--b/snapshots/0123"] {
            let folder = ImageFolder::new(&at(folder), false);
            let prefix = if folder.path().ends_with("images") {
                ""
            } else {
                "images/"
            };
            assert!(
                folder
                    .open(&format!("{prefix}x.pgm"), &Limits::default())
                    .is_ok()
            );
            assert!(
                folder
                    .open(&format!("{prefix}y.pgm"), &Limits::default())
                    .is_err()
            );
        }
    }

    #[test]
    fn what_is_no_regular_file_is_no_picture() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe.png");
        assert!(
            std::process::Command::new("mkfifo")
                .arg(&pipe)
                .status()
                .unwrap()
                .success()
        );
        fs::create_dir(folder.path().join("folder.png")).unwrap();
        let images = ImageFolder::new(folder.path(), true);
        for (name, word) in [
            ("pipe.png", "a pipe"),
            ("folder.png", "a folder"),
            ("/dev/zero", "a device"),
        ] {
            let error = images
                .open(name, &Limits::default())
                .unwrap_err()
                .to_string();
            assert!(error.contains(word), "{error}");
        }
    }
}
