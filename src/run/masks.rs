//! Storage of masks, consecutively in a few large files.

use std::fs::{File, OpenOptions};
use std::io::{BufReader, Read, Write};
use std::path::{Path, PathBuf};

use super::files::expect_own;
use super::{MaskPlace, Result, RunError};
use crate::blend::Extent;
use crate::explain::Mask;
use crate::system::regular::{open_no_follow, open_regular};
use crate::system::whole::sync_folder;

/// The largest size of a file of masks, in bytes.
const FILE_BYTES: u64 = 1 << 30;

/// The places of masks of `size * size` cells. A mask's number determines its place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Places {
    pub size: usize,
}

impl Places {
    /// Returns the size of a mask in bytes.
    pub fn bytes(self) -> u64 {
        4 * (self.size * self.size) as u64
    }

    fn per_file(self) -> u64 {
        (FILE_BYTES / self.bytes()).max(1)
    }

    /// Returns the file of mask number `number`, from 0, and its byte offset there.
    pub fn of(self, number: u64) -> (String, u64) {
        (
            name(number / self.per_file()),
            number % self.per_file() * self.bytes(),
        )
    }
}

/// Appends masks to their files.
#[derive(Debug)]
pub(super) struct Masks {
    folder: PathBuf,
    places: Places,
    /// Number of masks written so far.
    count: u64,
    /// The current file and its number; `None` before the first mask.
    file: Option<(u64, File)>,
}

impl Masks {
    /// Opens the files to append after `count` masks of `size * size` cells, and truncates anything
    /// after them.
    pub fn open(folder: &Path, size: usize, count: u64) -> Result<Masks> {
        let places = Places { size };
        let masks = Masks {
            folder: folder.to_path_buf(),
            places,
            count,
            file: None,
        };
        for number in 0.. {
            let path = folder.join(name(number));
            expect_own(&path)?;
            let first = number * places.per_file();
            let expected = count.saturating_sub(first).min(places.per_file()) * places.bytes();
            let found = match path.metadata() {
                Ok(meta) => meta.len(),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    if expected == 0 {
                        break;
                    }
                    0
                }
                Err(error) => return Err(RunError::reading(&path)(error)),
            };
            if found < expected {
                return Err(short(&path, expected, found));
            }
            if expected == 0 {
                std::fs::remove_file(&path).map_err(RunError::writing(&path))?;
            } else if found > expected {
                let file = open_no_follow(&path, OpenOptions::new().write(true));
                file.and_then(|file| file.set_len(expected))
                    .map_err(RunError::writing(&path))?;
            }
        }
        Ok(masks)
    }

    /// Appends a mask.
    pub fn append(&mut self, mask: &Mask) -> Result<MaskPlace> {
        let values = mask.values().iter();
        let bytes: Vec<u8> = values.flat_map(|&v| (v as f32).to_le_bytes()).collect();
        self.append_bytes(&bytes, mask.extent())
    }

    /// Appends a mask of these bytes; `extent` is the part of the picture that it covers.
    pub fn append_bytes(&mut self, bytes: &[u8], extent: Option<Extent>) -> Result<MaskPlace> {
        let number = self.count / self.places.per_file();
        let (file, offset) = self.places.of(self.count);
        let place = MaskPlace {
            file,
            offset,
            size: self.places.size,
            crc32: crc32fast::hash(bytes),
            extent,
        };
        let path = self.folder.join(&place.file);
        if self.file.as_ref().is_none_or(|(open, _)| *open != number) {
            self.sync()?;
            let file = open_no_follow(&path, OpenOptions::new().create(true).append(true));
            self.file = Some((number, file.map_err(RunError::writing(&path))?));
            sync_folder(&self.folder).map_err(RunError::writing(&self.folder))?;
        }
        if let Some((_, file)) = &mut self.file {
            file.write_all(bytes).map_err(RunError::writing(&path))?;
        }
        self.count += 1;
        Ok(place)
    }

    /// Waits until everything appended is on the disk.
    pub fn sync(&self) -> Result<()> {
        match &self.file {
            Some((number, file)) => file
                .sync_data()
                .map_err(RunError::writing(&self.folder.join(name(*number)))),
            None => Ok(()),
        }
    }
}

/// Reads a run's masks in order and compares them with its records.
#[derive(Debug)]
pub(super) struct MaskCheck {
    folder: PathBuf,
    file: Option<(String, BufReader<File>)>,
    bytes: Vec<u8>,
}

impl MaskCheck {
    /// Creates a check of the masks in `folder`.
    pub fn new(folder: &Path, places: Places) -> MaskCheck {
        MaskCheck {
            folder: folder.to_path_buf(),
            file: None,
            bytes: vec![0; places.bytes() as usize],
        }
    }

    /// Compares the next mask, whose place is known to be right.
    ///
    /// # Errors
    /// Returns [`RunError::Masks`] if the mask differs from what was written, or an error if a file
    /// cannot be read.
    pub fn next(&mut self, place: &MaskPlace) -> Result<()> {
        let path = self.folder.join(&place.file);
        if self
            .file
            .as_ref()
            .is_none_or(|(name, _)| *name != place.file)
        {
            let file = open_regular(&path).map_err(RunError::reading(&path))?;
            self.file = Some((place.file.clone(), BufReader::with_capacity(1 << 20, file)));
        }
        let Some((_, file)) = &mut self.file else {
            return Ok(());
        };
        match file.read_exact(&mut self.bytes) {
            Ok(()) => intact(&path, place, &self.bytes),
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                let found = path.metadata().map_or(0, |meta| meta.len());
                Err(short(&path, place.offset + self.bytes.len() as u64, found))
            }
            Err(error) => Err(RunError::reading(&path)(error)),
        }
    }
}

/// Checks that `bytes` are those that were written to a mask's place.
pub(super) fn intact(path: &Path, place: &MaskPlace, bytes: &[u8]) -> Result<()> {
    let found = crc32fast::hash(bytes);
    if found == place.crc32 {
        return Ok(());
    }
    Err(RunError::Masks {
        path: path.display().to_string(),
        expected: format!(
            "CRC-32 {:08x} of the mask at byte {}",
            place.crc32, place.offset
        ),
        found: format!("{found:08x}"),
    })
}

fn short(path: &Path, expected: u64, found: u64) -> RunError {
    RunError::Masks {
        path: path.display().to_string(),
        expected: format!("{expected} bytes, as the records say"),
        found: format!("{found}"),
    }
}

fn name(number: u64) -> String {
    format!("masks-{number:05}.f32")
}
