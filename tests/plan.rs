//! Tests of `foveate inspect --plan`.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn foveate(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_foveate"))
        .args(arguments)
        .output()
        .unwrap()
}

fn succeeded(output: &Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Returns the plan of the demo model as JSON.
fn plan(more: &[&str]) -> Value {
    let mut arguments = vec!["inspect", "--plan", "--json"];
    arguments.extend(more);
    serde_json::from_str(&succeeded(&foveate(&arguments))).unwrap()
}

fn number(value: &Value, pointer: &str) -> f64 {
    let number = value.pointer(pointer).and_then(Value::as_f64);
    number.unwrap_or_else(|| panic!("{pointer} is no number in {value:#}"))
}

fn phase<'a>(plan: &'a Value, stage: &str) -> &'a Value {
    let phases = plan["phases"].as_array().unwrap();
    phases.iter().find(|phase| phase["stage"] == stage).unwrap()
}

#[test]
fn the_table_says_what_a_picture_costs() {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/demo/model");
    let text = succeeded(&foveate(&["inspect", model.to_str().unwrap(), "--plan"]));
    for words in [
        "weights",
        "per blend",
        "per evaluation",
        "vision encoder",
        "vocabulary",
        "greedy answer",
        "mask",
        "curves",
        "pictures per hour",
        "h100-sxm",
    ] {
        assert!(text.contains(words), "{words:?} is not in:\n{text}");
    }
    // Without a folder, the demo model.
    let built_in = succeeded(&foveate(&["inspect", "--plan"]));
    let numbers = |text: &str| text.split_once('\n').unwrap().1.to_string();
    assert_eq!(numbers(&built_in), numbers(&text));
}

/// Returns the number of evaluations that `explain` makes with these options of the method.
fn made(method: &[&str]) -> f64 {
    made_with("0", method)
}

/// Returns that number for these key tokens of the answer.
fn made_with(keys: &str, method: &[&str]) -> f64 {
    let scene = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/demo/scenes/0000.png");
    let folder = tempfile::TempDir::new().unwrap();
    let out = folder.path().join("out");
    let mut arguments = vec!["explain", "--device", "cpu", "--threads", "2", "--json"];
    arguments.extend(["--question", "How many objects are there?", "--keys", keys]);
    arguments.extend(["--image", scene.to_str().unwrap()]);
    arguments.extend(["--out", out.to_str().unwrap()]);
    arguments.extend(method);
    let made: Value = serde_json::from_str(&succeeded(&foveate(&arguments))).unwrap();
    number(&made, "/cost/evaluations")
}

/// With gradients and without, and with an incomplete last group of masks or of the curves, the
/// plan has as many evaluations as `explain` makes.
#[test]
fn evaluations_are_those_of_explain() {
    let optimised = |more: &[&'static str]| [more, &["--iterations", "2"]].concat();
    for method in [
        optimised(&["--method", "igos+", "--mask-size", "8", "--steps", "2"]),
        optimised(&["--method", "igos++", "--mask-size", "5", "--steps", "3"]),
        // 121 cells in groups of 2: an eighth, 16, is a multiple; 100 cells: 13 is not.
        optimised(&["--method", "fovea", "--mask-size", "11", "--steps", "2"]),
        optimised(&["--method", "fovea", "--mask-size", "10", "--steps", "2"]),
        vec!["--method", "rise", "--mask-size", "8", "--samples", "70"],
        vec!["--method", "eagle", "--mask-size", "8", "--grid", "2"],
        vec![
            "--method",
            "grad-cam",
            "--mask-size",
            "8",
            "--layer",
            "decoder:2",
        ],
        vec!["--method", "tam", "--mask-size", "8"],
    ] {
        let method = [method, vec!["--curve-points", "all"]].concat();
        let made = made(&method);
        assert_eq!(
            number(&plan(&method), "/total/evaluations"),
            made,
            "{method:?}"
        );
    }
}

/// A map for each is planned for every key token. One alone has the answer's map.
#[test]
fn maps_for_each_are_those_of_explain() {
    let method = ["--mask-size", "8", "--steps", "2", "--curve-points", "all"];
    let method = [&method[..], &["--each", "token"]].concat();
    for (number_of_keys, keys) in [("1", "0"), ("2", "0,1"), ("3", "0,1,2")] {
        let planned = plan(&[&method[..], &["--key-tokens", number_of_keys]].concat());
        let made = made_with(keys, &method);
        assert_eq!(number(&planned, "/total/evaluations"), made, "{keys}");
        let phases = planned["phases"].as_array().unwrap();
        let of_each = phases.iter().filter(|phase| phase["stage"] == "each");
        let evaluations: Vec<f64> = of_each.map(|phase| number(phase, "/evaluations")).collect();
        // Two steps, and then both paths, for each key token.
        let expected = match number_of_keys.parse::<f64>().unwrap() {
            1.0 => vec![],
            keys => vec![keys * (2.0 + 4.0)],
        };
        assert_eq!(evaluations, expected);
    }
}

/// Where the calls depend on results, the plan has no more than `explain` makes.
#[test]
fn open_ended_phases_are_planned_as_the_fewest_evaluations() {
    for method in [["--no-curves"].as_slice(), &["--curve-points", "adaptive"]] {
        let method = [method, &["--method", "fovea", "--mask-size", "16"]].concat();
        let made = made(&method);
        let planned = number(&plan(&method), "/total/evaluations");
        assert!(
            planned <= made && made <= planned + 60.0,
            "{planned} {made}"
        );
    }
}

#[test]
fn time_follows_the_rates_and_the_batch_follows_the_memory() {
    let whole = plan(&["--fraction", "1"]);
    let half = plan(&["--fraction", "0.5"]);
    let ratio = number(&half, "/total/seconds") / number(&whole, "/total/seconds");
    assert!((ratio - 2.0).abs() < 1e-9, "{ratio}");

    // Bytes take no time: the time is that of the operations.
    let rates = ["--fraction", "1", "--tflops", "2", "--bandwidth", "1e9"];
    let bound = plan(&rates);
    let seconds = number(&bound, "/total/operations") / 2e12;
    assert!((number(&bound, "/total/seconds") / seconds - 1.0).abs() < 1e-9);
    // Operations take no time: the time is that of the bytes.
    let bound = plan(&["--fraction", "1", "--tflops", "1e9", "--bandwidth", "3"]);
    let seconds = number(&bound, "/total/bytes") / 3e9;
    assert!((number(&bound, "/total/seconds") / seconds - 1.0).abs() < 1e-9);
    let hour = number(&bound, "/total/pictures_per_hour");
    assert!((hour * number(&bound, "/total/seconds") / 3600.0 - 1.0).abs() < 1e-9);

    // Memory for three and a half blends with activations kept: the 20 blends of an iteration are
    // split into 7 batches.
    let fixed = number(&whole, "/memory/fixed");
    let budget = fixed + 3.5 * number(&whole, "/memory/per_blend/kept");
    let budget = format!("{budget:.0}");
    let tight = plan(&["--method", "igos+", "--memory-budget", &budget]);
    let mask = phase(&tight, "optimise");
    assert_eq!(number(mask, "/batch"), 3.0);
    assert_eq!(number(mask, "/batches"), 5.0 * 7.0);
    assert_eq!(mask["keep"], "everything");
    assert_eq!(number(mask, "/evaluations"), 100.0);

    // Too little to keep them: they are recomputed, which costs operations.
    let budget = fixed + 0.9 * number(&whole, "/memory/per_blend/kept");
    let tight = plan(&["--memory-budget", &format!("{budget:.0}")]);
    let (less, more) = (phase(&whole, "optimise"), phase(&tight, "optimise"));
    assert_eq!(more["keep"], "inputs");
    assert!(number(more, "/operations") > 1.2 * number(less, "/operations"));

    // Four fifths of the memory that the weights leave free.
    let small = plan(&["--memory", "2GB"]);
    let free = 2e9 - number(&small, "/memory/weights_total");
    assert_eq!(number(&small, "/memory/budget"), (free / 5.0 * 4.0).floor());
}

#[test]
fn wrong_options_are_refused() {
    for (arguments, words) in [
        (vec!["inspect"], vec!["DIR"]),
        (vec!["inspect", "x", "--steps", "3"], vec!["--plan"]),
        (vec!["inspect", "x", "--card", "h200"], vec!["--plan"]),
        (
            vec!["inspect", "--plan", "--card", "voodoo"],
            vec!["voodoo", "h100-sxm"],
        ),
        (
            vec!["inspect", "--plan", "--fraction", "0"],
            vec!["--fraction", "above 0"],
        ),
        (
            vec!["inspect", "--plan", "--fraction", "1.1"],
            vec!["--fraction", "at most 1"],
        ),
        (
            vec!["inspect", "--plan", "--fraction", "nan"],
            vec!["--fraction"],
        ),
        (
            vec!["inspect", "--plan", "--tflops", "-1"],
            vec!["--tflops"],
        ),
        (
            vec!["inspect", "--plan", "--bandwidth", "inf"],
            vec!["--bandwidth", "above 0"],
        ),
        (
            vec!["inspect", "--plan", "--answer-tokens", "0"],
            vec!["--answer-tokens"],
        ),
        (vec!["inspect", "--plan", "--steps", "0"], vec!["steps"]),
        (
            vec![
                "inspect",
                "--plan",
                "--answer-tokens",
                "3",
                "--key-tokens",
                "4",
            ],
            vec!["--key-tokens", "at most the 3"],
        ),
        (
            vec!["inspect", "--plan", "--prompt-tokens", "0"],
            vec!["--prompt-tokens", "before the picture"],
        ),
        (
            vec!["inspect", "--plan", "--answer-tokens", "999999999"],
            vec!["prompt and answer", "context", "1000000103"],
        ),
        (
            vec!["inspect", "--plan", "--memory", "1kB"],
            vec!["--memory", "weights"],
        ),
        (
            vec!["inspect", "--plan", "--memory-budget", "1kB"],
            vec!["memory budget", "1000"],
        ),
        (vec!["inspect", "/nowhere", "--plan"], vec!["/nowhere"]),
    ] {
        let output = foveate(&arguments);
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {text}");
        for word in words {
            assert!(
                text.contains(word),
                "{arguments:?}: {word:?} is not in: {text}"
            );
        }
    }
}
