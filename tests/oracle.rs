//! Comparisons with recorded results of an independent PyTorch implementation of the method in f64
//! (`tests/oracle/README.md`).

use std::path::{Path, PathBuf};

use foveate::blend::{Blend, Masks, Path as BlendPath, Sampling, Score};
use foveate::device::cpu::Cpu;
use foveate::explain::{
    Compat, CurvePoints, Curves, Mask, Method, Regulariser, Request, Settings, deletion_insertion,
    key_tokens, lvlm_interpretation, prepare,
};
use foveate::lvlm::{
    Lvlm, LvlmError, OpenOptions, Scorer, Session, SessionOptions, checkpoint, go_on, load,
};
use foveate::nn::Checkpointing;
use foveate::picture::{Baseline, Picture};
use foveate::selftest::{CASES, Results};

#[path = "oracle/several.rs"]
mod several;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracle")
}

/// A recorded case.
struct Case {
    name: String,
    results: Results,
}

impl Case {
    fn all() -> impl Iterator<Item = Case> {
        let cases: Vec<Case> = Case::of("cases").collect();
        let embedded = |name: &str| cases.iter().any(|case| case.name == name);
        assert!(CASES.iter().all(|case| embedded(case.name)));
        cases.into_iter()
    }

    /// Returns the cases of a folder.
    fn of(name: &str) -> impl Iterator<Item = Case> {
        let files = std::fs::read_dir(folder().join(name)).unwrap();
        let mut files: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
        files.sort();
        files.into_iter().map(|file| {
            let bytes = std::fs::read(&file).unwrap().leak();
            Case {
                name: file.file_stem().unwrap().to_str().unwrap().to_string(),
                results: Results::open(bytes).unwrap(),
            }
        })
    }

    fn tensor(&self, name: &str) -> Vec<f64> {
        let numbers = self.results.numbers(name);
        assert!(!numbers.is_empty(), "{name} was recorded");
        numbers
    }

    fn ids(&self, name: &str) -> Vec<u32> {
        self.tensor(name).iter().map(|&v| v as u32).collect()
    }

    fn argument(&self, name: &str) -> f64 {
        let argument = self.results.argument(name);
        assert!(!argument.is_nan(), "{name} was an argument");
        argument
    }

    fn text(&self, name: &str) -> &str {
        self.results.meta()[name].as_str().unwrap()
    }

    fn keys(&self) -> Vec<usize> {
        let keys = self.results.keys();
        assert_eq!(
            keys.len(),
            self.results.meta()["key"].as_array().unwrap().len()
        );
        keys
    }

    fn settings(&self) -> Settings {
        self.results.settings()
    }

    fn model_folder(&self) -> PathBuf {
        folder().join(self.results.meta()["args"]["model"].as_str().unwrap())
    }

    fn picture(&self) -> Picture {
        Picture::open(&folder().join(self.text("image"))).unwrap()
    }

    fn model(&self) -> Box<dyn Lvlm> {
        let towers = self.results.meta()["args"]["towers"].as_str();
        let options = OpenOptions {
            encoders: towers
                .map(|towers| folder().join(towers))
                .into_iter()
                .collect(),
            compat: self.results.compat(),
        };
        let checkpoint = checkpoint(Some(&self.model_folder()), &options).unwrap();
        load(checkpoint, Cpu::<f32>::new(2).unwrap()).unwrap()
    }

    /// Returns the recorded values of every view, one after the other: one tensor, or one for each
    /// view if their sizes differ.
    fn views(&self, name: &str) -> Vec<f64> {
        let whole = self.results.numbers(name);
        if !whole.is_empty() {
            return whole;
        }
        let each = (0..).map(|v| self.results.numbers(&format!("{name}.{v}")));
        let all: Vec<f64> = each.take_while(|t| !t.is_empty()).flatten().collect();
        assert!(!all.is_empty(), "{name} was recorded");
        all
    }

    /// Returns a session.
    fn session<'a>(&self, model: &'a dyn Lvlm) -> Box<dyn Session + 'a> {
        self.session_within(model, 1 << 30).unwrap()
    }

    fn session_within<'a>(
        &self,
        model: &'a dyn Lvlm,
        memory_budget: usize,
    ) -> Result<Box<dyn Session + 'a>, LvlmError> {
        let (picture, settings) = (self.picture(), self.settings());
        let baseline = Baseline::Blur.of(&picture, 0);
        let prompt = model
            .prompt(self.text("question"), std::slice::from_ref(&picture))
            .unwrap();
        let options = SessionOptions {
            mask_size: settings.mask_size,
            memory_budget,
        };
        model.start(&picture, &baseline, &prompt, options)
    }

    /// Returns the scorer of the recorded answer.
    fn scorer<'s>(&self, session: &'s mut dyn Session) -> Box<dyn Scorer + 's> {
        session.scorer(&self.ids("answer_ids")).unwrap()
    }
}

fn close(what: &str, found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len(), "{what}: length");
    let worst = found
        .iter()
        .zip(expected)
        .map(|(f, e)| (f - e).abs())
        .fold(0.0, f64::max);
    println!("{what}: largest difference {worst:.2e}, tolerated {tolerance:.2e}");
    assert!(
        found.iter().all(|f| f.is_finite()) && worst <= tolerance,
        "{what}: {worst:e} > {tolerance:e}"
    );
}

fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |m, v| v.abs().max(m))
}

#[test]
fn processed_pixels() {
    for case in Case::all() {
        let model = case.model();
        let picture = case.picture();
        for (name, picture) in [
            ("image_pixels", &picture),
            ("baseline_pixels", &Baseline::Blur.of(&picture, 0)),
        ] {
            let views = model.views(picture).unwrap().into_iter();
            let found: Vec<f64> = views.flat_map(|(_, x)| x).map(f64::from).collect();
            close(
                &format!("{} {name}", case.name),
                &found,
                &case.views(name),
                2e-6,
            );
        }
    }
}

#[test]
fn the_mask_as_the_view_sees_it() {
    for case in Case::all() {
        let model = case.model();
        let (mask, size) = (case.tensor("probe_mask"), case.settings().mask_size);
        let mut session = case.session(&*model);
        let scorer = case.scorer(&mut *session);
        let found: Vec<f64> = match scorer.resampling() {
            None => {
                let views = model.views(&case.picture()).unwrap().into_iter();
                let seen = views.flat_map(|(view, _)| view.sample(&mask, size).unwrap());
                seen.collect()
            }
            Some(resampling) => {
                let square = resampling.square(&mask);
                scorer.first_views()[0]
                    .0
                    .sample(&square, resampling.side())
                    .unwrap()
            }
        };
        close(
            &format!("{} probe_upsampled", case.name),
            &found,
            &case.views("probe_upsampled"),
            1e-6,
        );
    }
}

#[test]
fn prompt_answer_and_key_tokens() {
    for case in Case::all() {
        let model = case.model();
        let prompt = model
            .prompt(case.text("question"), std::slice::from_ref(&case.picture()))
            .unwrap();
        assert_eq!(prompt.text, case.text("prompt"), "{}", case.name);
        let mark = model.tokenizer().image().id();
        let expected = case.tensor("prompt_ids").into_iter();
        // The authors' marker of an image row, which is not in any vocabulary.
        let expected = expected.map(|id| if id == -200.0 { mark } else { id as u32 });
        assert_eq!(prompt.ids, expected.collect::<Vec<_>>(), "{}", case.name);
        let session = case.session(&*model);
        let given = case.results.meta()["args"]["answer"].as_str();
        let limit = case.argument("max_new_tokens") as usize;
        let generated = || {
            session
                .generate(BlendPath::Deletion, limit, &mut go_on)
                .unwrap()
        };
        let answer = match (given, case.results.compat()) {
            (Some(text), _) => model.tokenizer().encode_answer(text).unwrap(),
            (None, None) => generated(),
            (None, Some(_)) => lvlm_interpretation::without_end(generated(), limit),
        };
        assert_eq!(answer, case.ids("answer_ids"), "{}", case.name);
        assert_eq!(
            model.tokenizer().decode(&answer).unwrap(),
            case.text("answer"),
            "{}",
            case.name
        );
        let pieces = model.tokenizer().decode_pieces(&answer).unwrap();
        assert_eq!(pieces.concat(), case.text("answer"), "{}", case.name);
        assert_eq!(pieces.len(), answer.len(), "{}", case.name);
        let texts = model.tokenizer().decode_tokens(&answer).unwrap();
        let (image, baseline) = (case.tensor("logp_image"), case.tensor("logp_baseline"));
        let threshold = case.argument("threshold");
        let found = match case.results.compat() {
            None => key_tokens(&image, &baseline, &texts, threshold),
            Some(_) => lvlm_interpretation::key_tokens(
                &image,
                &baseline,
                &answer,
                &texts,
                &|id| model.tokenizer().token(id),
                threshold,
            ),
        };
        assert_eq!(found, case.keys(), "{}", case.name);
    }
}

/// The answer to the baseline equals that of a session whose picture is the baseline.
#[test]
fn answer_to_the_baseline() {
    let names = ["llava-cat", "onevision-small", "cambrian-rocket"];
    for case in Case::all().filter(|case| names.contains(&case.name.as_str())) {
        let model = case.model();
        let answer = |session: &dyn Session, path| session.generate(path, 12, &mut go_on).unwrap();
        let baseline = Baseline::Blur.of(&case.picture(), 0);
        let prompt = model
            .prompt(case.text("question"), std::slice::from_ref(&baseline))
            .unwrap();
        let options = SessionOptions {
            mask_size: 1,
            memory_budget: 1 << 30,
        };
        let own = model.start(&baseline, &baseline, &prompt, options).unwrap();
        let session = case.session(&*model);
        let found = answer(&*session, BlendPath::Insertion);
        assert_eq!(found, answer(&*own, BlendPath::Deletion), "{}", case.name);
        let with_picture = answer(&*session, BlendPath::Deletion);
        assert_ne!(found, with_picture, "{}: the picture matters", case.name);
    }
}

#[test]
fn log_probabilities() {
    for case in Case::all() {
        let model = case.model();
        let mut session = case.session(&*model);
        let scorer = case.scorer(&mut *session);
        let size = case.settings().mask_size;
        let ones = [vec![1.0; size * size]];
        let masks = Masks {
            size,
            values: &ones,
        };
        let whole = |path| Blend {
            sampling: Sampling::One(0),
            path,
            alpha: 1.0,
            noise: None,
        };
        let all: Vec<usize> = (0..case.ids("answer_ids").len()).collect();
        let blends = [whole(BlendPath::Deletion), whole(BlendPath::Insertion)];
        let found = scorer
            .log_probabilities(masks, &blends, &all, &mut go_on)
            .unwrap();
        close(
            &format!("{} logp_image", case.name),
            &found[0],
            &case.tensor("logp_image"),
            1e-4,
        );
        close(
            &format!("{} logp_baseline", case.name),
            &found[1],
            &case.tensor("logp_baseline"),
            1e-4,
        );
    }
}

#[test]
fn probe_mask_scores_and_gradients() {
    for case in Case::all() {
        let model = case.model();
        let mut session = case.session(&*model);
        let scorer = case.scorer(&mut *session);
        let (settings, keys) = (case.settings(), case.keys());
        let masks = [case.tensor("probe_mask")];
        for (name, path) in [
            ("deletion", BlendPath::Deletion),
            ("insertion", BlendPath::Insertion),
        ] {
            let steps = settings.steps;
            let blends: Vec<Blend> = (1..=steps)
                .map(|n| Blend {
                    sampling: Sampling::One(0),
                    path,
                    alpha: n as f64 / steps as f64,
                    noise: None,
                })
                .collect();
            let weights = vec![1.0 / steps as f64; steps];
            let on_device = Masks {
                size: settings.mask_size,
                values: &masks,
            };
            let (values, gradients) = scorer
                .gradient(
                    on_device,
                    &blends,
                    &weights,
                    &keys,
                    Score::LogProbability,
                    &mut go_on,
                )
                .unwrap();
            let score = values.iter().flatten().sum::<f64>() / steps as f64;
            let label = format!("{} probe {name}", case.name);
            close(
                &label,
                &[score],
                &case.tensor(&format!("probe_{name}_score")),
                1e-4,
            );
            let expected = case.tensor(&format!("probe_{name}_grad"));
            close(&label, &gradients[0], &expected, 1e-3 * largest(&expected));
        }
        let (view, pixels) = scorer.first_views()[0];
        let regulariser = Regulariser::new(view, pixels, [1.0, 0.1, 10.0], 1.0).unwrap();
        let regulariser = regulariser.with_resampling(scorer.resampling());
        let mask = Mask::new(settings.mask_size, masks[0].clone()).unwrap();
        let (value, gradient) = regulariser.total_variation(&mask);
        close(
            &format!("{} BTV", case.name),
            &[value],
            &case.tensor("probe_btv"),
            1e-4,
        );
        let expected = case.tensor("probe_btv_grad");
        close(
            &format!("{} BTV gradient", case.name),
            &gradient,
            &expected,
            1e-3 * largest(&expected),
        );
    }
}

/// Returns the masks after each iteration.
fn trajectory(
    case: &Case,
    scorer: &dyn Scorer,
    method: Method,
) -> (Vec<Vec<f64>>, Vec<[f64; 3]>, Mask) {
    let settings = Settings {
        method,
        ..case.settings()
    };
    let (mut masks, mut losses) = (Vec::new(), Vec::new());
    let mask = settings.method.with(&settings).run(
        scorer,
        &case.keys(),
        &mut go_on,
        &mut |_, parts, mask: &Mask| {
            masks.push(mask.values().to_vec());
            losses.push([parts.deletion, parts.insertion, parts.regulariser]);
        },
    );
    (masks, losses, mask.unwrap())
}

#[test]
fn masks_after_every_iteration() {
    for case in Case::all() {
        let model = case.model();
        let mut session = case.session(&*model);
        let scorer = case.scorer(&mut *session);
        let cells = case.settings().mask_size.pow(2);
        for (name, method) in [
            ("igos_p_masks", Method::IgosPlus),
            ("igos_pp_masks", Method::IgosPlusPlus),
        ] {
            if method == Method::IgosPlusPlus
                && !case.results.meta()["args"]["pp"].as_bool().unwrap()
            {
                continue;
            }
            let expected = case.tensor(name);
            let (masks, losses, _) = trajectory(&case, &*scorer, method);
            let label = format!("{} {name}", case.name);
            close(
                &format!("{label} first"),
                &masks[0],
                &expected[..cells],
                1e-3,
            );
            // At the paper's lr of 10 clamping makes the trajectory chaotic: only its beginning can
            // be compared.
            if case.argument("lr") <= 1.0 {
                close(&label, &masks.concat(), &expected, 1e-2);
            }
            if method == Method::IgosPlus {
                close(
                    &format!("{label} losses"),
                    &losses[0],
                    &case.tensor("igos_p_losses")[..3],
                    1e-3,
                );
            }
        }
    }
}

#[test]
fn curves_of_the_recorded_mask_and_scores() {
    for case in Case::all() {
        let model = case.model();
        let mut session = case.session(&*model);
        let scorer = case.scorer(&mut *session);
        let (keys, size) = (case.keys(), case.settings().mask_size);
        let of_keys = |name| {
            let values = case.tensor(name);
            keys.iter().map(|&t| values[t]).collect::<Vec<_>>()
        };
        let (picture, baseline) = (of_keys("logp_image"), of_keys("logp_baseline"));
        let masks = case.tensor("igos_p_masks");
        let recorded = Mask::new(size, masks[masks.len() - size * size..].to_vec()).unwrap();
        let curves_of = |mask: &Mask| -> Curves {
            let ends = (&picture[..], &baseline[..]);
            let points = CurvePoints::All;
            let curves = deletion_insertion(&*scorer, mask, &keys, ends, points, &mut go_on);
            let curves = curves.unwrap();
            match case.results.compat() {
                None => curves,
                Some(_) => lvlm_interpretation::scored(&curves, size * size),
            }
        };
        let curves = curves_of(&recorded);
        close(
            &format!("{} fractions", case.name),
            &curves.fraction,
            &case.tensor("curve_index"),
            1e-12,
        );
        close(
            &format!("{} deletion curve", case.name),
            &curves.deletion,
            &case.tensor("deletion_curve"),
            1e-4,
        );
        close(
            &format!("{} insertion curve", case.name),
            &curves.insertion,
            &case.tensor("insertion_curve"),
            1e-4,
        );
        let expected = [
            case.results.meta()["deletion"].as_f64().unwrap(),
            case.results.meta()["insertion"].as_f64().unwrap(),
        ];
        let found = [
            curves.deletion_score.unwrap(),
            curves.insertion_score.unwrap(),
        ];
        close(
            &format!("{} scores of the recorded mask", case.name),
            &found,
            &expected,
            1e-3,
        );
        let (_, _, own) = trajectory(&case, &*scorer, Method::IgosPlus);
        let curves = curves_of(&own);
        let found = [
            curves.deletion_score.unwrap(),
            curves.insertion_score.unwrap(),
        ];
        close(
            &format!("{} scores of the own mask", case.name),
            &found,
            &expected,
            0.02,
        );
    }
}

/// A program can be reproduced only with its own models, and only with settings for it.
#[test]
fn a_program_that_lacks_the_model_is_not_reproduced() {
    let options = OpenOptions {
        compat: Some(Compat::LvlmInterpretation),
        ..OpenOptions::default()
    };
    for (model, name) in [
        ("tiny-next-vicuna", "llava_next"),
        ("tiny-next-authors", "LLaVA-NeXT"),
    ] {
        let folder = folder().join("models").join(model);
        let error = checkpoint(Some(&folder), &options).unwrap_err();
        assert!(matches!(error, LvlmError::Compat { .. }), "{error}");
        let text = error.to_string();
        assert!(text.contains(name) && text.contains("Cambrian-1"), "{text}");
    }
    let picture = Picture::open(&folder().join("images/small.png")).unwrap();
    for (opened, asked) in [
        (None, Some(Compat::LvlmInterpretation)),
        (Some(Compat::LvlmInterpretation), None),
    ] {
        let options = OpenOptions {
            compat: opened,
            ..OpenOptions::default()
        };
        let model = load(
            checkpoint(None, &options).unwrap(),
            Cpu::<f32>::new(1).unwrap(),
        )
        .unwrap();
        let request = Request {
            pictures: std::slice::from_ref(&picture),
            question: "What color is the circle?",
            answer: None,
            keys: None,
            settings: &Settings::following(asked),
        };
        let error = prepare(&*model, &request).unwrap_err().to_string();
        assert!(error.starts_with("compat: expected"), "{error}");
        assert!(
            error.contains("none") && error.contains("lvlm-interpretation"),
            "{error}"
        );
    }
}

/// In the least memory for a gradient, with every layer recomputed and one blend at a time, the
/// bits are the same as with everything at once.
#[test]
fn a_small_memory_budget_changes_nothing() {
    let names = [
        "onevision-small",
        "mini-gemini-hd-cat",
        "cambrian-rocket",
        "cambrian-phi3-coffee",
    ];
    for case in Case::all().filter(|case| names.contains(&case.name.as_str())) {
        let model = case.model();
        let (settings, keys) = (case.settings(), case.keys());
        let masks = [case.tensor("probe_mask")];
        let on_device = Masks {
            size: settings.mask_size,
            values: &masks,
        };
        let blends: Vec<Blend> = (1..=3)
            .map(|n| Blend {
                alpha: f64::from(n) / 3.0,
                ..Blend::whole(0, BlendPath::Deletion)
            })
            .collect();
        let gradient = |budget: usize| {
            let mut session = case.session_within(&*model, budget)?;
            case.scorer(&mut *session).gradient(
                on_device,
                &blends,
                &[1.0; 3],
                &keys,
                Score::LogProbability,
                &mut go_on,
            )
        };
        let mut least = 1;
        let small = loop {
            match gradient(least) {
                Err(LvlmError::Memory { needed, budget }) if needed > budget => least = needed,
                other => break other.unwrap(),
            }
        };
        let mut session = case.session_within(&*model, least).unwrap();
        let plan = case.scorer(&mut *session).plan(3, &keys).unwrap();
        assert_eq!(
            (plan.batch, plan.checkpointing),
            (1, Checkpointing::Inputs),
            "{}",
            case.name
        );
        assert_eq!(small, gradient(1 << 30).unwrap(), "{}", case.name);
    }
}
