//! The writing side of a run's folder.
//!
//! A sample's mask is on the disk before its record is, and its record is one line: whenever the
//! process or the machine dies, what is left is a whole number of records, whose masks are there,
//! and perhaps the beginnings of one more, which are cut off when the run is taken up again.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{BufReader, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::files::{expect_own, make_folder, read_line, read_text};
use super::masks::{MaskCheck, Masks, Places};
use super::order::Order;
use super::{Cause, Manifest, Record, Result, RunError};
use crate::explain::{Mask, Stage};
use crate::system::regular::{open_no_follow, open_regular};
use crate::system::whole::{sync_folder, write_whole};

/// What the run is.
pub(super) const MANIFEST: &str = "run.json";
/// One record a line.
pub(super) const RECORDS: &str = "records.jsonl";
/// How long samples took, one a line.
pub(super) const TIMINGS: &str = "timings.jsonl";
/// Held by the process that writes.
const LOCK: &str = "lock";
/// The most bytes of a manifest.
const LONGEST_MANIFEST: u64 = 16 << 20;

/// How long a sample took. Not part of what is the same for the same run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Timing {
    /// The sample.
    pub index: usize,
    /// Seconds that decoding, resizing and blur took, while the device did something else.
    pub load: f64,
    /// Seconds that the device waited for it.
    pub wait: f64,
    /// Seconds of each stage.
    pub seconds: Vec<(Stage, f64)>,
}

/// A run's folder, to be written to by one process.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
    records: File,
    timings: File,
    masks: Masks,
    done: usize,
    failures: BTreeMap<Cause, usize>,
    unjudged: Unjudged,
    locked: bool,
    _lock: File,
}

/// Records whose right answer cannot be told, so that no answer is judged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unjudged {
    /// How many there are.
    pub count: usize,
    /// The index of the first, and why.
    pub first: Option<(usize, String)>,
}

impl Unjudged {
    pub(super) fn add(&mut self, record: &Record) {
        let right = record.right.as_ref();
        if let Some(unclear) = right.and_then(|right| right.unclear.as_ref()) {
            self.count += 1;
            self.first.get_or_insert((record.index, unclear.clone()));
        }
    }
}

impl Store {
    /// Opens the folder of a run, made where it does not exist, and cuts off what a run that died
    /// left unfinished.
    ///
    /// # Errors
    /// [`RunError::Folder`], [`RunError::Locked`], [`RunError::Different`], files that are not as
    /// they were written, or are no regular files.
    pub fn open(folder: &Path, manifest: &Manifest) -> Result<Store> {
        make_folder(folder)?;
        for name in [LOCK, MANIFEST, RECORDS, TIMINGS] {
            expect_own(&folder.join(name))?;
        }
        let (lock, locked) = lock(folder)?;
        let path = folder.join(MANIFEST);
        if path.exists() {
            let differences = manifest.differences(&read_manifest(folder)?);
            if !differences.is_empty() {
                return Err(RunError::Different {
                    path: folder.display().to_string(),
                    differences,
                });
            }
        } else {
            refuse_strangers(folder)?;
            write_manifest(folder, manifest)?;
        }
        let recovered = recover(folder, manifest)?;
        let masks = Masks::open(folder, manifest.settings.mask_size, recovered.masks)?;
        let store = Store {
            records: append(&folder.join(RECORDS))?,
            timings: append(&folder.join(TIMINGS))?,
            folder: folder.to_path_buf(),
            masks,
            done: recovered.records,
            failures: recovered.failures,
            unjudged: recovered.unjudged,
            locked,
            _lock: lock,
        };
        sync_folder(folder).map_err(RunError::writing(folder))?;
        Ok(store)
    }

    /// Records that there are.
    pub fn done(&self) -> usize {
        self.done
    }

    /// How many of them are of failed samples, by cause.
    pub fn failures(&self) -> &BTreeMap<Cause, usize> {
        &self.failures
    }

    /// The records whose right answer cannot be told.
    pub fn unjudged(&self) -> &Unjudged {
        &self.unjudged
    }

    /// Whether other processes are kept off; some network file systems cannot.
    pub fn is_locked(&self) -> bool {
        self.locked
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Appends a record, whose `mask` is set here. When this returns, both are on the disk.
    ///
    /// # Errors
    /// A file that cannot be written, a full disk among the reasons.
    pub fn append(&mut self, mut record: Record, mask: Option<&Mask>) -> Result<()> {
        if let Some(mask) = mask {
            record.mask = Some(self.masks.append(mask)?);
            self.masks.sync()?;
        }
        let path = self.folder.join(RECORDS);
        let mut line = serde_json::to_vec(&record).map_err(RunError::writing(&path))?;
        line.push(b'\n');
        self.records
            .write_all(&line)
            .and_then(|()| self.records.sync_data())
            .map_err(RunError::writing(&path))?;
        self.done += 1;
        self.unjudged.add(&record);
        if let Some(failure) = record.error {
            *self.failures.entry(failure.cause).or_default() += 1;
        }
        Ok(())
    }

    /// Appends how long a sample took, without waiting for the disk.
    ///
    /// # Errors
    /// As [`Store::append`].
    pub fn time(&mut self, timing: &Timing) -> Result<()> {
        self.note(timing)
    }

    /// Appends a line about this process, likewise.
    ///
    /// # Errors
    /// As [`Store::append`].
    pub fn note(&mut self, line: &impl Serialize) -> Result<()> {
        let path = self.folder.join(TIMINGS);
        let mut line = serde_json::to_vec(line).map_err(RunError::writing(&path))?;
        line.push(b'\n');
        self.timings
            .write_all(&line)
            .map_err(RunError::writing(&path))
    }
}

/// Takes the lock; the second value is whether the file system has locks at all.
fn lock(folder: &Path) -> Result<(File, bool)> {
    let path = folder.join(LOCK);
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true);
    let file = open_no_follow(&path, &mut options).map_err(RunError::writing(&path))?;
    match file.try_lock() {
        Ok(()) => Ok((file, true)),
        Err(TryLockError::WouldBlock) => Err(RunError::Locked {
            path: folder.display().to_string(),
        }),
        Err(TryLockError::Error(error)) if error.kind() == std::io::ErrorKind::Unsupported => {
            Ok((file, false))
        }
        Err(TryLockError::Error(error)) => Err(RunError::writing(&path)(error)),
    }
}

/// Records without a manifest are no run of ours.
fn refuse_strangers(folder: &Path) -> Result<()> {
    let path = folder.join(RECORDS);
    match path.metadata() {
        Ok(meta) if meta.len() > 0 => Err(RunError::Data {
            path: folder.display().to_string(),
            expected: format!("{MANIFEST} beside {RECORDS}"),
            found: "none".into(),
        }),
        _ => Ok(()),
    }
}

/// Reads a folder's manifest.
///
/// # Errors
/// A folder that is no run's, or one of another format.
pub(super) fn read_manifest(folder: &Path) -> Result<Manifest> {
    let path = folder.join(MANIFEST);
    let text = read_text(&path, LONGEST_MANIFEST).map_err(RunError::reading(&path))?;
    serde_json::from_str(&text).map_err(|error| RunError::Data {
        path: path.display().to_string(),
        expected: format!("a run of format {}", super::manifest::FORMAT),
        found: error.to_string(),
    })
}

/// Writes a folder's manifest whole.
pub(super) fn write_manifest(folder: &Path, manifest: &Manifest) -> Result<()> {
    let path = folder.join(MANIFEST);
    let text = serde_json::to_string_pretty(manifest).map_err(RunError::writing(&path))?;
    write_whole(&path, format!("{text}\n").as_bytes()).map_err(RunError::writing(&path))?;
    sync_folder(folder).map_err(RunError::writing(folder))
}

/// What was found in a folder.
struct Recovered {
    records: usize,
    masks: u64,
    failures: BTreeMap<Cause, usize>,
    unjudged: Unjudged,
}

/// Reads the records and their masks and cuts off an unfinished last line.
fn recover(folder: &Path, manifest: &Manifest) -> Result<Recovered> {
    let path = folder.join(RECORDS);
    let mut recovered = Recovered {
        records: 0,
        masks: 0,
        failures: BTreeMap::new(),
        unjudged: Unjudged::default(),
    };
    let file = match open_regular(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(recovered),
        Err(error) => return Err(RunError::reading(&path)(error)),
    };
    let length = file.metadata().map_err(RunError::reading(&path))?.len();
    let mut lines = BufReader::with_capacity(1 << 20, file);
    let (mut line, mut end) = (Vec::new(), 0);
    let mut order = Order::new(manifest);
    let places = Places {
        size: manifest.settings.mask_size,
    };
    let mut masks = MaskCheck::new(folder, places);
    loop {
        line.clear();
        let read = read_line(&mut lines, &mut line).map_err(RunError::reading(&path))? as u64;
        if read == 0 {
            break;
        }
        let number = order.records + 1;
        let wrong = |reason| RunError::Record {
            path: path.display().to_string(),
            line: number,
            reason,
        };
        let record = match whole(&line) {
            Ok(record) => record,
            // The line that was being written.
            Err(error) if end + read == length && !error.is_data() => break,
            Err(error) => return Err(wrong(error.to_string())),
        };
        order.take(&record).map_err(wrong)?;
        if let Some(place) = &record.mask {
            masks.next(place)?;
        }
        end += read;
        recovered.unjudged.add(&record);
        if let Some(failure) = record.error {
            *recovered.failures.entry(failure.cause).or_default() += 1;
        }
    }
    (recovered.records, recovered.masks) = (order.records, order.masks);
    if end < length {
        let file = open_no_follow(&path, OpenOptions::new().write(true));
        file.and_then(|file| file.set_len(end).and_then(|()| file.sync_all()))
            .map_err(RunError::writing(&path))?;
    }
    Ok(recovered)
}

/// The record of a line; an error of data is one of JSON that is whole.
fn whole(line: &[u8]) -> serde_json::Result<Record> {
    match line.strip_suffix(b"\n") {
        Some(line) => serde_json::from_slice(line),
        // Whatever it holds, it was not written to its end.
        None => serde_json::from_slice(b"{"),
    }
}

/// Opens a file to append to; a line that a process that died left without an end is cut off.
fn append(path: &Path) -> Result<File> {
    let open = || {
        let file = open_no_follow(path, OpenOptions::new().create(true).append(true))?;
        let length = file.metadata()?.len();
        let whole = whole_lines(path, length)?;
        if whole < length {
            file.set_len(whole)?;
        }
        Ok::<_, std::io::Error>(file)
    };
    open().map_err(RunError::writing(path))
}

/// The length of a file up to its last line end.
fn whole_lines(path: &Path, length: u64) -> std::io::Result<u64> {
    use std::io::{Read, Seek, SeekFrom};
    let mut file = open_regular(path)?;
    let mut end = length;
    while end > 0 {
        let start = end.saturating_sub(1 << 16);
        let mut bytes = vec![0; (end - start) as usize];
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(&mut bytes)?;
        if let Some(at) = bytes.iter().rposition(|&b| b == b'\n') {
            return Ok(start + at as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

#[cfg(test)]
mod tests;
