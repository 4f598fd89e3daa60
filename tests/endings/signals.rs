//! Tests of SIGINT, SIGTERM and SIGKILL.

use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::support::{Folder, ended, quick, succeeded};
use crate::{explain, heard, names, send, started, until};

/// Options with more iterations than any test waits for.
const ENDLESS: [&str; 5] = ["--verbose", "--iterations", "10000", "--steps", "20"];

#[test]
fn explain_leaves_nothing() {
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let folder = Folder::new();
        let mut child = started(&folder, &explain("new/out", &ENDLESS));
        // Printed when the model is loaded.
        heard(&mut child, "threads");
        assert_eq!(
            names(&folder.path("new/out")).len(),
            1,
            "a temporary folder"
        );
        send(&child, signal);
        let output = child.wait_with_output().unwrap();
        let name = format!("SIG{signal}");
        ended(
            &output,
            code,
            &[&name, "nothing is written", "the same command"],
        );
        assert!(!folder.path("new").exists());
    }
}

#[test]
fn a_second_signal_ends_at_once() {
    let folder = Folder::new();
    let mut child = started(&folder, &explain("new/out", &ENDLESS));
    heard(&mut child, "threads");
    send(&child, "INT");
    // The process id is not reused until the process is waited for.
    send(&child, "TERM");
    let code = child.wait_with_output().unwrap().status.code();
    assert!(matches!(code, Some(130 | 143)), "{code:?}");
    assert!(!folder.path("new").exists());
}

#[test]
fn at_any_moment_nothing_is_left() {
    let seed = rand::random();
    println!("seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    for _ in 0..12 {
        let folder = Folder::new();
        let mut child = started(&folder, &explain("new/out", &[]));
        std::thread::sleep(Duration::from_millis(rng.random_range(0..300)));
        if child.try_wait().unwrap().is_none() {
            send(&child, "TERM");
        }
        let status = child.wait_with_output().unwrap().status;
        // Before the program listens, the signal has its default effect.
        let early = status.signal() == Some(15);
        match status.code() {
            Some(0) => assert_eq!(names(&folder.path("new/out")).len(), 6),
            code => {
                assert!(early || code == Some(143), "{status:?}");
                let left = names(&folder.path("new/out"));
                assert!(
                    !folder.path("new").exists() || left.len() == 6,
                    "{status:?} {left:?}"
                );
            }
        }
    }
}

#[test]
fn a_run_ends_with_whole_records_and_goes_on() {
    let folder = Folder::new();
    folder.table("data.jsonl", 8);
    let options = ["--data", "data.jsonl", "--iterations", "8", "--out"];
    succeeded(&folder.run(&[&options[..], &["whole"]].concat()));
    let mut before = 0;
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let child = started(&folder, &quick(&[&options[..], &["stopped"]].concat()));
        let records = || {
            let text = std::fs::read(folder.path("stopped/records.jsonl")).unwrap_or_default();
            text.iter().filter(|&&b| b == b'\n').count()
        };
        until("a record", || records() > before);
        send(&child, signal);
        let output = child.wait_with_output().unwrap();
        let name = format!("SIG{signal}");
        let (done, all) = (records(), "of 8 samples are recorded in stopped");
        assert!(done > before && done < 8, "{done}");
        let said = format!("{done} {all}");
        ended(&output, code, &[&name, &said, "the same command goes on"]);
        let text = folder.bytes("stopped/records.jsonl");
        assert_eq!(text.last(), Some(&b'\n'));
        before = done;
    }
    succeeded(&folder.run(&[&options[..], &["stopped"]].concat()));
    folder.same("whole", "stopped");
}

/// Files left by a process that was killed are removed by the next one.
#[test]
fn leftovers_of_a_killed_process_go() {
    let folder = Folder::new();
    folder.write("out/notes.txt", "the user's");
    folder.write("out/.foveate-notes", "the user's");
    let mut child = started(&folder, &explain("out", &ENDLESS));
    heard(&mut child, "threads");
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(names(&folder.path("out")).len(), 3);
    let arguments = explain("out", &["--json"]);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let printed = succeeded(&folder.foveate(&arguments, &[]));
    let expected = [
        ".foveate-notes",
        "curves.png",
        "explanation.json",
        "losses.png",
        "mask.npy",
        "notes.txt",
        "overlay.png",
        "saliency.png",
        "tokens.png",
    ];
    assert_eq!(names(&folder.path("out")), expected);
    assert_eq!(printed.as_bytes(), folder.bytes("out/explanation.json"));
    // The record lists the other files by their content.
    let record: Value = serde_json::from_str(&printed).unwrap();
    let files = record["files"].as_object().unwrap();
    assert_eq!(files.len(), 6);
    for (name, content) in files {
        let bytes = folder.bytes(&format!("out/{name}"));
        assert_eq!(content["bytes"], bytes.len());
        let digest = Sha256::digest(&bytes);
        let digest: String = digest.iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(content["sha256"], digest, "{name}");
    }
}
