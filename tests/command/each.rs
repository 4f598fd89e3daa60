//! Maps of single words and tokens: `--each`.

use super::*;

/// Two objects of the scene that [`described`] is about, and the answer's key tokens are these
/// words.
const ANSWER: &str = "The cross is green and the triangle is red.";

/// Runs `explain` on the scene with three objects and the answer about two of them.
fn described(run: &Run, out: &str, more: &[&str]) -> Output {
    let picture = root().join("assets/demo/scenes/0003.png");
    let question = "What is in the picture?";
    let more = [&["--answer", ANSWER], more].concat();
    run.explain_picture(&picture, question, out, &more)
}

/// Returns the array of each map, and their number.
fn maps(run: &Run, out: &str) -> Vec<Vec<f32>> {
    let bytes = std::fs::read(run.path(out).join("each.npy")).unwrap();
    let array = npyz::NpyFile::new(&bytes[..]).unwrap();
    let shape = array.shape().to_vec();
    assert_eq!(shape[1..], [8, 8]);
    let cells: Vec<f32> = array.into_vec().unwrap();
    assert_eq!(cells.len() as u64, shape.iter().product::<u64>());
    cells.chunks(64).map(<[f32]>::to_vec).collect()
}

/// Returns the positions of the key tokens in a record, and the tokens' texts.
fn keys(record: &Value) -> (Vec<usize>, Vec<String>) {
    let tokens = record["answer"]["tokens"].as_array().unwrap();
    let keys = (0..tokens.len()).filter(|&t| tokens[t]["key"] == true);
    let texts = tokens.iter().map(|t| t["text"].as_str().unwrap().into());
    (keys.collect(), texts.collect())
}

/// Returns each unit's tokens.
fn units(record: &Value) -> Vec<Vec<usize>> {
    let units = record["each"].as_array().unwrap().iter();
    units
        .map(|unit| serde_json::from_value(unit["tokens"].clone()).unwrap())
        .collect()
}

#[test]
fn the_rest_is_as_without() {
    let run = Run::new();
    // Every token is key that is not a function word.
    let threshold = ["--threshold", "-1000"];
    succeeded(&described(&run, "plain", &threshold));
    let text = succeeded(&described(
        &run,
        "each",
        &[&threshold[..], &["--each"]].concat(),
    ));
    let (plain, each) = (run.record("plain"), run.record("each"));
    for name in plain["files"].as_object().unwrap().keys() {
        let read = |out: &str| std::fs::read(run.path(out).join(name)).unwrap();
        assert!(read("plain") == read("each"), "{name}");
    }
    let mut rest = each.clone();
    let fields = rest.as_object_mut().unwrap();
    fields.remove("each");
    fields["settings"].as_object_mut().unwrap().remove("each");
    for name in ["each.npy", "each.png"] {
        let file = fields["files"].as_object_mut().unwrap().remove(name);
        let bytes = std::fs::metadata(run.path("each").join(name))
            .unwrap()
            .len();
        assert_eq!(file.unwrap()["bytes"], bytes);
    }
    fields["cost"] = plain["cost"].clone();
    assert_eq!(rest, plain);

    let (keys, texts) = keys(&each);
    let units = units(&each);
    assert_eq!(
        units.concat(),
        keys,
        "a partition in the order of the answer"
    );
    let words: Vec<&str> = ["cross", "green", "triangle", "red"].into();
    let found = each["each"].as_array().unwrap();
    let found: Vec<&str> = found.iter().map(|u| u["text"].as_str().unwrap()).collect();
    assert_eq!(found, words, "{texts:?}");
    assert!(
        text.contains("a map for each of: cross, green, triangle, red"),
        "{text}"
    );
    assert_eq!(maps(&run, "each").len(), 4);
    // Two steps, and then both paths.
    let evaluations = |record: &Value| record["cost"]["evaluations"].as_u64().unwrap();
    assert_eq!(evaluations(&each), evaluations(&plain) + 4 * (2 + 2 * 2));
    for unit in each["each"].as_array().unwrap() {
        assert_eq!(unit["evaluations"], 2 + 2 * 2);
        assert_eq!(unit["iterations"].as_array().unwrap().len(), 2);
    }
    let drawn = image::open(run.path("each/each.png")).unwrap();
    assert!(drawn.width() > 1000, "three beside each other");
    // Files of a word's map are not left beside an explanation without.
    succeeded(&described(&run, "each", &threshold));
    assert!(!run.path("each/each.npy").exists() && !run.path("each/each.png").exists());
}

/// With every method, each map has the bits of the map of an explanation of its tokens alone.
#[test]
fn a_map_is_that_of_its_tokens_alone() {
    let run = Run::new();
    let methods = succeeded(&run.foveate(&["methods", "--json"]));
    let methods: Vec<Value> = serde_json::from_str(&methods).unwrap();
    for method in &methods {
        let name = method["name"].as_str().unwrap();
        let reads = |option: &str| {
            let settings = method["settings"].as_array().unwrap();
            settings.iter().any(|setting| setting == option)
        };
        let mut options = vec!["--method", name, "--no-curves", "--mask-size", "8"];
        for (option, value) in [
            ("steps", ["--steps", "2"]),
            ("iterations", ["--iterations", "1"]),
            ("samples", ["--samples", "20"]),
            ("grid", ["--grid", "3"]),
        ] {
            if reads(option) {
                options.extend(value);
            }
        }
        // One iteration of a line search may find no step.
        if name == "igos" {
            options.extend(["--optimizer", "nag"]);
        }
        let picture = root().join("assets/demo/scenes/0003.png");
        let explain = |out: &str, more: &[&str]| {
            let fixed = [
                "explain",
                "--image",
                picture.to_str().unwrap(),
                "--question",
                "What is in the picture?",
                "--answer",
                ANSWER,
                "--device",
                "cpu",
                "--out",
                out,
            ];
            succeeded(&run.foveate(&[&fixed, &options[..], more].concat()))
        };
        explain("each", &["--keys", "1,3,6", "--each", "token"]);
        assert_eq!(units(&run.record("each")), [[1], [3], [6]], "{name}");
        let found = maps(&run, "each");
        explain("alone", &["--keys", "3"]);
        assert_eq!(found[1], run.mask("alone"), "{name}");
        assert_ne!(found[1], found[2], "{name}");
    }
}

#[test]
fn one_word_has_the_map_of_the_answer() {
    let run = Run::new();
    for each in [&["--each"][..], &["--each", "token"], &["--each=word"]] {
        let more = [&["--keys", "3"], each].concat();
        succeeded(&described(&run, "out", &more));
        let record = run.record("out");
        assert_eq!(units(&record), [[3]]);
        assert_eq!(record["each"][0]["evaluations"], 0);
        assert_eq!(record["each"][0]["iterations"], record["iterations"]);
        assert_eq!(maps(&run, "out"), [run.mask("out")]);
    }
}

#[test]
fn without_key_tokens_there_are_none() {
    let run = Run::new();
    let text = succeeded(&described(&run, "out", &["--threshold", "1000", "--each"]));
    assert!(text.contains("does not depend on the picture"), "{text}");
    assert_eq!(run.record("out")["each"], serde_json::json!([]));
    assert!(!run.path("out/each.npy").exists());
}

#[test]
fn other_units_are_refused() {
    let run = Run::new();
    let refusal = run.explain("out", &["--each", "letter"]);
    run.refused(&refusal, 2, &["letter", "--each", "token", "word"]);
}
