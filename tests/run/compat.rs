//! Tests of runs that reproduce another program.

use image::{RgbImage, imageops};
use serde_json::{Value, json};

use crate::support::{Folder, ended, folder_of_scenes, succeeded};

const DATA: [&str; 6] = [
    "--data",
    "data.jsonl",
    "--images",
    "pictures",
    "--mask-size",
    "11",
];
const COMPAT: [&str; 2] = ["--compat", "lvlm-interpretation"];

/// Returns one of the demo's scenes, and one in the middle of a picture that is half as wide again,
/// with questions about them.
fn data() -> Folder {
    let folder = Folder::new();
    let scene = image::open(folder_of_scenes().join("0001.png"))
        .unwrap()
        .to_rgb8();
    let (width, height) = scene.dimensions();
    let mut wide = RgbImage::from_pixel(width * 3 / 2, height, *scene.get_pixel(0, 0));
    imageops::replace(&mut wide, &scene, i64::from(width / 4), 0);
    std::fs::create_dir(folder.path("pictures")).unwrap();
    scene.save(folder.path("pictures/square.png")).unwrap();
    wide.save(folder.path("pictures/wide.png")).unwrap();
    let row = |image: &str| json!({"image": image, "question": "What color is the star?"});
    let rows = format!("{}\n{}\n", row("square.png"), row("wide.png"));
    folder.write("data.jsonl", &rows);
    folder
}

fn json_of(folder: &Folder, name: &str) -> Value {
    serde_json::from_slice(&folder.bytes(name)).unwrap()
}

#[test]
fn a_run_says_which_program_it_reproduces_and_is_no_other_run() {
    let folder = data();
    let run = |out: &str, more: &[&str]| folder.run(&[&DATA[..], &["--out", out], more].concat());
    succeeded(&run("own", &["--no-curves"]));
    let own = String::from_utf8(folder.bytes("own/run.json")).unwrap();
    assert!(!own.contains("compat"), "{own}");
    assert!(
        !String::from_utf8(folder.bytes("own/records.jsonl"))
            .unwrap()
            .contains("extent")
    );

    succeeded(&run("theirs", &COMPAT));
    let settings = &json_of(&folder, "theirs/run.json")["settings"];
    assert_eq!(settings["compat"], "lvlm-interpretation");
    assert_eq!(settings["max_new_tokens"], 1024);
    for (out, more, word) in [
        (
            "own",
            &COMPAT[..],
            "settings.compat: null is recorded, \"lvlm-interpretation\" is asked for",
        ),
        (
            "theirs",
            &[],
            "settings.compat: \"lvlm-interpretation\" is recorded, null is asked for",
        ),
    ] {
        ended(&run(out, more), 2, &[word]);
    }

    let records = folder.lines("theirs/records.jsonl");
    // 121 cells in groups of 2: the last one counts as a full group.
    for record in &records {
        let curves = &record["explanation"]["curves"];
        let last = curves["fraction"]
            .as_array()
            .unwrap()
            .last()
            .unwrap()
            .as_f64();
        assert_eq!(last, Some(122.0 / 121.0), "{curves}");
        assert!(curves["deletion_score"].is_number(), "{curves}");
    }
    // The mask covers the part that the encoder sees: all of the square picture, and the middle of
    // the wide one.
    assert_eq!(records[0]["mask"]["extent"], Value::Null);
    let extent = &records[1]["mask"]["extent"];
    let side = |name: &str| extent[name].as_f64().unwrap();
    assert_eq!((side("top"), side("bottom")), (0.0, 1.0));
    assert!(
        (side("left") + side("right") - 1.0).abs() < 0.01,
        "{extent}"
    );
    assert!(side("left") > 0.1, "{extent}");

    // Pictures and measures of it are in the picture's plane.
    succeeded(&folder.foveate(&["report", "theirs", "--out", "page.html"], &[]));
    succeeded(&folder.foveate(&["analyse", "theirs", "--out", "figures"], &[]));
}

#[test]
fn shards_of_such_a_run_become_one() {
    let folder = data();
    let options = [&DATA[..], &COMPAT, &["--no-curves", "--out"]].concat();
    succeeded(&folder.run(&[&options[..], &["whole"]].concat()));
    for shard in ["0/2", "1/2"] {
        succeeded(&folder.run(&[&options[..], &["parts", "--shard", shard]].concat()));
    }
    succeeded(&folder.foveate(&["merge", "parts", "--out", "merged"], &[]));
    for name in ["records.jsonl", "masks-00000.f32"] {
        assert_eq!(
            folder.bytes(&format!("whole/{name}")),
            folder.bytes(&format!("merged/{name}"))
        );
    }
}

/// `explain` gives the same result for the same picture.
#[test]
fn explain_and_run_agree() {
    let folder = data();
    let out = ["--no-curves", "--out", "run"];
    succeeded(&folder.run(&[&DATA[..], &COMPAT, &out].concat()));
    let picture = folder.path("pictures/wide.png").display().to_string();
    let arguments = [
        "explain",
        "--image",
        &picture,
        "--question",
        "What color is the star?",
        "--out",
        "one",
        "--no-curves",
        "--device",
        "cpu",
        "--threads",
        "2",
        "--mask-size",
        "11",
        "--steps",
        "2",
        "--iterations",
        "2",
        "--seed",
        "1",
    ];
    succeeded(&folder.foveate(&[&arguments[..], &COMPAT].concat(), &[]));
    let (one, records) = (
        json_of(&folder, "one/explanation.json"),
        folder.lines("run/records.jsonl"),
    );
    assert_eq!(one["settings"]["compat"], "lvlm-interpretation");
    assert_eq!(one["mask_extent"], records[1]["mask"]["extent"]);
    assert_eq!(one["answer"], records[1]["explanation"]["answer"]);
    // The map does not reach the picture's sides, which the model does not see.
    let map = image::open(folder.path("one/saliency.png"))
        .unwrap()
        .to_luma8();
    let (width, height) = map.dimensions();
    let column = |x: u32| (0..height).map(|y| map.get_pixel(x, y).0[0]).max().unwrap();
    assert_eq!((column(0), column(width - 1)), (0, 0));
    assert!((0..width).any(|x| column(x) > 0));
}
