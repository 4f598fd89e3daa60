//! Which samples a process takes.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Result, RunError};

/// A part of the data: the samples whose index leaves the rest `index` when divided by `count`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shard {
    /// Which part, from 0.
    pub index: usize,
    /// How many parts there are.
    pub count: usize,
}

/// The variables of an environment, as data.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

impl Shard {
    /// All of the data.
    pub const WHOLE: Shard = Shard { index: 0, count: 1 };

    /// Whether it has the sample.
    pub fn has(self, sample: usize) -> bool {
        sample % self.count == self.index
    }

    /// How many samples it has of `samples`.
    pub fn len(self, samples: usize) -> usize {
        (samples + self.count - 1 - self.index) / self.count
    }

    /// The index in the data of its sample number `place`, from 0.
    pub fn sample(self, place: usize) -> usize {
        self.index + place * self.count
    }

    /// The folder of its records below the run's: none for all of the data.
    pub fn folder(self) -> Option<String> {
        let width = (self.count - 1).to_string().len();
        (self.count > 1).then(|| format!("shard-{:0width$}-of-{}", self.index, self.count))
    }

    /// The folder of its records, given the run's.
    ///
    /// # Errors
    /// [`RunError::Shard`] where the run's folder has shards of another number.
    pub fn folder_in(self, run: &Path) -> Result<PathBuf> {
        let others = shards_in(run).into_iter().find(|s| s.count != self.count);
        match (self.folder(), others) {
            (Some(_), Some(other)) => Err(RunError::Shard {
                place: run.display().to_string(),
                expected: format!("one of {} shards, as are there", other.count),
                found: format!("shard {self}"),
            }),
            (Some(folder), None) => Ok(run.join(folder)),
            (None, _) => Ok(run.to_path_buf()),
        }
    }

    /// The shard whose folder is called `name`.
    pub fn of_folder(name: &str) -> Option<Shard> {
        let (index, count) = name.strip_prefix("shard-")?.split_once("-of-")?;
        let shard = Shard {
            index: index.parse().ok()?,
            count: count.parse().ok()?,
        };
        (shard.index < shard.count).then_some(shard)
    }

    /// The shard that a job's environment asks for: an element of a Slurm array, a task of a Slurm step, a rank of a
    /// distributed launcher, or an index of a Kubernetes Indexed Job. Tasks of an array's elements each take a part of the
    /// element's. `shards` is the number of shards where that is given; it must be for Kubernetes, which does not say it, and
    /// for an array of which only some elements are submitted again. All of the data where nothing says otherwise.
    ///
    /// # Errors
    /// [`RunError::Shard`] for variables that contradict each other or are no numbers.
    pub fn from_environment(environment: Environment, shards: Option<usize>) -> Result<Shard> {
        let array = number(environment, "SLURM_ARRAY_TASK_ID")?;
        let task = pair(environment, "SLURM_PROCID", "SLURM_NTASKS")?;
        let rank = pair(environment, "RANK", "WORLD_SIZE")?;
        let (place, shard) = if let Some(id) = array {
            let place = "SLURM_ARRAY_TASK_ID";
            let inner = task.unwrap_or(Shard::WHOLE);
            let outer = match shards {
                // The identifiers are the indices, whichever of them run in this job.
                Some(count) => Shard {
                    index: id,
                    count: count / inner.count,
                },
                None => array_element(environment, id)?,
            };
            let shard = Shard {
                index: outer.index * inner.count + inner.index,
                count: outer.count * inner.count,
            };
            (place, shard)
        } else if let Some(shard) = rank {
            ("RANK", shard)
        } else if let Some(shard) = task {
            ("SLURM_PROCID", shard)
        } else if let Some(index) = number(environment, "JOB_COMPLETION_INDEX")? {
            let Some(count) = shards else {
                return Err(RunError::Shard {
                    place: "JOB_COMPLETION_INDEX".into(),
                    expected: "the number of completions beside it, as --shards".into(),
                    found: "none".into(),
                });
            };
            ("JOB_COMPLETION_INDEX", Shard { index, count })
        } else {
            let count = shards.unwrap_or(1);
            if count != 1 {
                return Err(RunError::Shard {
                    place: "--shards".into(),
                    expected: "a job's index in the environment (Slurm, RANK, JOB_COMPLETION_INDEX), or --shard I/N".into(),
                    found: "none".into(),
                });
            }
            ("--shards", Shard::WHOLE)
        };
        if shards.is_some_and(|count| count != shard.count) || shard.index >= shard.count {
            return Err(RunError::Shard {
                place: place.into(),
                expected: format!(
                    "an index below the number of shards, {}",
                    shards.unwrap_or(shard.count)
                ),
                found: format!("index {} of {}", shard.index, shard.count),
            });
        }
        Ok(shard)
    }
}

impl std::fmt::Display for Shard {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}/{}", self.index, self.count)
    }
}

impl std::str::FromStr for Shard {
    type Err = String;

    /// `I/N`, I from 0.
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

/// The shards that have folders in a run's, in order.
pub(super) fn shards_in(run: &Path) -> Vec<Shard> {
    let entries = std::fs::read_dir(run).into_iter().flatten().flatten();
    let shard = |entry: std::fs::DirEntry| Shard::of_folder(entry.file_name().to_str()?);
    let mut shards: Vec<Shard> = entries.filter_map(shard).collect();
    shards.sort_by_key(|s| (s.count, s.index));
    shards
}

/// An element of a Slurm array that runs whole: elements are MIN, MIN + STEP, and so on, COUNT of them.
fn array_element(environment: Environment, id: usize) -> Result<Shard> {
    let count = number(environment, "SLURM_ARRAY_TASK_COUNT")?;
    let least = number(environment, "SLURM_ARRAY_TASK_MIN")?.unwrap_or(0);
    let step = number(environment, "SLURM_ARRAY_TASK_STEP")?
        .unwrap_or(1)
        .max(1);
    let wrong = |expected: &str| RunError::Shard {
        place: "SLURM_ARRAY_TASK_ID".into(),
        expected: expected.into(),
        found: format!("element {id}, least {least}, step {step}, count {count:?}"),
    };
    let count = count.ok_or_else(|| wrong("SLURM_ARRAY_TASK_COUNT beside it"))?;
    match id.checked_sub(least) {
        Some(above) if above % step == 0 && above / step < count => Ok(Shard {
            index: above / step,
            count,
        }),
        _ => Err(wrong(
            "an array without gaps, such as 0-7; for others give the number of shards as --shards, and elements from 0",
        )),
    }
}

fn pair(environment: Environment, index: &str, count: &str) -> Result<Option<Shard>> {
    match (number(environment, index)?, number(environment, count)?) {
        (Some(i), Some(n)) if i < n => Ok(Some(Shard { index: i, count: n })),
        (Some(i), Some(n)) => Err(RunError::Shard {
            place: index.into(),
            expected: format!("a number below {count}, {n}"),
            found: i.to_string(),
        }),
        _ => Ok(None),
    }
}

fn number(environment: Environment, name: &str) -> Result<Option<usize>> {
    match environment(name) {
        Some(text) if !text.trim().is_empty() => match text.trim().parse() {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(RunError::Shard {
                place: name.into(),
                expected: "a number".into(),
                found: text,
            }),
        },
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shard(variables: &[(&str, &str)], shards: Option<usize>) -> Result<Shard> {
        let find = |name: &str| {
            let found = variables.iter().find(|(n, _)| *n == name);
            found.map(|(_, value)| value.to_string())
        };
        Shard::from_environment(&find, shards)
    }

    fn is(variables: &[(&str, &str)], shards: Option<usize>, index: usize, count: usize) {
        assert_eq!(
            shard(variables, shards).unwrap(),
            Shard { index, count },
            "{variables:?} {shards:?}"
        );
    }

    #[test]
    fn every_launcher_says_which_shard() {
        is(&[], None, 0, 1);
        let array = [
            ("SLURM_ARRAY_TASK_ID", "7"),
            ("SLURM_ARRAY_TASK_COUNT", "4"),
            ("SLURM_ARRAY_TASK_MIN", "5"),
        ];
        is(&array, None, 2, 4);
        let stepped = [
            ("SLURM_ARRAY_TASK_ID", "9"),
            ("SLURM_ARRAY_TASK_COUNT", "4"),
            ("SLURM_ARRAY_TASK_MIN", "1"),
            ("SLURM_ARRAY_TASK_STEP", "4"),
        ];
        is(&stepped, None, 2, 4);
        let tasks = [("SLURM_PROCID", "1"), ("SLURM_NTASKS", "2")];
        is(&tasks, None, 1, 2);
        is(&[array.as_slice(), &tasks].concat(), None, 5, 8);
        // A launcher's ranks are finer than the tasks that started it.
        let ranks = [("RANK", "6"), ("WORLD_SIZE", "8")];
        is(&[ranks.as_slice(), &tasks].concat(), None, 6, 8);
        is(&[("JOB_COMPLETION_INDEX", "3")], Some(10), 3, 10);
        // Elements 3 and 5 of eight, submitted again.
        let again = [
            ("SLURM_ARRAY_TASK_ID", "5"),
            ("SLURM_ARRAY_TASK_COUNT", "2"),
            ("SLURM_ARRAY_TASK_MIN", "3"),
        ];
        is(&again, Some(8), 5, 8);
    }

    #[test]
    fn what_the_environment_cannot_mean_is_refused() {
        for (variables, shards, word) in [
            (&[("JOB_COMPLETION_INDEX", "3")][..], None, "--shards"),
            (&[("JOB_COMPLETION_INDEX", "3")], Some(3), "below"),
            (&[("RANK", "x"), ("WORLD_SIZE", "2")], None, "a number"),
            (&[("RANK", "2"), ("WORLD_SIZE", "2")], None, "WORLD_SIZE"),
            (&[("RANK", "0"), ("WORLD_SIZE", "2")], Some(3), "RANK"),
            (&[], Some(3), "--shard I/N"),
            (&[("SLURM_ARRAY_TASK_ID", "3")], None, "COUNT"),
            (
                &[
                    ("SLURM_ARRAY_TASK_ID", "9"),
                    ("SLURM_ARRAY_TASK_COUNT", "3"),
                    ("SLURM_ARRAY_TASK_MIN", "0"),
                ],
                None,
                "without gaps",
            ),
        ] {
            let error = shard(variables, shards).unwrap_err().to_string();
            assert!(error.contains(word), "{word}: {error}");
        }
    }

    #[test]
    fn shards_share_the_samples_out() {
        for samples in 0..20 {
            for count in 1..6 {
                let mut seen = vec![0; samples];
                for index in 0..count {
                    let shard = Shard { index, count };
                    let own: Vec<usize> = (0..samples).filter(|&s| shard.has(s)).collect();
                    assert_eq!(own.len(), shard.len(samples));
                    for (place, &sample) in own.iter().enumerate() {
                        assert_eq!(shard.sample(place), sample);
                        seen[sample] += 1;
                    }
                }
                assert!(seen.iter().all(|&n| n == 1), "{samples} in {count}");
            }
        }
        let shard = Shard {
            index: 3,
            count: 12,
        };
        assert_eq!(shard.folder().as_deref(), Some("shard-03-of-12"));
        assert_eq!(Shard::of_folder("shard-03-of-12"), Some(shard));
        assert_eq!(Shard::of_folder("shard-12-of-12"), None);
        assert_eq!("3/12".parse(), Ok(shard));
        assert!("12/12".parse::<Shard>().is_err() && "1".parse::<Shard>().is_err());
    }
}
