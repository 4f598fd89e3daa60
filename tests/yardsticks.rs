//! The trained models of `assets/yardsticks` answer, and maps of their answers show the evidence.
//!
//! Scenes are those of `scenes.py NAME --kinds KINDS --seed 5000` that `check.py --keep` kept.

use std::fs;
use std::path::Path;

use foveate::analyse::pointing;
use foveate::run::EvidenceMask;
use foveate::{Cpu, Lvlm, Method, Picture, Request, Settings, Silent, explain, open};
use serde_json::Value;

/// A question of a scene.
struct Asked {
    kind: String,
    picture: Picture,
    question: String,
    answer: String,
    evidence: EvidenceMask,
}

fn root() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/yardsticks")
}

fn questions(name: &str) -> Vec<Asked> {
    let folder = root().join("scenes").join(name);
    let text = fs::read_to_string(folder.join("scenes.json")).unwrap();
    let scenes: Vec<Value> = serde_json::from_str(&text).unwrap();
    let string = |value: &Value| value.as_str().unwrap().to_string();
    let mut all = Vec::new();
    for scene in &scenes {
        let picture = Picture::open(&folder.join(string(&scene["picture"]))).unwrap();
        let size = (picture.width(), picture.height());
        for asked in scene["questions"].as_array().unwrap() {
            let evidence = Picture::open(&folder.join(string(&asked["evidence"]))).unwrap();
            all.push(Asked {
                kind: string(&asked["kind"]),
                picture: picture.clone(),
                question: string(&asked["question"]),
                answer: string(&asked["answer"]),
                evidence: EvidenceMask::of(&evidence, size).unwrap(),
            });
        }
    }
    all
}

/// Returns the area under the precision-recall curve of the map of an answer, which has to be the
/// right one, and the evidence's share of the picture: about what a map that says nothing has.
fn area(model: &dyn Lvlm, asked: &Asked, method: Method) -> (f64, f64) {
    let settings = Settings {
        curves: false,
        ..Settings::of(method)
    };
    let request = Request {
        pictures: std::slice::from_ref(&asked.picture),
        question: &asked.question,
        answer: None,
        keys: None,
        settings: &settings,
    };
    let explanation = explain(model, &request, &mut Silent).unwrap();
    assert_eq!(
        explanation.answer.trim(),
        asked.answer,
        "{}",
        asked.question
    );
    let mask = explanation.mask.expect("a key token");
    let size = (
        asked.picture.width() as usize,
        asked.picture.height() as usize,
    );
    let point = pointing(&mask, size, &asked.evidence).unwrap();
    (point.auprc, point.area)
}

/// Checks that the maps of fovea rank the evidence above the rest, in the mean by `least` and better
/// than those of iGOS+ at the paper's settings.
fn maps_show_the_evidence(name: &str, kinds: &[&str], least: f64) {
    let model = root().join("models").join(name);
    let model = open(Some(&model), Cpu::<f32>::new(2).unwrap()).unwrap();
    let asked = questions(name);
    for kind in kinds {
        assert!(
            asked.iter().any(|a| a.kind == *kind),
            "no question of {kind}"
        );
    }
    let mean = |method| {
        let areas: Vec<(f64, f64)> = asked.iter().map(|a| area(&*model, a, method)).collect();
        let sum: f64 = areas.iter().map(|(area, _)| area).sum();
        (sum / areas.len() as f64, areas)
    };
    let (fovea, areas) = mean(Method::Fovea);
    assert!(fovea > least, "{areas:?}");
    assert!(
        areas.iter().all(|(area, chance)| *area > 2.0 * chance),
        "{areas:?}"
    );
    let (igos, areas) = mean(Method::IgosPlus);
    assert!(fovea > igos, "{fovea} against {igos}: {areas:?}");
}

#[test]
fn shapes() {
    maps_show_the_evidence("shapes", &["color", "two", "count"], 0.6);
}

/// In the layout of LLaVA-NeXT: a picture of 224 x 112 pixels whole and in two tiles.
#[test]
fn tiles() {
    maps_show_the_evidence("tiles", &["color", "shape", "two"], 0.5);
}

/// Evidence of thin strokes.
#[test]
fn reading() {
    maps_show_the_evidence("reading", &["word"], 0.3);
}
