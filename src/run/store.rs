//! Writing a run's folder.
//!
//! A sample's masks are on the disk before its record is, and its record is one line: whenever the
//! process or the machine stops, a whole number of records with their masks is left, and possibly
//! an incomplete one, which is truncated when the run is resumed.

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

/// Name of the manifest.
pub(super) const MANIFEST: &str = "run.json";
/// Name of the file of records, one per line.
pub(super) const RECORDS: &str = "records.jsonl";
/// Name of the file of the samples' timings, one per line.
pub(super) const TIMINGS: &str = "timings.jsonl";
/// Name of the lock file, held by the process that writes.
const LOCK: &str = "lock";
/// The largest size of a manifest in bytes.
const LONGEST_MANIFEST: u64 = 16 << 20;

/// The time that a sample took. It differs between equal runs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Timing {
    /// The sample's index.
    pub index: usize,
    /// Seconds of decoding, resizing and blurring, while the device did other work.
    pub load: f64,
    /// Seconds that the device waited for the sample.
    pub wait: f64,
    /// Seconds of each stage.
    pub seconds: Vec<(Stage, f64)>,
}

/// A run's folder, opened for writing by one process.
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

/// Records with an unclear right answer, so that no answer is judged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unjudged {
    /// Their number.
    pub count: usize,
    /// The index of the first one, and the reason.
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
    /// Opens the folder of a run, which is created if it does not exist, and truncates what an
    /// interrupted run left unfinished.
    ///
    /// # Errors
    /// Returns [`RunError::Folder`], [`RunError::Locked`] or [`RunError::Different`], or an error
    /// if a file differs from what was written or is not a regular file.
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
            expect_manifest_of_records(folder)?;
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

    /// Returns the number of records.
    pub fn done(&self) -> usize {
        self.done
    }

    /// Returns the number of records of failed samples, by cause.
    pub fn failures(&self) -> &BTreeMap<Cause, usize> {
        &self.failures
    }

    /// Returns the records with an unclear right answer.
    pub fn unjudged(&self) -> &Unjudged {
        &self.unjudged
    }

    /// Returns whether other processes are locked out; some network file systems cannot do so.
    pub fn is_locked(&self) -> bool {
        self.locked
    }

    /// Returns the path of the folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Appends a record after setting the places of its `mask` and of `each`, picture by picture.
    /// When this returns, all are on the disk.
    ///
    /// # Errors
    /// Returns an error if a file cannot be written, for example because the disk is full.
    pub fn append(&mut self, mut record: Record, mask: Option<&Mask>, each: &[Mask]) -> Result<()> {
        let mut append = |mask: &Mask| {
            let pictures = mask.split();
            let places = pictures.iter().map(|mask| self.masks.append(mask));
            places.collect::<Result<Vec<_>>>()
        };
        let mut places = mask.map(&mut append).transpose()?.unwrap_or_default();
        record.more_masks = places.split_off(places.len().min(1));
        record.mask = places.pop();
        record.each_masks = each
            .iter()
            .map(append)
            .collect::<Result<Vec<_>>>()?
            .concat();
        if record.places().next().is_some() {
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

    /// Appends the time that a sample took, without waiting for the disk.
    ///
    /// # Errors
    /// Returns the errors of [`Store::append`].
    pub fn time(&mut self, timing: &Timing) -> Result<()> {
        self.note(timing)
    }

    /// Appends a line about this process, without waiting for the disk.
    ///
    /// # Errors
    /// Returns the errors of [`Store::append`].
    pub fn note(&mut self, line: &impl Serialize) -> Result<()> {
        let path = self.folder.join(TIMINGS);
        let mut line = serde_json::to_vec(line).map_err(RunError::writing(&path))?;
        line.push(b'\n');
        self.timings
            .write_all(&line)
            .map_err(RunError::writing(&path))
    }
}

/// Takes the lock; the second value says whether the file system supports locks.
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

/// Returns an error if there are records without a manifest: the folder is not that of a run.
fn expect_manifest_of_records(folder: &Path) -> Result<()> {
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
/// Returns an error if the folder is not that of a run, or has another format version.
pub(super) fn read_manifest(folder: &Path) -> Result<Manifest> {
    let path = folder.join(MANIFEST);
    let text = read_text(&path, LONGEST_MANIFEST).map_err(RunError::reading(&path))?;
    serde_json::from_str(&text).map_err(|error| RunError::Data {
        path: path.display().to_string(),
        expected: format!("a run of format {}", super::manifest::FORMAT),
        found: error.to_string(),
    })
}

/// Writes a folder's manifest atomically.
pub(super) fn write_manifest(folder: &Path, manifest: &Manifest) -> Result<()> {
    let path = folder.join(MANIFEST);
    let text = serde_json::to_string_pretty(manifest).map_err(RunError::writing(&path))?;
    write_whole(&path, format!("{text}\n").as_bytes()).map_err(RunError::writing(&path))?;
    sync_folder(folder).map_err(RunError::writing(folder))
}

/// The state found in a folder.
struct Recovered {
    records: usize,
    masks: u64,
    failures: BTreeMap<Cause, usize>,
    unjudged: Unjudged,
}

/// Reads the records and their masks, and truncates an unfinished last line.
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
            // An incomplete last line.
            Err(error) if end + read == length && !error.is_data() => break,
            Err(error) => return Err(wrong(error.to_string())),
        };
        order.take(&record).map_err(wrong)?;
        for place in record.places() {
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

/// Parses the record of a line; a data error means that the JSON itself is complete.
fn whole(line: &[u8]) -> serde_json::Result<Record> {
    match line.strip_suffix(b"\n") {
        Some(line) => serde_json::from_slice(line),
        // A line without an end was not written completely, whatever it holds.
        None => serde_json::from_slice(b"{"),
    }
}

/// Opens a file for appending; a last line without an end is truncated.
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

/// Returns the length of a file up to its last line end.
fn whole_lines(path: &Path, length: u64) -> std::io::Result<u64> {
    use std::io::{Read, Seek, SeekFrom};
    let mut file = open_regular(path)?;
    let mut end = length;
    while end > 0 {
        let start = end.saturating_sub(1 << 16);
        let mut bytes = vec![0; (end - start) as usize];
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(&mut bytes)?;
        if let Some(at) = memchr::memrchr(b'\n', &bytes) {
            return Ok(start + at as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

#[cfg(test)]
mod tests;
