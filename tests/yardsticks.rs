//! The trained models of `assets/yardsticks` answer, and maps of their answers show the evidence.

use std::fs;
use std::path::Path;

use foveate::analyse::pointing;
use foveate::run::EvidenceMask;
use foveate::{Cpu, Method, Picture, Request, Settings, Silent, explain, open};
use serde_json::Value;

/// Of the scenes `scenes/shapes`, which `scenes.py shapes --kinds color,two,count --seed 5000` drew
/// and `check.py --keep` kept. A map that says nothing has about the evidence's share of the picture
/// under its precision-recall curve.
#[test]
fn shapes() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/yardsticks");
    let (model, scenes) = (root.join("models/shapes"), root.join("scenes/shapes"));
    let model = open(Some(&model), Cpu::<f32>::new(2).unwrap()).unwrap();
    let settings = Settings {
        curves: false,
        ..Settings::of(Method::Fovea)
    };
    let text = fs::read_to_string(scenes.join("scenes.json")).unwrap();
    let described: Vec<Value> = serde_json::from_str(&text).unwrap();
    let (mut kinds, mut areas) = (Vec::new(), Vec::new());
    for scene in &described {
        let picture = Picture::open(&scenes.join(scene["picture"].as_str().unwrap())).unwrap();
        let size = (picture.width(), picture.height());
        for asked in scene["questions"].as_array().unwrap() {
            let request = Request {
                picture: &picture,
                question: asked["question"].as_str().unwrap(),
                answer: None,
                keys: None,
                settings: &settings,
            };
            let explanation = explain(&*model, &request, &mut Silent).unwrap();
            assert_eq!(explanation.answer.trim(), asked["answer"], "{asked}");
            let evidence = Picture::open(&scenes.join(asked["evidence"].as_str().unwrap()));
            let evidence = EvidenceMask::of(&evidence.unwrap(), size).unwrap();
            let mask = explanation.mask.expect("a key token");
            let point = pointing(&mask, (size.0 as usize, size.1 as usize), &evidence).unwrap();
            assert!(point.auprc > 3.0 * point.area, "{asked}: {}", point.auprc);
            areas.push(point.auprc);
            kinds.push(asked["kind"].as_str().unwrap());
        }
    }
    let mean = areas.iter().sum::<f64>() / areas.len() as f64;
    assert!(mean > 0.6, "{areas:?}");
    for kind in ["color", "two", "count"] {
        assert!(kinds.contains(&kind), "no question of {kind}");
    }
}
