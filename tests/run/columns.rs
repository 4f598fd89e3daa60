//! Tests of the notations of right answers in data sets, through the program: an answer is judged
//! as the data intend, or not at all.

use serde_json::{Value, json};

use crate::support::{Folder, ended, scenes, succeeded};

/// Runs on rows of (options, right answer, answer given), and returns the records and standard
/// error.
fn judged(rows: &[(Value, Value, &str)], more: &[&str]) -> (Vec<Value>, String) {
    let folder = Folder::new();
    let scene = &scenes()[0];
    let mut text = String::new();
    for (options, answer, said) in rows {
        let row = json!({
            "image": scene.picture, "question": scene.question, "options": options,
            "answer": answer, "said": said,
        });
        text += &format!("{row}\n");
    }
    folder.write("data.jsonl", &text);
    let usual = [
        "--data",
        "data.jsonl",
        "--out",
        "out",
        "--ask",
        "choice",
        "--explain-column",
        "said",
        "--no-curves",
        "--mask-size",
        "2",
        "--steps",
        "1",
        "--iterations",
        "1",
    ];
    let output = folder.run(&[&usual[..], more].concat());
    succeeded(&output);
    let notes = String::from_utf8_lossy(&output.stderr).into_owned();
    (folder.lines("out/records.jsonl"), notes)
}

fn correct(records: &[Value]) -> Vec<Option<bool>> {
    records
        .iter()
        .map(|r| r["judgement"]["correct"].as_bool())
        .collect()
}

#[test]
fn options_as_python_writes_them_are_asked() {
    let (records, notes) = judged(
        &[
            (json!("['red', 'blue']"), json!("B"), "B"),
            (json!("[\"it's red\", 'blue']"), json!("A"), "B"),
            (json!("['red' 'blue'\n 'green']"), json!("C"), "C. green"),
        ],
        &[],
    );
    assert_eq!(correct(&records), [Some(true), Some(false), Some(true)]);
    assert_eq!(records[1]["choices"], json!(["it's red", "blue"]));
    let question = records[2]["question"].as_str().unwrap();
    assert!(
        question.contains("A. red\nB. blue\nC. green\n"),
        "{question}"
    );
    assert!(
        !notes.contains("judged") && !notes.contains("--answer-format"),
        "{notes}"
    );
}

#[test]
fn an_integer_is_an_index_and_the_record_says_so() {
    let rows = [
        (json!(["red", "blue"]), json!(1), "B"),
        (json!(["1", "2"]), json!(1), "A"),
        (json!(["star", "circle", "square"]), json!(0), "A"),
    ];
    let (records, notes) = judged(&rows, &[]);
    assert_eq!(correct(&records), [Some(true), Some(false), Some(true)]);
    assert_eq!(
        records[1]["right"],
        json!({"text": "2", "letter": "B", "note": "option 1, counted from 0"})
    );
    assert!(
        notes.contains("from 0 on; else give --answer-format"),
        "{notes}"
    );
    let (records, notes) = judged(&rows[..2], &["--answer-format", "number"]);
    assert_eq!(correct(&records), [Some(false), Some(true)]);
    assert!(!notes.contains("--answer-format"), "{notes}");
}

#[test]
fn an_answer_that_is_none_of_the_options_is_not_judged() {
    let rows = [
        (json!(["red", "blue"]), json!("blue"), "B"),
        (json!(["red", "blue"]), json!("purple"), "B"),
        (json!(["red", "blue"]), json!("E"), "B"),
    ];
    let (records, notes) = judged(&rows, &[]);
    assert_eq!(correct(&records), [Some(true), None, None]);
    for record in &records[1..] {
        assert_eq!(record["right"]["unclear"], "none of the options");
        assert!(record.get("judgement").is_none());
    }
    assert!(
        notes.contains("2 of 3 answers cannot be judged, the first that of sample 1"),
        "{notes}"
    );
}

#[test]
fn options_that_cannot_be_read_are_the_samples_error() {
    let folder = Folder::new();
    let picture = &scenes()[0].picture;
    let row =
        json!({"image": picture, "question": "?", "options": "['red', 'blue'", "answer": "A"});
    folder.write("data.jsonl", &format!("{row}\n"));
    let output = folder.run(&["--data", "data.jsonl", "--out", "out", "--ask", "choice"]);
    ended(&output, 3, &["data 1"]);
    let message = folder.lines("out/records.jsonl")[0]["error"]["message"].to_string();
    assert!(message.contains("expected options"), "{message}");
}

#[test]
fn boxes_beyond_all_numbers_fail_their_sample_alone() {
    let folder = Folder::new();
    let scene = &scenes()[0];
    let row =
        |boxes: Value| json!({"image": scene.picture, "question": scene.question, "boxes": boxes});
    let rows = [
        row(json!([1e308, 1e308, 1e308, 1e308])),
        row(json!([1, 2, 3, 4])),
    ];
    folder.write("data.jsonl", &format!("{}\n{}\n", rows[0], rows[1]));
    let options = [
        "--data",
        "data.jsonl",
        "--out",
        "out",
        "--no-curves",
        "--box-format",
        "xywh",
    ];
    for _ in 0..2 {
        ended(&folder.run(&options), 3, &["1 of 2 samples failed: data 1"]);
    }
    succeeded(&folder.foveate(&["export", "out"], &[]));
}
