//! Tests of how the program ends: by signals, with outputs that nobody reads, with paths that
//! cannot be written to; and of the files that remain.

#![cfg(unix)]

mod outputs;
mod places;
#[path = "../program/mod.rs"]
mod program;
mod signals;
#[path = "../run/support.rs"]
#[expect(dead_code, reason = "the tests of `run` use all of it")]
mod support;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use support::{Folder, scenes};

/// Returns the arguments of a quick `explain` into `out`; later options override them.
fn explain(out: &str, more: &[&str]) -> Vec<String> {
    let scene = &scenes()[0];
    let usual = [
        ("--image", scene.path()),
        ("--question", scene.question.clone()),
        ("--out", out.into()),
        ("--device", "cpu".into()),
        ("--threads", "2".into()),
        ("--mask-size", "8".into()),
        ("--steps", "2".into()),
        ("--iterations", "2".into()),
    ];
    let mut arguments = vec!["explain".to_string()];
    for (name, value) in usual.iter().filter(|(name, _)| !more.contains(name)) {
        arguments.extend([name.to_string(), value.clone()]);
    }
    arguments.extend(more.iter().map(|a| a.to_string()));
    arguments
}

/// Starts the program with its standard error captured.
fn started(folder: &Folder, arguments: &[String]) -> Child {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut command = folder.command(&arguments, &[]);
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

/// Reads standard error until a line contains the word.
fn heard(child: &mut Child, word: &str) {
    let mut lines = BufReader::new(child.stderr.as_mut().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains(word)), "{word}");
}

fn send(child: &Child, signal: &str) {
    let script = format!("kill -{signal} {}", child.id());
    let sent = Command::new("bash").args(["-c", &script]).status();
    assert!(sent.unwrap().success());
}

/// Waits until a condition holds.
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let since = Instant::now();
    while !holds() {
        assert!(since.elapsed() < Duration::from_secs(120), "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Returns the names in a folder; empty if there is no folder.
fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

/// Creates a run of one sample in `run`.
fn one_sample(folder: &Folder) {
    folder.table("data.jsonl", 1);
    let options = ["--data", "data.jsonl", "--out", "run", "--no-curves"];
    support::succeeded(&folder.run(&options));
}
