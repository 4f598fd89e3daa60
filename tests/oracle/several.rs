//! Questions about several pictures, compared with results that were recorded with transformers' own
//! models (`record_several.py`).

use foveate::blend::{Blend, Masks, Path, Sampling, Score};
use foveate::explain::{CurvePoints, Mask, Method, Regulariser, Settings, deletion_insertion};
use foveate::lvlm::{Lvlm, Scorer, Session, SessionOptions, go_on};
use foveate::picture::{Baseline, Picture};

use super::{Case, close, folder, largest};

/// The pictures of a case.
fn pictures(case: &Case) -> Vec<Picture> {
    let names = case.results.meta()["images"].as_array().unwrap();
    let open = |name: &serde_json::Value| Picture::open(&folder().join(name.as_str().unwrap()));
    names.iter().map(|name| open(name).unwrap()).collect()
}

/// A session about all pictures, or with the first alone under a mask.
fn session<'a>(case: &Case, model: &'a dyn Lvlm, first_alone: bool) -> Box<dyn Session + 'a> {
    let pictures = pictures(case);
    let prompt = model.prompt(case.text("question"), &pictures).unwrap();
    assert_eq!(prompt.ids, case.ids("prompt_ids"), "{}", case.name);
    let baselines: Vec<Picture> = pictures.iter().map(|p| Baseline::Blur.of(p, 0)).collect();
    let pairs = pictures.iter().zip(&baselines).enumerate();
    let pairs = pairs.map(|(at, (p, b))| (p, (at == 0 || !first_alone).then_some(b)));
    let pairs = model.process(&pairs.collect::<Vec<_>>()).unwrap();
    let options = SessionOptions {
        mask_size: case.settings().mask_size,
        memory_budget: 1 << 30,
    };
    model.begin(pairs, &prompt, options).unwrap()
}

/// Compares log-probabilities of the answer with all of the picture and with none of it.
fn ends(case: &Case, scorer: &dyn Scorer, names: [&str; 2]) {
    let size = case.settings().mask_size;
    let tokens: Vec<usize> = (0..case.ids("answer_ids").len()).collect();
    let ones = [vec![1.0; scorer.pictures() * size * size]];
    let masks = Masks {
        size,
        values: &ones,
    };
    let blends = [Path::Deletion, Path::Insertion].map(|path| Blend::whole(0, path));
    let found = scorer.log_probabilities(masks, &blends, &tokens, &mut go_on);
    for (name, found) in names.iter().zip(found.unwrap()) {
        let label = format!("{} {name}", case.name);
        close(&label, &found, &case.tensor(name), 1e-4);
    }
}

/// Compares the scores of a random mask on both paths, and their gradients.
fn probe(case: &Case, scorer: &dyn Scorer, prefix: &str) {
    let (settings, keys) = (case.settings(), case.keys());
    let (size, steps) = (settings.mask_size, settings.steps);
    let mask = case.tensor("probe_mask");
    let masks = [mask[..scorer.pictures() * size * size].to_vec()];
    for (name, path) in [("deletion", Path::Deletion), ("insertion", Path::Insertion)] {
        let blend = |n: usize| Blend {
            sampling: Sampling::One(0),
            path,
            alpha: n as f64 / steps as f64,
            noise: None,
        };
        let blends: Vec<Blend> = (1..=steps).map(blend).collect();
        let masks = Masks {
            size,
            values: &masks,
        };
        let weights = vec![1.0 / steps as f64; steps];
        let score = Score::LogProbability;
        let found = scorer.gradient(masks, &blends, &weights, &keys, score, &mut go_on);
        let (values, gradients) = found.unwrap();
        let score = values.iter().flatten().sum::<f64>() / steps as f64;
        let recorded = |what: &str| case.tensor(&format!("{prefix}probe_{name}_{what}"));
        let label = format!("{} {prefix}probe {name}", case.name);
        close(&label, &[score], &recorded("score"), 1e-4);
        let expected = recorded("grad");
        close(&label, &gradients[0], &expected, 1e-3 * largest(&expected));
    }
}

#[test]
fn questions_about_several_pictures_agree_with_transformers() {
    let mut cases = 0;
    for case in Case::of("several") {
        cases += 1;
        let model = case.model();
        let settings = case.settings();
        let size = settings.mask_size;
        let mut session = session(&case, &*model, false);
        // The token that ends an answer may lie beyond a sliding window.
        let recorded = case.ids("answer_ids");
        let answer = session.generate(Path::Deletion, recorded.len(), &mut go_on);
        assert_eq!(answer.unwrap(), recorded, "{}", case.name);
        let scorer = case.scorer(&mut *session);
        let pictures = pictures(&case).len();
        assert_eq!(scorer.pictures(), pictures, "{}", case.name);
        let mask = case.tensor("probe_mask");
        let mask = Mask::of_pictures(size, pictures, mask).unwrap();
        let (mut variation, mut slope) = (0.0, Vec::new());
        let views = scorer.first_views().into_iter().zip(mask.split());
        for (p, ((view, pixels), mask)) in views.enumerate() {
            let pixels_in_f64: Vec<f64> = pixels.iter().map(|&v| f64::from(v)).collect();
            let name = format!("image_pixels.{p}.0");
            let label = format!("{} {name}", case.name);
            close(&label, &pixels_in_f64, &case.tensor(&name), 2e-6);
            let seen = view.sample(mask.values(), size).unwrap();
            let name = format!("probe_upsampled.{p}.0");
            let label = format!("{} {name}", case.name);
            close(&label, &seen, &case.tensor(&name), 1e-6);
            let regulariser = Regulariser::new(view, pixels, [1.0, 0.1, 10.0], 1.0).unwrap();
            let (value, own) = regulariser.total_variation(&mask);
            variation += value;
            slope.extend(own);
        }
        let label = format!("{} BTV", case.name);
        close(&label, &[variation], &case.tensor("probe_btv"), 1e-4);
        let expected = case.tensor("probe_btv_grad");
        close(&label, &slope, &expected, 1e-3 * largest(&expected));
        ends(&case, &*scorer, ["logp_image", "logp_baseline"]);
        probe(&case, &*scorer, "");
        optimised(&case, &*scorer);
    }
    assert!(cases >= 12, "{cases}");
}

/// Compares the masks of iGOS+ after each iteration, and the curves of the last.
fn optimised(case: &Case, scorer: &dyn Scorer) {
    let settings = Settings {
        method: Method::IgosPlus,
        ..case.settings()
    };
    let (size, pictures) = (settings.mask_size, scorer.pictures());
    let (mut masks, mut losses) = (Vec::new(), Vec::new());
    let method = settings.method.with(&settings);
    let each = &mut |_, parts: foveate::Iteration, mask: &Mask| {
        masks.extend(mask.values().to_vec());
        losses.push([parts.deletion, parts.insertion, parts.regulariser]);
    };
    method.run(scorer, &case.keys(), &mut go_on, each).unwrap();
    let expected = case.tensor("igos_p_masks");
    let label = format!("{} igos+", case.name);
    close(&format!("{label} masks"), &masks, &expected, 1e-2);
    let recorded = case.tensor("igos_p_losses");
    close(
        &format!("{label} losses"),
        &losses.concat(),
        &recorded,
        1e-3,
    );

    let last = expected[expected.len() - pictures * size * size..].to_vec();
    let mask = Mask::of_pictures(size, pictures, last).unwrap();
    let keys = case.keys();
    let of_keys = |name| {
        let values = case.tensor(name);
        keys.iter().map(|&t| values[t]).collect::<Vec<_>>()
    };
    let (picture, baseline) = (of_keys("logp_image"), of_keys("logp_baseline"));
    let ends = (&picture[..], &baseline[..]);
    let curves = deletion_insertion(scorer, &mask, &keys, ends, CurvePoints::All, &mut go_on);
    let curves = curves.unwrap();
    for (name, found) in [
        ("curve_index", &curves.fraction),
        ("deletion_curve", &curves.deletion),
        ("insertion_curve", &curves.insertion),
    ] {
        let label = format!("{} {name}", case.name);
        close(&label, found, &case.tensor(name), 1e-4);
    }
}

#[test]
fn one_of_several_pictures_is_explained_and_the_others_are_kept() {
    for case in Case::of("several") {
        let model = case.model();
        let mut session = session(&case, &*model, true);
        let scorer = case.scorer(&mut *session);
        assert_eq!(scorer.pictures(), 1, "{}", case.name);
        ends(&case, &*scorer, ["logp_image", "fixed.logp_baseline"]);
        probe(&case, &*scorer, "fixed.");
    }
}

/// Where the other pictures are whole, a method that removes parts of one picture from all of them
/// finds for it what it finds for it alone, but for the scale.
#[test]
fn methods_find_in_each_picture_what_they_find_in_it_alone() {
    let names = ["llava-two", "idefics3-two", "qwen3-vl-two"];
    for case in Case::of("several").filter(|case| names.contains(&case.name.as_str())) {
        let model = case.model();
        let mut both = session(&case, &*model, false);
        let both = case.scorer(&mut *both);
        let mut first = session(&case, &*model, true);
        let first = case.scorer(&mut *first);
        let (keys, size) = (case.keys(), case.settings().mask_size);
        for method in [
            Method::Occlusion,
            Method::InputXGradient,
            Method::AttentionRollout,
            Method::TMm,
        ] {
            let settings = Settings {
                mask_size: size,
                ..Settings::of(method)
            };
            let method = settings.method.with(&settings);
            let mut evaluated = 0;
            let found = method.run(
                &*both,
                &keys,
                &mut |count| {
                    evaluated += count;
                    go_on(count)
                },
                &mut |_, _, _| {},
            );
            let found = found.unwrap();
            assert_eq!(Some(evaluated), method.schedule(2).evaluations());
            let alone = method.run(&*first, &keys, &mut go_on, &mut |_, _, _| {});
            let removed = |mask: &Mask| mask.values().iter().map(|v| 1.0 - v).collect::<Vec<_>>();
            let (found, alone) = (removed(&found.split()[0]), removed(&alone.unwrap()));
            let scale = largest(&found);
            assert!(scale > 0.0, "{}: {}", case.name, method.name());
            let found: Vec<f64> = found.iter().map(|v| v / scale).collect();
            let label = format!("{} {}", case.name, method.name());
            close(&label, &found, &alone, 1e-4);
        }
    }
}

/// The methods that are made of random masks or regions cover both pictures.
#[test]
fn every_method_makes_a_map_of_both_pictures() {
    for case in Case::of("several").filter(|case| case.name == "llava-two") {
        let model = case.model();
        let mut session = session(&case, &*model, false);
        let scorer = case.scorer(&mut *session);
        for method in Method::ALL {
            let mut settings = Settings {
                mask_size: 8,
                steps: 2,
                iterations: 2,
                ..Settings::of(method)
            };
            settings.samples = settings.samples.map(|_| 24);
            settings.grid = settings.grid.map(|_| 2);
            if method == Method::GradCam {
                settings.layer = Some("decoder:1".parse().unwrap());
            }
            let attribution = method.with(&settings);
            let mask = attribution.run(&*scorer, &case.keys(), &mut go_on, &mut |_, _, _| {});
            let mask = mask.unwrap();
            assert_eq!((mask.size(), mask.pictures()), (8, 2), "{method:?}");
            for mask in mask.split() {
                let values = mask.values();
                let differ = values.iter().any(|value| *value != values[0]);
                assert!(differ, "{method:?}: {values:?}");
            }
        }
        let encoder = Settings::of(Method::GradCam);
        let method = encoder.method.with(&encoder);
        let refused = method.run(&*scorer, &case.keys(), &mut go_on, &mut |_, _, _| {});
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains("one picture"), "{refused}");
    }
}
