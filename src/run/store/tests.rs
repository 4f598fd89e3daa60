//! Whatever a process leaves behind when it dies, the records that are whole are kept and the rest is cut off.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;
use crate::explain::Settings;
use crate::run::{
    Ask, Columns, DataIdentity, DeviceIdentity, Layout, ModelIdentity, Run, Sample, Shard, Source,
};

const SIZE: usize = 3;

fn manifest() -> Manifest {
    let settings = Settings {
        mask_size: SIZE,
        ..Settings::default()
    };
    Manifest::new(
        ModelIdentity {
            name: "m".into(),
            family: "llava".into(),
            fingerprint: "1".into(),
        },
        DeviceIdentity {
            name: "cpu".into(),
            dtype: "f32".into(),
            gemm: None,
        },
        settings,
        DataIdentity {
            file: "d.csv".into(),
            fingerprint: "2".into(),
            samples: 100,
            layout: Layout::Table,
            ask: Ask::Open,
            columns: Columns::default(),
        },
        Shard { index: 1, count: 2 },
    )
}

fn record(place: usize) -> Record {
    let sample = Sample {
        index: manifest().shard.sample(place),
        id: format!("sample {place}"),
        question: "?".into(),
        picture: Source::File(Vec::new()),
        choices: Vec::new(),
        right: None,
        boxes: Vec::new(),
        category: None,
        answer: None,
    };
    let mut record = Record::of(&sample, "p.png".into(), 0);
    if place % 3 == 1 {
        record.error = Some(Failure {
            cause: Cause::Picture,
            message: "no\nsuch file".into(),
        });
    }
    record
}

fn mask(place: usize) -> Option<Mask> {
    place
        .is_multiple_of(3)
        .then(|| Mask::new(SIZE, vec![place as f64 / 100.0; SIZE * SIZE]).unwrap())
}

fn write(folder: &Path, places: std::ops::Range<usize>) {
    let mut store = Store::open(folder, &manifest()).unwrap();
    assert_eq!(store.done(), places.start);
    for place in places {
        store.append(record(place), mask(place).as_ref()).unwrap();
    }
}

fn file(folder: &Path, name: &str) -> Vec<u8> {
    std::fs::read(folder.join(name)).unwrap()
}

/// Places that have one of every three residues: 0 has a mask, 1 an error, 2 neither.
#[test]
fn a_run_cut_off_anywhere_goes_on_to_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole");
    write(&whole, 0..20);
    let (records, masks) = (file(&whole, RECORDS), file(&whole, "masks-00000.f32"));
    let seed = rand::random();
    println!("seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    for round in 0..40 {
        let cut = folder.path().join(format!("cut{round}"));
        std::fs::create_dir(&cut).unwrap();
        std::fs::copy(whole.join(MANIFEST), cut.join(MANIFEST)).unwrap();
        // The order of writing: a record's mask before the record. So records end anywhere, masks at most one further on.
        let end = rng.random_range(0..=records.len());
        let lines = records[..end].iter().filter(|&&b| b == b'\n').count();
        let least = lines.div_ceil(3) * 4 * SIZE * SIZE;
        let further = rng.random_range(0..=4 * SIZE * SIZE);
        std::fs::write(cut.join(RECORDS), &records[..end]).unwrap();
        std::fs::write(
            cut.join("masks-00000.f32"),
            &masks[..masks.len().min(least + further)],
        )
        .unwrap();
        std::fs::write(cut.join(TIMINGS), "{\"index\":1}\n{\"ind").unwrap();
        write(&cut, lines..20);
        assert!(
            file(&cut, RECORDS) == records && file(&cut, "masks-00000.f32") == masks,
            "cut at {end}"
        );
        assert_eq!(file(&cut, TIMINGS), b"{\"index\":1}\n");
    }
}

#[test]
fn a_last_line_of_another_content_is_cut_off_too() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), 0..4);
    let records = file(folder.path(), RECORDS);
    // As a file system may leave it after a power cut.
    std::fs::write(
        folder.path().join(RECORDS),
        [&records[..], &[0; 100], b"\n"].concat(),
    )
    .unwrap();
    assert_eq!(Store::open(folder.path(), &manifest()).unwrap().done(), 4);
    assert!(file(folder.path(), RECORDS) == records);
    let failures = Store::open(folder.path(), &manifest())
        .unwrap()
        .failures()
        .clone();
    assert_eq!(failures, BTreeMap::from([(Cause::Picture, 1)]));
}

#[test]
fn what_no_crash_can_have_done_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), 0..4);
    let records = file(folder.path(), RECORDS);
    let open = || {
        Store::open(folder.path(), &manifest())
            .map(|_| ())
            .unwrap_err()
            .to_string()
    };
    let lines: Vec<&[u8]> = records.split_inclusive(|&b| b == b'\n').collect();
    std::fs::write(
        folder.path().join(RECORDS),
        [lines[0], lines[2], lines[3]].concat(),
    )
    .unwrap();
    let error = open();
    assert!(
        error.contains("line 2") && error.contains("expected sample 3, found 5"),
        "{error}"
    );
    std::fs::write(folder.path().join(RECORDS), &records).unwrap();
    std::fs::write(folder.path().join("masks-00000.f32"), [0; 40]).unwrap();
    let error = open();
    assert!(
        error.contains("expected 72 bytes") && error.contains("found 40"),
        "{error}"
    );
    std::fs::remove_file(folder.path().join(MANIFEST)).unwrap();
    assert!(open().contains("run.json"));
}

#[test]
fn two_writers_and_other_settings_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let first = Store::open(folder.path(), &manifest()).unwrap();
    let second = Store::open(folder.path(), &manifest()).unwrap_err();
    assert!(matches!(second, RunError::Locked { .. }), "{second}");
    drop(first);
    let mut other = manifest();
    other.settings.steps = 3;
    let error = Store::open(folder.path(), &other).unwrap_err().to_string();
    assert!(
        error.contains("settings.steps: 10 is recorded, 3 is asked for"),
        "{error}"
    );
}

#[test]
fn records_and_masks_read_as_they_were_written() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), 0..7);
    let run = Run::open(folder.path()).unwrap();
    assert_eq!(*run.manifest(), manifest());
    for (place, read) in run.records().unwrap().enumerate() {
        let mut read = read.unwrap();
        let found = run.mask(&read).unwrap();
        let rounded = |m: Mask| m.values().iter().map(|&v| v as f32).collect::<Vec<_>>();
        assert_eq!(found.map(rounded), mask(place).map(rounded));
        read.mask = None;
        assert_eq!(read, record(place));
    }
    let record = run.records().unwrap().next().unwrap().unwrap();
    let mut masks = file(folder.path(), "masks-00000.f32");
    masks[5] ^= 1;
    std::fs::write(folder.path().join("masks-00000.f32"), masks).unwrap();
    let error = run.mask(&record).unwrap_err().to_string();
    assert!(error.contains("CRC-32"), "{error}");
}
