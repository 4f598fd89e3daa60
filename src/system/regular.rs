//! Opening files that may not be regular: pipes and devices, which could block or never end, or
//! have effects when opened, and symbolic links.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Error, ErrorKind};
use std::path::Path;

/// Opens a regular file for reading. Symbolic links are followed.
///
/// # Errors
/// An error if the file cannot be opened or is not a regular file, such as a folder, a pipe or a
/// device.
pub(crate) fn open_regular(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true);
    flags(&mut options, true);
    open(path, &options, path.metadata())
}

/// Opens a regular file with `options`, without following a symbolic link.
///
/// # Errors
/// An error if the file cannot be opened or is not a regular file.
pub(crate) fn open_no_follow(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    flags(options, false);
    open(path, options, path.symlink_metadata())
}

fn open(path: &Path, options: &OpenOptions, found: io::Result<Metadata>) -> io::Result<File> {
    match found {
        Ok(meta) => regular(&meta)?,
        // `options` may create the file.
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let file = options.open(path)?;
    // The file may have been replaced in between.
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

/// Returns the kind of file, or `None` for a regular file.
pub(crate) fn kind(meta: &Metadata) -> Option<&'static str> {
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

/// Opens without waiting for a pipe's other end.
#[cfg(unix)]
fn flags(options: &mut OpenOptions, follow: bool) {
    use std::os::unix::fs::OpenOptionsExt;
    let no_follow = if follow { 0 } else { libc::O_NOFOLLOW };
    options.custom_flags(libc::O_NONBLOCK | no_follow);
}

#[cfg(not(unix))]
fn flags(_: &mut OpenOptions, _: bool) {}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    /// Pipes, devices and folders are refused, without waiting.
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
            let message = open_no_follow(path, options.append(true))
                .unwrap_err()
                .to_string();
            assert!(message.contains(word), "{message}");
        }
        assert!(open_regular(&at("link")).is_ok());
        for name in ["link", "dangling"] {
            let mut options = OpenOptions::new();
            options.create(true).append(true);
            assert!(open_no_follow(&at(name), &mut options).is_err(), "{name}");
        }
        assert!(!at("nothing").exists());
    }
}
