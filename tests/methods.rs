//! Maps of other attribution methods, compared with those of captum and of their authors' programs
//! on the same model and picture (`tests/oracle/record_methods.py` and `record_internals.py`).

use std::path::{Path, PathBuf};

use foveate::device::cpu::Cpu;
use foveate::explain::{Method, OptimizerKind, Settings};
use foveate::lvlm::{Layer, Lvlm, OpenOptions, SessionOptions, checkpoint, go_on, load};
use foveate::picture::{Baseline, Picture};
use foveate::selftest::Results;

const CASES: [&str; 2] = ["demo-star", "llava-cat"];
const INTERNALS: [&str; 3] = ["demo-star", "llava-cat", "onevision-wide"];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracle")
}

fn recorded(folder_of: &str, name: &str) -> Results {
    let file = folder().join(format!("{folder_of}/{name}.safetensors"));
    Results::open(std::fs::read(file).unwrap().leak()).unwrap()
}

/// The saliency of recorded attributions: negative ones are 0, the largest is 1.
fn scaled(attributions: &[f64]) -> Vec<f64> {
    let largest = attributions.iter().fold(0.0, |m: f64, &a| m.max(a));
    assert!(largest > 0.0);
    attributions.iter().map(|a| a.max(0.0) / largest).collect()
}

/// The saliency of attributions that have no zero of their own: from 0 to 1.
fn stretched(attributions: &[f64]) -> Vec<f64> {
    let least = attributions.iter().fold(f64::INFINITY, |m, &a| m.min(a));
    scaled(&attributions.iter().map(|a| a - least).collect::<Vec<_>>())
}

/// Every mask that a method makes of a case: after every iteration, and the result.
fn masks(results: &Results, settings: &Settings) -> Vec<Vec<f64>> {
    let meta = results.meta();
    let folder = folder();
    let model: Box<dyn Lvlm> = load(
        checkpoint(
            Some(&folder.join(meta["args"]["model"].as_str().unwrap())),
            &OpenOptions::default(),
        )
        .unwrap(),
        Cpu::<f32>::new(2).unwrap(),
    )
    .unwrap();
    let picture = Picture::open(&folder.join(meta["image"].as_str().unwrap())).unwrap();
    let prompt = model
        .prompt(
            meta["question"].as_str().unwrap(),
            std::slice::from_ref(&picture),
        )
        .unwrap();
    assert_eq!(prompt.ids, results.ids("prompt_ids"));
    let baseline = Baseline::Blur.of(&picture, 0);
    let options = SessionOptions {
        mask_size: settings.mask_size,
        memory_budget: 1 << 30,
    };
    let mut session = model.start(&picture, &baseline, &prompt, options).unwrap();
    let scorer = session.scorer(&results.ids("answer_ids")).unwrap();
    let mut masks = Vec::new();
    let result = settings.method.with(settings).run(
        &*scorer,
        &results.keys(),
        &mut go_on,
        &mut |_, _, mask| masks.push(mask.values().to_vec()),
    );
    masks.push(result.unwrap().values().to_vec());
    masks
}

/// The settings of a method with the arguments of a case: each a name of an argument, and the
/// setting that it is.
fn settings(results: &Results, method: Method) -> Settings {
    let argument = |name| results.argument(name) as usize;
    let own = Settings {
        mask_size: argument("size"),
        ..Settings::of(method)
    };
    match method {
        Method::IntegratedGradients => Settings {
            steps: argument("ig_steps"),
            ..own
        },
        Method::Occlusion => Settings {
            window: Some(argument("window")),
            stride: Some(argument("stride")),
            ..own
        },
        Method::SmoothGrad => Settings {
            seed: argument("seed") as u64,
            samples: Some(argument("samples")),
            noise: results.argument("noise"),
            ..own
        },
        Method::Rise => Settings {
            seed: argument("seed") as u64,
            samples: Some(argument("rise_samples")),
            grid: Some(argument("rise_grid")),
            ..own
        },
        Method::Eagle => Settings {
            grid: Some(argument("eagle_grid")),
            ..own
        },
        Method::Igos => Settings {
            steps: argument("igos_steps"),
            iterations: argument("igos_iterations"),
            l1: results.argument("l1"),
            l3: results.argument("igos_l3"),
            momentum: results.argument("igos_momentum"),
            noise: 0.0,
            ..own
        },
        _ => own,
    }
}

fn close(what: &str, found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len(), "{what}: length");
    let pairs = found.iter().zip(expected);
    let worst = pairs.map(|(f, e)| (f - e).abs()).fold(0.0, f64::max);
    println!("{what}: largest difference {worst:.2e}, tolerated {tolerance:.2e}");
    assert!(
        found.iter().all(|f| f.is_finite()) && worst <= tolerance,
        "{what}: {worst:e} > {tolerance:e}"
    );
}

#[test]
fn maps_of_captum_and_of_the_authors_programs() {
    for name in CASES {
        let results = recorded("methods", name);
        for (method, tensor) in [
            (Method::InputXGradient, "input_x_gradient"),
            (Method::IntegratedGradients, "integrated_gradients"),
            (Method::Occlusion, "occlusion"),
            (Method::SmoothGrad, "smoothgrad"),
            (Method::Rise, "rise"),
            (Method::Eagle, "eagle"),
        ] {
            let expected = results.numbers(tensor);
            let expected = match method {
                Method::Rise | Method::Eagle => stretched(&expected),
                _ => scaled(&expected),
            };
            let masks = masks(&results, &settings(&results, method));
            assert_eq!(masks.len(), 1, "no iterations");
            let saliency: Vec<f64> = masks[0].iter().map(|m| 1.0 - m).collect();
            close(&format!("{name} {tensor}"), &saliency, &expected, 1e-4);
        }
    }
}

#[test]
fn masks_of_igos_after_every_iteration() {
    for name in CASES {
        let results = recorded("methods", name);
        for (optimizer, lr, tensor) in [
            (OptimizerKind::Nag, "igos_lr", "igos_masks"),
            (
                OptimizerKind::LineSearch,
                "igos_lr_search",
                "igos_search_masks",
            ),
        ] {
            let settings = Settings {
                optimizer,
                lr: results.argument(lr),
                ..settings(&results, Method::Igos)
            };
            let mut masks = masks(&results, &settings);
            let last = masks.pop();
            assert_eq!(masks.last(), last.as_ref());
            let expected = results.numbers(tensor);
            close(
                &format!("{name} {tensor}"),
                &masks.concat(),
                &expected,
                1e-3,
            );
        }
    }
}

#[test]
fn maps_of_methods_that_look_inside() {
    for name in INTERNALS {
        let results = recorded("internals", name);
        let layers = |kind: &str, layer: &dyn Fn(usize) -> Layer| {
            let numbers = &results.meta()["args"][format!("{kind}_layers")];
            let numbers = numbers.as_array().unwrap().iter();
            let layer = |number: u64| {
                let tensor = format!("grad_cam_{kind}_{number}");
                (Method::GradCam, Some(layer(number as usize)), tensor)
            };
            let all = numbers.map(|number| layer(number.as_u64().unwrap()));
            all.collect::<Vec<_>>()
        };
        let of = |method, tensor: &str| (method, None, tensor.to_string());
        let last = layers("encoder", &|_| Layer::Encoder(None)).pop();
        let all = [
            layers("encoder", &|number| Layer::Encoder(Some(number))),
            last.into_iter().collect(),
            layers("decoder", &Layer::Decoder),
            vec![
                of(Method::Tam, "tam"),
                of(Method::AttentionRollout, "attention_rollout"),
                of(Method::TMm, "t_mm"),
            ],
        ];
        for (method, layer, tensor) in all.into_iter().flatten() {
            let settings = Settings {
                layer,
                ..settings(&results, method)
            };
            let masks = masks(&results, &settings);
            let saliency: Vec<f64> = masks[0].iter().map(|m| 1.0 - m).collect();
            let expected = scaled(&results.numbers(&tensor));
            close(&format!("{name} {tensor}"), &saliency, &expected, 1e-4);
        }
    }
}
