//! What commands write: folders of files that belong together, and single files.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::error::CliError;
use crate::system::whole::{Made, Staging, replaceable, write_whole};

/// Checks that a folder is there, or that one can be made. Commands ask before any work.
///
/// # Errors
/// [`CliError::Folder`] when something else is there, or above it.
pub(super) fn expect_folder(path: &Path) -> Result<(), CliError> {
    let refused = |reason: String| CliError::Folder {
        path: path.display().to_string(),
        reason,
    };
    for at in path.ancestors().filter(|at| !at.as_os_str().is_empty()) {
        match fs::metadata(at) {
            Ok(found) if found.is_dir() => return Ok(()),
            Ok(_) => return Err(refused(format!("{} is no folder", at.display()))),
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                if fs::symlink_metadata(at).is_ok() {
                    let reason = format!("{} is a link to nothing", at.display());
                    return Err(refused(reason));
                }
            }
            Err(error) => return Err(refused(error.to_string())),
        }
    }
    Ok(())
}

/// Checks that a file can be written at a path: none is there, or a regular one, in a folder that
/// is there.
///
/// # Errors
/// [`CliError::File`].
pub(super) fn expect_file(path: &Path) -> Result<(), CliError> {
    let refused = |reason: String| CliError::File {
        path: path.display().to_string(),
        reason,
    };
    replaceable(path).map_err(|e| refused(e.to_string()))?;
    let folder = crate::system::whole::parent(path);
    if path.file_name().is_none() {
        return Err(refused("the name is none of a file".into()));
    }
    match fs::metadata(folder) {
        Ok(found) if found.is_dir() => Ok(()),
        Ok(_) => Err(refused(format!("{} is no folder", folder.display()))),
        Err(error) => Err(refused(format!("{}: {error}", folder.display()))),
    }
}

/// Writes one file whole, or not at all.
///
/// # Errors
/// [`CliError::Write`].
pub(super) fn write_file(path: &Path, bytes: &[u8]) -> Result<(), CliError> {
    write_whole(path, bytes).map_err(|error| CliError::Write {
        path: path.display().to_string(),
        reason: error.to_string(),
    })
}

/// A folder to write to. What was made for a command that fails is taken away again.
pub(super) struct OutputFolder<'a> {
    path: &'a Path,
    names: &'a [&'a str],
    staging: Staging,
    /// Behind the staging: its folder must be gone before those around it are empty.
    _made: Made,
}

/// A JSON record that names the files that belong to it by their content.
#[derive(Serialize)]
struct Vouching<'a, T> {
    #[serde(flatten)]
    record: &'a T,
    files: BTreeMap<&'a str, Content>,
}

/// What is in a file.
#[derive(Serialize)]
struct Content {
    bytes: usize,
    sha256: String,
}

impl<'a> OutputFolder<'a> {
    /// Makes the folder where it does not exist and tries whether files can be written there,
    /// before any work is done. `names` are the files that the command may write, its record first.
    ///
    /// # Errors
    /// [`CliError::Folder`] when it cannot be made or written to, or when something that is no
    /// regular file has one of the names.
    pub fn prepare(path: &'a Path, names: &'a [&'a str]) -> Result<OutputFolder<'a>, CliError> {
        expect_folder(path)?;
        let failed = |e: std::io::Error| CliError::Folder {
            path: path.display().to_string(),
            reason: e.to_string(),
        };
        let made = Made::folder(path).map_err(failed)?;
        for name in names {
            expect_file(&path.join(name))?;
        }
        Ok(OutputFolder {
            path,
            names,
            staging: Staging::new(path).map_err(failed)?,
            _made: made,
        })
    }

    /// Writes the files and the record, with the files' sizes and SHA-256 under `files`, and then
    /// puts them all in place of those that are there, as [`crate::system::whole`] says. Returns
    /// the record's text.
    ///
    /// # Errors
    /// [`CliError::Write`] when a file cannot be written, a full disk among the reasons; nothing is
    /// left behind then.
    pub fn write(
        self,
        record: &impl Serialize,
        files: &[(&str, Vec<u8>)],
    ) -> Result<String, CliError> {
        let failed = |name: &str, reason: String| CliError::Write {
            path: self.path.join(name).display().to_string(),
            reason,
        };
        let mut contents = BTreeMap::new();
        for (name, bytes) in files {
            let written = self.staging.write(name, bytes);
            written.map_err(|e| failed(name, e.to_string()))?;
            contents.insert(*name, Content::of(bytes));
        }
        let name = self.names[0];
        let record = Vouching {
            record,
            files: contents,
        };
        let text = serde_json::to_string_pretty(&record);
        let text = text.map_err(|e| failed(name, e.to_string()))?;
        let written = self.staging.write(name, format!("{text}\n").as_bytes());
        written.map_err(|e| failed(name, e.to_string()))?;
        let placed = self.staging.place(name, self.names);
        placed.map_err(|error| CliError::Write {
            path: self.path.display().to_string(),
            reason: error.to_string(),
        })?;
        Ok(text)
    }
}

impl Content {
    fn of(bytes: &[u8]) -> Content {
        let digest = Sha256::digest(bytes);
        Content {
            bytes: bytes.len(),
            sha256: digest.iter().map(|byte| format!("{byte:02x}")).collect(),
        }
    }
}
