//! Tests of paths that cannot hold results.

use std::os::unix::fs::symlink;

use crate::support::{Folder, ended, quick, succeeded};
use crate::{explain, names, one_sample};

#[test]
fn what_is_no_folder_is_refused_by_every_command() {
    let folder = Folder::new();
    one_sample(&folder);
    folder.write("file", "here first");
    symlink("nothing", folder.path("dangling")).unwrap();
    for out in ["file", "file/below", "dangling"] {
        let strings = |arguments: &[&str]| -> Vec<String> {
            [arguments, &["--out", out]]
                .concat()
                .iter()
                .map(|a| a.to_string())
                .collect()
        };
        for arguments in [
            explain(out, &[]),
            quick(&["--data", "data.jsonl", "--no-curves", "--out", out]),
            strings(&["merge", "run"]),
            strings(&["export", "run"]),
            strings(&["analyse", "run"]),
            strings(&["compare", "run", "run"]),
        ] {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            let output = folder.foveate(&arguments, &[]);
            ended(&output, 2, &["expected a folder to write to"]);
        }
    }
    assert_eq!(folder.bytes("file"), b"here first");
    assert!(!folder.path("nothing").exists());
}

#[test]
fn what_is_no_file_is_refused_by_every_command() {
    let folder = Folder::new();
    one_sample(&folder);
    folder.write("file", "here first");
    symlink("file", folder.path("link")).unwrap();
    std::fs::create_dir(folder.path("folder")).unwrap();
    for out in [
        "folder",
        "link",
        "file/below",
        "nowhere/file",
        "/dev/null",
        "..",
    ] {
        for command in [&["report", "run"][..], &["selftest", "--device", "cuda:0"]] {
            let output = folder.foveate(&[command, &["--out", out]].concat(), &[]);
            ended(&output, 2, &["expected a file to write"]);
        }
    }
    assert_eq!(folder.bytes("file"), b"here first");
    assert_eq!(names(&folder.path("folder")), [] as [&str; 0]);
    // Also in a folder of results, before any work.
    std::fs::create_dir(folder.path("out")).unwrap();
    symlink("../file", folder.path("out/mask.npy")).unwrap();
    let arguments = explain("out", &["--iterations", "10000", "--steps", "20"]);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let output = folder.foveate(&arguments, &[]);
    ended(&output, 2, &["out/mask.npy", "a symbolic link"]);
    assert_eq!(folder.bytes("file"), b"here first");
}

/// A link to a folder counts as a folder, and so does the current one.
#[test]
fn a_folder_may_be_a_link_or_the_current_one() {
    let folder = Folder::new();
    std::fs::create_dir(folder.path("folder")).unwrap();
    symlink("folder", folder.path("link")).unwrap();
    for out in ["link", "."] {
        let arguments = explain(out, &["--no-curves"]);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        succeeded(&folder.foveate(&arguments, &[]));
    }
    assert_eq!(names(&folder.path("folder")).len(), 6);
    assert_eq!(names(&folder.path(".")).len(), 8);
}

#[test]
fn more_threads_than_help_are_not_started() {
    let folder = Folder::new();
    let arguments = explain("out", &["--no-curves", "--threads", "100000"]);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    ended(
        &folder.foveate(&arguments, &[]),
        0,
        &["--threads 100000", "the most there may be"],
    );
}
