//! `foveate methods`, and explanations by the methods that it lists.

use super::*;

fn listed(run: &Run) -> Vec<Value> {
    let text = succeeded(&run.foveate(&["methods", "--json"]));
    serde_json::from_str(&text).unwrap()
}

#[test]
fn methods_are_listed_with_their_needs_and_costs() {
    let run = Run::new();
    let text = succeeded(&run.foveate(&["methods"]));
    let methods = listed(&run);
    assert_eq!(methods.len(), 14);
    for method in &methods {
        for field in ["name", "summary", "needs", "suited_to"] {
            assert!(text.contains(method[field].as_str().unwrap()), "{method}");
        }
    }
    let named = |name: &str| methods.iter().find(|m| m["name"] == name).unwrap();
    for (name, gradients, forwards, open_ended) in [
        ("igos+", 100, 0, false),
        ("igos++", 200, 0, false),
        ("fovea", 18, 0, false),
        ("igos", 300, 600, true),
        ("occlusion", 0, 50, false),
        ("rise", 0, 4000, false),
        ("integrated-gradients", 50, 0, false),
        ("input-x-gradient", 1, 0, false),
        ("smoothgrad", 50, 0, false),
        ("eagle", 0, 4160, false),
        ("grad-cam", 1, 0, false),
        ("tam", 0, 1, false),
        ("attention-rollout", 0, 1, false),
        ("t-mm", 1, 0, false),
    ] {
        let found = &named(name)["evaluations"];
        let expected = serde_json::json!({
            "gradients": gradients, "forwards": forwards, "open_ended": open_ended
        });
        assert_eq!(found, &expected, "{name}");
    }
    assert!(text.contains(">= 300 g + 600 f"), "{text}");
}

#[test]
fn every_listed_method_explains() {
    let run = Run::new();
    for method in listed(&run) {
        let name = method["name"].as_str().unwrap();
        let mut more = vec!["--method", name, "--no-curves", "--mask-size", "8"];
        let reads = |option: &str| {
            let settings = method["settings"].as_array().unwrap();
            settings.iter().any(|setting| setting == option)
        };
        for (setting, option, value) in [
            ("steps", "--steps", "2"),
            ("iterations", "--iterations", "1"),
            ("samples", "--samples", "70"),
            ("grid", "--grid", "3"),
        ] {
            if reads(setting) {
                more.extend([option, value]);
            }
        }
        // One iteration of a line search may find no step.
        if name == "igos" {
            more.extend(["--optimizer", "nag"]);
        }
        let (picture, question) = scene();
        let arguments = [
            "explain",
            "--image",
            picture.to_str().unwrap(),
            "--question",
            &question,
            "--out",
            name,
            "--device",
            "cpu",
        ];
        let arguments: Vec<&str> = arguments.into_iter().chain(more).collect();
        succeeded(&run.foveate(&arguments));
        let record = run.record(name);
        assert_eq!(record["settings"]["method"], name);
        let mask = run.mask(name);
        assert_eq!(mask.len(), 64);
        assert!(mask.iter().any(|&m| m < 1.0), "{name} found something");
    }
}

#[test]
fn quality_chooses_how_many_evaluations_fovea_makes() {
    let run = Run::new();
    let (picture, question) = scene();
    let image = picture.to_str().unwrap();
    let explain = |more: &[&str]| {
        let mut arguments = vec!["explain", "--image", image, "--question", &question];
        arguments.extend([
            "--out",
            "map",
            "--no-curves",
            "--mask-size",
            "8",
            "--device",
            "cpu",
        ]);
        arguments.extend(more);
        run.foveate(&arguments)
    };
    for (quality, steps, iterations) in [("draft", 6, 1), ("normal", 6, 2), ("high", 12, 3)] {
        succeeded(&explain(&["--quality", quality]));
        let record = run.record("map");
        assert_eq!(record["settings"]["method"], "fovea");
        assert_eq!(record["settings"]["preset"], quality);
        assert_eq!(record["settings"]["steps"], steps, "{quality}");
        assert_eq!(record["settings"]["iterations"], iterations, "{quality}");
    }
    succeeded(&explain(&["--quality", "high", "--steps", "2"]));
    assert_eq!(run.record("map")["settings"]["steps"], 2);
    // Without any, fovea at its defaults; with the program of the paper's authors, its method.
    for (more, method) in [
        (&[][..], "fovea"),
        (&["--compat", "lvlm-interpretation"][..], "igos+"),
    ] {
        succeeded(&explain(&[more, &["--steps", "2"]].concat()));
        assert_eq!(run.record("map")["settings"]["method"], method);
    }
    for other in [["--method", "igos+"], ["--preset", "paper"]] {
        let refused = explain(&[&["--quality", "draft"][..], &other].concat());
        assert_eq!(refused.status.code(), Some(2));
    }
}
