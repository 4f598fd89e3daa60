//! The files of a folder.

use std::io::Error;
use std::path::{Path, PathBuf};

use crate::run::images::is_inside;
use crate::run::{Result, RunError};

/// The largest number of files and folders below a folder of data.
const MOST_ENTRIES: usize = 100_000;
/// The largest number of folders above a file.
const DEEPEST: usize = 16;

/// Returns the names of all files below a folder, in order, with `/` between the names of folders.
/// Links to folders are not followed. A name that is not UTF-8 is left out: no pattern matches it.
///
/// # Errors
/// Returns an error if a folder cannot be read, or there are too many.
pub fn files(folder: &Path) -> Result<Vec<String>> {
    let too_many = |expected: String| RunError::Data {
        path: folder.display().to_string(),
        expected,
        found: "more".into(),
    };
    let mut files = Vec::new();
    let mut folders: Vec<(PathBuf, String, usize)> = vec![(folder.to_path_buf(), String::new(), 0)];
    let mut entries = 0;
    while let Some((path, before, depth)) = folders.pop() {
        for entry in path.read_dir().map_err(RunError::reading(&path))? {
            let entry = entry.map_err(RunError::reading(&path))?;
            entries += 1;
            if entries > MOST_ENTRIES {
                return Err(too_many(format!(
                    "at most {MOST_ENTRIES} files and folders"
                )));
            }
            let Ok(name) = entry.file_name().into_string() else {
                continue;
            };
            let kind = entry.file_type().map_err(RunError::reading(&path))?;
            let name = format!("{before}{name}");
            if !kind.is_dir() {
                files.push(name);
            } else if depth == DEEPEST {
                return Err(too_many(format!("at most {DEEPEST} folders above a file")));
            } else {
                folders.push((entry.path(), name + "/", depth + 1));
            }
        }
    }
    files.sort_unstable();
    Ok(files)
}

/// Returns an error if a file of the folder lies outside of it, behind a link. Snapshots of
/// Hugging Face's cache are links to its blobs, which count as inside.
pub fn expect_below(folder: &Path, name: &str) -> Result<()> {
    let path = folder.join(name);
    match is_inside(folder, &path) {
        Ok(true) => Ok(()),
        Ok(false) => Err(RunError::reading(&path)(Error::other(
            "expected a file of the folder, found a link that leads out of it",
        ))),
        Err(error) => Err(RunError::reading(&path)(error)),
    }
}
