//! Comparisons with `datasets` (`tests/data/hub/make.py`), and what is refused.

use std::path::PathBuf;

use serde::Deserialize;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::*;
use crate::run::export::testing::parquet_of;
use crate::run::{Data, DataOptions, Shard, Source};

#[derive(Deserialize)]
struct Expected {
    folder: String,
    config: String,
    split: String,
    /// Id, question, and SHA-256 of the picture.
    rows: Vec<[String; 3]>,
}

fn recorded() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/hub")
}

fn of(config: Option<&str>, split: Option<&str>) -> DataOptions {
    DataOptions {
        config: config.map(str::to_string),
        split: split.map(str::to_string),
        ..DataOptions::default()
    }
}

fn rows(data: &Data, shard: Shard) -> Vec<[String; 3]> {
    let samples = data.samples(shard, 0).unwrap();
    let row = |picked: crate::run::Result<crate::run::Picked>| {
        let sample = picked.unwrap().sample.unwrap();
        let Source::Bytes(_, bytes) = sample.picture else {
            panic!("{:?}", sample.picture);
        };
        let digest = Sha256::digest(&bytes);
        let digest = digest.iter().map(|b| format!("{b:02x}")).collect();
        [sample.id, sample.question, digest]
    };
    samples.map(row).collect()
}

#[test]
fn rows_are_those_of_datasets() {
    let text = std::fs::read_to_string(recorded().join("expected.json")).unwrap();
    let cases: Vec<Expected> = serde_json::from_str(&text).unwrap();
    assert_eq!(cases.len(), 8);
    let mut fingerprints = std::collections::HashSet::new();
    for case in cases {
        let folder = recorded().join(&case.folder);
        let data = Data::open(&folder, None, of(Some(&case.config), Some(&case.split))).unwrap();
        let identity = data.identity();
        assert_eq!(identity.file, case.folder);
        let split = HubSplit {
            config: case.config.clone(),
            split: case.split.clone(),
        };
        assert_eq!(identity.split, Some(split));
        assert!(fingerprints.insert(identity.fingerprint), "{}", case.split);
        assert_eq!(data.images().path(), folder);
        assert_eq!(rows(&data, Shard::WHOLE), case.rows, "{}", case.split);
        let odd: Vec<_> = case.rows.iter().skip(1).step_by(2).cloned().collect();
        assert_eq!(
            rows(&data, Shard::new(1, 2).unwrap()),
            odd,
            "{}",
            case.split
        );
    }
}

#[test]
fn a_configuration_and_a_split_are_chosen() {
    let message = |folder: &str, config, split| {
        let opened = Data::open(&recorded().join(folder), None, of(config, split));
        opened.unwrap_err().to_string()
    };
    let found = split_of(&recorded().join("cards"), None, Some("test")).unwrap();
    assert_eq!(found.files, ["data/test-00000-of-00001.parquet"]);
    // The one that the card calls the default, and of another the only split.
    assert_eq!(
        split_of(&recorded().join("written"), None, None)
            .unwrap()
            .name
            .config,
        "all"
    );
    let other = split_of(&recorded().join("cards"), Some("other"), None).unwrap();
    assert_eq!(other.name.split, "validation.x");
    for (text, words) in [
        (
            message("cards", None, None),
            "expected --split, to choose a split, found train, test",
        ),
        (
            message("cards", Some("none"), None),
            "a configuration \"none\", found default, other",
        ),
        (
            message("names", None, Some("test")),
            "a split \"test\", found my_split, train",
        ),
        (
            message("cards/data/test-00000-of-00001.parquet", None, Some("test")),
            "a file",
        ),
        (message("cards/other", None, None), "`configs` in README.md"),
    ] {
        assert!(text.contains(words), "{text}");
    }
}

/// A folder with these empty-looking files and this card.
fn folder(card: &str, files: &[&str]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "").unwrap();
    }
    if !card.is_empty() {
        let card = format!("---\nconfigs:\n{card}---\n");
        std::fs::write(folder.path().join("README.md"), card).unwrap();
    }
    folder
}

#[test]
fn other_cards_and_files_are_named() {
    let one = |data_files: &str| format!("- config_name: a\n  data_files: {data_files}\n");
    let files = [
        "data/train-00000-of-00003.parquet",
        "data/train-00002-of-00003.parquet",
        "a.csv",
    ];
    for (card, words) in [
        (String::new(), "no data/train-00001-of-00003"),
        (one("data/*"), "no data/train-00001-of-00003"),
        (one("none-*"), "files that match \"none-*\", found none"),
        (
            one("\"*.csv\""),
            "Parquet files alone that match \"*.csv\", found a.csv",
        ),
        (
            one("../*"),
            "a pattern of files below the folder, found \"../*\"",
        ),
        (one("/etc/*"), "a pattern of files below the folder"),
        (
            one("hf://datasets/a/b.parquet"),
            "a pattern of files below the folder",
        ),
        (one("[data/*, data/train-*]"), "parquet twice"),
        (
            one("\n  - split: a-b\n    path: x"),
            "\"a-b\" as the name of a split",
        ),
        (
            one("\n  - split: a\n    path: x\n  - split: a\n    path: y"),
            "the split \"a\" twice",
        ),
        (
            one("\n  - split: a\n    path: x\n    more: y"),
            "exactly split and path",
        ),
        (one("\n  - split: no\n    path: x"), "put it in quotes"),
        (one("2024-01-01"), "put it in quotes"),
        (one("[]"), "no path"),
        (
            one("x\n  filters: y"),
            "configuration 0: expected `configs` as datasets writes them",
        ),
        (
            one("x\n  data_dir: y"),
            "\"data_dir\", which is not supported",
        ),
        (one("x\n  default: 1"), "neither true nor false"),
        (one("x") + &one("y"), "configuration 1: "),
        ("- data_files: x\n".into(), "no config_name"),
        ("- x\n".into(), "no mapping"),
        ("  x: y\n".into(), "found no list"),
        (one("&a x"), "README.md: line 4"),
        (
            "- config_name: a\n- config_name: b\n".into(),
            "expected --config, to choose a configuration, found a, b",
        ),
    ] {
        let folder = folder(&card, &files);
        let message = split_of(folder.path(), None, None).unwrap_err().to_string();
        assert!(message.contains(words), "{card}: {message}");
    }
}

#[test]
fn files_of_other_columns_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    parquet_of(
        &data,
        "a-00000-of-00002.parquet",
        &[("image", &["x"]), ("question", &["q"])],
    );
    parquet_of(
        &data,
        "a-00001-of-00002.parquet",
        &[("image", &["x"]), ("query", &["q"])],
    );
    let message = Data::open(folder.path(), None, DataOptions::default())
        .unwrap_err()
        .to_string();
    assert!(message.contains("a-00001-of-00002.parquet"), "{message}");
    assert!(
        message.contains("image, question, found image, query"),
        "{message}"
    );
}

#[cfg(unix)]
#[test]
fn links_do_not_lead_out_of_the_folder() {
    use std::os::unix::fs::symlink;
    let secret = tempfile::tempdir().unwrap();
    let file = parquet_of(
        secret.path(),
        "x.parquet",
        &[("image", &["x"]), ("question", &["q"])],
    );
    let name = "a-00000-of-00001.parquet";
    let outside = |message: String| assert!(message.contains("leads out of it"), "{message}");
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    symlink(&file, data.join(name)).unwrap();
    outside(split_of(folder.path(), None, None).unwrap_err().to_string());
    // Folders behind links are not searched.
    let linked = tempfile::tempdir().unwrap();
    symlink(&data, linked.path().join("data")).unwrap();
    assert!(split_of(linked.path(), None, None).is_err());
    // A snapshot of the cache: its files are links to the repository's blobs.
    let cache = tempfile::tempdir().unwrap();
    let repository = cache.path().join("datasets--a--b");
    let snapshot = repository.join("snapshots/0123");
    std::fs::create_dir_all(snapshot.join("data")).unwrap();
    std::fs::create_dir(repository.join("blobs")).unwrap();
    std::fs::copy(&file, repository.join("blobs/4567")).unwrap();
    symlink("../../../blobs/4567", snapshot.join("data").join(name)).unwrap();
    let data = Data::open(&snapshot, None, DataOptions::default()).unwrap();
    assert_eq!(data.len(), 1);
    let card = secret.path().join("card.md");
    std::fs::write(&card, "---\nconfigs:\n- config_name: a\n---\n").unwrap();
    symlink(&card, snapshot.join("README.md")).unwrap();
    outside(split_of(&snapshot, None, None).unwrap_err().to_string());
}
