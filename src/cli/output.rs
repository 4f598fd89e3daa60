//! Output of commands: folders of files that belong together, and single files.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::error::CliError;
use crate::system::whole::{CreatedFolders, Staging, replaceable, write_whole};

/// Checks that a folder exists or can be created. Commands check this before any work.
///
/// # Errors
/// Returns [`CliError::Folder`] if the path or a parent is something else.
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

/// Checks that a file can be written at a path: its folder exists, and the path is free or a
/// regular file.
///
/// # Errors
/// Returns [`CliError::File`] otherwise.
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

/// Writes one file atomically.
///
/// # Errors
/// Returns [`CliError::Write`] if the file cannot be written.
pub(super) fn write_file(path: &Path, bytes: &[u8]) -> Result<(), CliError> {
    write_whole(path, bytes).map_err(|error| CliError::Write {
        path: path.display().to_string(),
        reason: error.to_string(),
    })
}

/// A folder to write to. Folders created for a command that fails are removed.
pub(super) struct OutputFolder<'a> {
    path: &'a Path,
    names: &'a [&'a str],
    staging: Staging,
    /// Declared after the staging, whose folder must be removed before the folders around it are
    /// empty.
    _created: CreatedFolders,
}

/// A JSON record that lists the files that belong to it by their content.
#[derive(Serialize)]
struct RecordWithFiles<'a, T> {
    #[serde(flatten)]
    record: &'a T,
    files: BTreeMap<&'a str, Content>,
}

/// The size and digest of a file.
#[derive(Serialize)]
struct Content {
    bytes: usize,
    sha256: String,
}

impl<'a> OutputFolder<'a> {
    /// Creates the folder if it does not exist, and checks that files can be written there, before
    /// any work is done. `names` are the files that the command may write, its record first.
    ///
    /// # Errors
    /// Returns [`CliError::Folder`] if the folder cannot be created or written to, or if one of the
    /// names belongs to something other than a regular file.
    pub fn prepare(path: &'a Path, names: &'a [&'a str]) -> Result<OutputFolder<'a>, CliError> {
        expect_folder(path)?;
        let failed = |e: std::io::Error| CliError::Folder {
            path: path.display().to_string(),
            reason: e.to_string(),
        };
        let created = CreatedFolders::create(path).map_err(failed)?;
        for name in names {
            expect_file(&path.join(name))?;
        }
        Ok(OutputFolder {
            path,
            names,
            staging: Staging::new(path).map_err(failed)?,
            _created: created,
        })
    }

    /// Writes the files and the record, with the files' sizes and SHA-256 under `files`, and then
    /// replaces existing ones, as described in [`crate::system::whole`]. Returns the record's text.
    ///
    /// # Errors
    /// Returns [`CliError::Write`] if a file cannot be written, for example because the disk is
    /// full; in that case no file is left behind.
    pub fn write(
        self,
        record: &impl Serialize,
        files: &[(impl AsRef<str>, Vec<u8>)],
    ) -> Result<String, CliError> {
        let failed = |name: &str, reason: String| CliError::Write {
            path: self.path.join(name).display().to_string(),
            reason,
        };
        let mut contents = BTreeMap::new();
        for (name, bytes) in files {
            let name = name.as_ref();
            let written = self.staging.write(name, bytes);
            written.map_err(|e| failed(name, e.to_string()))?;
            contents.insert(name, Content::of(bytes));
        }
        let name = self.names[0];
        let record = RecordWithFiles {
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
