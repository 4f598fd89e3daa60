//! Tests of samples that fail, each for its own reason, among others that do not.

use serde_json::json;

use crate::support::{Folder, ended, scenes, succeeded};

#[test]
fn bad_samples_are_records_and_the_run_goes_on() {
    let folder = Folder::new();
    folder.table("data.jsonl", 1);
    let picture = &scenes()[0].picture;
    folder.append(
        "data.jsonl",
        r#"{"id":"gone","image":"none.png","question":"What?"}"#,
    );
    folder.append(
        "data.jsonl",
        &json!({"id": "long", "image": picture, "question": "what ".repeat(3000)}).to_string(),
    );
    folder.append("data.jsonl", "{\"id\": \"broken\",");
    folder.append(
        "data.jsonl",
        &json!({"id": "mute", "image": picture}).to_string(),
    );
    folder.append(
        "data.jsonl",
        r#"{"id":"none","image":"scenes.json","question":"What?"}"#,
    );
    folder.append(
        "data.jsonl",
        &json!({"id": "good", "image": picture, "question": "What color is the circle?"})
            .to_string(),
    );
    let options = ["--data", "data.jsonl", "--out", "out", "--no-curves"];
    let output = folder.run(&options);
    ended(
        &output,
        3,
        &["5 of 7 samples failed: data 2, picture 2, length 1"],
    );
    assert!(String::from_utf8_lossy(&output.stdout).contains("7 of 7 samples done"));
    let records = folder.lines("out/records.jsonl");
    let causes: Vec<_> = records
        .iter()
        .map(|r| r["error"]["cause"].as_str())
        .collect();
    let expected = [
        None,
        Some("picture"),
        Some("length"),
        Some("data"),
        Some("data"),
        Some("picture"),
        None,
    ];
    assert_eq!(causes, expected);
    assert!(
        records[1]["error"]["message"]
            .as_str()
            .unwrap()
            .contains("none.png")
    );
    assert!(records[6]["explanation"]["answer"]["text"].is_string());
    // The count covers the whole run, whichever process found the failures.
    ended(
        &folder.run(&options),
        3,
        &["5 of 7 samples failed: data 2, picture 2, length 1"],
    );
}

#[test]
fn a_run_stops_when_too_many_fail() {
    let folder = Folder::new();
    folder.write(
        "data.csv",
        "image,question\na.png,A?\nb.png,B?\nc.png,C?\nd.png,D?\n",
    );
    let options = ["--data", "data.csv", "--out", "out"];
    let stopped = folder.run(&[&options[..], &["--max-failures", "1"]].concat());
    ended(
        &stopped,
        3,
        &["2 of 2 samples failed: picture 2", "--max-failures"],
    );
    let again = folder.run(&[&options[..], &["--max-failures", "1"]].concat());
    ended(&again, 3, &["2 of 2 samples failed"]);
    ended(
        &folder.run(&options),
        3,
        &["4 of 4 samples failed: picture 4"],
    );
}

#[test]
fn a_model_without_numbers_fails_every_sample() {
    let folder = Folder::new();
    folder.table("data.jsonl", 2);
    let demo = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/demo/model");
    std::fs::create_dir(folder.path("model")).unwrap();
    for entry in std::fs::read_dir(&demo).unwrap() {
        let path = entry.unwrap().path();
        let mut bytes = std::fs::read(&path).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        if name == "model.safetensors" {
            let (header, metadata) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
            let norm = "language_model.model.norm.weight";
            let info = metadata.tensors().into_iter().find(|(n, _)| n == norm);
            let (_, info) = info.unwrap_or_else(|| panic!("{norm}"));
            let (start, end) = info.data_offsets;
            bytes[8 + header + start..8 + header + end].fill(0xFF);
        }
        std::fs::write(folder.path("model").join(name), bytes).unwrap();
    }
    let output = folder.run(&["--data", "data.jsonl", "--out", "out", "--model", "model"]);
    ended(&output, 3, &["2 of 2 samples failed: not-finite 2"]);
}

#[test]
fn data_that_cannot_be_read_are_an_input_error() {
    let folder = Folder::new();
    folder.write("data.csv", "picture,question\na.png,A?\n");
    let missing = folder.run(&["--data", "data.csv", "--out", "out"]);
    ended(&missing, 2, &["\"image\"", "columns picture, question"]);
    ended(
        &folder.run(&["--data", "none.csv", "--out", "out"]),
        2,
        &["none.csv: could not be read"],
    );
    assert!(!folder.path("out").exists());
    // The column is named; the missing picture is an error of its sample alone.
    let named = folder.run(&[
        "--data",
        "data.csv",
        "--out",
        "out",
        "--image-column",
        "picture",
    ]);
    ended(&named, 3, &["picture 1"]);
    folder.table("data.jsonl", 1);
    succeeded(&folder.run(&[
        "--data",
        "data.jsonl",
        "--out",
        "fine",
        "--no-curves",
        "--quiet",
    ]));
}
