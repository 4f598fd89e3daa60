//! Tests of data whose questions are about several pictures.

use serde_json::{Value, json};

use crate::support::{Folder, ended, folder_of_scenes, scenes, succeeded};

/// Writes a table of questions about two pictures each, and one about a single picture.
fn table(folder: &Folder) {
    let scenes = scenes();
    let line = |n: usize| {
        let (one, other) = (
            &scenes[2 * n % scenes.len()],
            &scenes[(2 * n + 3) % scenes.len()],
        );
        let image = match n {
            0 => json!(one.picture),
            // As a list, and as Python writes one in a text.
            1 => json!([one.picture, other.picture]),
            _ => json!(format!("['{}', '{}']", one.picture, other.picture)),
        };
        format!(
            "{}\n",
            json!({ "id": format!("q{n}"), "image": image, "question": one.question })
        )
    };
    folder.write("data.jsonl", &(0..3).map(line).collect::<String>());
}

const OPTIONS: [&str; 5] = [
    "--data",
    "data.jsonl",
    "--no-curves",
    "--threshold=-1000",
    "--each",
];

fn with<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&OPTIONS[..], more].concat()
}

/// Returns the places of a record's masks.
fn places(record: &Value) -> [usize; 3] {
    let count = |name: &str| match &record[name] {
        Value::Null => 0,
        Value::Array(places) => places.len(),
        _ => 1,
    };
    ["mask", "more_masks", "each_masks"].map(count)
}

#[test]
fn each_picture_has_a_mask_in_records_exports_and_reports() {
    let folder = Folder::new();
    table(&folder);
    succeeded(&folder.run(&with(&["--out", "whole"])));
    let records = folder.lines("whole/records.jsonl");
    assert_eq!(records.len(), 3);
    for (n, record) in records.iter().enumerate() {
        let units = record["explanation"]["each"].as_array().unwrap().len();
        assert!(units > 0, "{record}");
        let expected = if n == 0 {
            [1, 0, units]
        } else {
            [1, 1, 2 * units]
        };
        assert_eq!(places(record), expected, "{record}");
        let explained = if n == 0 { Value::Null } else { json!([1, 2]) };
        assert_eq!(record["explained_images"], explained);
        let more = record["more_images"].as_array().map_or(0, Vec::len);
        assert_eq!(more, usize::from(n > 0));
    }
    // The mask is that of `explain` on the same pictures, with the row's seed.
    let run = foveate::run::Run::open(&folder.path("whole")).unwrap();
    let record = run.records().unwrap().nth(1).unwrap().unwrap();
    let mask = run.mask(&record).unwrap().unwrap();
    assert_eq!((mask.size(), mask.pictures()), (8, 2));
    let each = run.each_masks(&record).unwrap();
    assert!(each.iter().all(|mask| mask.pictures() == 2));
    let picture = |image: &Value| folder_of_scenes().join(image["path"].as_str().unwrap());
    let line = &records[1];
    let images = [picture(&line["image"]), picture(&line["more_images"][0])];
    let images = images.map(|path| path.to_str().unwrap().to_string());
    let question = line["question"].as_str().unwrap();
    let explain = [
        "explain",
        "--image",
        &images[0],
        "--image",
        &images[1],
        "--question",
        question,
        "--out",
        "one",
        "--mask-size",
        "8",
        "--steps",
        "2",
        "--iterations",
        "2",
        "--no-curves",
        "--threshold=-1000",
        "--seed",
        "1",
        "--device",
        "cpu",
        "--threads",
        "2",
    ];
    succeeded(&folder.foveate(&explain, &[]));
    let bytes = folder.bytes("one/mask.npy");
    let own: Vec<f32> = npyz::NpyFile::new(&bytes[..]).unwrap().into_vec().unwrap();
    let mask: Vec<f32> = mask.values().iter().map(|&value| value as f32).collect();
    assert_eq!(mask, own);

    // Shards, and a run that was interrupted.
    for shard in ["0/2", "1/2"] {
        succeeded(&folder.run(&with(&["--out", "out", "--shard", shard])));
    }
    succeeded(&folder.foveate(&["merge", "out", "--out", "merged"], &[]));
    folder.same("whole", "merged");
    let records = folder.bytes("whole/records.jsonl");
    folder.write("cut/notes.txt", "");
    for name in ["run.json", "masks-00000.f32"] {
        let from = folder.path(&format!("whole/{name}"));
        std::fs::copy(from, folder.path(&format!("cut/{name}"))).unwrap();
    }
    std::fs::write(
        folder.path("cut/records.jsonl"),
        &records[..records.len() - 10],
    )
    .unwrap();
    succeeded(&folder.run(&with(&["--out", "cut"])));
    folder.same("whole", "cut");

    succeeded(&folder.foveate(&["export", "whole"], &[]));
    let scenes = folder_of_scenes();
    let arguments = ["report", "whole", "--images", scenes.to_str().unwrap()];
    succeeded(&folder.foveate(&arguments, &[]));
    let page = String::from_utf8(folder.bytes("whole/report.html")).unwrap();
    assert_eq!(page.matches("\"others\":[{\"picture\":\"data:").count(), 2);

    // One picture alone, which every sample must have.
    let alone = folder.run(&with(&["--out", "second", "--explain-image", "2"]));
    ended(&alone, 3, &["1 of 3 samples failed"]);
    let records = folder.lines("second/records.jsonl");
    assert_eq!(records[0]["error"]["cause"], "picture");
    assert_eq!(places(&records[1])[..2], [1, 0]);
    assert_eq!(records[1]["explained_images"], json!([2]));

    // A stranger's record with another number of masks.
    let lines = String::from_utf8(folder.bytes("whole/records.jsonl")).unwrap();
    let edited = lines.replace("\"more_masks\":", "\"no_masks\":");
    std::fs::write(folder.path("whole/records.jsonl"), edited).unwrap();
    let refused = folder.foveate(&["export", "whole"], &[]);
    ended(&refused, 2, &["expected masks of 2 pictures, found 1"]);
}
