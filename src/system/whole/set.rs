//! Replacement of several files at once, so that files of two sets never lie side by side.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tempfile::{Builder, TempDir};

use super::{
    OWN, SUFFIX, enter, holds, lock_folder, readable_as_in, replaceable, sweep, sync_folder, unheld,
};

/// Name of the file, in a temporary folder, that its process holds locked.
const LOCK: &str = "lock";
/// Folder of the files to be placed.
const NEW: &str = "new";
/// Folder of the file that is placed last.
const RECORD: &str = "record";
/// Folder of the files moved out. While it has this name, recovery restores the old files.
const OLD: &str = "old";
/// The same folder once all files are out. From then on, recovery places the new files.
const OUT: &str = "out";

/// Held while a set is placed, so that a process that is told to end places all of it or none.
static PLACING: Mutex<()> = Mutex::new(());

pub(super) fn placing() -> MutexGuard<'static, ()> {
    PLACING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A temporary folder inside a folder, for files that will be placed there.
#[derive(Debug)]
pub(crate) struct Staging {
    /// Dropped, and so unlocked, before the temporary folder is removed.
    _lock: File,
    temporary: TempDir,
    folder: PathBuf,
}

/// A step of placing a set.
#[derive(Debug)]
enum Step {
    Rename(PathBuf, PathBuf),
    Sync(PathBuf),
}

impl Staging {
    /// Creates a temporary folder in `folder`, which must exist and be writable.
    pub fn new(folder: &Path) -> io::Result<Staging> {
        loop {
            let _making = enter(folder);
            let temporary = Builder::new()
                .prefix(OWN.as_str())
                .suffix(SUFFIX)
                .tempdir_in(folder)?;
            let path = temporary.path().join(LOCK);
            let lock = match File::create_new(&path) {
                // Another process has removed the folder before it was locked.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                lock => lock?,
            };
            if holds(&lock, &path) {
                for part in [NEW, RECORD] {
                    fs::create_dir(temporary.path().join(part))?;
                }
                return Ok(Staging {
                    _lock: lock,
                    temporary,
                    folder: folder.to_path_buf(),
                });
            }
        }
    }

    /// Returns the folder to write the files to.
    pub fn path(&self) -> PathBuf {
        self.part(NEW)
    }

    /// Writes one of the files.
    pub fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let path = self.path().join(name);
        fs::write(&path, bytes)?;
        self.finish(name)
    }

    /// Synchronises a written file to disk and makes it as readable as a result.
    pub fn finish(&self, name: &str) -> io::Result<()> {
        let file = File::options().write(true).open(self.path().join(name))?;
        readable_as_in(&self.folder, &file)?;
        file.sync_all()
    }

    /// Moves all the written files into the folder, `record` last. `names` are the names of every
    /// file that such a set can have: existing ones are moved out first, the record before the
    /// others.
    ///
    /// # Errors
    /// An error if a file of such a name exists and is not regular, and the file system's errors.
    /// The folder is then as it was before.
    pub fn place(self, record: &str, names: &[&str]) -> io::Result<()> {
        for name in names {
            replaceable(&self.folder.join(name))?;
        }
        let _placing = placing();
        let _alone = lock_folder(&self.folder);
        // Recover an interrupted set first; otherwise it would be completed over this one.
        sweep(&self.folder);
        fs::create_dir(self.part(OLD))?;
        carry_out(&self.steps(record, names)?)
    }

    fn part(&self, name: &str) -> PathBuf {
        self.temporary.path().join(name)
    }

    fn steps(&self, record: &str, names: &[&str]) -> io::Result<Vec<Step>> {
        let (folder, new) = (&self.folder, self.path());
        let own = Step::Rename(new.join(record), self.part(RECORD).join(record));
        let mut steps = vec![own, Step::Sync(new.clone()), Step::Sync(self.part(RECORD))];
        let there = |name: &&str| fs::symlink_metadata(folder.join(name)).is_ok();
        let others = names.iter().filter(|name| **name != record);
        for name in [record].iter().chain(others).filter(|name| there(name)) {
            steps.push(Step::Rename(folder.join(name), self.part(OLD).join(name)));
        }
        steps.push(Step::Sync(self.part(OLD)));
        steps.push(Step::Sync(folder.clone()));
        steps.push(Step::Rename(self.part(OLD), self.part(OUT)));
        steps.push(Step::Sync(self.temporary.path().to_path_buf()));
        for name in files(&new)?.into_iter().filter(|name| name != record) {
            steps.push(Step::Rename(new.join(&name), folder.join(&name)));
        }
        steps.push(Step::Sync(folder.clone()));
        steps.push(Step::Rename(
            self.part(RECORD).join(record),
            folder.join(record),
        ));
        steps.push(Step::Sync(folder.clone()));
        Ok(steps)
    }
}

/// Carries out every step, or none.
fn carry_out(steps: &[Step]) -> io::Result<()> {
    for (done, step) in steps.iter().enumerate() {
        if let Err(error) = step.take() {
            for step in steps[..done].iter().rev() {
                step.take_back();
            }
            return Err(error);
        }
    }
    Ok(())
}

impl Step {
    fn take(&self) -> io::Result<()> {
        match self {
            Step::Rename(from, to) => fs::rename(from, to),
            Step::Sync(folder) => sync_folder(folder),
        }
    }

    /// Undoes the step as far as possible: what cannot be moved back stays in the temporary folder.
    fn take_back(&self) {
        if let Step::Rename(from, to) = self {
            let _ = fs::rename(to, from);
        }
    }
}

/// Returns the names of the files in a folder that is not a symbolic link; none if it does not
/// exist.
fn files(folder: &Path) -> io::Result<Vec<String>> {
    if !fs::symlink_metadata(folder).is_ok_and(|found| found.is_dir()) {
        return Ok(Vec::new());
    }
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if let (true, Ok(name)) = (
            entry.file_type()?.is_file(),
            entry.file_name().into_string(),
        ) {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// Completes or undoes what a dead process began in the temporary folder `left`, inside `folder`,
/// and removes it. Does nothing if a process holds it. The folder must be locked.
pub(super) fn recover(left: &Path, folder: &Path) {
    let lock = left.join(LOCK);
    if !lock.exists() {
        // It was made but not locked yet. A folder that is not empty is not of this kind.
        let _ = fs::remove_dir(left);
        return;
    }
    let Some(_held) = unheld(&lock) else {
        return;
    };
    if back(left, folder).is_ok() {
        let _ = fs::remove_dir_all(left);
    }
}

/// Moves the old files back into the folder if not all were moved out, else the new ones.
fn back(left: &Path, folder: &Path) -> io::Result<()> {
    let records = files(&left.join(RECORD))?;
    let record = |name: &String| records.contains(name);
    let [old, new, last] = [OLD, NEW, RECORD].map(|part| left.join(part));
    let mut moves = Vec::new();
    if old.exists() {
        let (records, others): (Vec<_>, Vec<_>) = files(&old)?.into_iter().partition(record);
        moves.extend(others.into_iter().chain(records).map(|name| (&old, name)));
    } else if left.join(OUT).exists() {
        moves.extend(files(&new)?.into_iter().map(|name| (&new, name)));
        moves.extend(records.into_iter().map(|name| (&last, name)));
    }
    for (from, name) in moves {
        let to = folder.join(&name);
        replaceable(&to)?;
        fs::rename(from.join(&name), to)?;
    }
    sync_folder(folder)
}

#[cfg(test)]
mod tests;
