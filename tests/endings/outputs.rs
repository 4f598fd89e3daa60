//! Tests of standard output and standard error that nobody reads, or that cannot be written to.

use std::fs::File;
use std::io::pipe;
use std::process::{Output, Stdio};

use serde_json::json;

use crate::support::{Folder, ended, quick, scenes};
use crate::{explain, one_sample};

/// Returns a pipe whose reader is closed, as with `| head -1`.
fn closed() -> Stdio {
    let (reader, writer) = pipe().unwrap();
    drop(reader);
    writer.into()
}

fn full() -> Stdio {
    File::options()
        .write(true)
        .open("/dev/full")
        .unwrap()
        .into()
}

/// Runs the program to its end with these outputs.
fn with(folder: &Folder, arguments: &[String], out: Stdio, error: Stdio) -> Output {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut command = folder.command(&arguments, &[]);
    command.stdout(out).stderr(error);
    command.spawn().unwrap().wait_with_output().unwrap()
}

fn strings(arguments: &[&str]) -> Vec<String> {
    arguments.iter().map(|a| a.to_string()).collect()
}

#[test]
fn standard_error_changes_nothing() {
    let folder = Folder::new();
    one_sample(&folder);
    let picture = &scenes()[0].picture;
    let good = json!({"image": picture, "question": "What color is the circle?"});
    folder.write(
        "some.jsonl",
        &format!("{good}\n{{\"image\": \"none.png\", \"question\": \"What?\"}}\n"),
    );
    let run = |out: &str| {
        let options = ["--data", "some.jsonl", "--no-curves", "--verbose"];
        quick(&[&options[..], &["--out", out]].concat())
    };
    for (place, error) in [("a", closed as fn() -> Stdio), ("b", full)] {
        for (arguments, code) in [
            (explain(&format!("{place}/explained"), &["--verbose"]), 0),
            (explain(&format!("{place}/explained"), &["--keys", "99"]), 2),
            (run(&format!("{place}/run")), 3),
            (strings(&["report", "run"]), 0),
            (strings(&["analyse", "run", "--out", "analysis"]), 0),
            (strings(&["inspect", "nowhere"]), 2),
            (strings(&["devices"]), 0),
            (strings(&["nothing"]), 2),
            (strings(&["--help"]), 0),
        ] {
            let ended = with(&folder, &arguments, Stdio::null(), error());
            assert_eq!(ended.status.code(), Some(code), "{arguments:?}");
        }
        let records = folder.lines(&format!("{place}/run/records.jsonl"));
        assert_eq!(records.len(), 2);
    }
}

/// A reader that stops reading is not a failure; a full disk is.
#[test]
fn standard_output_is_written_or_not_read() {
    let folder = Folder::new();
    one_sample(&folder);
    for arguments in [
        explain("explained", &["--json"]),
        explain("explained", &[]),
        quick(&["--data", "data.jsonl", "--no-curves", "--out", "run"]),
        strings(&["report", "run"]),
        strings(&["devices"]),
    ] {
        let unread = with(&folder, &arguments, closed(), Stdio::piped());
        ended(&unread, 0, &[]);
        let unwritten = with(&folder, &arguments, full(), Stdio::piped());
        ended(&unwritten, 1, &["standard output", "could not be written"]);
    }
}
