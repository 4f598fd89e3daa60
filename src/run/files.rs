//! Files and folders of a run: what may be written to, and text of bounded length.

use std::io::{self, BufRead, Error, ErrorKind, Read};
use std::path::Path;

use super::{Result, RunError};
use crate::system::regular::{kind, open_regular};

/// The most bytes of one line of records or data, and of one cell of data: pictures in base64 are
/// long.
pub(super) const LONGEST_LINE: u64 = 256 << 20;

/// Fails where something is in a run's folder that writing must not follow or replace: all but a
/// regular file.
///
/// # Errors
/// [`RunError::Data`].
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

/// Fails where something in a run's folder has the name of a folder that is to be written to, and
/// is none: a symbolic link to one.
///
/// # Errors
/// [`RunError::Folder`].
pub(super) fn expect_own_folder(path: &Path) -> Result<()> {
    match path.symlink_metadata().ok().and_then(|meta| kind(&meta)) {
        Some(found) if found != "a folder" => Err(RunError::Folder {
            path: path.display().to_string(),
            reason: format!("{found} is there"),
        }),
        _ => Ok(()),
    }
}

/// Makes a folder to write to where it does not exist.
///
/// # Errors
/// [`RunError::Folder`].
pub(super) fn make_folder(path: &Path) -> Result<()> {
    std::fs::create_dir_all(path).map_err(|error| RunError::Folder {
        path: path.display().to_string(),
        reason: match path.metadata() {
            Ok(meta) if !meta.is_dir() => "a file is there".into(),
            _ => error.to_string(),
        },
    })
}

/// Reads a regular file of text that is at most `limit` bytes long.
///
/// # Errors
/// A file that cannot be read, is longer, or is not UTF-8.
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

/// Appends a line with its end to `line`, as [`BufRead::read_until`]; none is longer than
/// [`LONGEST_LINE`].
///
/// # Errors
/// A file that cannot be read, a line that is longer.
pub(super) fn read_line(file: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<usize> {
    let read = file.take(LONGEST_LINE + 1).read_until(b'\n', line)?;
    if read as u64 > LONGEST_LINE {
        return Err(too_long("line", LONGEST_LINE));
    }
    Ok(read)
}

/// The error for what is longer than a limit.
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
