//! Tests of whole data sets through the program: records, crashes, shards, exports.

mod benchmarks;
mod columns;
mod compat;
mod each;
mod failures;
mod hostile;
#[path = "../program/mod.rs"]
mod program;
mod resume;
mod sanity;
mod several;
mod shards;
mod support;

use serde_json::Value;
use support::{Folder, scenes, succeeded};

/// The record of a sample equals the output of `explain`.
#[test]
fn a_record_is_what_explain_gives() {
    let folder = Folder::new();
    folder.table("data.jsonl", 3);
    let options = ["--data", "data.jsonl", "--out", "out", "--seed", "5"];
    let text = succeeded(&folder.run(&[&options[..], &["--baseline-answer"]].concat()));
    assert!(text.contains("3 of 3 samples done"), "{text}");
    let run = foveate::run::Run::open(&folder.path("out")).unwrap();
    let all = scenes();
    for (record, line) in run
        .records()
        .unwrap()
        .zip(folder.lines("out/records.jsonl"))
    {
        let record = record.unwrap();
        let scene = &all[record.index];
        let (picture, seed) = (scene.path(), record.seed.to_string());
        let one = format!("one{}", record.index);
        let quick = ["--mask-size", "8", "--steps", "2", "--iterations", "2"];
        let quick = [&quick[..], &["--baseline-answer"]].concat();
        let what = [
            "explain",
            "--image",
            &picture,
            "--question",
            &scene.question,
            "--out",
            &one,
            "--seed",
            &seed,
            "--device",
            "cpu",
            "--threads",
            "2",
        ];
        succeeded(&folder.foveate(&[&what[..], &quick].concat(), &[]));
        let text = std::fs::read_to_string(folder.path(&one).join("explanation.json")).unwrap();
        let explained: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(record.seed, 5 + record.index as u64);
        for field in [
            "prompt",
            "answer",
            "image_dependent",
            "iterations",
            "curves",
        ] {
            assert_eq!(line["explanation"][field], explained[field], "{field}");
        }
        let baseline = &line["explanation"]["baseline_answer"];
        assert!(baseline.is_string());
        assert_eq!(baseline, &explained["baseline_answer"]);
        let cost = &explained["cost"];
        assert_eq!(line["explanation"]["evaluations"], cost["evaluations"]);
        let mask = run
            .mask(&record)
            .unwrap()
            .map(|m| m.values().iter().map(|&v| v as f32).collect());
        let npy = std::fs::read(folder.path(&one).join("mask.npy")).ok();
        let expected: Option<Vec<f32>> =
            npy.map(|bytes| npyz::NpyFile::new(&bytes[..]).unwrap().into_vec().unwrap());
        assert_eq!(mask, expected);
        assert_eq!(record.boxes, [scene.rectangle]);
        let right = record.right.as_ref().unwrap();
        assert_eq!(right.text.as_deref(), Some(scene.answer.as_str()));
        assert_eq!(
            record.judgement.unwrap().correct,
            record_answer(&line) == scene.answer
        );
    }
}

fn record_answer(line: &Value) -> &str {
    line["explanation"]["answer"]["text"]
        .as_str()
        .unwrap()
        .trim()
}

/// The device does not wait for pictures or for the disk, and a longer run takes no more memory.
#[test]
fn a_run_keeps_the_device_busy_in_the_same_memory() {
    let folder = Folder::new();
    let measured = |count: usize| {
        folder.table("data.jsonl", count);
        let out = format!("out{count}");
        succeeded(&folder.run(&["--data", "data.jsonl", "--out", &out, "--no-curves"]));
        let mut lines = folder.lines(&format!("{out}/timings.jsonl"));
        let process = lines.pop().unwrap();
        assert_eq!((lines.len(), &process["worked"]), (count, &count.into()));
        (lines, process["peak_memory_bytes"].as_u64())
    };
    let (_, short) = measured(4);
    let (lines, long) = measured(40);
    let seconds = |line: &Value| {
        let stages = line["seconds"].as_array().unwrap().iter();
        stages.map(|s| s[1].as_f64().unwrap()).sum::<f64>()
    };
    let work: f64 = lines[1..].iter().map(seconds).sum();
    let wait: f64 = lines[1..]
        .iter()
        .map(|line| line["wait"].as_f64().unwrap())
        .sum();
    println!("work {work:.2} s, wait {wait:.4} s, memory {short:?} and {long:?}");
    assert!(
        wait < 0.05 * work,
        "{wait} s of waiting for {work} s of work"
    );
    if let (Some(short), Some(long)) = (short, long) {
        assert!(
            long < short + (32 << 20),
            "{short} bytes for 4 samples, {long} for 40"
        );
    }
}

#[test]
fn an_export_reads_as_the_records() {
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::RowAccessor;
    let folder = Folder::new();
    folder.table("data.jsonl", 2);
    folder.append(
        "data.jsonl",
        r#"{"id":"bad","image":"none.png","question":"What?"}"#,
    );
    let options = ["--data", "data.jsonl", "--out", "out", "--baseline-answer"];
    let ended = folder.run(&[&options[..], &["--evidence-column", "evidence"]].concat());
    assert_eq!(ended.status.code(), Some(3));
    let text = succeeded(&folder.foveate(&["export", "out", "--out", "tables"], &[]));
    let open = |name: &str| {
        let file = std::fs::File::open(folder.path("tables").join(name)).unwrap();
        SerializedFileReader::new(file).unwrap()
    };
    let lines = folder.lines("out/records.jsonl");
    let (samples, tokens) = (open("samples.parquet"), open("tokens.parquet"));
    let column = |reader: &SerializedFileReader<std::fs::File>, name: &str| {
        let schema = reader.metadata().file_metadata().schema();
        let fields = schema.get_fields();
        fields
            .iter()
            .position(|f| f.name() == name)
            .unwrap_or_else(|| panic!("no column {name}"))
    };
    let at = |name: &str| column(&samples, name);
    let rows: Vec<_> = samples
        .get_row_iter(None)
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(rows.len(), 3);
    let run = foveate::run::Run::open(&folder.path("out")).unwrap();
    for ((row, line), record) in rows.iter().zip(&lines).zip(run.records().unwrap()) {
        let record = record.unwrap();
        assert_eq!(
            row.get_long(at("index")).unwrap(),
            line["index"].as_i64().unwrap()
        );
        assert_eq!(
            row.get_string(at("id")).unwrap(),
            line["id"].as_str().unwrap()
        );
        let Some(explained) = line["explanation"].as_object() else {
            assert_eq!(row.get_string(at("error_cause")).unwrap(), "picture");
            assert!(row.get_string(at("answer")).is_err() && row.get_list(at("mask")).is_err());
            continue;
        };
        assert_eq!(
            row.get_string(at("answer")).unwrap(),
            explained["answer"]["text"].as_str().unwrap()
        );
        assert_eq!(
            row.get_string(at("baseline_answer")).unwrap(),
            explained["baseline_answer"].as_str().unwrap()
        );
        assert_eq!(
            row.get_bool(at("image_dependent")).unwrap(),
            explained["image_dependent"].as_bool().unwrap()
        );
        let list = |name: &str| {
            let elements = row.get_list(at(name)).unwrap().elements().iter();
            elements
                .map(|e| e.to_string().parse::<f64>().unwrap())
                .collect::<Vec<_>>()
        };
        assert_eq!(list("boxes"), record.boxes.concat());
        let evidence = line["evidence"].as_object().unwrap();
        for (name, column) in [("size", "evidence_size"), ("counts", "evidence_counts")] {
            let expected: Vec<f64> = serde_json::from_value(evidence[name].clone()).unwrap();
            assert_eq!(list(column), expected);
        }
        if let Some(mask) = run.mask(&record).unwrap() {
            let singles = list("mask").into_iter().map(|v| v as f32);
            assert!(singles.eq(mask.values().iter().map(|&v| v as f32)));
            let curve = serde_json::to_value(list("curve_deletion")).unwrap();
            assert_eq!(curve, explained["curves"]["deletion"]);
        }
    }
    let expected: Vec<&Value> = lines
        .iter()
        .flat_map(|l| l["explanation"]["answer"]["tokens"].as_array())
        .flatten()
        .collect();
    let rows: Vec<_> = tokens
        .get_row_iter(None)
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(rows.len(), expected.len());
    assert!(
        text.contains(&format!("3 samples, {} tokens", rows.len())),
        "{text}"
    );
    for (row, token) in rows.iter().zip(expected) {
        let at = |name: &str| column(&tokens, name);
        assert_eq!(
            row.get_string(at("text")).unwrap(),
            token["text"].as_str().unwrap()
        );
        assert_eq!(
            row.get_double(at("llr")).unwrap(),
            token["llr"].as_f64().unwrap()
        );
        assert_eq!(
            row.get_bool(at("key")).unwrap(),
            token["key"].as_bool().unwrap()
        );
    }
    let metadata = samples
        .metadata()
        .file_metadata()
        .key_value_metadata()
        .unwrap();
    let manifest = metadata
        .iter()
        .find(|m| m.key == "foveate.run")
        .unwrap()
        .value
        .clone()
        .unwrap();
    let manifest: foveate::run::Manifest = serde_json::from_str(&manifest).unwrap();
    assert_eq!(manifest, *run.manifest());
}
