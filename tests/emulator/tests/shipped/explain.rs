//! Tests of `foveate explain --device cuda:0` from end to end, compared with the CPU.

use std::path::Path;

use serde_json::Value;

use super::program::{Run, root, succeeded};

/// A model's folder (`None` for the demo model), a picture and a question.
type Case<'a> = (Option<&'a str>, &'a str, &'a str);

const SETTINGS: [&str; 12] = [
    "--steps",
    "2",
    "--iterations",
    "2",
    "--mask-size",
    "4",
    "--lr",
    "1",
    "--max-new-tokens",
    "12",
    "--threads",
    "2",
];

fn explain(run: &Run, case: Case, device: &str, more: &[&str], out: &str) -> Value {
    let picture = root().join(case.1);
    let model = case.0.map(|m| root().join(m));
    // For models whose encoders have checkpoints of their own.
    let encoders = root().join("tests/oracle/models/tiny-cambrian-towers");
    let mut arguments = vec![
        "explain",
        "--encoders",
        encoders.to_str().unwrap(),
        "--image",
        picture.to_str().unwrap(),
        "--question",
        case.2,
    ];
    if let Some(model) = &model {
        arguments.extend(["--model", model.to_str().unwrap()]);
    }
    arguments.extend(["--device", device, "--out", out]);
    arguments.extend(SETTINGS);
    if !more.contains(&"--method") {
        arguments.extend(["--method", "igos+"]);
    }
    arguments.extend(more);
    succeeded(&run.foveate(&arguments, &[]));
    let json = std::fs::read_to_string(run.path(out).join("explanation.json")).unwrap();
    serde_json::from_str(&json).unwrap()
}

fn keys(record: &Value) -> Vec<usize> {
    let tokens = record["answer"]["tokens"].as_array().unwrap();
    let is_key = |i: &usize| tokens[*i]["key"] == true;
    (0..tokens.len()).filter(is_key).collect()
}

fn bytes(run: &Run, out: &str) -> Vec<u8> {
    std::fs::read(Path::new(&run.path(out)).join("mask.npy")).unwrap()
}

/// Checks that the answer and the key tokens are the CPU's, that the scores differ by at most 0.03,
/// and that two runs have the same bits.
fn agrees(case: Case, dtype: &str) {
    let run = Run::new();
    let cpu = explain(&run, case, "cpu", &["--noise", "0"], "cpu");
    let gpu = explain(
        &run,
        case,
        "cuda:0",
        &["--noise", "0", "--dtype", dtype],
        "gpu",
    );
    assert_eq!(gpu["device"], "cuda:0");
    assert_eq!(gpu["dtype"], dtype);
    assert_eq!(gpu["answer"]["text"], cpu["answer"]["text"]);
    assert_eq!(keys(&gpu), keys(&cpu));
    assert!(!keys(&cpu).is_empty(), "there is a mask to compare");
    for score in ["deletion_score", "insertion_score"] {
        let (found, expected) = (&gpu["curves"][score], &cpu["curves"][score]);
        let difference = (found.as_f64().unwrap() - expected.as_f64().unwrap()).abs();
        println!("{score}: {found} instead of {expected}");
        assert!(difference <= 0.03, "{score}: {found} instead of {expected}");
    }
    same_twice(&run, case, dtype);
}

/// Checks that two runs have the same bits, with noise, which is generated on the device, and
/// returns the record of one.
fn same_twice(run: &Run, case: Case, dtype: &str) -> Value {
    let more = ["--dtype", dtype, "--no-curves"];
    let record = explain(run, case, "cuda:0", &more, "once");
    explain(run, case, "cuda:0", &more, "twice");
    assert_eq!(bytes(run, "once"), bytes(run, "twice"));
    record
}

const DEMO: Case = (
    None,
    "assets/demo/scenes/0001.png",
    "What color is the star?",
);

#[test]
fn emulated_demo_model_in_f16() {
    agrees(DEMO, "f16");
}

/// Without curves, which are most of the time: those in f16 make the same calls.
#[test]
fn emulated_demo_model_in_bf16() {
    let run = Run::new();
    let cpu = explain(&run, DEMO, "cpu", &["--no-curves"], "cpu");
    let gpu = same_twice(&run, DEMO, "bf16");
    assert_eq!(gpu["dtype"], "bf16");
    assert_eq!(gpu["answer"]["text"], cpu["answer"]["text"]);
    assert_eq!(keys(&gpu), keys(&cpu));
}

#[test]
fn emulated_tiny_llava() {
    let model = "tests/oracle/models/tiny-llava";
    agrees(
        (
            Some(model),
            "tests/oracle/images/cat.png",
            "What color is the circle?",
        ),
        "f16",
    );
}

#[test]
fn emulated_tiny_llava_gqa() {
    let model = "tests/oracle/models/tiny-llava-gqa";
    agrees(
        (
            Some(model),
            "tests/oracle/images/rocket.png",
            "What color is the circle?",
        ),
        "f16",
    );
}

/// Checks, for a given answer and keys, that log-probabilities and the objective agree with the
/// CPU's within the precision of f16 in these models, and that two runs have the same bits.
fn scores_agree(model: &str, picture: &str, more: &[&str]) {
    let run = Run::new();
    let case = (Some(model), picture, "What color is the circle?");
    let given = [
        "--noise",
        "0",
        "--no-curves",
        "--answer",
        "The red circle",
        "--keys",
        "0,1",
    ];
    let given = [&given[..], more].concat();
    let on = |device, out| explain(&run, case, device, &given, out);
    let (cpu, gpu) = (on("cpu", "cpu"), on("cuda:0", "gpu"));
    let close = |pointer: &str| {
        let number = |record: &Value| record.pointer(pointer).unwrap().as_f64().unwrap();
        let (found, expected) = (number(&gpu), number(&cpu));
        assert!(
            (found - expected).abs() <= 0.06,
            "{pointer}: {found} instead of {expected}"
        );
    };
    let tokens = cpu["answer"]["tokens"].as_array().unwrap().len();
    for token in 0..tokens {
        for what in ["logp_image", "logp_baseline"] {
            close(&format!("/answer/tokens/{token}/{what}"));
        }
    }
    close("/iterations/0/deletion");
    close("/iterations/0/insertion");
    on("cuda:0", "again");
    assert_eq!(bytes(&run, "gpu"), bytes(&run, "again"));
}

#[test]
fn emulated_mini_gemini_on_gemma() {
    let model = "tests/oracle/models/tiny-mini-gemini-gemma";
    scores_agree(model, "tests/oracle/images/cat.png", &[]);
}

#[test]
fn emulated_mini_gemini_in_tiles() {
    let model = "tests/oracle/models/tiny-mini-gemini-hd";
    scores_agree(model, "tests/oracle/images/rocket.png", &[]);
}

#[test]
fn emulated_cambrian() {
    let model = "tests/oracle/models/tiny-cambrian-phi3";
    scores_agree(model, "tests/oracle/images/rocket.png", &[]);
}

#[test]
fn emulated_llava_in_its_authors_layout() {
    let model = "tests/oracle/models/tiny-llava-llama";
    scores_agree(model, "tests/oracle/images/cat.png", &[]);
}

/// Rows of each picture see their own picture in both directions; the first picture is kept whole
/// by the second explanation.
#[test]
fn emulated_several_pictures() {
    let model = "tests/oracle/models/tiny-gemma3";
    let second = root().join("tests/oracle/images/small.png");
    let second = ["--image", second.to_str().unwrap()];
    scores_agree(model, "tests/oracle/images/cat.png", &second);
    let alone = [&second[..], &["--explain-image", "2"]].concat();
    scores_agree(model, "tests/oracle/images/cat.png", &alone);
}

/// Two masks, whose paths sample a product or one of them, in batches that contain either.
#[test]
fn emulated_igos_plus_plus_in_small_batches() {
    let model = "tests/oracle/models/tiny-llava";
    let case = (
        Some(model),
        "tests/oracle/images/cat.png",
        "What color is the circle?",
    );
    let run = Run::new();
    let plain = ["--method", "igos++", "--no-curves"];
    explain(&run, case, "cuda:0", &plain, "whole");
    // Tables take 8 MiB of a budget; a blend of this model takes half a MiB.
    for budget in ["9MB", "9500KB", "10MB"] {
        let cut = [&plain[..], &["--memory-budget", budget]].concat();
        explain(&run, case, "cuda:0", &cut, "cut");
        assert_eq!(bytes(&run, "cut"), bytes(&run, "whole"), "{budget}");
    }
}
