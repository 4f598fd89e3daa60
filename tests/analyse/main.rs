//! Analyses and comparisons of records through the program.

mod compared;
#[path = "../program/mod.rs"]
mod program;
mod support;

use serde_json::json;
use support::{Folder, Made, ended, entry, files, manifest, succeeded};

/// Eight samples, a map of 4 x 4 cells on 7 x 7 pixels: cells lie on every other pixel. Four right
/// answers look at cell 5, on pixel (2, 2), in their box; of four wrong ones, two look elsewhere,
/// one has no map, and one failed.
fn samples() -> Vec<Made> {
    let inside = [2.0, 2.0, 3.0, 3.0];
    let mut samples: Vec<Made> = (0..4)
        .map(|i| {
            Made::new(i, -2.5, Some((4, 5)))
                .judged(true)
                .scored(0.1, 0.75)
                .boxed(inside)
        })
        .collect();
    let wrong = |i| {
        Made::new(i, -2.5, Some((4, 15)))
            .judged(false)
            .scored(0.5, 0.25)
            .boxed(inside)
    };
    samples.extend([wrong(4), wrong(5)]);
    samples.push(Made::new(6, -0.5, None).judged(false).boxed(inside));
    samples.push(Made::new(7, -0.5, None).failed());
    samples
}

#[test]
fn figures_are_as_by_hand() {
    let folder = Folder::new();
    folder.run("run", &manifest("m", 4, 9), &samples());
    let text = succeeded(&folder.foveate(&["analyse", "run", "--out", "out"], &[]));
    assert!(
        text.contains(
            "8 of 9 samples recorded, 7 explained, 1 failed; 7 judged, 6 with a \
             map, 6 with a map and boxes"
        ),
        "{text}"
    );
    let found = folder.json("out/analysis.json");
    assert_eq!(found["counts"]["failed"], json!({"picture": 1}));
    assert_eq!(found["statistics"]["seed"], 0);
    let figure = |name: &str, group: &str| {
        let figure = entry(
            &found["figures"],
            &[("name", json!(name)), ("group", json!(group))],
        );
        (
            figure["n"].as_u64().unwrap(),
            figure["value"].as_f64().unwrap(),
        )
    };
    // A map of one cell: its pixel 1, four neighbours 1/2, four diagonal ones 1/4, in total 4; for
    // the last cell, in the corner, 2.25.
    for (name, group, n, value) in [
        ("image_dependent", "all", 7, 6.0 / 7.0),
        // One of two tokens in six of seven answers.
        ("key_tokens", "all", 7, 6.0 / 14.0),
        ("token_log_ratio", "all", 7, 6.0 * 2.0 / 14.0),
        ("token_log_ratio_q50", "all", 7, 0.0),
        ("token_log_ratio_q75", "all", 7, 2.0),
        ("probability_halved", "all", 7, 0.0),
        ("kept_by_baseline", "all", 7, 1.0 / 7.0),
        ("correct", "all", 7, 4.0 / 7.0),
        ("correct", "image-dependent", 6, 4.0 / 6.0),
        ("correct", "not image-dependent", 1, 0.0),
        ("focus_area", "right", 4, 1.0 / 16.0),
        ("mean_saliency", "wrong", 2, 1.0 / 16.0),
        ("deletion", "right", 4, 0.1),
        ("insertion", "wrong", 2, 0.25),
        ("peak_in_box", "right", 4, 1.0),
        ("peak_in_box", "wrong", 2, 0.0),
        ("peak_in_box", "all", 6, 4.0 / 6.0),
        ("mass_in_box", "right", 4, 0.25),
        ("mass_in_box", "wrong", 2, 0.0),
        ("best_iou", "right", 4, 1.0),
        ("auprc", "right", 4, 1.0),
        // The pixel of the box is one of 45 at 0, below four others.
        ("auprc", "wrong", 2, 1.0 / 49.0),
        ("box_area", "all", 6, 1.0 / 49.0),
    ] {
        let (count, found) = figure(name, group);
        assert_eq!(count, n, "{name} of {group}");
        assert!(
            (found - value).abs() < 1e-6,
            "{name} of {group}: {found}, expected {value}"
        );
    }
    let contrast = |name: &str| entry(&found["contrasts"], &[("name", json!(name))]);
    // Of six maps four are in the box, all of right answers: 1 of 15 arrangements. All others are
    // likelier.
    let peak = contrast("peak_in_box");
    assert_eq!(peak["test"], "Fisher's exact");
    assert!(
        (peak["p"].as_f64().unwrap() - 1.0 / 15.0).abs() < 1e-9,
        "{peak}"
    );
    // The two smallest of six ranks: twice 1 of 15.
    let mass = contrast("mass_in_box");
    assert_eq!(mass["test"], "Mann-Whitney U, exact");
    assert!(
        (mass["p"].as_f64().unwrap() - 2.0 / 15.0).abs() < 1e-9,
        "{mass}"
    );
    assert_eq!(mass["difference"], 0.25);
    for contrast in found["contrasts"].as_array().unwrap() {
        assert!(
            contrast["p_holm"].as_f64() >= contrast["p"].as_f64(),
            "{contrast}"
        );
        assert!(found["definitions"][contrast["name"].as_str().unwrap()].is_string());
    }
    // One sample has no interval; the table also names figures that cannot be computed.
    let alone = [
        ("name", json!("correct")),
        ("group", json!("not image-dependent")),
    ];
    assert!(entry(&found["figures"], &alone)["interval"].is_null());
    entry(&found["left_out"], &[("name", json!("answer_changed"))]);
    assert!(
        text.contains("n < 2: none") && text.contains("answer_changed"),
        "{text}"
    );
}

/// By hand: after the first of 16 cells a curve has its last value, 0 or 1 when normalised, and the
/// last cell counts as 1 either way.
#[test]
fn scores_are_those_of_the_authors_on_request() {
    let folder = Folder::new();
    let made: Vec<Made> = samples()
        .into_iter()
        .map(|made| made.measured(16))
        .collect();
    folder.run("run", &manifest("m", 4, 9), &made);
    folder.run("few", &manifest("m", 4, 9), &samples());
    let scores = |options: &[&str]| {
        let arguments = [&["analyse", "run", "--out", "out"], options].concat();
        let text = succeeded(&folder.foveate(&arguments, &[]));
        let found = folder.json("out/analysis.json");
        let authors = !options.is_empty();
        assert_eq!(found["scores"] == "authors", authors);
        assert_eq!(
            text.contains("by the sum of the paper's program"),
            authors,
            "{text}"
        );
        let value = |name: &str| {
            let fields = [("name", json!(name)), ("group", json!("all"))];
            entry(&found["figures"], &fields)["value"].as_f64().unwrap()
        };
        (value("deletion"), value("insertion"))
    };
    assert_eq!(scores(&["--scores", "authors"]), (0.0625, 1.0));
    // As the records say.
    let (deletion, insertion) = scores(&[]);
    assert!((deletion - 1.4 / 6.0).abs() < 1e-12 && (insertion - 3.5 / 6.0).abs() < 1e-12);
    for command in [&["analyse", "few"][..], &["compare", "run", "few"]] {
        let arguments = [command, &["--scores", "authors", "--out", "none"]].concat();
        let words = ["few: sample 0", "--curve-points all", "found 2 points"];
        ended(&folder.foveate(&arguments, &[]), 2, &words);
    }
}

#[test]
fn the_same_records_give_the_same_bytes() {
    let folder = Folder::new();
    folder.run("run", &manifest("m", 4, 8), &samples());
    succeeded(&folder.foveate(&["analyse", "run", "--out", "a"], &[]));
    succeeded(&folder.foveate(
        &["analyse", "run", "--out", "b"],
        &[("RAYON_NUM_THREADS", "1")],
    ));
    let first = files(&folder.path("a"));
    let names: Vec<&str> = first.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        ["analysis.json", "correctness.png", "log_ratios.png"]
    );
    assert!(first == files(&folder.path("b")));
    for (name, bytes) in &first[1..] {
        let picture = image::load_from_memory(bytes).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(picture.width(), 1200);
    }
    succeeded(&folder.foveate(&["analyse", "run", "--out", "b", "--seed", "1"], &[]));
    assert!(first[0] != files(&folder.path("b"))[0]);
}

/// All answers are "word word"; one sample has no answer to the baseline picture.
#[test]
fn changed_answers_are_counted() {
    let folder = Folder::new();
    let answers = [Some("word word \n"), Some("another"), Some(""), None];
    let samples = answers.map(|baseline_answer| Made {
        baseline_answer,
        ..Made::new(0, -2.5, Some((4, 5)))
    });
    folder.run("run", &manifest("m", 4, 4), &samples);
    succeeded(&folder.foveate(&["analyse", "run", "--out", "out"], &[]));
    let found = folder.json("out/analysis.json");
    let figure = entry(&found["figures"], &[("name", json!("answer_changed"))]);
    assert_eq!(
        (&figure["n"], &figure["value"]),
        (&json!(3), &json!(2.0 / 3.0))
    );
}

/// Without right answers, boxes, or scores, their figures are left out with the reason, and so is
/// the plot.
#[test]
fn what_the_records_lack_is_said() {
    let folder = Folder::new();
    let samples = [
        Made::new(0, -2.5, Some((4, 5))),
        Made::new(1, -2.5, Some((4, 6))),
    ];
    folder.run("run", &manifest("m", 4, 2), &samples);
    std::fs::create_dir(folder.path("out")).unwrap();
    std::fs::write(folder.path("out/correctness.png"), "of another run").unwrap();
    let text = succeeded(&folder.foveate(&["analyse", "run", "--out", "out"], &[]));
    let found = folder.json("out/analysis.json");
    for (name, reason) in [
        ("correct", "no answer can be judged"),
        ("mass_in_box", "no sample has both a map and a box"),
        ("deletion", "no scores"),
    ] {
        let left = entry(&found["left_out"], &[("name", json!(name))]);
        assert!(
            left["reason"].as_str().unwrap().starts_with(reason),
            "{left}"
        );
        assert!(text.contains(reason), "{text}");
    }
    assert!(!folder.path("out/correctness.png").exists());
    // Only wrong answers: the group of right ones is empty.
    let samples = samples.map(|made| made.judged(false));
    folder.run("wrong", &manifest("m", 4, 2), &samples);
    succeeded(&folder.foveate(&["analyse", "wrong", "--out", "out"], &[]));
    let found = folder.json("out/analysis.json");
    let of_right = [("name", json!("focus_area")), ("group", json!("right"))];
    assert_eq!(
        entry(&found["left_out"], &of_right)["reason"],
        "no answer that is right has it"
    );
    entry(
        &found["figures"],
        &[("name", json!("focus_area")), ("group", json!("wrong"))],
    );
}

#[test]
fn what_cannot_be_analysed_is_refused_and_leaves_nothing() {
    let folder = Folder::new();
    let failed = vec![Made::new(0, -2.5, None).failed(); 2];
    folder.run("failed", &manifest("m", 4, 2), &failed);
    folder.run("run", &manifest("m", 4, 8), &samples());
    let refused = |arguments: &[&str], words: &[&str]| {
        let arguments = [arguments, &["--out", "new/out"]].concat();
        ended(&folder.foveate(&arguments, &[]), 2, words);
        assert!(!folder.path("new").exists(), "{arguments:?}");
    };
    refused(&["analyse", "none"], &["none/run.json"]);
    refused(
        &["analyse", "failed"],
        &["expected an explained sample", "2 records"],
    );
    refused(
        &["analyse", "run", "--confidence", "1"],
        &["confidence", "below 1"],
    );
    refused(
        &["analyse", "run", "--confidence", "nan"],
        &["confidence", "NaN"],
    );
    refused(
        &["analyse", "run", "--resamples", "0"],
        &["resamples", "from 1"],
    );
    refused(
        &["compare", "run", "run", "--top-share", "0"],
        &["top-share"],
    );
    refused(&["compare", "run"], &["values required"]);
    let masks = folder.path("run/masks-00000.f32");
    let mut bytes = std::fs::read(&masks).unwrap();
    bytes[3] ^= 1;
    std::fs::write(&masks, bytes).unwrap();
    refused(&["analyse", "run"], &["CRC-32"]);
}
