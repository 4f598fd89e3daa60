//! Questions about several pictures: `--image` given more than once, and `--explain-image`.

use super::*;

/// Runs `explain` on the demo's scenes 1 and 3.
fn about_two(run: &Run, out: &str, more: &[&str]) -> Output {
    let second = root().join("assets/demo/scenes/0003.png");
    let more = [&["--image", second.to_str().unwrap()], more].concat();
    run.explain(out, &more)
}

/// Returns the shape of an array in a folder, and its values.
fn array(run: &Run, name: &str) -> (Vec<u64>, Vec<f32>) {
    let bytes = std::fs::read(run.path(name)).unwrap();
    let array = npyz::NpyFile::new(&bytes[..]).unwrap();
    (array.shape().to_vec(), array.into_vec().unwrap())
}

/// Returns the names of the files that a record lists.
fn files(record: &Value) -> Vec<&str> {
    let files = record["files"].as_object().unwrap();
    files.keys().map(String::as_str).collect()
}

#[test]
fn each_picture_has_a_map() {
    let run = Run::new();
    let more = ["--threshold=-1000", "--each", "token"];
    succeeded(&about_two(&run, "out", &more));
    let record = run.record("out");
    let images = record["images"].as_array().unwrap();
    let first = Path::new(images[0]["path"].as_str().unwrap());
    assert_eq!(first.file_name().unwrap(), scene().0.file_name().unwrap());
    assert!(images[1]["path"].as_str().unwrap().ends_with("0003.png"));
    assert_eq!(record["explained_images"], serde_json::json!([1, 2]));
    assert!(record.get("image").is_none());
    assert!(
        record["prompt"]
            .as_str()
            .unwrap()
            .contains("<image>\n<image>\n")
    );
    let names = files(&record);
    for name in ["overlay", "saliency", "each"] {
        for number in [1, 2] {
            let name = format!("{name}-{number}.png");
            assert!(names.contains(&name.as_str()), "{name}: {names:?}");
            let picture = image::open(run.path("out").join(&name)).unwrap();
            assert!(picture.width() > 0);
        }
        assert!(!names.contains(&format!("{name}.png").as_str()));
    }
    let (shape, mask) = array(&run, "out/mask.npy");
    assert_eq!(shape, [2, 8, 8]);
    assert!(mask.iter().all(|value| (0.0..=1.0).contains(value)));
    assert_ne!(mask[..64], mask[64..]);
    let units = record["each"].as_array().unwrap().len() as u64;
    assert!(units > 1);
    assert_eq!(array(&run, "out/each.npy").0, [units, 2, 8, 8]);
    // One picture after two leaves no file of the two behind.
    succeeded(&run.explain("out", &["--threshold=-1000"]));
    let record = run.record("out");
    assert!(record["images"].is_null() && record["image"]["path"].is_string());
    let mut found: Vec<String> = std::fs::read_dir(run.path("out"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "explanation.json")
        .collect();
    found.sort();
    assert_eq!(found, files(&record));
}

#[test]
fn one_picture_of_two_is_explained() {
    let run = Run::new();
    let more = ["--threshold=-1000", "--explain-image", "2"];
    succeeded(&about_two(&run, "out", &more));
    let record = run.record("out");
    assert_eq!(record["explained_images"], serde_json::json!([2]));
    assert_eq!(record["settings"]["explain_image"], 2);
    let names = files(&record);
    assert!(names.contains(&"overlay-2.png") && !names.contains(&"overlay-1.png"));
    assert_eq!(array(&run, "out/mask.npy").0, [1, 8, 8]);
}

#[test]
fn what_cannot_be_asked_is_refused() {
    let run = Run::new();
    for (more, words) in [
        (
            &["--explain-image", "3"][..],
            "pictures: expected at least 3, for explain-image, found 2",
        ),
        (
            &["--explain-image", "0"],
            "explain-image: expected the number of a picture, from 1, found 0",
        ),
        (
            &["--compat", "lvlm-interpretation"],
            "pictures: expected one, as lvlm-interpretation takes, found 2",
        ),
    ] {
        run.refused(&about_two(&run, "out", more), 2, &[words]);
    }
    let alone = run.explain("out", &["--explain-image", "2"]);
    run.refused(
        &alone,
        2,
        &["pictures: expected at least 2, for explain-image, found 1"],
    );
    let models = root().join("tests/oracle/models");
    let model = models.join("tiny-mini-gemini");
    let more = [
        "--model",
        model.to_str().unwrap(),
        "--encoders",
        models.to_str().unwrap(),
    ];
    let words = "pictures: expected one, as models of family mini_gemini take, found 2";
    run.refused(&about_two(&run, "out", &more), 2, &[words]);
    let missing = run.explain("out", &["--image", "nowhere.png"]);
    run.refused(&missing, 2, &["nowhere.png"]);
}
