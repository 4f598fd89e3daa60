//! Tests of matrix products through cuBLASLt, whose functions the emulator also has.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::emulator::library;
use super::program::{Run, failed, root, succeeded};

/// Runs `explain` with cuBLASLt available.
fn explain(run: &Run, gemm: &str, out: &str, settings: &[(&str, &str)]) -> std::process::Output {
    let picture = root().join("tests/oracle/images/cat.png");
    let model = root().join("tests/oracle/models/tiny-llava");
    let arguments = [
        "explain",
        "--image",
        picture.to_str().unwrap(),
        "--model",
        model.to_str().unwrap(),
        "--question",
        "What color is the circle?",
        "--out",
        out,
        "--device",
        "cuda:0",
        "--gemm",
        gemm,
        "--dtype",
        "f16",
        "--steps",
        "2",
        "--iterations",
        "2",
        "--mask-size",
        "4",
        "--method",
        "igos+",
        "--lr",
        "1",
        "--noise",
        "0",
        "--max-new-tokens",
        "5",
    ];
    let library = library();
    // Trials fill the card's memory: a small one takes less time.
    let mut all = vec![
        ("CHECK", "0"),
        ("MULTIPROCESSORS", "1"),
        ("CUBLASLT", library.to_str().unwrap()),
    ];
    all.extend(settings);
    run.foveate(&arguments, &all)
}

fn record(run: &Run, out: &str) -> Value {
    let json = fs::read_to_string(run.path(out).join("explanation.json")).unwrap();
    serde_json::from_str(&json).unwrap()
}

fn mask(run: &Run, out: &str) -> Vec<u8> {
    fs::read(run.path(out).join("mask.npy")).unwrap()
}

/// Returns the lines about products.
fn choices(record: &Value) -> Vec<&str> {
    let lines = record["device_choices"].as_array().unwrap();
    lines.iter().map(|line| line.as_str().unwrap()).collect()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push(path),
        }
    }
    found
}

#[test]
fn emulated_explanation_through_cublaslt_agrees_with_the_kernels() {
    let run = Run::new();
    for gemm in ["native", "cublaslt"] {
        succeeded(&explain(&run, gemm, gemm, &[]));
    }
    let (native, library) = (record(&run, "native"), record(&run, "cublaslt"));
    assert!(choices(&native).is_empty());
    let lines = choices(&library);
    // The picture's patches have 588 values, not a multiple of 8; the vocabulary uses the kernels.
    for (line, way) in [
        ("gemm nt 48 x 588 plain: ", "native"),
        ("gemm nt 400 x 64 f32: ", "native"),
        ("gemm nt 112 x 48 activation bias: ", "cublaslt"),
        ("gemm nn 136 x 64 gate vjp: ", "cublaslt"),
        ("gemm nt 64 x 64 rope: ", "cublaslt"),
        ("gemm nt 64 x 136 plain residual: ", "cublaslt"),
    ] {
        assert!(
            lines.contains(&format!("{line}{way}").as_str()),
            "{line}{way}: {lines:#?}"
        );
    }
    assert_eq!(native["answer"]["text"], library["answer"]["text"]);
    for score in ["deletion_score", "insertion_score"] {
        let of = |record: &Value| record["curves"][score].as_f64().unwrap();
        let difference = (of(&native) - of(&library)).abs();
        assert!(difference <= 0.03, "{score}: {difference}");
    }
}

#[test]
fn emulated_choices_are_kept_between_runs() {
    let run = Run::new();
    succeeded(&explain(&run, "auto", "once", &[]));
    let first = record(&run, "once");
    let lines = choices(&first);
    assert!(
        lines.iter().any(|line| line.contains("cublaslt (native ")),
        "{lines:#?}"
    );
    let kept = files(&run.path("cache"));
    let measured = lines.iter().filter(|line| line.contains(" us")).count();
    assert_eq!(kept.len(), measured, "{kept:#?}");
    // The second run also has the first one's times, so it did not measure.
    succeeded(&explain(&run, "auto", "twice", &[]));
    assert_eq!(choices(&record(&run, "twice")), lines);
    assert_eq!(mask(&run, "once"), mask(&run, "twice"));
    // An unreadable file, and an algorithm that the library rejects, are measured again and
    // overwritten.
    let unknown = json!({
        "algorithm": vec![0; 8],
        "native_microseconds": 0.0,
        "cublaslt_microseconds": 0.0,
    });
    for (file, torn) in kept.iter().zip([true, false].into_iter().cycle()) {
        let text = if torn {
            "{".into()
        } else {
            unknown.to_string()
        };
        fs::write(file, text).unwrap();
    }
    succeeded(&explain(&run, "auto", "again", &[]));
    for file in &kept {
        let kept: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
        assert!(
            kept["native_microseconds"].as_f64().unwrap() > 0.0,
            "{kept}"
        );
        assert_ne!(kept["algorithm"], unknown["algorithm"]);
    }
}

/// Every device of the run measures by itself; all must choose the same.
#[test]
fn emulated_selftest_where_no_choice_can_be_written() {
    let run = Run::new();
    fs::write(run.path("cache"), "not a folder").unwrap();
    let library = library();
    let settings = [
        ("MULTIPROCESSORS", "1"),
        ("CUBLASLT", library.to_str().unwrap()),
    ];
    let whole = ["selftest", "--only", "llava-cat", "--gemm", "auto"];
    let printed = succeeded(&run.foveate(&whole, &settings));
    assert!(printed.contains("checks passed in"), "{printed}");
}

#[test]
fn emulated_selftest_through_cublaslt() {
    let run = Run::new();
    let library = library();
    let settings = [
        ("MULTIPROCESSORS", "1"),
        ("CUBLASLT", library.to_str().unwrap()),
    ];
    let small = ["selftest", "--extent", "small", "--only", "cublaslt"];
    let printed = succeeded(&run.foveate(&small, &settings));
    assert!(printed.contains("checks passed in"), "{printed}");
    // Whole, split, with graphs and without: the same bits.
    let whole = ["selftest", "--only", "llava-cat", "--gemm", "cublaslt"];
    let printed = succeeded(&run.foveate(&whole, &settings));
    assert!(printed.contains("checks passed in"), "{printed}");
}

#[test]
fn emulated_cublaslt_that_fails_or_is_not_there() {
    let run = Run::new();
    let said = failed(
        &explain(
            &run,
            "cublaslt",
            "out",
            &[("FAIL", "cublasLtMatmul:40:719")],
        ),
        1,
    );
    assert!(
        said.contains("cuBLASLt") && said.contains("EXECUTION_FAILED"),
        "{said}"
    );
    let said = failed(&explain(&run, "cublaslt", "out", &[("CUBLASLT", "")]), 2);
    assert!(
        said.contains("cuBLASLt: FOVEATE_CUBLASLT is empty"),
        "{said}"
    );
    let said = failed(
        &explain(&run, "cublaslt", "out", &[("CUBLASLT", "/nowhere/lib.so")]),
        2,
    );
    assert!(
        said.contains("it was not loaded: /nowhere/lib.so: "),
        "{said}"
    );
    assert!(!run.path("out").exists(), "nothing is left");
    // Not requested by name, so its absence is not an error.
    succeeded(&explain(&run, "auto", "auto", &[("CUBLASLT", "")]));
    let record = record(&run, "auto");
    assert_eq!(
        choices(&record),
        ["gemm: native; no cuBLASLt: FOVEATE_CUBLASLT is empty"]
    );
    let devices = |path| succeeded(&run.foveate(&["devices"], &[("CUBLASLT", path)]));
    let library = library();
    assert!(devices(library.to_str().unwrap()).contains("\ncuBLASLt 13.1.0"));
    assert!(devices("").contains("\nno cuBLASLt: "));
}
