//! Explanations over HTTP, compared with those of the command.

use std::path::Path;

use serde_json::{Value, json};

use crate::server::{Server, quick};
use crate::support::{Folder, Scene, scenes, succeeded};

/// Explains with the command into `out`.
fn explain(folder: &Folder, scene: &Scene, more: &[&str]) {
    let (image, question) = (scene.path(), scene.question.clone());
    let usual = [
        "explain",
        "--image",
        &image,
        "--question",
        &question,
        "--out",
        "out",
    ];
    let machine = ["--device", "cpu", "--threads", "2", "--quiet"];
    let output = folder.foveate(&[&usual[..], &machine, more].concat(), &[]);
    succeeded(&output);
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// Returns the names of a folder.
fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

#[test]
fn results_are_those_of_the_command_to_the_bit() {
    let folder = Folder::new();
    let server = Server::start(&folder, &["--output", "saved"]);
    let scene = &scenes()[0];
    let picture = server.picture(scene);
    for (number, settings, keys, options) in [
        (1, json!({}), json!(null), vec!["--each"]),
        (
            2,
            json!({ "quality": "draft", "baseline": "zero" }),
            json!(null),
            vec!["--quality", "draft", "--baseline", "zero"],
        ),
        (
            3,
            json!({ "method": "igos+", "mask-size": 9, "iterations": 2, "no-curves": true }),
            json!([0]),
            vec![
                "--method",
                "igos+",
                "--mask-size",
                "9",
                "--iterations",
                "2",
                "--no-curves",
                "--keys",
                "0",
            ],
        ),
    ] {
        let mut settings = settings;
        if number == 1 {
            settings["each"] = json!(true);
        }
        let asked = json!({
            "picture": picture, "question": scene.question, "keys": keys, "settings": settings,
        });
        let job = server.ask(&asked);
        let end = server.until(&job, |known| known.get("end").is_some())["end"].clone();
        assert_eq!(
            end["entry"]["answer"].as_str().unwrap().trim(),
            scene.answer,
            "{end}"
        );
        let saved = server.request("POST", &format!("jobs/{job}/files"), b"");
        assert_eq!(saved.status, 201);
        let place = format!("saved/{number:04}");
        assert_eq!(saved.json()["folder"], place);

        explain(&folder, scene, &options);
        let (ours, theirs) = (folder.path(&place), folder.path("out"));
        assert_eq!(names(&ours), names(&theirs));
        for name in names(&ours)
            .iter()
            .filter(|name| *name != "explanation.json")
        {
            let bytes = |folder: &Path| std::fs::read(folder.join(name)).unwrap();
            assert!(bytes(&ours) == bytes(&theirs), "{place}/{name}");
        }
        let (ours, theirs) = (
            read(&ours.join("explanation.json")),
            read(&theirs.join("explanation.json")),
        );
        for field in [
            "answer",
            "iterations",
            "curves",
            "faithfulness",
            "settings",
            "each",
            "files",
        ] {
            assert_eq!(ours[field], theirs[field], "{field}");
        }
        std::fs::remove_dir_all(folder.path("out")).unwrap();
        // What the page gets is that explanation.
        let tokens = end["detail"]["tokens"].as_array().unwrap();
        assert_eq!(
            tokens.len(),
            ours["answer"]["tokens"].as_array().unwrap().len()
        );
        assert_eq!(
            end["entry"]["insertion"].is_null(),
            ours["curves"].is_null()
        );
        assert_eq!(end["detail"]["map"]["size"], ours["settings"]["mask_size"]);
    }
}

#[test]
fn the_answer_and_a_first_map_come_before_the_end() {
    let folder = Folder::new();
    let server = Server::start(&folder, &[]);
    let scene = &scenes()[0];
    let picture = server.picture(scene);
    let job = server.ask(&quick(&picture, &scene.question));
    let events = server.request("GET", &format!("jobs/{job}/events"), b"");
    assert_eq!(events.status, 200);
    assert_eq!(events.header("content-type"), Some("text/event-stream"));
    let text = String::from_utf8(events.body).unwrap();
    let events: Vec<(&str, Value)> = text
        .split_terminator("\n\n")
        .map(|event| {
            let (name, data) = event.split_once('\n').unwrap();
            let data = data.strip_prefix("data: ").unwrap();
            (
                name.strip_prefix("event: ").unwrap(),
                serde_json::from_str(data).unwrap(),
            )
        })
        .collect();
    let first = |name: &str| events.iter().position(|(found, _)| *found == name);
    let order = ["progress", "answer", "map", "end"].map(|name| first(name).expect(name));
    assert!(
        order.is_sorted() && order[3] == events.len() - 1,
        "{order:?}"
    );
    let answer = &events[order[1]].1;
    let spelt: String = answer["tokens"]
        .as_array()
        .unwrap()
        .iter()
        .map(|token| token["text"].as_str().unwrap())
        .collect();
    assert_eq!(spelt.trim(), scene.answer);
    // Every token is in one word, and a word's map is of its key tokens.
    let words = answer["words"].as_array().unwrap().iter();
    let places: Vec<u64> = words
        .flat_map(|word| word["tokens"].as_array().unwrap())
        .map(|place| place.as_u64().unwrap())
        .collect();
    let all: Vec<u64> = (0..answer["tokens"].as_array().unwrap().len() as u64).collect();
    assert_eq!(places, all);
    // Asked again, a job that has ended says the same.
    let again = server.request("GET", &format!("jobs/{job}/events"), b"");
    assert!(
        String::from_utf8(again.body)
            .unwrap()
            .ends_with(&format!("data: {}\n\n", events[order[3]].1))
    );
}
