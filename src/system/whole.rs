//! Atomic writing of files and of sets of files: complete or absent.
//!
//! A file being written has a temporary name of foveate's own, `.foveate-PROCESS-RANDOM.tmp`, and
//! is locked by its process. The first write to a folder removes what dead processes have left
//! there, and nothing else.
//!
//! # Sets
//!
//! Several files that belong together are replaced by [`Staging::place`]. No file system renames
//! several files at once. Exchanging whole folders (`renameat2` with `RENAME_EXCHANGE`) is one
//! step, but not possible for every folder that a user may name: a mount point or the current
//! folder cannot be exchanged, the parent folder may not be writable, owner, access list and
//! watchers stay with the old folder, and the user's own files would have to move one by one. So
//! one file of the set, its record, stands for the others:
//!
//! 1. the old record is moved out of the folder, then the old files;
//! 2. the new files are renamed into it, the new record last.
//!
//! At no moment is a file of one set beside a file of another, and while the record exists, its
//! whole set does. A process that dies in step 1 leaves all old files in its temporary folder, and
//! one that dies in step 2 all new files; the next process that writes there restores them. Records
//! name their files by content, so a reader that started before an exchange and ends after it can
//! detect it.

mod set;

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use tempfile::{Builder, NamedTempFile};

pub(crate) use set::Staging;

/// The prefix and suffix of all temporary names.
const PREFIX: &str = ".foveate-";
const SUFFIX: &str = ".tmp";

/// The prefix of this process's temporary names: a random number, not the process's number, which
/// another machine that shares the folder may also use.
static OWN: LazyLock<String> = LazyLock::new(|| format!("{PREFIX}{:08x}-", rand::random::<u32>()));

/// The files and folders to remove if the process ends during its work.
static TRACES: Mutex<Traces> = Mutex::new(Traces {
    written: BTreeSet::new(),
    created: Vec::new(),
});

struct Traces {
    /// Folders that this process has written to.
    written: BTreeSet<PathBuf>,
    /// Folders that this process has created and that are still empty, the innermost first.
    created: Vec<PathBuf>,
}

fn traces() -> MutexGuard<'static, Traces> {
    TRACES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes a file under a temporary name and renames it: a reader finds all of it, or the previous
/// file.
///
/// # Errors
/// An error if `path` exists and is not a regular file (a symbolic link is not), and the file
/// system's errors.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    persist(written(parent(path), bytes)?, path)
}

/// Writes bytes to a file with a temporary name, synchronised to disk, as readable as a result.
pub(crate) fn written(folder: &Path, bytes: &[u8]) -> io::Result<NamedTempFile> {
    let mut file = temporary(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    readable_as_in(folder, file.as_file())?;
    Ok(file)
}

/// Creates an empty file with a temporary name.
pub(crate) fn temporary(folder: &Path) -> io::Result<NamedTempFile> {
    loop {
        let _making = enter(folder);
        let file = Builder::new()
            .prefix(OWN.as_str())
            .suffix(SUFFIX)
            .tempfile_in(folder)?;
        if holds(file.as_file(), file.path()) {
            return Ok(file);
        }
    }
}

/// Renames a file that is synchronised to disk to its final name.
///
/// # Errors
/// As [`write_whole`].
pub(crate) fn persist(file: NamedTempFile, path: &Path) -> io::Result<()> {
    replaceable(path)?;
    file.persist(path).map_err(|e| e.error)?;
    sync_folder(parent(path))
}

/// Checks whether a file may be written at `path`: nothing is there, or a regular file.
///
/// # Errors
/// The kind of file at `path`, if it is not a regular one.
pub(crate) fn replaceable(path: &Path) -> io::Result<()> {
    let kind = match fs::symlink_metadata(path) {
        Ok(found) => found.file_type(),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if kind.is_file() {
        return Ok(());
    }
    let found = match (kind.is_dir(), kind.is_symlink()) {
        (true, _) => "a folder",
        (_, true) => "a symbolic link",
        _ => "a device, a pipe or a socket",
    };
    let reason = format!("expected a regular file or none, found {found}");
    Err(io::Error::new(ErrorKind::AlreadyExists, reason))
}

/// Returns the folder that contains a file.
pub(crate) fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Makes a file as readable as the folder it will be placed in. Temporary files are private by
/// default.
#[cfg(unix)]
pub(crate) fn readable_as_in(folder: &Path, file: &File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mode = fs::metadata(folder)?.permissions().mode() & 0o666;
    file.set_permissions(fs::Permissions::from_mode(mode | 0o600))
}

#[cfg(not(unix))]
pub(crate) fn readable_as_in(_: &Path, _: &File) -> io::Result<()> {
    Ok(())
}

/// Synchronises the names of new files in a folder to disk. Does nothing where folders cannot be
/// synchronised.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    use ErrorKind::{InvalidInput, PermissionDenied, Unsupported};
    if !cfg!(unix) {
        return Ok(());
    }
    match File::open(folder).and_then(|folder| folder.sync_all()) {
        // The folder may be writable but not readable.
        Err(error) if matches!(error.kind(), InvalidInput | Unsupported | PermissionDenied) => {
            Ok(())
        }
        synced => synced,
    }
}

/// Folders created for a result. Those still empty are removed when this is dropped or the process
/// is told to end.
#[derive(Debug)]
pub(crate) struct CreatedFolders {
    folders: Vec<PathBuf>,
}

impl CreatedFolders {
    /// Creates a folder and its missing parents.
    pub fn create(path: &Path) -> io::Result<CreatedFolders> {
        let missing = path
            .ancestors()
            .take_while(|a| !a.as_os_str().is_empty() && !a.exists());
        let folders: Vec<PathBuf> = missing.map(Path::to_path_buf).collect();
        let mut traces = traces();
        traces.created.splice(0..0, folders.iter().cloned());
        let created = CreatedFolders { folders };
        let result = fs::create_dir_all(path);
        drop(traces);
        result.map(|()| created)
    }
}

impl Drop for CreatedFolders {
    fn drop(&mut self) {
        for folder in &self.folders {
            // Removes only empty folders.
            let _ = fs::remove_dir(folder);
        }
        traces()
            .created
            .retain(|folder| !self.folders.contains(folder));
    }
}

/// Removes this process's unfinished files, for a process that ends at once. If a set is being
/// placed, waits for it first.
pub(crate) fn abandon() {
    // Both are held until the process has ended.
    std::mem::forget(set::placing());
    let traces = traces();
    for folder in &traces.written {
        for (path, _) in leftovers(folder, &OWN) {
            let _ = fs::remove_file(&path).or_else(|_| fs::remove_dir_all(&path));
        }
    }
    for folder in &traces.created {
        let _ = fs::remove_dir(folder);
    }
    std::mem::forget(traces);
}

/// Records that this process writes to a folder; the first time, removes what dead processes have
/// left there. Temporary files are made while the result is held, so that [`abandon`] finds them.
fn enter(folder: &Path) -> MutexGuard<'static, Traces> {
    let first = traces().written.insert(folder.to_path_buf());
    if first {
        clean(folder);
    }
    traces()
}

/// Calls [`sweep`] on a folder where other processes may be at work.
fn clean(folder: &Path) {
    if !leftovers(folder, PREFIX).is_empty() {
        let _alone = lock_folder(folder);
        sweep(folder);
    }
}

/// Locks a folder: as long as the result lives, no other process places a set there or completes an
/// interrupted one. Returns `None` where folders cannot be locked.
fn lock_folder(folder: &Path) -> Option<File> {
    let folder = File::open(folder).ok()?;
    folder.lock().ok()?;
    Some(folder)
}

/// Removes the temporary files and folders that no living process holds. On a file system without
/// locks they stay.
fn sweep(folder: &Path) {
    for (path, kind) in leftovers(folder, PREFIX) {
        if kind.is_file() {
            // Removed while the lock is held.
            if let Some(_held) = unheld(&path) {
                let _ = fs::remove_file(&path);
            }
        } else if kind.is_dir() {
            set::recover(&path, folder);
        }
    }
}

/// Locks a temporary file or folder, if no process holds it.
fn unheld(lock: &Path) -> Option<File> {
    let file = OpenOptions::new().write(true).open(lock).ok()?;
    (file.try_lock().is_ok() && same(&file, lock)).then_some(file)
}

/// Returns the entries of a folder that have temporary names beginning with `prefix`.
fn leftovers(folder: &Path, prefix: &str) -> Vec<(PathBuf, fs::FileType)> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let ours = entries.filter(|entry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        name.starts_with(prefix) && name.ends_with(SUFFIX)
    });
    ours.filter_map(|entry| Some((entry.path(), entry.file_type().ok()?)))
        .collect()
}

/// Locks a file that was just made. Returns false if another process has taken it for a dead
/// process's and is removing it.
fn holds(file: &File, path: &Path) -> bool {
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => false,
        // A file system without locks: no other process can take the file for a dead process's.
        Err(TryLockError::Error(_)) => true,
        Ok(()) => same(file, path),
    }
}

/// Checks whether the open file is the one at `path`.
#[cfg(unix)]
fn same(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let (open, named) = (file.metadata(), fs::symlink_metadata(path));
    matches!((open, named), (Ok(a), Ok(b)) if (a.dev(), a.ino()) == (b.dev(), b.ino()))
}

#[cfg(not(unix))]
fn same(_: &File, path: &Path) -> bool {
    path.exists()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let names = entries.map(|e| e.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_replaced_whole_and_what_is_no_file_is_not() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("file");
        for content in ["one", "two"] {
            write_whole(&path, content.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
        }
        let below = folder.path().join("folder");
        fs::create_dir(&below).unwrap();
        assert!(write_whole(&below, b"").is_err());
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink("file", folder.path().join("link")).unwrap();
            assert!(write_whole(&folder.path().join("link"), b"three").is_err());
            fs::remove_file(folder.path().join("link")).unwrap();
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), "two");
        assert_eq!(names(folder.path()), ["file", "folder"]);
    }

    #[test]
    fn what_dead_processes_left_goes_and_nothing_else() {
        let folder = TempDir::new().unwrap();
        let living = temporary(folder.path()).unwrap();
        for dead in [".foveate-00000000-aaaaaa.tmp", ".foveate-1-2.tmp"] {
            fs::write(folder.path().join(dead), "half").unwrap();
        }
        let others = [".foveate-notes", ".tmpXYZ", "foveate-1-2.tmp"];
        for other in others {
            fs::write(folder.path().join(other), "").unwrap();
        }
        clean(folder.path());
        let mut expected = others.map(String::from).to_vec();
        let own = living.path().file_name().unwrap();
        expected.push(own.to_string_lossy().into_owned());
        expected.sort();
        assert_eq!(names(folder.path()), expected);
        drop(living);
        assert_eq!(names(folder.path()).len(), 3);
    }

    #[test]
    fn folders_that_were_made_go_again_where_nothing_is_in_them() {
        let folder = TempDir::new().unwrap();
        let deep = folder.path().join("a/b/c");
        drop(CreatedFolders::create(&deep).unwrap());
        assert_eq!(names(folder.path()), [] as [&str; 0]);
        let created = CreatedFolders::create(&deep).unwrap();
        fs::write(folder.path().join("a/file"), "").unwrap();
        drop(created);
        assert_eq!(names(&folder.path().join("a")), ["file"]);
    }
}
