//! Choices kept between runs: one small file per shape in the user's cache folder. Without them a
//! second run could choose differently, and its bits would differ.
//!
//! Files are written atomically, and the first one is kept: runs that start together agree. Choices
//! are valid for one kind of GPU, one version of cuBLASLt and of foveate, and one storage type.
//! Choices that cannot be written are shared by all devices of this process.

use std::collections::HashMap;
use std::io::Write;
use std::path::PathBuf;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

use super::refused::Suggested;
use super::{Choice, Route, Shape};
use crate::device::cuda::{Cuda, cublaslt};
use crate::system::whole::temporary;

/// The folder of the choices for one device.
pub(super) struct Kept {
    folder: PathBuf,
}

/// A choice as it is stored.
#[derive(Serialize, Deserialize)]
struct Record {
    /// The library's algorithm; `None` for the kernels.
    algorithm: Option<cublaslt::Algorithm>,
    native_microseconds: Option<f64>,
    cublaslt_microseconds: Option<f64>,
    #[serde(default)]
    suggested: Suggested,
}

impl From<Choice> for Record {
    fn from(choice: Choice) -> Record {
        Record {
            algorithm: match choice.route {
                Route::Native => None,
                Route::Library(algorithm) => Some(algorithm),
            },
            native_microseconds: choice.native,
            cublaslt_microseconds: choice.library,
            suggested: choice.suggested,
        }
    }
}

impl From<Record> for Choice {
    fn from(record: Record) -> Choice {
        Choice {
            route: record.algorithm.map_or(Route::Native, Route::Library),
            native: record.native_microseconds,
            library: record.cublaslt_microseconds,
            suggested: record.suggested,
        }
    }
}

/// Returns the choices that could not be written, by the paths of their files.
fn unwritten() -> MutexGuard<'static, HashMap<PathBuf, Choice>> {
    static UNWRITTEN: LazyLock<Mutex<HashMap<PathBuf, Choice>>> = LazyLock::new(Mutex::default);
    UNWRITTEN.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Kept {
    /// Returns the folder of a device and a version of cuBLASLt. If the system has no cache folder
    /// for the user, nothing can be written.
    pub fn of(device: &Cuda, version: &str) -> Option<Kept> {
        let name = device.gpu.context.name().ok()?;
        let device_name = format!(
            "{name} {} multiprocessors cublaslt {version} {} foveate {}",
            device.multiprocessors,
            device.storage,
            env!("CARGO_PKG_VERSION")
        );
        // No file can be created below a device.
        let cache = dirs::cache_dir().unwrap_or_else(|| "/dev/null".into());
        let folder = cache.join("foveate").join("gemm");
        Some(Kept {
            folder: folder.join(file_name(&device_name)),
        })
    }

    fn path(&self, shape: Shape) -> PathBuf {
        self.folder
            .join(format!("{}.json", file_name(&shape.to_string())))
    }

    /// Reads the choice for a shape, if one was kept and is readable.
    pub fn read(&self, shape: Shape) -> Option<Choice> {
        let path = self.path(shape);
        let written = || {
            let bytes = std::fs::read(&path).ok()?;
            let record: Record = serde_json::from_slice(&bytes).ok()?;
            Some(record.into())
        };
        written().or_else(|| unwritten().get(&path).copied())
    }

    /// Keeps a choice, and returns the one that is valid: another run's, if that was kept first.
    pub fn keep(&self, shape: Shape, choice: Choice) -> Choice {
        let path = self.path(shape);
        let write = || -> std::io::Result<()> {
            match self.file(choice)?.persist_noclobber(&path) {
                Ok(_) => {}
                Err(there) if self.read(shape).is_some() => drop(there),
                // The existing file cannot be read, so it is replaced.
                Err(there) => there.file.persist(&path).map(drop)?,
            }
            Ok(())
        };
        match write() {
            Ok(()) => self.read(shape).unwrap_or(choice),
            Err(_) => *unwritten().entry(path).or_insert(choice),
        }
    }

    /// Keeps a choice in place of one that can no longer be used.
    pub fn replace(&self, shape: Shape, choice: Choice) {
        let path = self.path(shape);
        let write = || -> std::io::Result<()> {
            self.file(choice)?.persist(&path)?;
            Ok(())
        };
        if write().is_err() {
            unwritten().insert(path, choice);
        }
    }

    /// Writes a choice to a temporary file in the same folder.
    fn file(&self, choice: Choice) -> std::io::Result<NamedTempFile> {
        std::fs::create_dir_all(&self.folder)?;
        let mut file = temporary(&self.folder)?;
        file.write_all(&serde_json::to_vec(&Record::from(choice))?)?;
        Ok(file)
    }
}

/// Replaces all characters except letters, digits, points and hyphens with hyphens.
fn file_name(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '.';
    text.chars()
        .map(|c| if plain(c) { c } else { '-' })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::cuda::gemm::{Epilogue, Layout};
    use crate::device::cuda::route::refused::{Refusal, Refused};

    const SHAPE: Shape = Shape {
        layout: Layout::Forward,
        n: 64,
        k: 48,
        epilogue: Epilogue::Gate,
        bias: true,
        residual: false,
    };

    fn suggested() -> Suggested {
        let algorithm = cublaslt::Configuration {
            id: 66,
            tile: 20,
            stages: 11,
        };
        let refused = |why| Some(Refused { algorithm, why });
        let mut suggested = Suggested::NONE;
        suggested.add(refused(Refusal::Bits(1)));
        suggested.add(None);
        suggested.add(refused(Refusal::Rows(77)));
        suggested
    }

    fn choices() -> (Choice, Choice) {
        let library = Choice {
            route: Route::Library(cublaslt::Algorithm::for_test([7; 8])),
            native: Some(2.5),
            library: Some(1.5),
            suggested: suggested(),
        };
        (library, Choice::NATIVE)
    }

    #[test]
    fn the_first_choice_stands_until_it_is_replaced() {
        let cache = tempfile::tempdir().unwrap();
        let kept = || Kept {
            folder: cache.path().join("gpu"),
        };
        let (first, second) = choices();
        assert_eq!(kept().read(SHAPE), None);
        assert_eq!(kept().keep(SHAPE, first), first);
        assert_eq!(kept().keep(SHAPE, second), first);
        assert_eq!(kept().read(SHAPE), Some(first));
        kept().replace(SHAPE, second);
        assert_eq!(kept().read(SHAPE), Some(second));
        let files = std::fs::read_dir(cache.path().join("gpu")).unwrap();
        assert_eq!(files.count(), 1, "nothing else is left");
    }

    #[test]
    fn refused_algorithms_are_counted_and_named() {
        assert_eq!(
            choices().0.to_string(),
            "cublaslt (native 2 us, cublaslt 2 us); 2 of 3 refused: algorithm 66 tile 20 stages 11 \
             (other bits at m = 1), algorithm 66 tile 20 stages 11 (does not take m = 77)"
        );
        assert_eq!(choices().1.to_string(), "native");
    }

    #[test]
    fn what_cannot_be_read_is_replaced() {
        let cache = tempfile::tempdir().unwrap();
        let kept = Kept {
            folder: cache.path().into(),
        };
        let (first, second) = choices();
        for torn in ["", "{", "{\"algorithm\":[1]}", "null"] {
            std::fs::write(kept.path(SHAPE), torn).unwrap();
            assert_eq!(kept.read(SHAPE), None, "{torn}");
            assert_eq!(kept.keep(SHAPE, first), first, "{torn}");
            assert_eq!(kept.keep(SHAPE, second), first, "{torn}");
        }
    }

    #[test]
    fn devices_of_one_process_agree_where_nothing_can_be_written() {
        let file = NamedTempFile::new().unwrap();
        let kept = || Kept {
            folder: file.path().join("gpu"),
        };
        let (first, second) = choices();
        assert_eq!(kept().read(SHAPE), None);
        assert_eq!(kept().keep(SHAPE, first), first);
        assert_eq!(kept().keep(SHAPE, second), first);
        assert_eq!(kept().read(SHAPE), Some(first));
        kept().replace(SHAPE, second);
        assert_eq!(kept().read(SHAPE), Some(second));
    }
}
