//! Files and folders of a run: checks before writing, and reads of bounded length.

use std::io::{self, BufRead, Error, ErrorKind, Read};
use std::path::Path;

use super::{Result, RunError};
use crate::system::regular::{kind, open_regular};

/// The largest size of one line of records or data, and of one cell of data, in bytes: pictures in
/// base64 are long.
pub(super) const LONGEST_LINE: u64 = 256 << 20;

/// Returns an error if `path` exists and is not a regular file: writing must neither follow nor
/// replace it.
///
/// # Errors
/// Returns [`RunError::Data`] in that case.
pub(super) fn expect_own(path: &Path) -> Result<()> {
    let found = path.symlink_metadata().ok().and_then(|meta| kind(&meta));
    match found {
        None => Ok(()),
        Some(found) => Err(RunError::Data {
            path: path.display().to_string(),
            expected: "a regular file, or none, to write to".into(),
            found: found.into(),
        }),
    }
}

/// Returns an error if `path` exists and is not itself a folder, for example a symbolic link to
/// one.
///
/// # Errors
/// Returns [`RunError::Folder`] in that case.
pub(super) fn expect_own_folder(path: &Path) -> Result<()> {
    match path.symlink_metadata().ok().and_then(|meta| kind(&meta)) {
        Some(found) if found != "a folder" => Err(RunError::Folder {
            path: path.display().to_string(),
            reason: format!("{found} is there"),
        }),
        _ => Ok(()),
    }
}

/// Creates a folder to write to if it does not exist.
///
/// # Errors
/// Returns [`RunError::Folder`] if it cannot be created.
pub(super) fn make_folder(path: &Path) -> Result<()> {
    std::fs::create_dir_all(path).map_err(|error| RunError::Folder {
        path: path.display().to_string(),
        reason: match path.metadata() {
            Ok(meta) if !meta.is_dir() => "a file is there".into(),
            _ => error.to_string(),
        },
    })
}

/// Reads a regular text file of at most `limit` bytes.
///
/// # Errors
/// Returns an error if the file cannot be read, is longer, or is not UTF-8.
pub(super) fn read_text(path: &Path, limit: u64) -> io::Result<String> {
    let mut text = String::new();
    open_regular(path)?
        .take(limit + 1)
        .read_to_string(&mut text)?;
    if text.len() as u64 > limit {
        return Err(too_long("file", limit));
    }
    Ok(text)
}

/// Appends the next line, with its line end, to `line`, as [`BufRead::read_until`] does; at most
/// [`LONGEST_LINE`] bytes.
///
/// # Errors
/// Returns an error if the file cannot be read or the line is longer.
pub(super) fn read_line(file: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<usize> {
    let read = file.take(LONGEST_LINE + 1).read_until(b'\n', line)?;
    if read as u64 > LONGEST_LINE {
        return Err(too_long("line", LONGEST_LINE));
    }
    Ok(read)
}

/// Returns the error for input longer than a limit.
pub(super) fn too_long(what: &str, limit: u64) -> Error {
    let message = format!(
        "expected a {what} of at most {} MiB, found a longer one",
        limit >> 20
    );
    Error::new(ErrorKind::InvalidData, message)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_are_written_to_and_read() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("file"), "text").unwrap();
        std::os::unix::fs::symlink(at("nothing"), at("dangling")).unwrap();
        for (path, word) in [
            (&*at("dangling"), "a symbolic link"),
            (Path::new("/dev/zero"), "device"),
            (folder.path(), "folder"),
        ] {
            let message = expect_own(path).unwrap_err().to_string();
            assert!(message.contains(word), "{message}");
        }
        assert!(expect_own(&at("file")).is_ok() && expect_own(&at("nothing")).is_ok());
        assert_eq!(read_text(&at("file"), 4).unwrap(), "text");
        assert!(read_text(&at("file"), 3).is_err());
    }
}
