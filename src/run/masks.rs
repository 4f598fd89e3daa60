//! Masks in few large files, one after the other.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use super::whole::sync_folder;
use super::{MaskPlace, Result, RunError};
use crate::explain::Mask;
use crate::picture::Extent;

/// A file has as many masks as fit into this.
const FILE_BYTES: u64 = 1 << 30;

/// The files of masks.
#[derive(Debug)]
pub(super) struct Masks {
    folder: PathBuf,
    size: usize,
    /// Masks written so far.
    count: u64,
    /// The file that the next one goes to, once there is one.
    file: Option<(u64, File)>,
}

impl Masks {
    /// Opens the files behind `count` masks of `size * size` cells, and cuts off what is behind them.
    pub fn open(folder: &Path, size: usize, count: u64) -> Result<Masks> {
        let masks = Masks {
            folder: folder.to_path_buf(),
            size,
            count,
            file: None,
        };
        for number in 0.. {
            let path = folder.join(name(number));
            let first = number * masks.per_file();
            let expected = count.saturating_sub(first).min(masks.per_file()) * masks.bytes();
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
                return Err(RunError::Masks {
                    path: path.display().to_string(),
                    expected: format!("{expected} bytes, as the records say"),
                    found: format!("{found}"),
                });
            }
            if expected == 0 {
                std::fs::remove_file(&path).map_err(RunError::writing(&path))?;
            } else if found > expected {
                let file = OpenOptions::new().write(true).open(&path);
                file.and_then(|file| file.set_len(expected))
                    .map_err(RunError::writing(&path))?;
            }
        }
        Ok(masks)
    }

    fn bytes(&self) -> u64 {
        4 * (self.size * self.size) as u64
    }

    fn per_file(&self) -> u64 {
        (FILE_BYTES / self.bytes()).max(1)
    }

    /// Appends a mask.
    pub fn append(&mut self, mask: &Mask) -> Result<MaskPlace> {
        let values = mask.values().iter();
        let bytes: Vec<u8> = values.flat_map(|&v| (v as f32).to_le_bytes()).collect();
        self.append_bytes(&bytes, mask.extent())
    }

    /// Appends a mask of these bytes that covers that part of the picture.
    pub fn append_bytes(&mut self, bytes: &[u8], extent: Option<Extent>) -> Result<MaskPlace> {
        let number = self.count / self.per_file();
        let place = MaskPlace {
            file: name(number),
            offset: self.count % self.per_file() * self.bytes(),
            size: self.size,
            crc32: crc32fast::hash(bytes),
            extent,
        };
        let path = self.folder.join(&place.file);
        if self.file.as_ref().is_none_or(|(open, _)| *open != number) {
            self.sync()?;
            let file = OpenOptions::new().create(true).append(true).open(&path);
            self.file = Some((number, file.map_err(RunError::writing(&path))?));
            sync_folder(&self.folder).map_err(RunError::writing(&self.folder))?;
        }
        if let Some((_, file)) = &mut self.file {
            file.write_all(bytes).map_err(RunError::writing(&path))?;
        }
        self.count += 1;
        Ok(place)
    }

    /// Returns when all that was appended is on the disk.
    pub fn sync(&self) -> Result<()> {
        match &self.file {
            Some((number, file)) => file
                .sync_data()
                .map_err(RunError::writing(&self.folder.join(name(*number)))),
            None => Ok(()),
        }
    }
}

fn name(number: u64) -> String {
    format!("masks-{number:05}.f32")
}
