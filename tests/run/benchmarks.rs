//! Tests of the four benchmarks' layouts, made from the demo's scenes, through the program.

use std::sync::Arc;

use parquet::basic::Compression;
use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;
use serde_json::{Value, json};

use crate::support::{Folder, Scene, ended, folder_of_scenes, scenes, succeeded};

/// Returns the right word and a wrong one, the right one first in every other question.
fn options(place: usize, scene: &Scene) -> ([String; 2], char) {
    let other = if scene.word == "red" { "green" } else { "red" };
    let mut words = [scene.word.clone(), other.to_string()];
    if place % 2 == 1 {
        words.reverse();
    }
    (words, if place % 2 == 1 { 'B' } else { 'A' })
}

fn records(folder: &Folder, more: &[&str]) -> Vec<Value> {
    let options = ["--out", "out", "--no-curves", "--max-new-tokens", "12"];
    succeeded(&folder.run(&[&options[..], more].concat()));
    let manifest: Value = serde_json::from_slice(&folder.bytes("out/run.json")).unwrap();
    let records = folder.lines("out/records.jsonl");
    std::fs::remove_dir_all(folder.path("out")).unwrap();
    let layout = manifest["data"]["layout"].as_str().unwrap().to_string();
    records
        .into_iter()
        .map(|mut r| {
            r["layout"] = json!(layout);
            r
        })
        .collect()
}

/// Checks the fields common to every layout, and that the demo model, which knows its scenes, is
/// judged right.
fn check(record: &Value, layout: &str, place: usize, scene: &Scene, open: bool) {
    let (words, letter) = options(place, scene);
    assert_eq!(record["layout"], layout);
    assert_eq!(record["choices"], json!(words), "{layout}");
    assert_eq!(
        record["right"],
        json!({"text": scene.word, "letter": letter}),
        "{layout}"
    );
    assert!(
        record["explanation"]["answer"]["text"].is_string(),
        "{layout}: {record}"
    );
    if open {
        assert_eq!(record["question"], json!(scene.question), "{layout}");
        let right = record["explanation"]["answer"]["text"]
            .as_str()
            .unwrap()
            .contains(&scene.word);
        assert_eq!(record["judgement"]["correct"], right, "{layout}: {record}");
    } else {
        let question = record["question"].as_str().unwrap();
        assert!(
            words.iter().all(|w| question.contains(w)),
            "{layout}: {question}"
        );
        assert!(record["judgement"]["correct"].is_boolean(), "{layout}");
    }
}

fn both(folder: &Folder, layout: &str, options: &[&str], count: usize) {
    for ask in ["open", "choice"] {
        let all = records(folder, &[options, &["--ask", ask]].concat());
        assert_eq!(all.len(), count);
        for (place, (record, scene)) in all.iter().zip(scenes()).enumerate() {
            check(record, layout, place, &scene, ask == "open");
        }
    }
}

fn copy_picture(folder: &Folder, scene: &Scene, name: &str) {
    let path = folder.path(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::copy(folder_of_scenes().join(&scene.picture), path).unwrap();
}

#[test]
fn mmvp() {
    let folder = Folder::new();
    let mut text = "Index,Question,Options,Correct Answer\n".to_string();
    for (place, scene) in scenes().iter().take(4).enumerate() {
        let ([a, b], letter) = options(place, scene);
        let letter = letter.to_ascii_lowercase();
        text += &format!(
            "{},{},(a) {a} (b) {b},({letter})\n",
            place + 1,
            scene.question
        );
        copy_picture(
            &folder,
            scene,
            &format!("mmvp/MMVP Images/{}.jpg", place + 1),
        );
    }
    folder.write("mmvp/Questions.csv", &text);
    both(
        &folder,
        "mmvp",
        &["--data", "mmvp/Questions.csv", "--images", "mmvp"],
        4,
    );
}

fn cv_bench_row(place: usize, scene: &Scene) -> Value {
    let ([a, b], letter) = options(place, scene);
    json!({
        "idx": place, "type": "2D", "task": "Color", "question": scene.question, "choices": [a, b],
        "answer": format!("({letter})"), "prompt": format!("{}\n(A) {a}\n(B) {b}", scene.question),
        "filename": format!("img/2D/{place}.png"), "source": "demo",
        "source_dataset": "demo scenes",
        "source_filename": scene.picture, "target_class": null, "target_size": null,
        "bbox": [scene.rectangle],
    })
}

#[test]
fn cv_bench_in_json_lines_and_in_parquet() {
    let folder = Folder::new();
    let mut text = String::new();
    for (place, scene) in scenes().iter().take(3).enumerate() {
        text += &format!("{}\n", cv_bench_row(place, scene));
        copy_picture(&folder, scene, &format!("img/2D/{place}.png"));
    }
    folder.write("test_2d.jsonl", &text);
    both(
        &folder,
        "cv-bench",
        &["--data", "test_2d.jsonl", "--images", "."],
        3,
    );
    cv_bench_parquet(&folder, Compression::SNAPPY);
    both(&folder, "cv-bench", &["--data", "test.parquet"], 3);
    for data in ["test_2d.jsonl", "test.parquet"] {
        let all = records(&folder, &["--data", data, "--images", "."]);
        for (record, scene) in all.iter().zip(scenes()) {
            assert_eq!(record["boxes"], json!([scene.rectangle]), "{data}");
            assert_eq!(record["category"], "Color");
        }
    }
}

#[test]
fn parquet_of_every_compression_gives_the_same_samples() {
    use foveate::run::{Data, DataOptions, Sample, Shard};
    let folder = Folder::new();
    let read = |compression| -> Vec<Sample> {
        cv_bench_parquet(&folder, compression);
        let data = Data::open(&folder.path("test.parquet"), None, DataOptions::default()).unwrap();
        let picked = data.samples(Shard::WHOLE, 0).unwrap();
        picked.map(|p| p.unwrap().sample.unwrap()).collect()
    };
    let plain = read(Compression::UNCOMPRESSED);
    assert_eq!(plain.len(), 3);
    for compression in [
        Compression::SNAPPY,
        Compression::GZIP(Default::default()),
        Compression::ZSTD(Default::default()),
        Compression::LZ4_RAW,
    ] {
        assert!(read(compression) == plain, "{compression}");
    }
}

/// Writes CV-Bench as the datasets library does: pictures as their bytes and names, lists of texts,
/// lists of lists of numbers.
fn cv_bench_parquet(folder: &Folder, compression: Compression) {
    let schema = "message schema {
        optional int64 idx; optional binary type (UTF8); optional binary task (UTF8);
        optional group image { optional binary bytes; optional binary path (UTF8); }
        optional binary question (UTF8);
        optional group choices (LIST) { repeated group list { optional binary element (UTF8); } }
        optional binary answer (UTF8); optional binary prompt (UTF8); \
        optional binary filename (UTF8);
        optional binary source_dataset (UTF8);
        optional group bbox (LIST) { repeated group list {
            optional group element (LIST) { repeated group list { optional double element; } } } }
    }";
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let file = std::fs::File::create(folder.path("test.parquet")).unwrap();
    let properties = WriterProperties::builder()
        .set_compression(compression)
        .build();
    let mut writer = SerializedFileWriter::new(file, schema, Arc::new(properties)).unwrap();
    let scenes = scenes();
    // Row groups of two samples and of one.
    for places in [0..2, 2..3] {
        let mut group = writer.next_row_group().unwrap();
        let rows: Vec<(Value, &Scene)> = places
            .map(|p| (cv_bench_row(p, &scenes[p]), &scenes[p]))
            .collect();
        let texts = |group: &mut SerializedRowGroupWriter<_>, name: &str| {
            column(
                group,
                rows.iter()
                    .map(|(row, _)| row[name].as_str().unwrap().into())
                    .collect(),
                1,
            );
        };
        let ids: Vec<i64> = rows
            .iter()
            .map(|(row, _)| row["idx"].as_i64().unwrap())
            .collect();
        let mut idx = group.next_column().unwrap().unwrap();
        idx.typed::<Int64Type>()
            .write_batch(&ids, Some(&vec![1; ids.len()]), None)
            .unwrap();
        idx.close().unwrap();
        texts(&mut group, "type");
        texts(&mut group, "task");
        let pictures = rows
            .iter()
            .map(|(_, s)| std::fs::read(folder_of_scenes().join(&s.picture)).unwrap());
        column(&mut group, pictures.map(ByteArray::from).collect(), 2);
        column(
            &mut group,
            rows.iter()
                .map(|(_, s)| s.picture.as_str().into())
                .collect(),
            2,
        );
        texts(&mut group, "question");
        let choices = rows
            .iter()
            .flat_map(|(row, _)| row["choices"].as_array().unwrap());
        let choices: Vec<ByteArray> = choices.map(|c| c.as_str().unwrap().into()).collect();
        let repetitions: Vec<i16> = (0..choices.len()).map(|c| (c % 2) as i16).collect();
        let mut list = group.next_column().unwrap().unwrap();
        let definitions = vec![3; choices.len()];
        list.typed::<ByteArrayType>()
            .write_batch(&choices, Some(&definitions), Some(&repetitions))
            .unwrap();
        list.close().unwrap();
        for name in ["answer", "prompt", "filename", "source_dataset"] {
            texts(&mut group, name);
        }
        let numbers: Vec<f64> = rows.iter().flat_map(|(_, s)| s.rectangle).collect();
        let repetitions: Vec<i16> = (0..numbers.len())
            .map(|n| if n % 4 == 0 { 0 } else { 2 })
            .collect();
        let mut boxes = group.next_column().unwrap().unwrap();
        let definitions = vec![5; numbers.len()];
        boxes
            .typed::<DoubleType>()
            .write_batch(&numbers, Some(&definitions), Some(&repetitions))
            .unwrap();
        boxes.close().unwrap();
        group.close().unwrap();
    }
    writer.close().unwrap();
}

/// Writes a column of bytes without nulls; `level` is its depth of optional groups.
fn column(group: &mut SerializedRowGroupWriter<std::fs::File>, values: Vec<ByteArray>, level: i16) {
    let mut column = group.next_column().unwrap().unwrap();
    let definitions = vec![level; values.len()];
    column
        .typed::<ByteArrayType>()
        .write_batch(&values, Some(&definitions), None)
        .unwrap();
    column.close().unwrap();
}

#[test]
fn mmstar_in_tsv() {
    use base64::Engine;
    let folder = Folder::new();
    let mut text = "index\tquestion\timage\tanswer\tcategory\tl2_category\n".to_string();
    for (place, scene) in scenes().iter().take(3).enumerate() {
        let ([a, b], letter) = options(place, scene);
        let bytes = std::fs::read(folder_of_scenes().join(&scene.picture)).unwrap();
        let image = base64::engine::general_purpose::STANDARD.encode(bytes);
        text += &format!(
            "{place}\t\"{}\nOptions: A: {a}, B: \
             {b}\"\t{image}\t{letter}\tcoarse perception\tdemo\n",
            scene.question
        );
    }
    folder.write("MMStar.tsv", &text);
    both(&folder, "mmstar", &["--data", "MMStar.tsv"], 3);
}

/// A picture of several rows is in the first of them.
#[test]
fn vlmevalkit() {
    use base64::Engine;
    let folder = Folder::new();
    let mut text = "index\timage\tquestion\tA\tB\tanswer\tcategory\n".to_string();
    let all = scenes();
    for (place, scene) in all.iter().take(4).enumerate() {
        let ([a, b], letter) = options(place, scene);
        let first = all.iter().position(|other| other.picture == scene.picture);
        let image = match first {
            Some(first) if first < place => first.to_string(),
            _ => {
                let bytes = std::fs::read(folder_of_scenes().join(&scene.picture)).unwrap();
                base64::engine::general_purpose::STANDARD.encode(bytes)
            }
        };
        text += &format!(
            "{place}\t{image}\t{}\t{a}\t{b}\t{letter}\tdemo\n",
            scene.question
        );
    }
    assert!(text.contains("\n1\t0\t"));
    folder.write("Demo.tsv", &text);
    both(&folder, "vlmevalkit", &["--data", "Demo.tsv"], 4);
}

/// A folder as published on the hub: run, resumed, and its pictures in the report.
#[test]
fn a_folder_of_the_hub() {
    let folder = Folder::new();
    let data = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/hub/cards");
    let data = data.to_str().unwrap();
    let of = |split| {
        [
            "--data",
            data,
            "--split",
            split,
            "--out",
            "out",
            "--no-curves",
            "--max-new-tokens",
            "4",
        ]
    };
    ended(
        &folder.run(&of("none")),
        2,
        &["expected a split \"none\", found train, test"],
    );
    succeeded(&folder.run(&of("train")));
    let ids: Vec<Value> = folder
        .lines("out/records.jsonl")
        .iter()
        .map(|r| r["id"].clone())
        .collect();
    assert_eq!(ids, ["a", "b", "c", "d", "e"]);
    let manifest: Value = serde_json::from_slice(&folder.bytes("out/run.json")).unwrap();
    assert_eq!(manifest["data"]["file"], "cards");
    assert_eq!(
        manifest["data"]["split"],
        json!({"config": "default", "split": "train"})
    );
    ended(&folder.run(&of("test")), 2, &["split", "fingerprint"]);
    let report = folder.foveate(
        &["report", "out", "--data", data, "--out", "page.html"],
        &[],
    );
    ended(&report, 0, &[]);
    let notes = String::from_utf8_lossy(&report.stderr);
    assert!(!notes.contains("without"), "{notes}");
}

#[test]
fn llava_bench() {
    let folder = Folder::new();
    let mut text = String::new();
    for (place, scene) in scenes().iter().take(2).enumerate() {
        let image = format!("{:03}.jpg", place + 1);
        copy_picture(&folder, scene, &format!("images/{image}"));
        let row = json!({
            "question_id": place, "image": image, "text": scene.question, "category": "conv"
        });
        text += &format!("{row}\n");
    }
    folder.write("questions.jsonl", &text);
    for (record, scene) in records(&folder, &["--data", "questions.jsonl", "--images", "."])
        .iter()
        .zip(scenes())
    {
        assert_eq!(
            (&record["layout"], &record["question"]),
            (&json!("llava-bench"), &json!(scene.question))
        );
        assert_eq!(record["image"]["width"], 112);
        assert!(
            record["image"]["path"]
                .as_str()
                .unwrap()
                .starts_with("images/00")
        );
        assert!(record.get("right").is_none() && record.get("judgement").is_none());
    }
}
