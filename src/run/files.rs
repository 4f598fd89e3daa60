//! Opening files that may not be what their names say: pipes and devices, which could block for ever, never end, or do something when
//! they are opened, and symbolic links in a run's folder.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, BufRead, Error, ErrorKind, Read};
use std::path::Path;

use super::{Result, RunError};

/// The most bytes of one line of records or data, and of one cell of data: pictures in base64 are long.
pub(super) const LONGEST_LINE: u64 = 256 << 20;

/// Opens a regular file for reading. Symbolic links are followed.
///
/// # Errors
/// A file that cannot be opened, or is no regular file; a folder, a pipe, a device.
pub(super) fn open_regular(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true);
    flags(&mut options, true);
    open(path, &options, path.metadata())
}

/// Opens a regular file of a run's folder with `options`, a symbolic link never.
///
/// # Errors
/// A file that cannot be opened, or is no regular file.
pub(super) fn open_own(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    flags(options, false);
    open(path, options, path.symlink_metadata())
}

fn open(path: &Path, options: &OpenOptions, found: io::Result<Metadata>) -> io::Result<File> {
    match found {
        Ok(meta) => regular(&meta)?,
        // `options` may create it.
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let file = options.open(path)?;
    // It may have become another one in between.
    regular(&file.metadata()?)?;
    Ok(file)
}

fn regular(meta: &Metadata) -> io::Result<()> {
    match kind(meta) {
        None => Ok(()),
        Some(kind) => Err(Error::new(
            ErrorKind::InvalidInput,
            format!("expected a regular file, found {kind}"),
        )),
    }
}

/// What is there that is no regular file.
fn kind(meta: &Metadata) -> Option<&'static str> {
    let kind = meta.file_type();
    if kind.is_file() {
        None
    } else if kind.is_dir() {
        Some("a folder")
    } else if kind.is_symlink() {
        Some("a symbolic link")
    } else {
        Some("a pipe, a socket or a device")
    }
}

/// Opening a pipe does not wait for its other end.
#[cfg(unix)]
fn flags(options: &mut OpenOptions, follow: bool) {
    use std::os::unix::fs::OpenOptionsExt;
    let no_follow = if follow { 0 } else { libc::O_NOFOLLOW };
    options.custom_flags(libc::O_NONBLOCK | no_follow);
}

#[cfg(not(unix))]
fn flags(_: &mut OpenOptions, _: bool) {}

/// Fails where something is in a run's folder that writing must not follow or replace: all but a regular file.
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

/// Fails where something in a run's folder has the name of a folder that is to be written to, and is none: a symbolic link to one.
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

/// Appends a line with its end to `line`, as [`BufRead::read_until`]; none is longer than [`LONGEST_LINE`].
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

    /// A pipe without another end, a device without an end, a folder: none is opened, and nothing waits.
    #[test]
    fn only_regular_files_are_opened() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let made = std::process::Command::new("mkfifo")
            .arg(at("pipe"))
            .status();
        assert!(made.unwrap().success());
        std::fs::write(at("file"), "text").unwrap();
        std::os::unix::fs::symlink(at("file"), at("link")).unwrap();
        std::os::unix::fs::symlink(at("nothing"), at("dangling")).unwrap();
        let zero = Path::new("/dev/zero");
        for (path, word) in [
            (&*at("pipe"), "pipe"),
            (zero, "device"),
            (folder.path(), "folder"),
        ] {
            let message = open_regular(path).unwrap_err().to_string();
            assert!(message.contains(word), "{message}");
            let mut options = OpenOptions::new();
            let message = open_own(path, options.append(true))
                .unwrap_err()
                .to_string();
            assert!(message.contains(word), "{message}");
            assert!(expect_own(path).unwrap_err().to_string().contains(word));
        }
        assert!(open_regular(&at("link")).is_ok());
        for name in ["link", "dangling"] {
            let mut options = OpenOptions::new();
            options.create(true).append(true);
            assert!(open_own(&at(name), &mut options).is_err(), "{name}");
            let message = expect_own(&at(name)).unwrap_err().to_string();
            assert!(message.contains("a symbolic link"), "{message}");
        }
        assert!(!at("nothing").exists());
        assert!(expect_own(&at("file")).is_ok() && expect_own(&at("nothing")).is_ok());
        assert_eq!(read_text(&at("file"), 4).unwrap(), "text");
        assert!(read_text(&at("file"), 3).is_err());
    }
}
