//! Tests of the measurements that `selftest` prints and writes. Times on the emulator are
//! meaningless; only completeness is checked.

use foveate::selftest::throughput::families;
use serde_json::Value;

use super::emulator::library;
use super::program::{Run, succeeded};

fn measured(settings: &[(&str, &str)]) -> (String, Value) {
    let run = Run::new();
    let arguments = [
        "selftest",
        "--extent",
        "small",
        "--only",
        "throughput",
        "--out",
        "record.json",
    ];
    let printed = succeeded(&run.foveate(&arguments, settings));
    let record = std::fs::read_to_string(run.path("record.json")).unwrap();
    (printed, serde_json::from_str(&record).unwrap())
}

fn array(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

fn positive(value: &Value) -> bool {
    value.as_f64().is_some_and(|v| v > 0.0 && v.is_finite())
}

#[test]
fn emulated_throughput_of_every_family_and_of_the_whole_path() {
    let (printed, record) = measured(&[]);
    // The sums of the products on registers, in both storage types.
    assert!(printed.contains("all 2 checks passed in"), "{printed}");
    let throughput = &record["throughput"];
    for rates in array(&throughput["rates"]) {
        assert!(positive(&rates["copies"]), "{rates}");
        let best = array(&rates["products"])
            .iter()
            .filter_map(|source| source["rate"].as_f64())
            .fold(0.0, f64::max);
        assert!(positive(&rates["matrix"]), "{rates}");
        assert_eq!(rates["matrix"].as_f64(), Some(best), "{rates}");
    }
    let storages: Vec<_> = array(&throughput["rates"])
        .iter()
        .map(|r| r["storage"].as_str().unwrap())
        .collect();
    assert_eq!(storages, ["f16", "bf16"]);

    let [model] = array(&throughput["models"]) else {
        panic!("one model: {throughput}")
    };
    let (operations, whole) = (array(&model["operations"]), array(&model["whole"]));
    for family in families() {
        assert!(operations.iter().any(|l| l["family"] == family), "{family}");
    }
    for line in operations.iter().chain(whole) {
        assert!(positive(&line["seconds"]), "{line}");
        let (name, shape) = (line["name"].as_str(), line["shape"].as_str());
        let at = printed
            .lines()
            .any(|l| l.contains(name.unwrap()) && l.contains(shape.unwrap()));
        assert!(at, "the table has {line}");
        if line["limit"] != "latency" {
            assert!(positive(&line["share"]), "{line}");
            assert!(positive(&line["rate"]), "{line}");
        }
        let judged = line["reached"].is_boolean();
        assert_eq!(judged, !line["goal"].is_null(), "{line}");
    }
    let names: Vec<_> = whole.iter().map(|l| l["name"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        [
            "attribution, cold",
            "attribution, warm",
            "forward",
            "with gradient"
        ]
    );
    for line in whole {
        assert!(positive(&line["evaluations_per_second"]), "{line}");
    }
}

/// Twice in a row: the driver is asked again once unused memory has been released.
#[test]
fn emulated_throughput_without_memory_for_one_operation() {
    let fails = "cuMemAllocAsync:40:2,cuMemAllocAsync:41:2";
    let (printed, record) = measured(&[("FAIL", fails)]);
    let operations = array(&record["throughput"]["models"][0]["operations"]);
    let missing = |line: &&Value| !line["missing"].is_null();
    let found: Vec<_> = operations.iter().filter(missing).collect();
    let [line] = found[..] else {
        panic!("one line: {found:?}")
    };
    let reason = line["missing"].as_str().unwrap();
    assert!(reason.starts_with("GPU memory: "), "{line}");
    assert!(line["seconds"].is_null(), "{line}");
    assert!(
        printed.contains(&format!("not measured: {reason}")),
        "{printed}"
    );
}

#[test]
fn emulated_throughput_of_products_the_chosen_way() {
    let library = library();
    let settings = [
        ("MULTIPROCESSORS", "1"),
        ("CUBLASLT", library.to_str().unwrap()),
    ];
    let (printed, record) = measured(&settings);
    let throughput = &record["throughput"];
    for rates in array(&throughput["rates"]) {
        let sources = array(&rates["products"]);
        let names: Vec<_> = sources.iter().map(|s| s["name"].as_str()).collect();
        assert_eq!(names, [Some("mma.sync on registers"), Some("cublaslt")]);
    }
    let model = &throughput["models"][0];
    let chosen = array(&model["chosen"]);
    assert!(!chosen.is_empty());
    for line in chosen {
        assert_eq!(line["family"], "gemm");
        assert!(positive(&line["seconds"]), "{line}");
    }
    // Those of the kernels alone and those of the chosen implementation have different goals.
    let goals = |lines: &[Value]| -> Vec<f64> {
        let goal = |l: &Value| l["goal"]["share"].as_f64();
        let products = lines.iter().filter(|l| l["family"] == "gemm");
        products.filter_map(goal).collect()
    };
    let native = goals(array(&model["operations"]));
    assert!(!native.is_empty() && native.iter().all(|&goal| goal == 0.5));
    assert_eq!(goals(chosen), vec![0.8; native.len()]);
    let choices = array(&model["choices"]);
    for choice in choices {
        assert!(printed.contains(choice.as_str().unwrap()), "{choice}");
    }
    let through = |choice: &Value| choice.as_str().unwrap().contains(": cublaslt (native ");
    assert!(choices.iter().any(through), "{choices:?}");
}
