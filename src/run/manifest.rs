//! `run.json`: everything that a run's records depend on. Two runs with equal manifests are the
//! same run.

use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

use super::{Ask, Columns, HubSplit, Layout, Shard};
use crate::checkpoint::RandomizedLayers;
use crate::explain::Settings;
use crate::lvlm::{Lvlm, LvlmError};

/// The manifest of a run. One that was read has a valid shard and valid settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct Manifest {
    /// The version of the folder format.
    pub format: u32,
    /// The version of foveate.
    pub version: String,
    /// The model.
    pub model: ModelIdentity,
    /// The device.
    pub device: DeviceIdentity,
    /// The method's settings. The memory budget is not stored, since no result depends on it; each
    /// sample's seed is the sum of the seed here and the sample's index.
    #[serde(serialize_with = "without_budget")]
    pub settings: Settings,
    /// The data.
    pub data: DataIdentity,
    /// The shard of the data.
    pub shard: Shard,
    /// The value of [`RecordedAnswers::fingerprint`](super::RecordedAnswers::fingerprint), if the
    /// answers are those of another run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answers: Option<String>,
}

/// A manifest as read, not yet validated.
#[derive(Deserialize)]
struct Unchecked {
    format: u32,
    version: String,
    model: ModelIdentity,
    device: DeviceIdentity,
    settings: Settings,
    data: DataIdentity,
    shard: Shard,
    #[serde(default)]
    answers: Option<String>,
}

impl TryFrom<Unchecked> for Manifest {
    type Error = String;

    fn try_from(written: Unchecked) -> Result<Manifest, String> {
        if written.format != FORMAT {
            return Err(format!("format {}", written.format));
        }
        let settings = written.settings.validate();
        settings.map_err(|error| format!("settings: {error}"))?;
        Ok(Manifest {
            format: written.format,
            version: written.version,
            model: written.model,
            device: written.device,
            settings: written.settings,
            data: written.data,
            shard: written.shard,
            answers: written.answers,
        })
    }
}

/// The values that identify a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelIdentity {
    /// The last part of its folder's name, or of the repository's name in Hugging Face's cache.
    pub name: String,
    /// Its model family.
    pub family: String,
    /// The value of [`Lvlm::fingerprint`].
    pub fingerprint: String,
    /// The layers that have random weights, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub randomized: Option<RandomizedLayers>,
}

/// The device that a model runs on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceIdentity {
    /// The kind of device: `cpu`, or a GPU's name.
    pub name: String,
    /// The type in which activations are stored.
    pub dtype: String,
    /// The implementation of matrix products, on a GPU.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gemm: Option<String>,
}

/// The values that identify a data set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataIdentity {
    /// The file's name, without its folder.
    pub file: String,
    /// The first half of the file's SHA-256, in hexadecimal, followed by a plus sign and that of
    /// the file of reference answers, if any.
    pub fingerprint: String,
    /// The split of a folder of the Hugging Face hub; `file` is then the folder's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split: Option<HubSplit>,
    /// Number of rows.
    pub samples: usize,
    /// The layout of the columns.
    pub layout: Layout,
    /// How questions that have options are asked.
    pub ask: Ask,
    /// The column names given by options.
    pub columns: Columns,
}

/// The format version that this code writes.
pub(super) const FORMAT: u32 = 1;

impl Manifest {
    /// Creates the manifest of a run by this version of foveate, with the model's own answers.
    pub fn new(
        model: ModelIdentity,
        device: DeviceIdentity,
        settings: Settings,
        data: DataIdentity,
        shard: Shard,
    ) -> Manifest {
        Manifest {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").to_string(),
            model,
            device,
            settings,
            data,
            shard,
            answers: None,
        }
    }

    /// Returns the number of samples with records in a finished run.
    pub fn samples(&self) -> usize {
        self.shard.len(self.data.samples)
    }

    /// Returns the fields in which `recorded` differs from this run, one line each with both
    /// values.
    pub fn differences(&self, recorded: &Manifest) -> Vec<String> {
        let mut lines = Vec::new();
        let now = serde_json::to_value(self).unwrap_or_default();
        let then = serde_json::to_value(recorded).unwrap_or_default();
        compare("", &then, &now, &mut lines);
        lines
    }
}

impl ModelIdentity {
    /// Returns the identity of a loaded model.
    ///
    /// # Errors
    /// Returns the errors of [`Lvlm::fingerprint`].
    pub fn of(model: &dyn Lvlm) -> Result<ModelIdentity, LvlmError> {
        Ok(ModelIdentity {
            name: short_name(&model.name()),
            family: model.family().to_string(),
            fingerprint: model.fingerprint()?,
            randomized: model.randomized(),
        })
    }
}

/// Returns the last part of a path; for a snapshot in Hugging Face's cache, the repository's name.
fn short_name(path: &str) -> String {
    let parts: Vec<&str> = path.split(['/', '\\']).filter(|p| !p.is_empty()).collect();
    match parts.as_slice() {
        [.., repository, "snapshots", _] => {
            let name = repository.strip_prefix("models--").unwrap_or(repository);
            name.replacen("--", "/", 1)
        }
        [.., last] => last.to_string(),
        [] => path.to_string(),
    }
}

fn without_budget<S: Serializer>(settings: &Settings, serializer: S) -> Result<S::Ok, S::Error> {
    let mut value = serde_json::to_value(settings).map_err(serde::ser::Error::custom)?;
    if let Some(fields) = value.as_object_mut() {
        // Not a field of the run. Removal keeps the order of the others.
        fields.shift_remove("memory_budget");
    }
    value.serialize(serializer)
}

fn compare(path: &str, then: &Value, now: &Value, lines: &mut Vec<String>) {
    if let (Value::Object(a), Value::Object(b)) = (then, now) {
        for key in a.keys().chain(b.keys().filter(|key| !a.contains_key(*key))) {
            let path = if path.is_empty() {
                key.clone()
            } else {
                format!("{path}.{key}")
            };
            let of = |fields: &serde_json::Map<String, Value>| {
                fields.get(key).cloned().unwrap_or_default()
            };
            compare(&path, &of(a), &of(b), lines);
        }
    } else if then != now {
        lines.push(format!("  {path}: {then} is recorded, {now} is asked for"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        Manifest::new(
            ModelIdentity {
                name: "m".into(),
                family: "llava".into(),
                fingerprint: "1".into(),
                randomized: None,
            },
            DeviceIdentity {
                name: "cpu".into(),
                dtype: "f32".into(),
                gemm: None,
            },
            Settings::default(),
            DataIdentity {
                file: "d.csv".into(),
                split: None,
                fingerprint: "2".into(),
                samples: 10,
                layout: Layout::Table,
                ask: Ask::Open,
                columns: Columns::default(),
            },
            Shard::new(1, 3).unwrap(),
        )
    }

    #[test]
    fn a_manifest_reads_as_it_was_written_but_for_the_budget() {
        let mut written = manifest();
        written.settings.lr = 0.1 + 0.2;
        let text = serde_json::to_string(&written).unwrap();
        assert!(!text.contains("memory_budget"), "{text}");
        assert_eq!(serde_json::from_str::<Manifest>(&text).unwrap(), written);
        let mut roomier = written.clone();
        roomier.settings.memory_budget = Some(1 << 30);
        assert!(roomier.differences(&written).is_empty());
        let text = serde_json::to_string(&roomier).unwrap();
        assert!(!text.contains("memory_budget"), "{text}");
    }

    #[test]
    fn every_difference_is_named_with_both_values() {
        let mut other = manifest();
        other.settings.lr = 1.0;
        other.data.ask = Ask::Choice;
        other.device.gemm = Some("auto".into());
        let lines = other.differences(&manifest());
        assert_eq!(lines.len(), 3, "{lines:?}");
        for part in [
            "device.gemm: null is recorded, \"auto\" is asked for",
            "settings.lr: 10.0 is recorded, 1.0 is asked for",
            "data.ask: \"open\" is recorded, \"choice\" is asked for",
        ] {
            assert!(
                lines.iter().any(|line| line.contains(part)),
                "{part}: {lines:?}"
            );
        }
    }

    #[test]
    fn what_no_run_can_be_is_not_read() {
        let text = serde_json::to_string(&manifest()).unwrap();
        for (of, by, word) in [
            ("\"count\":3", "\"count\":0", "below"),
            ("\"count\":3", "\"count\":1", "below"),
            ("\"mask_size\":32", "\"mask_size\":0", "mask-size"),
            ("\"mask_size\":32", "\"mask_size\":1048576", "mask-size"),
            ("\"mask_size\":32", "\"mask_size\":8589934592", "mask-size"),
            (
                "\"mask_size\":32",
                "\"mask_size\":18446744073709551615",
                "mask-size",
            ),
            ("\"steps\":6", "\"steps\":0", "steps"),
            ("\"lr\":10.0", "\"lr\":-1.0", "lr"),
            ("\"format\":1", "\"format\":2", "format 2"),
        ] {
            assert!(text.contains(of), "{of}: {text}");
            let error = serde_json::from_str::<Manifest>(&text.replace(of, by));
            let error = error.unwrap_err().to_string();
            assert!(error.contains(word), "{by}: {error}");
        }
    }

    #[test]
    fn models_go_by_the_last_part_of_their_path() {
        for (path, name) in [
            ("/data/llava-1.5-7b/", "llava-1.5-7b"),
            ("demo", "demo"),
            (
                "/h/hub/models--llava-hf--llava-1.5-7b-hf/snapshots/0a1b",
                "llava-hf/llava-1.5-7b-hf",
            ),
        ] {
            assert_eq!(short_name(path), name);
        }
    }
}
