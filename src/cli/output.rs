//! The output folder: every file written to a temporary name first, and renamed when all are there.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::error::CliError;
use crate::run::{write_whole, written};

/// Writes one file whole, or not at all.
///
/// # Errors
/// [`CliError::Write`].
pub(super) fn write_file(path: &Path, bytes: &[u8]) -> Result<(), CliError> {
    let failed = |reason: String| CliError::Write {
        path: path.display().to_string(),
        reason,
    };
    write_whole(path, bytes).map_err(|e| failed(e.to_string()))
}

/// A folder to write to. What was made for a run that fails is taken away again.
pub(super) struct OutputFolder {
    path: PathBuf,
    /// Folders that did not exist before, the innermost first.
    made: Vec<PathBuf>,
}

impl OutputFolder {
    /// Makes the folder where it does not exist and tries whether files can be written there, before any work is done.
    ///
    /// # Errors
    /// [`CliError::Folder`] when it cannot be made or written to.
    pub fn prepare(path: &Path) -> Result<OutputFolder, CliError> {
        let failed = |e: std::io::Error| CliError::Folder {
            path: path.display().to_string(),
            reason: e.to_string(),
        };
        let missing = path
            .ancestors()
            .take_while(|a| !a.as_os_str().is_empty() && !a.exists());
        let folder = OutputFolder {
            path: path.to_path_buf(),
            made: missing.map(Path::to_path_buf).collect(),
        };
        fs::create_dir_all(path).map_err(failed)?;
        NamedTempFile::new_in(path).map_err(failed)?;
        Ok(folder)
    }

    /// Writes all files, then renames them all to their names. Those of `stale` that are not among them are removed, so
    /// that the folder speaks of one run.
    ///
    /// # Errors
    /// [`CliError::Write`] when a file cannot be written, a full disk among the reasons; nothing is left behind then.
    pub fn write(mut self, files: &[(&str, Vec<u8>)], stale: &[&str]) -> Result<(), CliError> {
        let failed = |name: &str, reason: String| CliError::Write {
            path: self.path.join(name).display().to_string(),
            reason,
        };
        let mut temporary = Vec::with_capacity(files.len());
        for (name, bytes) in files {
            let file = written(&self.path, bytes).map_err(|e| failed(name, e.to_string()))?;
            temporary.push((name, file));
        }
        for (name, file) in temporary {
            file.persist(self.path.join(name))
                .map_err(|e| failed(name, e.error.to_string()))?;
        }
        for name in stale
            .iter()
            .filter(|name| files.iter().all(|(written, _)| written != *name))
        {
            match fs::remove_file(self.path.join(name)) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                    return Err(failed(name, e.to_string()));
                }
                _ => {}
            }
        }
        self.made.clear();
        Ok(())
    }
}

impl Drop for OutputFolder {
    fn drop(&mut self) {
        for folder in &self.made {
            // Only empty folders go; one that something else wrote to in the meantime stays.
            let _ = fs::remove_dir(folder);
        }
    }
}
