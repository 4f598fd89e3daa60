//! Reading a run's folder.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::files::read_line;
use super::masks::intact;
use super::order::Order;
use super::store::{RECORDS, read_manifest};
use super::{Manifest, MaskPlace, Record, Result, RunError};
use crate::explain::Mask;
use crate::system::regular::open_regular;

/// A run's folder, finished or not, opened for reading.
#[derive(Clone, Debug)]
pub struct Run {
    folder: PathBuf,
    manifest: Manifest,
}

impl Run {
    /// Opens the folder of a run, of one shard, or of merged shards.
    ///
    /// # Errors
    /// Returns an error if the folder is not that of a run, or has another format version.
    pub fn open(folder: &Path) -> Result<Run> {
        Ok(Run {
            folder: folder.to_path_buf(),
            manifest: read_manifest(folder)?,
        })
    }

    /// Returns the path of the folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns the run's manifest: model, device, settings, data, shard.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Returns the records in the order of the data, read lazily. An incomplete last line, which is
    /// still being written, is left out.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read. The iterator does too, and returns
    /// [`RunError::Record`] for a record that is not of the run's next sample, or whose mask does
    /// not follow the last one.
    pub fn records(&self) -> Result<Records> {
        let path = self.folder.join(RECORDS);
        let file = open_regular(&path).map_err(RunError::reading(&path))?;
        Ok(Records {
            order: Order::new(&self.manifest),
            lines: BufReader::with_capacity(1 << 18, file),
            path,
            number: 0,
            line: Vec::new(),
        })
    }

    /// Returns a record's mask, of all pictures that are explained; `None` if it has none.
    ///
    /// # Errors
    /// Returns [`RunError::Masks`] if the mask differs from what was written.
    pub fn mask(&self, record: &Record) -> Result<Option<Mask>> {
        let Some(first) = &record.mask else {
            return Ok(None);
        };
        let places: Vec<&MaskPlace> = std::iter::once(first).chain(&record.more_masks).collect();
        self.at(&places).map(Some)
    }

    /// Returns the masks of a record's words or key tokens, in the order of `explanation.each`.
    ///
    /// # Errors
    /// Returns the errors of [`Run::mask`].
    pub fn each_masks(&self, record: &Record) -> Result<Vec<Mask>> {
        let places: Vec<&MaskPlace> = record.each_masks.iter().collect();
        let pictures = 1 + record.more_masks.len();
        places
            .chunks(pictures)
            .map(|places| self.at(places))
            .collect()
    }

    /// Reads the mask of pictures at their places.
    fn at(&self, places: &[&MaskPlace]) -> Result<Mask> {
        let size = self.manifest.settings.mask_size;
        let mut all = Vec::with_capacity(places.len() * size * size);
        for place in places {
            let bytes = self.bytes(place)?;
            let values = bytes.as_chunks::<4>().0.iter();
            let values = values.map(|&b| f64::from(f32::from_le_bytes(b)));
            let values: Vec<f64> = values.collect();
            if let Some(cell) = values.iter().find(|v| !v.is_finite()) {
                return Err(RunError::Masks {
                    path: self.folder.join(&place.file).display().to_string(),
                    expected: format!("finite numbers in the mask at byte {}", place.offset),
                    found: cell.to_string(),
                });
            }
            all.extend(values);
        }
        let mask = Mask::of_pictures(size, places.len(), all);
        let mask = mask.map_err(|error| RunError::Masks {
            path: self.folder.display().to_string(),
            expected: format!("a mask of {size} cells a side"),
            found: error.to_string(),
        })?;
        Ok(mask.covering(places.first().and_then(|place| place.extent)))
    }

    /// Returns the bytes of a record's first mask as stored: `size * size` little-endian f32, row by
    /// row.
    ///
    /// # Errors
    /// Returns the errors of [`Run::mask`].
    pub fn mask_bytes(&self, record: &Record) -> Result<Option<Vec<u8>>> {
        let place = record.mask.as_ref();
        place.map(|place| self.bytes(place)).transpose()
    }

    /// Reads the bytes of the mask at a place.
    pub(super) fn bytes(&self, place: &MaskPlace) -> Result<Vec<u8>> {
        let path = self.folder.join(&place.file);
        let size = self.manifest.settings.mask_size;
        let wrong = |expected: String, found: String| RunError::Masks {
            path: path.display().to_string(),
            expected,
            found,
        };
        if place.size != size || place.file.contains(['/', '\\']) {
            return Err(wrong(
                format!("a mask of {size} cells a side"),
                format!("{place:?}"),
            ));
        }
        let mut bytes = vec![0; 4 * size * size];
        let mut file = open_regular(&path).map_err(RunError::reading(&path))?;
        file.seek(SeekFrom::Start(place.offset))
            .and_then(|_| file.read_exact(&mut bytes))
            .map_err(RunError::reading(&path))?;
        intact(&path, place, &bytes)?;
        Ok(bytes)
    }
}

/// An iterator over the records of a run.
#[derive(Debug)]
pub struct Records {
    lines: BufReader<File>,
    path: PathBuf,
    number: usize,
    line: Vec<u8>,
    order: Order,
}

impl Iterator for Records {
    type Item = Result<Record>;

    fn next(&mut self) -> Option<Result<Record>> {
        self.line.clear();
        match read_line(&mut self.lines, &mut self.line) {
            Ok(0) => return None,
            Ok(_) if self.line.last() != Some(&b'\n') => return None,
            Ok(_) => self.number += 1,
            Err(error) => return Some(Err(RunError::reading(&self.path)(error))),
        }
        let record = serde_json::from_slice::<Record>(&self.line);
        let record = record.map_err(|error| error.to_string());
        let record = record.and_then(|record| self.order.take(&record).map(|()| record));
        Some(record.map_err(|reason| RunError::Record {
            path: self.path.display().to_string(),
            line: self.number,
            reason,
        }))
    }
}

impl Records {
    /// Returns the bytes of the last record returned, including its line end.
    pub(super) fn line(&self) -> &[u8] {
        &self.line
    }
}
