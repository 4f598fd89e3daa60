//! The files that a run writes, and their reproducibility.

use super::*;

#[test]
fn every_file_is_written_and_says_the_same() {
    let run = Run::new();
    let printed = succeeded(&run.explain("out", &["--json", "--curve-points", "all"]));
    let record = run.record("out");
    assert_eq!(
        serde_json::from_str::<Value>(&printed).unwrap(),
        record,
        "--json prints the file"
    );
    let mut names: Vec<_> = std::fs::read_dir(run.path("out"))
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let expected = [
        "curves.png",
        "explanation.json",
        "losses.png",
        "mask.npy",
        "overlay.png",
        "saliency.png",
        "tokens.png",
    ];
    assert_eq!(names, expected);
    let keys = [
        "model",
        "family",
        "device",
        "dtype",
        "device_choices",
        "image",
        "question",
        "prompt",
        "answer",
        "image_dependent",
        "settings",
        "iterations",
        "curves",
        "faithfulness",
        "cost",
        "version",
        "files",
    ];
    assert_eq!(record.as_object().unwrap().keys().collect::<Vec<_>>(), keys);
    assert_eq!(record["image_dependent"], true);
    assert_eq!(record["iterations"].as_array().unwrap().len(), 2);
    // Two whole pictures, a path of 2 steps and then two of them, and 64 curve groups of both
    // kinds. An eighth of the cells is among them.
    assert_eq!(record["cost"]["evaluations"], 2 + 2 + 2 * 2 + 2 * 64);
    let test = &record["faithfulness"];
    assert_eq!(test["fraction"], 0.125);
    assert_eq!(test["removed"], record["curves"]["deletion"][8]);
    assert_eq!(test["revealed"], record["curves"]["insertion"][8]);
    let cells = test["region"]["cells"].as_u64().unwrap() as usize;
    assert_eq!(
        test["region"]["probability"],
        record["curves"]["insertion"][cells]
    );
    let mask = run.mask("out");
    assert_eq!(mask.len(), 64);
    assert!(mask.iter().all(|m| (0.0..=1.0).contains(m)) && mask.iter().any(|m| *m < 1.0));
    let saliency = image::open(run.path("out/saliency.png")).unwrap();
    assert_eq!(
        (saliency.width(), saliency.height(), saliency.color()),
        (112, 112, image::ColorType::L8)
    );
    // The corner pixel shows the corner cell.
    let corner = f64::from(saliency.to_luma8().get_pixel(0, 0).0[0]) / 255.0;
    assert!((corner - (1.0 - f64::from(mask[0]))).abs() < 0.003);
}

#[test]
fn same_inputs_give_the_same_bits() {
    let run = Run::new();
    for out in ["a", "b"] {
        succeeded(&run.explain(out, &[]));
    }
    for name in [
        "mask.npy",
        "saliency.png",
        "overlay.png",
        "curves.png",
        "losses.png",
        "tokens.png",
    ] {
        let read = |out| std::fs::read(run.path(out).join(name)).unwrap();
        assert!(read("a") == read("b"), "{name}");
    }
    let without_cost = |out| {
        let mut record = run.record(out);
        record.as_object_mut().unwrap().remove("cost");
        record
    };
    assert_eq!(without_cost("a"), without_cost("b"));
    succeeded(&run.explain("c", &["--seed", "1"]));
    assert_ne!(run.mask("a"), run.mask("c"), "another seed is other noise");
}

#[test]
fn any_memory_budget_gives_the_same_mask() {
    let run = Run::new();
    succeeded(&run.explain("whole", &["--no-curves"]));
    let refusal = run.explain("out", &["--no-curves", "--memory-budget", "1kB"]);
    run.refused(&refusal, 2, &["memory budget", "for one blend"]);
    let text = String::from_utf8_lossy(&refusal.stderr).into_owned();
    let least: usize = text
        .split("at least ")
        .nth(1)
        .unwrap()
        .split(' ')
        .next()
        .unwrap()
        .parse()
        .expect("the bytes that are needed");
    // The smallest budget for one answer token; later key tokens need a little more, and smaller
    // budgets are refused.
    for budget in [least + least / 4, 2 * least, 5 * least] {
        succeeded(&run.explain(
            "cut",
            &["--no-curves", "--memory-budget", &budget.to_string()],
        ));
        let largest = run
            .mask("whole")
            .iter()
            .zip(run.mask("cut"))
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f32::max);
        assert!(largest <= 1e-5, "{budget} bytes: {largest}");
    }
}

#[test]
fn an_answer_that_needs_no_picture_is_a_result() {
    let run = Run::new();
    let text = succeeded(&run.explain("out", &["--threshold", "1000"]));
    assert!(text.contains("does not depend on the picture"), "{text}");
    let record = run.record("out");
    assert_eq!(
        (&record["image_dependent"], &record["curves"]),
        (&Value::Bool(false), &Value::Null)
    );
    assert!(!run.path("out/mask.npy").exists() && run.path("out/tokens.png").exists());
    // A mask of an earlier run would contradict the record.
    succeeded(&run.explain("out", &[]));
    assert!(run.path("out/mask.npy").exists());
    succeeded(&run.explain("out", &["--threshold", "1000"]));
    assert!(!run.path("out/mask.npy").exists());
}

#[test]
fn answers_keys_methods_and_baselines_can_be_chosen() {
    let run = Run::new();
    for more in [
        &["--answer", " The ring is red.", "--keys", "2,4"][..],
        &["--method", "igos++"],
        &["--optimizer", "ls", "--method", "igos+"],
        &["--baseline", "zero"],
        &["--baseline", "noise", "--noise", "0"],
    ] {
        succeeded(&run.explain("out", more));
        let record = run.record("out");
        if more[0] == "--answer" {
            assert_eq!(record["answer"]["text"], " The ring is red.");
            let keys: Vec<bool> = record["answer"]["tokens"]
                .as_array()
                .unwrap()
                .iter()
                .map(|t| t["key"].as_bool().unwrap())
                .collect();
            let chosen: Vec<usize> = (0..keys.len()).filter(|&t| keys[t]).collect();
            assert_eq!(chosen, [2, 4]);
        } else {
            assert_eq!(record["settings"][&more[0][2..]], more[1]);
        }
        assert!(run.mask("out").iter().any(|m| *m < 1.0), "{more:?}");
    }
}
