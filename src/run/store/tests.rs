//! Whatever a process leaves behind when it stops, the complete records are kept and the rest is
//! truncated.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;
use crate::explain::{Settings, Unit};
use crate::run::{
    Answer, Ask, Columns, DataIdentity, DeviceIdentity, Explained, Failure, Layout, ModelIdentity,
    Run, Sample, Shard, Source,
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
            randomized: None,
        },
        DeviceIdentity {
            name: "cpu".into(),
            dtype: "f32".into(),
            gemm: None,
        },
        settings,
        DataIdentity {
            file: "d.csv".into(),
            split: None,
            fingerprint: "2".into(),
            samples: 100,
            layout: Layout::Table,
            ask: Ask::Open,
            columns: Columns::default(),
        },
        Shard::new(1, 2).unwrap(),
    )
}

fn record(place: usize) -> Record {
    let sample = Sample {
        more_pictures: Vec::new(),
        index: manifest().shard.sample(place).unwrap(),
        id: format!("sample {place}"),
        question: "?".into(),
        picture: Source::File(Vec::new()),
        choices: Vec::new(),
        right: None,
        boxes: Vec::new(),
        evidence: None,
        category: None,
        answer: None,
    };
    let mut record = Record::of(&sample, |_| "p.png".into(), 0);
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
        store
            .append(record(place), mask(place).as_ref(), &[])
            .unwrap();
    }
}

fn file(folder: &Path, name: &str) -> Vec<u8> {
    std::fs::read(folder.join(name)).unwrap()
}

/// Places with each of three residues: 0 has a mask, 1 an error, 2 neither.
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
        // The order of writing: a record's mask before the record. So records may end anywhere,
        // masks at most one later.
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
    // A state that a file system may leave after a power failure.
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
    let mut masks = [0; 72];
    masks[40] = 1;
    std::fs::write(folder.path().join("masks-00000.f32"), masks).unwrap();
    assert!(open().contains("CRC-32"));
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
        error.contains("settings.steps: 6 is recorded, 3 is asked for"),
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

/// The masks of words follow the answer's, and a record says of each word where its mask is.
#[test]
fn masks_of_words_are_resumed_and_read_as_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let unit = |token: usize| Unit {
        text: format!("word {token}"),
        tokens: vec![token],
        iterations: Vec::new(),
        evaluations: 3,
    };
    let grey = |value: usize| Mask::new(SIZE, vec![value as f64 / 256.0; SIZE * SIZE]).unwrap();
    // Two words, none, one, two and so on; without an answer's mask where there is none.
    let units = |place: usize| [2, 0, 1][place % 3];
    let explained = |place: usize| {
        let mut record = record(place);
        record.error = None;
        record.explanation = Some(Explained {
            prompt: "?".into(),
            answer: Answer {
                text: "!".into(),
                tokens: Vec::new(),
            },
            baseline_answer: None,
            image_dependent: units(place) > 0,
            iterations: Vec::new(),
            curves: None,
            faithfulness: None,
            each: (0..units(place)).map(unit).collect(),
            evaluations: 1,
        });
        record
    };
    let masks = |place: usize| {
        let each = (0..units(place))
            .map(|n| grey(10 * place + n + 1))
            .collect::<Vec<_>>();
        ((units(place) > 0).then(|| grey(10 * place)), each)
    };
    let write = |folder: &Path, places: std::ops::Range<usize>| {
        let mut store = Store::open(folder, &manifest()).unwrap();
        assert_eq!(store.done(), places.start);
        for place in places {
            let (mask, each) = masks(place);
            store
                .append(explained(place), mask.as_ref(), &each)
                .unwrap();
        }
    };
    let (whole, cut) = (folder.path().join("whole"), folder.path().join("cut"));
    write(&whole, 0..8);
    let records = file(&whole, RECORDS);
    let lines: Vec<&[u8]> = records.split_inclusive(|&b| b == b'\n').collect();
    std::fs::create_dir(&cut).unwrap();
    for kept in 0..8 {
        std::fs::copy(whole.join(MANIFEST), cut.join(MANIFEST)).unwrap();
        let mut begun = lines[..kept].concat();
        begun.extend(&lines[kept][..lines[kept].len() / 2]);
        std::fs::write(cut.join(RECORDS), begun).unwrap();
        std::fs::copy(whole.join("masks-00000.f32"), cut.join("masks-00000.f32")).unwrap();
        write(&cut, kept..8);
        for name in [RECORDS, "masks-00000.f32"] {
            assert!(file(&cut, name) == file(&whole, name), "{kept}: {name}");
        }
    }
    let run = Run::open(&whole).unwrap();
    for (place, read) in run.records().unwrap().enumerate() {
        let read = read.unwrap();
        assert_eq!(
            (run.mask(&read).unwrap(), run.each_masks(&read).unwrap()),
            masks(place)
        );
    }
    // A word without a mask, a mask without a word, and masks in another order.
    let text = String::from_utf8(records.clone()).unwrap();
    let first: Record = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    let mut fewer = first.clone();
    fewer.each_masks.pop();
    let mut swapped = first.clone();
    swapped.each_masks.swap(0, 1);
    let mut unknown = first;
    unknown.explanation = None;
    for (changed, words) in [
        (fewer, "expected 2 masks of 2 words or tokens, found 1"),
        (unknown, "expected 0 masks of 0 words or tokens, found 2"),
        (swapped, "expected a mask of 3 cells a side"),
    ] {
        let line = serde_json::to_string(&changed).unwrap();
        std::fs::write(whole.join(RECORDS), format!("{line}\n")).unwrap();
        let errors = [
            Store::open(&whole, &manifest()).unwrap_err().to_string(),
            run.records()
                .unwrap()
                .next()
                .unwrap()
                .unwrap_err()
                .to_string(),
        ];
        assert!(
            errors.iter().all(|error| error.contains(words)),
            "{errors:?}"
        );
    }
    std::fs::write(whole.join(RECORDS), records).unwrap();
    let mut masks = file(&whole, "masks-00000.f32");
    let second = 4 * SIZE * SIZE;
    masks[second + 1] ^= 1;
    std::fs::write(whole.join("masks-00000.f32"), masks).unwrap();
    let record = run.records().unwrap().next().unwrap().unwrap();
    let error = run.each_masks(&record).unwrap_err().to_string();
    assert!(
        run.mask(&record).is_ok() && error.contains("CRC-32"),
        "{error}"
    );
}

/// Every change of a record that a reader could miss, in complete lines, is refused both when
/// resuming and when reading.
#[test]
fn records_that_were_changed_are_refused_by_all() {
    let folder = tempfile::tempdir().unwrap();
    let mut small = manifest();
    small.data.samples = 8;
    let mut store = Store::open(folder.path(), &small).unwrap();
    for place in 0..4 {
        store
            .append(record(place), mask(place).as_ref(), &[])
            .unwrap();
    }
    drop(store);
    let records = String::from_utf8(file(folder.path(), RECORDS)).unwrap();
    let lines: Vec<&str> = records.lines().collect();
    let extra = lines[3].replace("\"index\":7", "\"index\":9");
    let changed = |from: &str, to: &str| {
        assert!(records.contains(from), "{from}: {records}");
        records.replacen(from, to, 1)
    };
    let crc = records.split("\"crc32\":").nth(1).unwrap();
    let crc = crc.split('}').next().unwrap();
    for (text, word) in [
        (
            format!("{records}{extra}\n"),
            "line 5: expected a whole record: expected no more than 4 records",
        ),
        (format!("{records}{}\n", lines[3]), "no more than 4"),
        (
            [lines[0], lines[2], lines[1], lines[3]].join("\n") + "\n",
            "line 2",
        ),
        (
            [lines[0], lines[1], lines[1]].join("\n") + "\n",
            "expected sample 5, found 3",
        ),
        (
            changed(&format!("\"crc32\":{crc}"), "\"crc32\":1"),
            "CRC-32",
        ),
        (changed("\"offset\":0", "\"offset\":36"), "from byte 0 on"),
        (
            changed("\"offset\":0", "\"offset\":18446744073709551615"),
            "from byte 0 on",
        ),
        (changed("\"size\":3", "\"size\":4"), "a mask of 3 cells"),
        (
            changed("masks-00000.f32", "../masks-00000.f32"),
            "in masks-00000.f32",
        ),
        (
            changed("masks-00000.f32", "masks-00001.f32"),
            "in masks-00000.f32",
        ),
        (changed("\"seed\":0", "\"seed\":-1"), "line 1"),
    ] {
        std::fs::write(folder.path().join(RECORDS), &text).unwrap();
        let read = || -> Result<()> {
            let run = Run::open(folder.path())?;
            for record in run.records()? {
                run.mask(&record?)?;
            }
            Ok(())
        };
        let resumed = Store::open(folder.path(), &small).map(drop);
        for error in [resumed, read()] {
            let error = error.expect_err(word).to_string();
            assert!(error.contains(word), "{word}: {error}");
        }
        assert_eq!(
            std::fs::read_to_string(folder.path().join(RECORDS)).unwrap(),
            text
        );
    }
    std::fs::write(folder.path().join(RECORDS), &records).unwrap();
    assert_eq!(Store::open(folder.path(), &small).unwrap().done(), 4);
}

#[cfg(unix)]
#[test]
fn links_and_pipes_in_a_folder_are_not_written_to() {
    let around = tempfile::tempdir().unwrap();
    let elsewhere = around.path().join("elsewhere");
    for name in [RECORDS, TIMINGS, LOCK, MANIFEST, "masks-00000.f32"] {
        for kind in ["link", "dangling", "pipe"] {
            let folder = around.path().join(format!("{name}-{kind}"));
            write(&folder, 0..2);
            let at = folder.join(name);
            std::fs::rename(&at, &elsewhere).unwrap();
            let before = std::fs::read(&elsewhere).unwrap();
            match kind {
                "pipe" => {
                    let made = std::process::Command::new("mkfifo").arg(&at).status();
                    assert!(made.unwrap().success());
                }
                kind => {
                    std::os::unix::fs::symlink(&elsewhere, &at).unwrap();
                    if kind == "dangling" {
                        std::fs::remove_file(&elsewhere).unwrap();
                    }
                }
            }
            let error = Store::open(&folder, &manifest()).unwrap_err().to_string();
            let word = if kind == "pipe" {
                "a pipe"
            } else {
                "a symbolic link"
            };
            // A mask that is read is looked up first.
            let missing = kind == "dangling" && name.starts_with("masks");
            assert!(error.contains(word) || missing, "{name} {kind}: {error}");
            if kind == "link" {
                assert!(std::fs::read(&elsewhere).unwrap() == before, "{name}");
            } else {
                assert!(kind == "pipe" || !elsewhere.exists(), "{name}");
            }
        }
    }
}
