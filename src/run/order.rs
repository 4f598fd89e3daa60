//! The order of a run's records.

use super::masks::Places;
use super::{Manifest, Record};

/// Checks the order of records: each must be of the shard's next sample, its masks after the last
/// one.
#[derive(Clone, Debug)]
pub(super) struct Order {
    manifest: Manifest,
    places: Places,
    /// Number of records so far.
    pub records: usize,
    /// Number of masks so far.
    pub masks: u64,
}

impl Order {
    /// Creates the check, before a run's first record.
    pub fn new(manifest: &Manifest) -> Order {
        Order {
            places: Places {
                size: manifest.settings.mask_size,
            },
            manifest: manifest.clone(),
            records: 0,
            masks: 0,
        }
    }

    /// Accepts the next record, or returns the reason why it is not the next.
    pub fn take(&mut self, record: &Record) -> Result<(), String> {
        let samples = self.manifest.samples();
        let expected = self.manifest.shard.sample(self.records);
        match expected.filter(|_| self.records < samples) {
            Some(expected) if record.index == expected => {}
            Some(expected) => {
                return Err(format!(
                    "expected sample {expected}, found {}",
                    record.index
                ));
            }
            None => {
                return Err(format!(
                    "expected no more than {samples} records, found sample {}",
                    record.index
                ));
            }
        }
        let pictures = match self.manifest.settings.explain_image {
            Some(_) => 1,
            None => 1 + record.more_images.len(),
        };
        let masks = usize::from(record.mask.is_some()) + record.more_masks.len();
        if masks > 0 && (record.mask.is_none() || masks != pictures) {
            return Err(format!(
                "expected masks of {pictures} pictures, found {masks}"
            ));
        }
        let units = record.explanation.as_ref().map_or(0, |e| e.each.len());
        let expected = units * (1 + record.more_masks.len());
        if record.each_masks.len() != expected {
            return Err(format!(
                "expected {expected} masks of {units} words or tokens, found {}",
                record.each_masks.len()
            ));
        }
        for place in record.places() {
            let (file, offset) = self.places.of(self.masks);
            if (&place.file, place.offset, place.size) != (&file, offset, self.places.size) {
                return Err(format!(
                    "expected a mask of {} cells a side in {file} from byte {offset} on, found one \
                     of {} in {:?} from {} on",
                    self.places.size, place.size, place.file, place.offset
                ));
            }
            self.masks += 1;
        }
        self.records += 1;
        Ok(())
    }
}
