//! Tests of runs with random layers, and of runs that explain another run's answers.

use serde_json::{Value, json};

use crate::support::{Folder, ended, folder_of_scenes, succeeded};

const FOVEA: [&str; 5] = ["--data", "data.jsonl", "--method", "fovea", "--no-curves"];

fn run(folder: &Folder, out: &str, more: &[&str]) -> std::process::Output {
    folder.run(&[&FOVEA[..], &["--out", out], more].concat())
}

/// The answers and key tokens of one run are explained with random layers: the maps lose their
/// likeness, and no run is taken for the other.
#[test]
fn random_layers_change_the_maps_of_the_same_answers() {
    let folder = Folder::new();
    folder.table("data.jsonl", 4);
    succeeded(&run(&folder, "own", &[]));
    succeeded(&run(&folder, "again", &["--answers-of", "own"]));
    let random = ["--answers-of", "own", "--randomize-layers", "9"];
    succeeded(&run(&folder, "random", &random));
    let tokens = |line: &Value| -> Vec<(Value, Value)> {
        let tokens = line["explanation"]["answer"]["tokens"].as_array().unwrap();
        tokens
            .iter()
            .map(|t| (t["id"].clone(), t["key"].clone()))
            .collect()
    };
    let lines = |out: &str| folder.lines(&format!("{out}/records.jsonl"));
    for (own, random) in lines("own").iter().zip(&lines("random")) {
        assert_eq!(tokens(own), tokens(random));
        assert_ne!(
            own["explanation"]["answer"],
            random["explanation"]["answer"]
        );
    }
    // With the answer given nothing else changes.
    assert!(folder.bytes("own/records.jsonl") == folder.bytes("again/records.jsonl"));
    assert!(folder.bytes("own/masks-00000.f32") == folder.bytes("again/masks-00000.f32"));
    let manifest = |out: &str| -> Value {
        serde_json::from_slice(&folder.bytes(&format!("{out}/run.json"))).unwrap()
    };
    let (own, random) = (manifest("own"), manifest("random"));
    assert!(own.get("answers").is_none() && own["model"].get("randomized").is_none());
    assert_eq!(
        random["model"]["randomized"],
        json!({"layers": 9, "seed": 0})
    );
    assert_ne!(own["model"]["fingerprint"], random["model"]["fingerprint"]);
    assert_eq!(random["answers"], manifest("again")["answers"]);
    // Another number of layers, another seed, and other answers are other runs.
    for (more, word) in [
        (
            &["--answers-of", "own", "--randomize-layers", "1"][..],
            "model.randomized.layers",
        ),
        (
            &[
                "--answers-of",
                "own",
                "--randomize-layers",
                "9",
                "--randomize-seed",
                "1",
            ],
            "model.randomized.seed",
        ),
        (&["--answers-of", "own"], "model.randomized"),
        (&["--randomize-layers", "9"], "answers"),
    ] {
        ended(&run(&folder, "random", more), 2, &[word]);
    }
    let compare = ["compare", "own", "again", "random", "--out", "compared"];
    succeeded(&folder.foveate(&compare, &[]));
    let compared: Value =
        serde_json::from_slice(&folder.bytes("compared/comparison.json")).unwrap();
    let correlation = |group: &str| {
        let mut figures = compared["figures"].as_array().unwrap().iter();
        let found = figures.find(|f| f["name"] == "rank_correlation" && f["group"] == group);
        found.unwrap_or_else(|| panic!("{group}: {compared:#}"))["value"]
            .as_f64()
            .unwrap()
    };
    let own = "built-in demo model #1";
    assert_eq!(correlation(&format!("{own}, built-in demo model #2")), 1.0);
    let random = correlation(&format!("{own}, built-in demo model (9 random layers)"));
    assert!(random.abs() < 0.5, "{random}");
}

#[test]
fn answers_of_other_data_are_refused_and_missing_ones_fail_their_sample() {
    let folder = Folder::new();
    folder.table("data.jsonl", 1);
    folder.append(
        "data.jsonl",
        r#"{"id":"bad","image":"none.png","question":"What?"}"#,
    );
    ended(&run(&folder, "own", &[]), 3, &["picture 1"]);
    for name in ["0000.png", "none.png"] {
        std::fs::copy(folder_of_scenes().join("0000.png"), folder.path(name)).unwrap();
    }
    let images = ["--images", ".", "--answers-of", "own"];
    ended(&run(&folder, "again", &images), 3, &["answer 1"]);
    let message = &folder.lines("again/records.jsonl")[1]["error"]["message"];
    assert_eq!(message, "expected a recorded answer, found none");
    let records = folder.path("own/records.jsonl");
    let whole = std::fs::read_to_string(&records).unwrap();
    std::fs::write(&records, &whole[..=whole.find('\n').unwrap()]).unwrap();
    ended(
        &run(&folder, "early", &images),
        2,
        &["own: expected a finished run, of 2 samples"],
    );
    std::fs::write(&records, whole).unwrap();
    folder.table("data.jsonl", 3);
    ended(
        &run(&folder, "third", &images),
        2,
        &["own: expected a run on the data"],
    );
    let both = ["--answers-of", "own", "--explain-column", "answer"];
    ended(&run(&folder, "fourth", &both), 2, &["cannot be used with"]);
}
