//! Encoders in checkpoints of their own: the places that are searched, and the files that are read.

use std::path::{Path, PathBuf};

use crate::checkpoint::{CheckpointError, Files, Tensors, cache};

/// An encoder that a config names.
#[derive(Debug, Clone)]
pub(in crate::lvlm) struct TowerName {
    /// The config's field, for messages.
    pub field: String,
    /// The names that it may have, the likeliest first: paths, repositories, or names of folders.
    pub names: Vec<String>,
    /// Whether the model can do without.
    pub optional: bool,
    /// Names of its weight file, the likeliest first; those of a model's own when empty.
    pub weights: &'static [&'static str],
    /// Whether the model's own checkpoint holds its tensors: then a folder needs to have its config
    /// alone.
    pub config_only: bool,
}

/// An encoder's checkpoint.
#[derive(Debug, Clone)]
pub(in crate::lvlm) struct Tower {
    pub files: Files,
    pub tensors: Tensors,
}

/// Finds an encoder: as a path, beside the model's folder and beside each folder above it, in each
/// of `folders`, in Hugging Face's cache. Returns `None` where an optional one is in none of these.
///
/// # Errors
/// [`CheckpointError::MissingEncoder`] with every place that was searched; what opening its files
/// reports.
pub(in crate::lvlm) fn find(
    name: &TowerName,
    model: &Files,
    folders: &[PathBuf],
) -> Result<Option<Tower>, CheckpointError> {
    let mut looked = Vec::new();
    for place in places(name, model, folders) {
        if place.is_dir() {
            return open(name, &place).map(Some);
        }
        looked.push(place.display().to_string());
    }
    if let Some(hub) = cache::hub() {
        for repository in &name.names {
            if let Some(snapshot) = cache::snapshot(&hub, repository) {
                return open(name, &snapshot).map(Some);
            }
        }
        looked.push(format!("Hugging Face's cache in {}", hub.display()));
    }
    if name.optional {
        return Ok(None);
    }
    Err(CheckpointError::MissingEncoder {
        file: model.path("config.json"),
        field: name.field.clone(),
        encoder: name.names.first().cloned().unwrap_or_default(),
        looked,
    })
}

fn open(name: &TowerName, folder: &Path) -> Result<Tower, CheckpointError> {
    let files = Files::folder(folder)?;
    let own = name.weights.iter().find(|file| files.exists(file));
    let tensors = match own {
        _ if name.config_only => Tensors::made(&files.name(), []),
        Some(file) => Tensors::open_file(&files, file)?,
        None => Tensors::open(&files)?,
    };
    Ok(Tower { files, tensors })
}

/// Returns the folders that the encoder may be in.
fn places(name: &TowerName, model: &Files, folders: &[PathBuf]) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for reference in &name.names {
        let path = Path::new(reference);
        all.push(path.to_path_buf());
        let above = model.folder_path().into_iter().flat_map(Path::ancestors);
        let roots = above.chain(folders.iter().map(PathBuf::as_path));
        for root in roots.filter(|root| !root.as_os_str().is_empty()) {
            all.push(root.join(path));
            if let Some(last) = path.file_name() {
                all.push(root.join(last));
            }
        }
    }
    let mut seen = std::collections::BTreeSet::new();
    all.retain(|place| seen.insert(place.clone()));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tower() -> TowerName {
        TowerName {
            field: "mm_vision_tower".into(),
            names: vec!["org/encoder".into()],
            optional: false,
            weights: &[],
            config_only: false,
        }
    }

    #[test]
    fn a_missing_encoder_says_where_it_was_looked_for() {
        let dir = tempfile::tempdir().unwrap();
        let model = dir.path().join("work/model");
        std::fs::create_dir_all(&model).unwrap();
        let other = dir.path().join("encoders");
        let files = Files::folder(&model).unwrap();
        let error = find(&tower(), &files, std::slice::from_ref(&other)).unwrap_err();
        let CheckpointError::MissingEncoder {
            field,
            encoder,
            looked,
            ..
        } = &error
        else {
            panic!("{error}");
        };
        assert_eq!(
            (field.as_str(), encoder.as_str()),
            ("mm_vision_tower", "org/encoder")
        );
        for place in [
            model.join("org/encoder"),
            dir.path().join("encoder"),
            other.join("encoder"),
        ] {
            assert!(
                looked.contains(&place.display().to_string()),
                "{place:?} in {looked:?}"
            );
        }
        assert!(error.to_string().contains("--encoders"), "{error}");
    }

    #[test]
    fn an_encoder_is_found_beside_a_folder_above_the_model() {
        let dir = tempfile::tempdir().unwrap();
        let model = dir.path().join("work/model");
        let encoder = dir.path().join("encoder");
        for folder in [&model, &encoder] {
            std::fs::create_dir_all(folder).unwrap();
        }
        let header = br#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#;
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header);
        bytes.extend([0; 4]);
        std::fs::write(encoder.join("model.safetensors"), bytes).unwrap();
        let found = find(&tower(), &Files::folder(&model).unwrap(), &[]);
        let found = found.unwrap().unwrap();
        assert!(found.tensors.require("a", &[1]).is_ok());
        assert_eq!(found.files.name(), encoder.display().to_string());
    }
}
