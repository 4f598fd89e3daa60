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
mod tests {
    use super::*;

    /// The old set, the new set, and all names that a set can have.
    const FIRST: [&str; 4] = ["record.json", "a.png", "b.png", "only-old.png"];
    const SECOND: [&str; 4] = ["record.json", "a.png", "b.png", "only-new.png"];
    const ALL: [&str; 5] = [
        "record.json",
        "a.png",
        "b.png",
        "only-old.png",
        "only-new.png",
    ];

    fn staged(folder: &Path, names: &[&str], content: &str) -> Staging {
        let staging = Staging::new(folder).unwrap();
        for name in names {
            staging.write(name, content.as_bytes()).unwrap();
        }
        staging
    }

    /// Creates a folder with the old set and a file of the user's.
    fn folder() -> TempDir {
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("notes.txt"), "the user's").unwrap();
        staged(folder.path(), &FIRST, "old")
            .place("record.json", &ALL)
            .unwrap();
        folder
    }

    /// Returns the contents, by name, of the files that a set can have.
    fn found(folder: &Path) -> Vec<(&'static str, String)> {
        assert_eq!(
            fs::read_to_string(folder.join("notes.txt")).unwrap(),
            "the user's"
        );
        let read = |name| Some((name, fs::read_to_string(folder.join(name)).ok()?));
        ALL.into_iter().filter_map(read).collect()
    }

    fn whole(names: &[&'static str], content: &str) -> Vec<(&'static str, String)> {
        names.iter().map(|n| (*n, content.to_string())).collect()
    }

    fn names(folder: &Path) -> usize {
        fs::read_dir(folder).unwrap().count()
    }

    #[test]
    fn a_set_replaces_another_and_leaves_other_files() {
        let folder = folder();
        assert_eq!(found(folder.path()), whole(&FIRST, "old"));
        staged(folder.path(), &SECOND, "new")
            .place("record.json", &ALL)
            .unwrap();
        let expected = ["record.json", "a.png", "b.png", "only-new.png"];
        assert_eq!(found(folder.path()), whole(&expected, "new"));
        assert_eq!(names(folder.path()), 5);
        // A set dropped without being placed leaves nothing.
        drop(staged(folder.path(), &SECOND, "newer"));
        assert_eq!(names(folder.path()), 5);
    }

    /// A process that dies between any two steps leaves no mixture, and the next process to write
    /// there finds a whole set.
    #[test]
    fn death_at_any_step_leaves_no_mixture() {
        let (mut died, mut sets) = (0, Vec::new());
        loop {
            let folder = folder();
            let path = folder.path();
            let staging = staged(path, &SECOND, "new");
            fs::create_dir(staging.part(OLD)).unwrap();
            let steps = staging.steps("record.json", &ALL).unwrap();
            if died > steps.len() {
                break;
            }
            carry_out(&steps[..died]).unwrap();
            // A locked folder belongs to a living process and stays.
            sweep(path);
            let Staging {
                _lock: lock,
                temporary,
                ..
            } = staging;
            let left = temporary.keep();
            assert!(left.exists());
            let there = found(path);
            let new = there.iter().filter(|(_, content)| content == "new").count();
            assert!(new == 0 || new == there.len(), "{died}: {there:?}");
            if there.iter().any(|(name, _)| *name == "record.json") {
                assert_eq!(there.len(), 4, "{died}: {there:?}");
            }
            // The process is dead.
            drop(lock);
            sweep(path);
            assert_eq!(names(path), 5, "{died}");
            let there = found(path);
            assert_eq!(there.len(), 4, "{died}: {there:?}");
            assert!(there.iter().all(|(_, content)| *content == there[0].1));
            sets.push(there[0].1.clone());
            died += 1;
        }
        assert!(died > 15 && sets[0] == "old" && sets[died - 1] == "new");
    }

    #[test]
    fn an_error_at_any_step_leaves_the_old_set() {
        let mut failed = 0;
        loop {
            let folder = folder();
            let staging = staged(folder.path(), &SECOND, "new");
            fs::create_dir(staging.part(OLD)).unwrap();
            let mut steps = staging.steps("record.json", &ALL).unwrap();
            if failed > steps.len() {
                break;
            }
            let nowhere = staging.part("nothing");
            steps.insert(failed, Step::Rename(nowhere.clone(), nowhere));
            assert!(carry_out(&steps).is_err());
            assert_eq!(found(folder.path()), whole(&FIRST, "old"), "{failed}");
            failed += 1;
        }
    }

    /// Two dead processes, one of them half-way, and a third that had started before.
    #[test]
    fn what_a_dead_process_began_is_not_ended_over_a_later_set() {
        let folder = folder();
        let path = folder.path();
        let later = staged(path, &SECOND, "later");
        let dying = staged(path, &SECOND, "new");
        fs::create_dir(dying.part(OLD)).unwrap();
        let steps = dying.steps("record.json", &ALL).unwrap();
        carry_out(&steps[..steps.len() - 3]).unwrap();
        let Staging {
            _lock: lock,
            temporary,
            ..
        } = dying;
        let _left = temporary.keep();
        drop(lock);
        later.place("record.json", &ALL).unwrap();
        sweep(path);
        assert_eq!(names(path), 5);
        let expected = ["record.json", "a.png", "b.png", "only-new.png"];
        assert_eq!(found(path), whole(&expected, "later"));
    }

    #[test]
    #[cfg(unix)]
    fn no_link_and_no_folder_is_replaced() {
        let folder = folder();
        let path = folder.path();
        fs::remove_file(path.join("b.png")).unwrap();
        std::os::unix::fs::symlink("notes.txt", path.join("b.png")).unwrap();
        let placed = staged(path, &SECOND, "new").place("record.json", &ALL);
        let reason = placed.unwrap_err().to_string();
        assert!(reason.contains("found a symbolic link"), "{reason}");
        fs::remove_file(path.join("b.png")).unwrap();
        fs::create_dir(path.join("b.png")).unwrap();
        let placed = staged(path, &SECOND, "new").place("record.json", &ALL);
        assert!(placed.unwrap_err().to_string().contains("found a folder"));
        assert_eq!(
            fs::read_to_string(path.join("a.png")).unwrap(),
            "old",
            "nothing is moved"
        );
        assert_eq!(names(path), 5);
    }

    /// A foreign temporary folder that contains links does not reach outside of the folder.
    #[test]
    #[cfg(unix)]
    fn parts_that_are_links_are_not_followed() {
        let (folder, elsewhere) = (folder(), TempDir::new().unwrap());
        fs::write(elsewhere.path().join("secret"), "").unwrap();
        let left = folder.path().join(".foveate-00000000-aaaaaa.tmp");
        fs::create_dir_all(left.join(OUT)).unwrap();
        fs::write(left.join(LOCK), "").unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), left.join(NEW)).unwrap();
        sweep(folder.path());
        assert!(!left.exists() && elsewhere.path().join("secret").exists());
        assert_eq!(names(folder.path()), 5);
    }
}
