//! Sources of a checkpoint's files: a folder, the program itself, or memory.

use super::CheckpointError;
use crate::system::regular::open_regular;
use memmap2::Mmap;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Largest text file accepted, in bytes; the largest tokenizer.json in use is about 40 MB.
const TEXT_LIMIT: u64 = 256 << 20;
/// The name of weights stored in one file.
pub const WEIGHTS: &str = "model.safetensors";
/// The name of the list of shards of weights stored in several files.
pub const WEIGHTS_INDEX: &str = "model.safetensors.index.json";
const LFS_POINTER: &[u8] = b"version https://git-lfs";

/// A checkpoint's files by name.
#[derive(Clone)]
pub struct Files(Source);

#[derive(Clone)]
enum Source {
    Folder(PathBuf),
    Memory(Arc<str>, Arc<BTreeMap<String, Bytes>>),
}

/// The bytes of one file. A clone shares them.
#[derive(Clone)]
pub enum Bytes {
    /// A read-only memory mapping.
    Mapped(Arc<Mmap>),
    /// Embedded in the program.
    Embedded(&'static [u8]),
    /// Made in memory.
    Owned(Arc<[u8]>),
}

// Implemented by hand, since derived implementations would print whole files.
impl std::fmt::Debug for Files {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Files({:?})", self.name())
    }
}

impl std::fmt::Debug for Bytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Bytes({})", self.len())
    }
}

impl std::ops::Deref for Bytes {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        match self {
            Bytes::Mapped(map) => map,
            Bytes::Embedded(bytes) => bytes,
            Bytes::Owned(bytes) => bytes,
        }
    }
}

impl Files {
    /// Returns the folder, if the files are in one.
    pub fn folder_path(&self) -> Option<&Path> {
        match &self.0 {
            Source::Folder(path) => Some(path),
            Source::Memory(..) => None,
        }
    }

    /// Opens the files of a folder.
    ///
    /// # Errors
    /// [`CheckpointError::NoFolder`] if `path` is not a folder.
    pub fn folder(path: impl AsRef<Path>) -> Result<Self, CheckpointError> {
        let path = path.as_ref();
        let found = match path.metadata() {
            Ok(meta) if meta.is_dir() => return Ok(Self(Source::Folder(path.to_owned()))),
            Ok(_) => "a file".to_string(),
            Err(error) => error.to_string(),
        };
        Err(CheckpointError::NoFolder {
            path: path.display().to_string(),
            found,
        })
    }

    /// Creates a checkpoint from files embedded in the program, as pairs of file name and content;
    /// `name` is the model's name in messages.
    pub fn embedded(name: &'static str, files: &'static [(&'static str, &'static [u8])]) -> Self {
        let files = files
            .iter()
            .map(|&(file, bytes)| (file.to_string(), Bytes::Embedded(bytes)));
        Self(Source::Memory(name.into(), Arc::new(files.collect())))
    }

    /// Creates a checkpoint from files held in memory, as pairs of file name and content; `name` is
    /// the model's name in messages.
    pub fn memory(name: &str, files: impl IntoIterator<Item = (String, Vec<u8>)>) -> Self {
        let files = files
            .into_iter()
            .map(|(file, bytes)| (file, Bytes::Owned(bytes.into())));
        Self(Source::Memory(name.into(), Arc::new(files.collect())))
    }

    /// Returns the checkpoint's name for messages: the folder's path or the embedded model's name.
    pub fn name(&self) -> String {
        match &self.0 {
            Source::Folder(path) => path.display().to_string(),
            Source::Memory(name, _) => name.to_string(),
        }
    }

    /// Returns a file's name for messages.
    pub fn path(&self, file: &str) -> String {
        match &self.0 {
            Source::Folder(path) => path.join(file).display().to_string(),
            Source::Memory(name, _) => format!("{name}/{file}"),
        }
    }

    /// Checks whether a file exists.
    pub fn exists(&self, file: &str) -> bool {
        match &self.0 {
            Source::Folder(path) => path.join(file).exists(),
            Source::Memory(_, files) => files.contains_key(file),
        }
    }

    /// Returns the names of all files, sorted.
    ///
    /// # Errors
    /// [`CheckpointError::Io`] if the folder cannot be listed.
    pub fn list(&self) -> Result<Vec<String>, CheckpointError> {
        let mut names: Vec<String> = match &self.0 {
            Source::Folder(path) => path
                .read_dir()
                .and_then(|entries| {
                    entries
                        .map(|e| e.map(|e| e.file_name().to_string_lossy().into_owned()))
                        .collect()
                })
                .map_err(|source| CheckpointError::Io {
                    file: path.display().to_string(),
                    source,
                })?,
            Source::Memory(_, files) => files.keys().cloned().collect(),
        };
        names.sort();
        Ok(names)
    }

    /// Checks whether a subfolder holds a file whose name ends with `end`.
    ///
    /// # Errors
    /// [`CheckpointError::Io`] if the folder cannot be listed.
    pub(super) fn has_within(&self, folder: &str, end: &str) -> Result<bool, CheckpointError> {
        let path = match &self.0 {
            Source::Folder(path) => path.join(folder),
            Source::Memory(_, files) => {
                let inside = |name: &String| name.starts_with(folder) && name.ends_with(end);
                return Ok(files.keys().any(inside));
            }
        };
        if !path.is_dir() {
            return Ok(false);
        }
        let list = |path: &Path| -> std::io::Result<bool> {
            for entry in path.read_dir()? {
                if entry?.file_name().to_string_lossy().ends_with(end) {
                    return Ok(true);
                }
            }
            Ok(false)
        };
        list(&path).map_err(|source| CheckpointError::Io {
            file: path.display().to_string(),
            source,
        })
    }

    /// Reads a text file; `None` if it does not exist.
    ///
    /// # Errors
    /// [`CheckpointError::Io`] if it cannot be read, [`TooLarge`](CheckpointError::TooLarge) if it
    /// exceeds the limit, [`NotText`](CheckpointError::NotText) if it is not UTF-8, or
    /// [`LfsPointer`](CheckpointError::LfsPointer) if it is a Git LFS pointer.
    pub fn text(&self, file: &str) -> Result<Option<String>, CheckpointError> {
        let name = self.path(file);
        let bytes = match &self.0 {
            Source::Folder(path) => {
                let Some((handle, size)) = open(&path.join(file), &name)? else {
                    return Ok(None);
                };
                if size > TEXT_LIMIT {
                    return Err(CheckpointError::TooLarge {
                        file: name,
                        bytes: size,
                        limit: TEXT_LIMIT,
                    });
                }
                let mut bytes = Vec::new();
                // Keeps the limit also for a file that grows while it is read.
                if let Err(source) = handle.take(TEXT_LIMIT).read_to_end(&mut bytes) {
                    return Err(CheckpointError::Io { file: name, source });
                }
                bytes
            }
            Source::Memory(_, files) => match files.get(file) {
                Some(bytes) => bytes.to_vec(),
                None => return Ok(None),
            },
        };
        if bytes.starts_with(LFS_POINTER) {
            return Err(CheckpointError::LfsPointer { file: name });
        }
        String::from_utf8(bytes)
            .map(Some)
            .map_err(|error| CheckpointError::NotText {
                file: name,
                valid: error.utf8_error().valid_up_to(),
            })
    }

    /// Reads a text file that must exist; `purpose` completes the error's message if it does not.
    ///
    /// # Errors
    /// As [`Files::text`], and [`CheckpointError::MissingFile`] if it does not exist.
    pub fn required_text(&self, file: &str, purpose: &str) -> Result<String, CheckpointError> {
        self.text(file)?
            .ok_or_else(|| CheckpointError::MissingFile {
                file: self.path(file),
                purpose: purpose.to_string(),
            })
    }

    /// Reads and parses a JSON file; `None` if it does not exist.
    ///
    /// # Errors
    /// As [`Files::text`], and [`CheckpointError::Json`] if it is not valid JSON.
    pub fn json(&self, file: &str) -> Result<Option<serde_json::Value>, CheckpointError> {
        self.text(file)?
            .map(|text| parse_json(&text, &self.path(file)))
            .transpose()
    }

    /// Maps a file into memory; `None` if it does not exist.
    ///
    /// # Errors
    /// [`CheckpointError::Io`] if it cannot be opened or mapped, or
    /// [`LfsPointer`](CheckpointError::LfsPointer) if it is a Git LFS pointer.
    pub fn bytes(&self, file: &str) -> Result<Option<Bytes>, CheckpointError> {
        let name = self.path(file);
        let bytes = match &self.0 {
            Source::Folder(path) => {
                let Some((handle, _)) = open(&path.join(file), &name)? else {
                    return Ok(None);
                };
                // SAFETY: the mapping is private and read-only and nothing here writes to it. As
                // with every memory-mapped checkpoint, the file must not be changed by others while
                // it is in use.
                match unsafe { Mmap::map(&handle) } {
                    Ok(map) => Bytes::Mapped(Arc::new(map)),
                    Err(source) => return Err(CheckpointError::Io { file: name, source }),
                }
            }
            Source::Memory(_, files) => match files.get(file) {
                Some(bytes) => bytes.clone(),
                None => return Ok(None),
            },
        };
        if bytes.starts_with(LFS_POINTER) {
            return Err(CheckpointError::LfsPointer { file: name });
        }
        Ok(Some(bytes))
    }
}

/// Parses JSON; errors name the file.
pub(super) fn parse_json(text: &str, file: &str) -> Result<serde_json::Value, CheckpointError> {
    serde_json::from_str(text).map_err(|error| CheckpointError::Json {
        file: file.to_string(),
        reason: error.to_string(),
    })
}

/// Opens a regular file and returns it with its size in bytes; `None` if it does not exist.
fn open(path: &Path, name: &str) -> Result<Option<(File, u64)>, CheckpointError> {
    let opened = open_regular(path).and_then(|file| {
        let size = file.metadata()?.len();
        Ok((file, size))
    });
    match opened {
        Ok(opened) => Ok(Some(opened)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(CheckpointError::Io {
            file: name.to_string(),
            source,
        }),
    }
}
