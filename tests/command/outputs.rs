//! Output folders, and files that cannot be written.

use super::*;

#[test]
fn output_folders() {
    let run = Run::new();
    std::fs::write(run.path("file"), "here first").unwrap();
    let output = run.explain("file/out", &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("file/out"));
    assert_eq!(
        std::fs::read_to_string(run.path("file")).unwrap(),
        "here first"
    );
    // Folders created for a failed run are removed, including the outer ones.
    let output = run.explain("new/deep/out", &["--keys", "99"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(!run.path("new").exists());
    // Existing results remain when a later run fails.
    succeeded(&run.explain("out", &[]));
    let before = run.record("out");
    assert_eq!(run.explain("out", &["--keys", "99"]).status.code(), Some(2));
    assert_eq!(run.record("out"), before);
}

/// A limit on the size of files simulates a full disk: writing fails in the middle of a file.
#[cfg(unix)]
#[test]
fn a_full_disk() {
    let run = Run::new();
    let (picture, question) = scene();
    let script = format!(
        "trap '' XFSZ; ulimit -f 8; exec {} explain --image {} --question \
         '{question}' --out out {}",
        env!("CARGO_BIN_EXE_foveate"),
        picture.display(),
        QUICK.join(" ")
    );
    let output = Command::new("bash")
        .args(["-c", &script])
        .current_dir(run.folder.path())
        .output()
        .unwrap();
    run.refused(&output, 1, &["could not be written", "out/"]);
}
