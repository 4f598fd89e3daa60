//! A part of the data.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::files::expect_own_folder;
use super::{Result, RunError};

/// A part of the data: the samples whose index has the remainder `index` when divided by `count`.
/// The index is below the count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Numbers")]
pub struct Shard {
    index: usize,
    count: usize,
}

/// A shard's numbers as read, not yet validated.
#[derive(Deserialize)]
struct Numbers {
    index: usize,
    count: usize,
}

impl TryFrom<Numbers> for Shard {
    type Error = RunError;

    fn try_from(numbers: Numbers) -> Result<Shard> {
        Shard::new(numbers.index, numbers.count)
    }
}

impl Shard {
    /// All of the data.
    pub const WHOLE: Shard = Shard { index: 0, count: 1 };

    /// Creates part `index`, from 0, of `count` parts.
    ///
    /// # Errors
    /// Returns [`RunError::Shard`] if the index is not below the count.
    pub fn new(index: usize, count: usize) -> Result<Shard> {
        if index < count {
            Ok(Shard { index, count })
        } else {
            Err(RunError::Shard {
                place: "shard".into(),
                expected: format!("an index below the number of shards, {count}"),
                found: index.to_string(),
            })
        }
    }

    /// Returns the index of the part, from 0.
    pub fn index(self) -> usize {
        self.index
    }

    /// Returns the number of parts, at least 1.
    pub fn count(self) -> usize {
        self.count
    }

    /// Checks whether the shard contains the sample.
    pub fn has(self, sample: usize) -> bool {
        sample % self.count == self.index
    }

    /// Returns how many of `samples` samples the shard contains.
    pub fn len(self, samples: usize) -> usize {
        match samples.checked_sub(self.index + 1) {
            Some(after) => after / self.count + 1,
            None => 0,
        }
    }

    /// Returns the index in the data of the shard's sample number `place`, from 0; `None` if it
    /// exceeds `usize`.
    pub fn sample(self, place: usize) -> Option<usize> {
        place.checked_mul(self.count)?.checked_add(self.index)
    }

    /// Returns the part `inner` of this part.
    ///
    /// # Errors
    /// Returns [`RunError::Shard`] if the number of parts exceeds `usize`.
    pub(super) fn part(self, inner: Shard) -> Result<Shard> {
        let numbers = || {
            let count = self.count.checked_mul(inner.count)?;
            Some(Shard {
                index: self.index * inner.count + inner.index,
                count,
            })
        };
        numbers().ok_or_else(|| RunError::Shard {
            place: "shard".into(),
            expected: "fewer parts".into(),
            found: format!("part {inner} of part {self}"),
        })
    }

    /// Returns the name of its folder below the run's; `None` for all of the data.
    pub fn folder(self) -> Option<String> {
        let width = (self.count - 1).to_string().len();
        (self.count > 1).then(|| format!("shard-{:0width$}-of-{}", self.index, self.count))
    }

    /// Returns the folder of its records, given the run's.
    ///
    /// # Errors
    /// Returns [`RunError::Shard`] if the run's folder has shards of another count, and
    /// [`RunError::Folder`] if something else has the folder's name.
    pub fn folder_in(self, run: &Path) -> Result<PathBuf> {
        let others = shards_in(run).into_iter().find(|s| s.count != self.count);
        match (self.folder(), others) {
            (Some(_), Some(other)) => Err(RunError::Shard {
                place: run.display().to_string(),
                expected: format!("one of {} shards, as are there", other.count),
                found: format!("shard {self}"),
            }),
            (Some(folder), None) => {
                let folder = run.join(folder);
                expect_own_folder(&folder)?;
                Ok(folder)
            }
            (None, _) => Ok(run.to_path_buf()),
        }
    }

    /// Returns the shard whose folder is called `name`.
    pub fn of_folder(name: &str) -> Option<Shard> {
        let (index, count) = name.strip_prefix("shard-")?.split_once("-of-")?;
        let shard = Shard::new(index.parse().ok()?, count.parse().ok()?).ok()?;
        (shard.folder().as_deref() == Some(name)).then_some(shard)
    }
}

impl std::fmt::Display for Shard {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}/{}", self.index, self.count)
    }
}

impl std::str::FromStr for Shard {
    type Err = String;

    /// Parses `I/N`, I from 0.
    fn from_str(text: &str) -> std::result::Result<Shard, String> {
        let numbers = text
            .split_once('/')
            .and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
        match numbers {
            Some((index, count)) if index < count => Ok(Shard { index, count }),
            _ => Err("expected I/N with I from 0 to N - 1".to_string()),
        }
    }
}

/// Returns the shards that have folders below a run's, in order.
pub(super) fn shards_in(run: &Path) -> Vec<Shard> {
    let entries = std::fs::read_dir(run).into_iter().flatten().flatten();
    let shard = |entry: std::fs::DirEntry| Shard::of_folder(entry.file_name().to_str()?);
    let mut shards: Vec<Shard> = entries.filter_map(shard).collect();
    shards.sort_by_key(|s| (s.count, s.index));
    shards
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_share_the_samples_out() {
        for samples in 0..20 {
            for count in 1..6 {
                let mut seen = vec![0; samples];
                for index in 0..count {
                    let shard = Shard::new(index, count).unwrap();
                    let own: Vec<usize> = (0..samples).filter(|&s| shard.has(s)).collect();
                    assert_eq!(own.len(), shard.len(samples));
                    for (place, &sample) in own.iter().enumerate() {
                        assert_eq!(shard.sample(place), Some(sample));
                        seen[sample] += 1;
                    }
                }
                assert!(seen.iter().all(|&n| n == 1), "{samples} in {count}");
            }
        }
        let shard = Shard::new(3, 12).unwrap();
        assert_eq!(shard.folder().as_deref(), Some("shard-03-of-12"));
        assert_eq!(Shard::of_folder("shard-03-of-12"), Some(shard));
        assert_eq!(Shard::of_folder("shard-12-of-12"), None);
        // Another notation of the number is another folder.
        assert_eq!(Shard::of_folder("shard-3-of-12"), None);
        assert_eq!("3/12".parse(), Ok(shard));
        assert!("12/12".parse::<Shard>().is_err() && "1".parse::<Shard>().is_err());
    }

    #[test]
    fn there_is_no_shard_of_nothing() {
        assert!(Shard::new(0, 0).is_err() && Shard::new(4, 4).is_err());
        assert!("0/0".parse::<Shard>().is_err());
        let of = |text: &str| serde_json::from_str::<Shard>(text).map_err(|e| e.to_string());
        let whole = r#"{"index":0,"count":1}"#;
        assert_eq!(of(whole), Ok(Shard::WHOLE));
        assert_eq!(serde_json::to_string(&Shard::WHOLE).unwrap(), whole);
        for text in [
            r#"{"index":0,"count":0}"#,
            r#"{"index":2,"count":2}"#,
            r#"{"index":-1,"count":2}"#,
        ] {
            assert!(of(text).is_err(), "{text}");
        }
        assert!(
            of(r#"{"index":2,"count":2}"#)
                .unwrap_err()
                .contains("below")
        );
    }

    #[test]
    fn shards_of_the_largest_numbers_have_right_numbers() {
        const MAX: usize = usize::MAX;
        let first = Shard::new(0, MAX).unwrap();
        assert_eq!((first.len(0), first.len(1), first.len(MAX)), (0, 1, 1));
        assert_eq!((first.sample(0), first.sample(1)), (Some(0), Some(MAX)));
        assert_eq!(first.sample(2), None);
        let last = Shard::new(MAX - 1, MAX).unwrap();
        assert_eq!((last.len(MAX - 1), last.len(MAX)), (0, 1));
        assert_eq!((last.sample(0), last.sample(1)), (Some(MAX - 1), None));
        assert!(last.has(MAX - 1) && !last.has(0));
        assert_eq!(Shard::WHOLE.len(MAX), MAX);
        let name = last.folder().unwrap();
        assert_eq!(Shard::of_folder(&name), Some(last));
        assert!(last.part(Shard::new(0, 2).unwrap()).is_err());
    }
}
