//! Tests of matrix products through cuBLASLt, whose functions the emulator also has.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::{Value, json};

use super::emulator::library;
use super::program::{Run, failed, root, succeeded};

/// Runs `explain` with cuBLASLt available.
fn explain(run: &Run, gemm: &str, out: &str, settings: &[(&str, &str)]) -> Output {
    explain_with(run, gemm, out, settings, &[])
}

/// Runs `explain` as [`explain`], with more arguments.
fn explain_with(
    run: &Run,
    gemm: &str,
    out: &str,
    settings: &[(&str, &str)],
    more: &[&str],
) -> Output {
    let picture = root().join("tests/oracle/images/cat.png");
    let model = root().join("tests/oracle/models/tiny-llava");
    let mut arguments = vec![
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
    arguments.extend(more);
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

/// Returns what the program wrote to standard error.
fn notes(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
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
        let found = lines.iter().find_map(|found| found.strip_prefix(line));
        let (found, refused) = found
            .unwrap()
            .split_once("; ")
            .unwrap_or((found.unwrap(), ""));
        assert_eq!(found, way, "{line}: {lines:#?}");
        // Two algorithms split no sum, and the rows of one of these depend on each other.
        let expected = match way {
            "native" => "",
            _ => "1 of 2 refused: algorithm 2 tile 0 stages 0 (other bits at m = ",
        };
        assert!(refused.starts_with(expected), "{line}: {lines:#?}");
        assert_eq!(
            refused.is_empty(),
            expected.is_empty(),
            "{line}: {lines:#?}"
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
        said.contains("cuBLASLt: FOVEATE_CUBLASLT=/nowhere/lib.so: "),
        "{said}"
    );
    assert!(!run.path("out").exists(), "nothing is left");
    // Not requested by name, so its absence is not an error, nor worth a note if the user chose it.
    let output = explain(&run, "auto", "auto", &[("CUBLASLT", "")]);
    succeeded(&output);
    assert!(!notes(&output).contains("cuBLASLt"), "{}", notes(&output));
    let record = record(&run, "auto");
    assert_eq!(
        choices(&record),
        ["gemm: native; no cuBLASLt: FOVEATE_CUBLASLT is empty"]
    );
    let nowhere = [("CUBLASLT", "/nowhere/lib.so")];
    for (gemm, more, expected) in [
        ("auto", &[][..], 1),
        ("auto", &["--quiet"], 0),
        ("native", &[], 0),
    ] {
        let output = explain_with(&run, gemm, "said", &nowhere, more);
        succeeded(&output);
        let notes = notes(&output);
        let said = notes.lines().filter(|line| {
            line.contains("own kernels; no cuBLASLt: FOVEATE_CUBLASLT=/nowhere/lib.so: ")
        });
        assert_eq!(said.count(), expected, "{gemm} {more:?}: {notes}");
    }
    let devices = |path| succeeded(&run.foveate(&["devices"], &[("CUBLASLT", path)]));
    let library = library();
    let expected = format!("\ncuBLASLt 13.1.0: {}\n", library.display());
    assert!(devices(library.to_str().unwrap()).contains(&expected));
    assert!(devices("").contains("\nno cuBLASLt: "));
}

/// Where packages of Python in a virtual environment have the library, in the order of the search.
const PACKAGES: [&str; 3] = [
    "nvidia/cu13/lib/libcublasLt.so.13",
    "nvidia/cublas/lib/libcublasLt.so.12",
    "torch/lib/libcublasLt.so.12",
];

/// Returns a virtual environment with the folders of all [`PACKAGES`], and the files' paths.
fn environment(run: &Run) -> (PathBuf, [PathBuf; 3]) {
    let environment = run.path("env");
    let packages = environment.join("lib/python3.12/site-packages");
    let files = PACKAGES.map(|file| packages.join(file));
    for file in &files {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
    }
    (environment, files)
}

/// A link is the library that is also the driver.
fn link(file: &Path) {
    std::os::unix::fs::symlink(library(), file).unwrap();
}

#[test]
fn emulated_cublaslt_of_a_virtual_environment() {
    let run = Run::new();
    let (environment, [_, file, _]) = environment(&run);
    link(&file);
    let settings = [("VIRTUAL_ENV", environment.to_str().unwrap())];
    let listed = succeeded(&run.foveate(&["devices"], &settings));
    let expected = format!("\ncuBLASLt 13.1.0: {}\n", file.display());
    assert!(listed.contains(&expected), "{listed}");
    succeeded(&explain(&run, "cublaslt", "out", &settings));
    let record = record(&run, "out");
    let lines = choices(&record);
    let through = |line: &&&str| line.contains(": cublaslt");
    assert!(lines.iter().filter(through).count() > 5, "{lines:#?}");
}

#[test]
fn emulated_cublaslt_that_cannot_be_used_is_skipped() {
    let run = Run::new();
    let (environment, [broken, stranger, file]) = environment(&run);
    fs::write(broken, "not a library").unwrap();
    // A copy is a second driver, without contexts: it loads, but creates no handle.
    fs::copy(library(), &stranger).unwrap();
    let path = stranger.to_str().unwrap();
    let said = failed(&explain(&run, "cublaslt", "out", &[("CUBLASLT", path)]), 2);
    let expected = format!("{path}: no handle: CUBLAS_STATUS_NOT_INITIALIZED (1)");
    assert!(said.contains(&expected), "{said}");
    link(&file);
    let settings = [("VIRTUAL_ENV", environment.to_str().unwrap())];
    let output = explain(&run, "cublaslt", "out", &settings);
    succeeded(&output);
    assert!(!notes(&output).contains("cuBLASLt"), "{}", notes(&output));
    let record = record(&run, "out");
    let lines = choices(&record);
    assert!(
        lines.iter().any(|line| line.contains(": cublaslt")),
        "{lines:#?}"
    );
}
