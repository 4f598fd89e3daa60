//! Tests of data, pictures and run folders from untrusted sources, and of paths that are not files.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::{Folder, ended, folder_of_scenes, scenes, succeeded};

const QUICK: [&str; 9] = [
    "--no-curves",
    "--mask-size",
    "2",
    "--steps",
    "1",
    "--iterations",
    "1",
    "--threads",
    "1",
];

#[cfg(unix)]
fn pipe(path: &Path) {
    assert!(
        std::process::Command::new("mkfifo")
            .arg(path)
            .status()
            .unwrap()
            .success()
    );
}

/// A Parquet table, made from a run's own export, with single bytes changed: the run ends, and in
/// the same way when it is started again.
#[test]
fn a_corrupt_parquet_file_ends_a_run_or_fails_samples() {
    let folder = Folder::new();
    folder.table("data.jsonl", 2);
    succeeded(&folder.run(&[&QUICK[..], &["--data", "data.jsonl", "--out", "out"]].concat()));
    succeeded(&folder.foveate(&["export", "out", "--out", "tables"], &[]));
    let good = folder.bytes("tables/samples.parquet");
    // In the first pages, in their headers, and in the metadata.
    let places = [
        4,
        5,
        7,
        20,
        60,
        good.len() / 3,
        good.len() - 300,
        good.len() - 9,
    ];
    let mut ends = Vec::new();
    for at in places {
        let mut bytes = good.clone();
        bytes[at] ^= 0x7F;
        std::fs::write(folder.path("bad.parquet"), bytes).unwrap();
        let out = format!("bad{at}");
        let run = || folder.run(&[&QUICK[..], &["--data", "bad.parquet", "--out", &out]].concat());
        let (first, again) = (run(), run());
        let code = first.status.code();
        assert!(matches!(code, Some(0 | 2 | 3)), "byte {at}: {first:?}");
        assert_eq!(again.status.code(), code, "byte {at}: {again:?}");
        for output in [&first, &again] {
            let text = String::from_utf8_lossy(&output.stderr);
            assert!(!text.contains("panicked"), "byte {at}: {text}");
        }
        ends.push(code);
    }
    assert!(ends.iter().any(|code| *code != Some(0)), "{ends:?}");
}

#[test]
fn pictures_out_of_their_folder_are_not_read() {
    let folder = Folder::new();
    let picture = folder_of_scenes().join(&scenes()[0].picture);
    std::fs::create_dir(folder.path("images")).unwrap();
    for place in ["images/in.png", "out.png"] {
        std::fs::copy(&picture, folder.path(place)).unwrap();
    }
    let absolute = folder.path("out.png").display().to_string();
    let rows = ["in.png", "../out.png", &absolute].map(|image| {
        let row = json!({"image": image, "question": scenes()[0].question});
        format!("{row}\n")
    });
    folder.write("data.jsonl", &rows.concat());
    let options = [&QUICK[..], &["--data", "data.jsonl", "--images", "images"]].concat();
    let output = folder.run(&[&options[..], &["--out", "closed"]].concat());
    ended(&output, 3, &["2 of 3 samples failed: picture 2"]);
    for record in &folder.lines("closed/records.jsonl")[1..] {
        let message = record["error"]["message"].as_str().unwrap();
        assert!(message.contains("--images-anywhere"), "{message}");
        assert!(record["image"].get("width").is_none());
    }
    succeeded(&folder.run(&[&options[..], &["--out", "open", "--images-anywhere"]].concat()));
    // The report does not inherit the option that the run was given.
    let report = ["report", "open", "--images", "images", "--out", "page.html"];
    ended(
        &folder.foveate(&report, &[]),
        0,
        &["2 of 3 samples are shown without", "--images-anywhere"],
    );
    let report = folder.foveate(&[&report[..], &["--images-anywhere"]].concat(), &[]);
    ended(&report, 0, &[]);
    assert!(!String::from_utf8_lossy(&report.stderr).contains("without their pictures"));
}

/// Masks of the evidence come from the same folder as pictures, under the same rules; a bad one
/// fails its sample alone.
#[cfg(unix)]
#[test]
fn masks_of_the_evidence_are_read_as_pictures_are() {
    let folder = Folder::new();
    let scene = &scenes()[0];
    std::fs::create_dir(folder.path("images")).unwrap();
    for (from, to) in [
        (scene.picture.as_str(), "images/scene.png"),
        (scene.evidence.as_str(), "images/mask.png"),
        (scene.evidence.as_str(), "mask.png"),
    ] {
        std::fs::copy(folder_of_scenes().join(from), folder.path(to)).unwrap();
    }
    pipe(&folder.path("images/pipe.png"));
    folder.write("images/broken.png", "not a picture");
    let grey = |name: &str, width, height, value: u8| {
        let picture = image::GrayImage::from_pixel(width, height, image::Luma([value]));
        picture.save(folder.path("images").join(name)).unwrap();
    };
    grey("ones.png", 112, 112, 1);
    grey("wide.png", 112, 56, 255);
    grey("half.png", 56, 56, 255);
    let cases = [
        (json!("mask.png"), None),
        (json!("half.png"), None),
        (json!(null), None),
        (json!(""), None),
        (json!("../mask.png"), Some("--images-anywhere")),
        (json!("none.png"), Some("none.png")),
        (json!("pipe.png"), Some("pipe.png")),
        (json!("broken.png"), Some("broken.png")),
        (json!("ones.png"), Some("expected white pixels")),
        (
            json!("wide.png"),
            Some("112 x 112 pixels, or of that aspect, found 112 x 56"),
        ),
        (json!("scene.png"), Some("expected a grey mask")),
        (json!(["mask.png", "mask.png"]), Some("\"shown\"")),
        (json!([[10, 20, 30, 20, 30, 50, 10, 50]]), None),
        (
            json!({"size": [112, 112], "counts": "d90X2"}),
            Some("\"shown\": counts: "),
        ),
        (
            json!({"size": [56, 112], "counts": [0, 56 * 112]}),
            Some("evidence: part 0: size: expected 112 x 112"),
        ),
        (json!([[200, 20, 300, 20, 300, 50]]), Some("evidence: ")),
    ];
    let row = |shown: &Value| {
        let row = json!({"image": "scene.png", "question": scene.question, "shown": shown});
        format!("{row}\n")
    };
    folder.write(
        "data.jsonl",
        &cases
            .iter()
            .map(|(shown, _)| row(shown))
            .collect::<String>(),
    );
    let options = [&QUICK[..], &["--data", "data.jsonl", "--images", "images"]].concat();
    let options = [
        &options[..],
        &["--evidence-column", "shown", "--out", "out"],
    ]
    .concat();
    ended(
        &folder.run(&options),
        3,
        &["11 of 16 samples failed: data 11"],
    );
    let records = folder.lines("out/records.jsonl");
    for (record, (shown, word)) in records.iter().zip(&cases) {
        let message = record["error"]["message"].as_str();
        match word {
            None => assert!(message.is_none(), "{shown}: {message:?}"),
            Some(word) => assert!(message.unwrap().contains(word), "{shown}: {message:?}"),
        }
    }
    let evidence = |place: usize| records[place].get("evidence");
    let counts = evidence(0).unwrap()["counts"].as_array().unwrap();
    assert_eq!(
        counts.iter().map(|c| c.as_u64().unwrap()).sum::<u64>(),
        112 * 112
    );
    assert_eq!(
        evidence(1),
        Some(&json!({"size": [56, 56], "counts": [0, 56 * 56]}))
    );
    assert!(evidence(2).is_none() && evidence(3).is_none());
    let runs = evidence(12).unwrap()["counts"].as_array().unwrap();
    // 20 columns of 30 pixels, from (10, 20) on.
    assert_eq!(
        (runs.len(), &runs[0], &runs[1]),
        (41, &json!(1140), &json!(30))
    );
    // The run goes on from, and is read by, every command.
    ended(&folder.run(&options), 3, &["11 of 16 samples failed"]);
    succeeded(&folder.foveate(&["export", "out"], &[]));
    let text = succeeded(&folder.foveate(&["analyse", "out", "--out", "analysis"], &[]));
    assert!(text.contains("3 with a map and boxes or masks"), "{text}");
}

#[cfg(unix)]
#[test]
fn pipes_and_devices_are_refused_at_once() {
    let folder = Folder::new();
    folder.table("data.jsonl", 1);
    for name in ["pipe.jsonl", "pipe.csv", "pipe.json", "pipe.parquet"] {
        pipe(&folder.path(name));
        let output = folder.run(&["--data", name, "--out", "none"]);
        ended(&output, 2, &[name, "expected a regular file"]);
    }
    std::os::unix::fs::symlink("/dev/zero", folder.path("zero.csv")).unwrap();
    ended(
        &folder.run(&["--data", "zero.csv", "--out", "none"]),
        2,
        &["a device"],
    );
    pipe(&folder.path("pipe.png"));
    folder.write("piped.csv", "image,question\npipe.png,What?\n");
    let output = folder.run(&["--data", "piped.csv", "--images", ".", "--out", "piped"]);
    ended(&output, 3, &["picture 1"]);
    std::fs::create_dir(folder.path("locked")).unwrap();
    pipe(&folder.path("locked/lock"));
    let output = folder.run(&["--data", "data.jsonl", "--out", "locked"]);
    ended(&output, 2, &["lock", "a pipe"]);
    // A shard's folder that leads elsewhere.
    std::fs::create_dir(folder.path("elsewhere")).unwrap();
    std::fs::create_dir(folder.path("run")).unwrap();
    let link = folder.path("run/shard-0-of-2");
    std::os::unix::fs::symlink(folder.path("elsewhere"), link).unwrap();
    let output = folder.run(&["--data", "data.jsonl", "--out", "run", "--shard", "0/2"]);
    ended(&output, 2, &["shard-0-of-2", "a symbolic link"]);
    assert!(
        std::fs::read_dir(folder.path("elsewhere"))
            .unwrap()
            .next()
            .is_none()
    );
}

#[test]
fn an_edited_run_is_refused_by_every_command() {
    let folder = Folder::new();
    folder.table("data.jsonl", 3);
    let options = [&QUICK[..], &["--data", "data.jsonl", "--out", "out"]].concat();
    succeeded(&folder.run(&options));
    succeeded(&folder.run(&[&QUICK[..], &["--data", "data.jsonl", "--out", "fine"]].concat()));
    let manifest = folder.bytes("out/run.json");
    let records = folder.bytes("out/records.jsonl");
    let refused = |words: &[&str]| {
        let all = [
            folder.run(&options),
            folder.foveate(&["merge", "out", "--out", "merged"], &[]),
            folder.foveate(&["export", "out", "--out", "tables"], &[]),
            folder.foveate(&["report", "out", "--out", "page.html"], &[]),
            folder.foveate(&["analyse", "out", "--out", "analysis"], &[]),
            folder.foveate(&["compare", "fine", "out", "--out", "comparison"], &[]),
        ];
        for output in all {
            ended(&output, 2, words);
        }
        for name in [
            "merged",
            "tables/samples.parquet",
            "page.html",
            "analysis",
            "comparison",
        ] {
            assert!(!folder.path(name).exists(), "{name} {words:?}");
        }
    };
    let edit = |pointer: &str, value: Value| {
        let mut edited: Value = serde_json::from_slice(&manifest).unwrap();
        *edited.pointer_mut(pointer).unwrap() = value;
        folder.write("out/run.json", &edited.to_string());
    };
    for (pointer, value, word) in [
        ("/shard/count", json!(0), "number of shards, 0"),
        ("/shard/index", json!(1), "number of shards, 1"),
        ("/settings/mask_size", json!(0), "mask-size"),
        ("/settings/mask_size", json!(1_u64 << 20), "mask-size"),
        ("/settings/mask_size", json!(1_u64 << 33), "mask-size"),
        ("/settings/mask_size", json!(u64::MAX), "mask-size"),
        ("/format", json!(2), "format 2"),
    ] {
        edit(pointer, value);
        refused(&["out/run.json", word]);
    }
    std::fs::write(folder.path("out/run.json"), &manifest).unwrap();
    let text = String::from_utf8(records.clone()).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let extra = lines[2].replacen("\"index\":2", "\"index\":3", 1);
    for (edited, word) in [
        (format!("{text}{extra}\n"), "no more than 3 records"),
        (
            format!("{}\n{}\n{}\n", lines[0], lines[2], lines[1]),
            "expected sample 1, found 2",
        ),
    ] {
        folder.write("out/records.jsonl", &edited);
        refused(&["out/records.jsonl", word]);
    }
    std::fs::write(folder.path("out/records.jsonl"), &records).unwrap();
    ended(&folder.run(&options), 0, &[]);
}

#[test]
fn data_that_are_not_what_they_seem_are_refused_by_their_line() {
    let folder = Folder::new();
    for (name, text, words) in [
        (
            "quote.csv",
            "image,question\na.png,\"What?\nb.png,Which?\n",
            ["quote.csv: line 2", "quoted field"],
        ),
        (
            "twice.csv",
            "image,question,image\na.png,What?,b.png\n",
            ["twice.csv: line 1", "\"image\" twice"],
        ),
    ] {
        folder.write(name, text);
        ended(&folder.run(&["--data", name, "--out", "out"]), 2, &words);
        assert!(!folder.path("out").exists());
    }
    let scene = &scenes()[0];
    let row = json!({"image": scene.picture, "question": scene.question}).to_string();
    folder.write("mark.jsonl", &format!("\u{feff}{row}\n{row}\n"));
    succeeded(&folder.run(&[&QUICK[..], &["--data", "mark.jsonl", "--out", "marked"]].concat()));
    assert_eq!(folder.lines("marked/records.jsonl").len(), 2);
}
