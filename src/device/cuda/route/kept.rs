//! Choices between runs: one small file per shape in the user's cache folder. Without them a second run could choose otherwise, and
//! its bits would be others.
//!
//! A file appears whole, and the first one stands: runs that start together agree. Choices hold for one kind of GPU, one version of
//! cuBLASLt and of foveate, and one storage type.

use std::io::Write;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

use super::{Choice, Route, Shape};
use crate::device::cuda::{Cuda, cublaslt};

/// The folder of the choices for one device.
pub(super) struct Kept {
    folder: PathBuf,
}

/// A choice as it is written.
#[derive(Serialize, Deserialize)]
struct Record {
    /// The library's algorithm; none for the kernels.
    algorithm: Option<cublaslt::Algorithm>,
    native_microseconds: Option<f64>,
    cublaslt_microseconds: Option<f64>,
}

impl Kept {
    /// Those of a device; none where the system has no cache folder for the user.
    pub fn of(device: &Cuda) -> Option<Kept> {
        let name = device.gpu.context.name().ok()?;
        let version = cublaslt::version().ok()?;
        let device_name = format!(
            "{name} {} multiprocessors cublaslt {version} {} foveate {}",
            device.multiprocessors,
            device.storage,
            env!("CARGO_PKG_VERSION")
        );
        let folder = dirs::cache_dir()?.join("foveate").join("gemm");
        Some(Kept {
            folder: folder.join(file_name(&device_name)),
        })
    }

    fn path(&self, shape: Shape) -> PathBuf {
        self.folder
            .join(format!("{}.json", file_name(&shape.to_string())))
    }

    /// The choice for a shape, where one was kept and can be read.
    pub fn read(&self, shape: Shape) -> Option<Choice> {
        let bytes = std::fs::read(self.path(shape)).ok()?;
        let record: Record = serde_json::from_slice(&bytes).ok()?;
        Some(Choice {
            route: record.algorithm.map_or(Route::Native, Route::Library),
            native: record.native_microseconds,
            library: record.cublaslt_microseconds,
        })
    }

    /// Keeps a choice, and gives the one that stands: another run's, if it was there first. What cannot be written holds for this run.
    pub fn keep(&self, shape: Shape, choice: Choice) -> Choice {
        let path = self.path(shape);
        let write = || -> std::io::Result<()> {
            std::fs::create_dir_all(&self.folder)?;
            let record = Record {
                algorithm: match choice.route {
                    Route::Native => None,
                    Route::Library(algorithm) => Some(algorithm),
                },
                native_microseconds: choice.native,
                cublaslt_microseconds: choice.library,
            };
            let mut file = NamedTempFile::new_in(&self.folder)?;
            file.write_all(&serde_json::to_vec(&record)?)?;
            match file.persist_noclobber(&path) {
                Ok(_) => {}
                Err(there) if self.read(shape).is_some() => drop(there),
                // What is there cannot be read: it is replaced.
                Err(there) => there.file.persist(&path).map(drop)?,
            }
            Ok(())
        };
        match write() {
            Ok(()) => self.read(shape).unwrap_or(choice),
            Err(_) => choice,
        }
    }
}

/// Letters, digits, points and hyphens; all else becomes a hyphen.
fn file_name(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '.';
    text.chars()
        .map(|c| if plain(c) { c } else { '-' })
        .collect()
}
