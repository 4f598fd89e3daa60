//! Tests of runs with a map for each word.

use serde_json::{Value, json};

use crate::support::{Folder, ended, scenes, succeeded};

/// Writes a table whose answers name an object's shape and its colour.
fn table(folder: &Folder, count: usize) {
    let scenes = scenes();
    let line = |n: usize| {
        let scene = &scenes[2 * n % scenes.len()];
        let cells = json!({
            "id": format!("q{n}"), "image": scene.picture, "question": "What is in the picture?",
            "explained": scene.answer,
        });
        format!("{cells}\n")
    };
    folder.write("data.jsonl", &(0..count).map(line).collect::<String>());
}

const OPTIONS: [&str; 6] = [
    "--data",
    "data.jsonl",
    "--no-curves",
    "--explain-column",
    "explained",
    "--threshold=-1000",
];

fn with<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&OPTIONS[..], more].concat()
}

/// Returns the f32 numbers at a place of a record.
fn mask(folder: &Folder, out: &str, place: &Value) -> Vec<u8> {
    let bytes = folder.bytes(&format!("{out}/{}", place["file"].as_str().unwrap()));
    let from = place["offset"].as_u64().unwrap() as usize;
    bytes[from..from + 4 * 8 * 8].to_vec()
}

#[test]
fn masks_of_words_are_recorded_merged_and_resumed() {
    let folder = Folder::new();
    table(&folder, 3);
    succeeded(&folder.run(&with(&["--out", "plain"])));
    succeeded(&folder.run(&with(&["--out", "whole", "--each"])));
    let (plain, whole) = (
        folder.lines("plain/records.jsonl"),
        folder.lines("whole/records.jsonl"),
    );
    for (plain, record) in plain.iter().zip(&whole) {
        let units = record["explanation"]["each"].as_array().unwrap();
        let places = record["each_masks"].as_array().unwrap();
        // "The circle is blue."
        assert_eq!((units.len(), places.len()), (2, 2), "{record}");
        let masks: Vec<Vec<u8>> = places.iter().map(|p| mask(&folder, "whole", p)).collect();
        assert_ne!(masks[0], masks[1]);
        // The rest is as in a run without.
        let own = |record: &Value| mask(&folder, "plain", &record["mask"]);
        assert_eq!(own(plain), mask(&folder, "whole", &record["mask"]));
        let strip = |record: &Value| {
            let mut record = record.clone();
            for name in ["mask", "each_masks"] {
                record.as_object_mut().unwrap().remove(name);
            }
            for name in ["each", "evaluations"] {
                record["explanation"].as_object_mut().unwrap().remove(name);
            }
            record
        };
        assert_eq!(strip(plain), strip(record));
    }
    // Interrupted within the second record.
    let records = folder.bytes("whole/records.jsonl");
    let first = records.iter().position(|&b| b == b'\n').unwrap();
    for name in ["run.json", "masks-00000.f32"] {
        folder.write("cut/notes.txt", "");
        std::fs::copy(
            folder.path(&format!("whole/{name}")),
            folder.path(&format!("cut/{name}")),
        )
        .unwrap();
    }
    std::fs::write(folder.path("cut/records.jsonl"), &records[..first + 100]).unwrap();
    succeeded(&folder.run(&with(&["--out", "cut", "--each=word"])));
    folder.same("whole", "cut");
    // Shards.
    for shard in ["0/2", "1/2"] {
        succeeded(&folder.run(&with(&["--out", "out", "--each", "--shard", shard])));
    }
    succeeded(&folder.foveate(&["merge", "out", "--out", "merged"], &[]));
    folder.same("whole", "merged");
    // Another choice is another run.
    for (more, words) in [
        (
            &[][..],
            "settings.each: \"word\" is recorded, null is asked for",
        ),
        (
            &["--each=token"],
            "settings.each: \"word\" is recorded, \"token\" is asked for",
        ),
    ] {
        let more = [&["--out", "whole"], more].concat();
        ended(&folder.run(&with(&more)), 2, &[words]);
    }
    let refused = folder.run(&with(&["--out", "plain", "--each"]));
    ended(
        &refused,
        2,
        &["settings.each: null is recorded, \"word\" is asked for"],
    );
    // The report has them.
    succeeded(&folder.foveate(&["report", "whole"], &[]));
    let page = String::from_utf8(folder.bytes("whole/report.html")).unwrap();
    assert_eq!(page.matches("\"each\":[{\"text\":").count(), 3);
    succeeded(&folder.foveate(&["report", "plain"], &[]));
    let page = String::from_utf8(folder.bytes("plain/report.html")).unwrap();
    assert!(!page.contains("\"each\":["));
}
