//! What a run's records must be, one after the other.

use super::masks::Places;
use super::{Manifest, Record};

/// What the next record must be: of the next sample of the shard, its mask behind the last one's.
#[derive(Clone, Debug)]
pub(super) struct Order {
    manifest: Manifest,
    places: Places,
    /// Records so far.
    pub records: usize,
    /// Masks so far.
    pub masks: u64,
}

impl Order {
    /// Of a run's first record.
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

    /// Takes the next record, or says in what it is none.
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
        if let Some(place) = &record.mask {
            let (file, offset) = self.places.of(self.masks);
            if (&place.file, place.offset, place.size) != (&file, offset, self.places.size) {
                return Err(format!(
                    "expected a mask of {} cells a side in {file} from byte {offset} on, found one of {} in {:?} from {} on",
                    self.places.size, place.size, place.file, place.offset
                ));
            }
            self.masks += 1;
        }
        self.records += 1;
        Ok(())
    }
}
