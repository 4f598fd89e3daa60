//! Tests of runs that are killed, resumed, changed, or started twice.

use std::process::Stdio;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::support::{Folder, ended, quick, succeeded};

#[test]
fn a_run_killed_at_random_moments_goes_on_to_the_same_bytes() {
    let folder = Folder::new();
    folder.table("data.jsonl", 8);
    let options = ["--data", "data.jsonl", "--no-curves"];
    succeeded(&folder.run(&[&options[..], &["--out", "whole"]].concat()));
    let seed = rand::random();
    println!("seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let arguments = quick(&[&options[..], &["--out", "killed"]].concat());
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (mut kills, mut before) = (0, 0);
    loop {
        let mut command = folder.command(&arguments, &[]);
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Later each time, so that it ends however slow the machine is.
        std::thread::sleep(Duration::from_millis(
            rng.random_range(0..400) + 100 * kills,
        ));
        // SIGKILL, on Unix: the process does nothing further.
        child.kill().unwrap();
        let done = child.wait().unwrap().success();
        let records = std::fs::read(folder.path("killed/records.jsonl")).unwrap_or_default();
        let whole = records.iter().filter(|&&b| b == b'\n').count();
        assert!(whole >= before, "{whole} records after {before}");
        before = whole;
        if done {
            break;
        }
        kills += 1;
    }
    println!("{kills} kills");
    folder.same("whole", "killed");
    // A finished run started again does nothing and prints the same.
    let again = succeeded(&folder.run(&[&options[..], &["--out", "killed"]].concat()));
    assert!(again.contains("8 of 8 samples done"), "{again}");
    folder.same("whole", "killed");
}

#[test]
fn a_run_under_other_settings_is_refused_by_name() {
    let folder = Folder::new();
    folder.table("data.jsonl", 1);
    let options = ["--data", "data.jsonl", "--out", "out", "--no-curves"];
    succeeded(&folder.run(&options));
    let before = folder.bytes("out/records.jsonl");
    for (more, words) in [
        (
            &["--noise", "0.5"][..],
            &["settings.noise: 0.2 is recorded, 0.5 is asked for"][..],
        ),
        (
            &["--steps", "3", "--seed", "1"],
            &["settings.steps: 2", "settings.seed: 0"],
        ),
        (
            &["--method", "igos+", "--lr", "2"],
            &["settings.method: \"fovea\" is recorded, \"igos+\" is asked for"],
        ),
        (&["--ask", "choice"], &["data.ask: \"open\""]),
        (&["--id-column", "id"], &["data.columns.id: null"]),
        (
            &["--shard", "0/1", "--baseline", "zero"],
            &["settings.baseline"],
        ),
    ] {
        ended(&folder.run(&[&options[..], more].concat()), 2, words);
    }
    // Options that no result depends on may change.
    succeeded(
        &folder.run(&[&options[..], &["--memory-budget", "2GiB", "--threads", "1"]].concat()),
    );
    assert_eq!(folder.bytes("out/records.jsonl"), before);
    folder.table("data.jsonl", 2);
    ended(
        &folder.run(&options),
        2,
        &[
            "data.fingerprint",
            "data.samples: 1 is recorded, 2 is asked for",
        ],
    );
}

#[test]
fn another_model_is_refused_wherever_it_lies() {
    let folder = Folder::new();
    folder.table("data.jsonl", 1);
    let demo = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/demo/model");
    for place in ["a/model", "b/model"] {
        std::fs::create_dir_all(folder.path(place)).unwrap();
        for entry in std::fs::read_dir(&demo).unwrap() {
            let path = entry.unwrap().path();
            let bytes = std::fs::read(&path).unwrap();
            std::fs::write(folder.path(place).join(path.file_name().unwrap()), bytes).unwrap();
        }
    }
    let options = [
        "--data",
        "data.jsonl",
        "--out",
        "out",
        "--no-curves",
        "--model",
    ];
    succeeded(&folder.run(&[&options[..], &["a/model"]].concat()));
    succeeded(&folder.run(&[&options[..], &["b/model"]].concat()));
    // One bit of the first tensor is changed.
    let weights = folder.path("b/model/model.safetensors");
    let mut bytes = std::fs::read(&weights).unwrap();
    let (header, _) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    bytes[8 + header] ^= 1;
    std::fs::write(&weights, bytes).unwrap();
    let changed = folder.run(&[&options[..], &["b/model"]].concat());
    ended(&changed, 2, &["model.fingerprint"]);
}

#[test]
fn a_second_process_is_refused() {
    let folder = Folder::new();
    folder.table("data.jsonl", 1);
    let options = ["--data", "data.jsonl", "--out", "out", "--no-curves"];
    succeeded(&folder.run(&options));
    let lock = std::fs::File::open(folder.path("out/lock")).unwrap();
    lock.lock().unwrap();
    ended(&folder.run(&options), 2, &["another process", "--shard"]);
    lock.unlock().unwrap();
    succeeded(&folder.run(&options));
    // A folder with other contents is left unchanged.
    folder.write("other/records.jsonl", "notes\n");
    ended(
        &folder.run(&["--data", "data.jsonl", "--out", "other"]),
        2,
        &["run.json"],
    );
    assert_eq!(folder.bytes("other/records.jsonl"), b"notes\n");
}
