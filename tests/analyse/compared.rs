//! Comparisons of runs.

use serde_json::json;

use crate::support::{Folder, Made, ended, entry, files, manifest, succeeded};

/// Twelve samples by two models: `a` looks at cell 5 of 4 x 4, `b` at the same except for the last
/// two; `a` is always right, `b` in half; `b` failed once, and once does not use the picture.
fn two(folder: &Folder) {
    let a = |i: usize| {
        Made::new(i, -2.5, Some((4, 5)))
            .judged(true)
            .scored(0.1, 0.5 + i as f64 / 100.0)
    };
    let b = |i: usize| {
        let cell = if i < 10 { 5 } else { 10 };
        Made::new(i, -2.5, Some((4, cell)))
            .judged(i < 6)
            .scored(0.1, 0.5 - i as f64 / 100.0)
    };
    let mut of_b: Vec<Made> = (0..12).map(b).collect();
    of_b[3] = b(3).failed();
    of_b[4] = Made::new(4, -0.5, None).judged(true);
    folder.run(
        "a",
        &manifest("a", 4, 12),
        &(0..12).map(a).collect::<Vec<_>>(),
    );
    folder.run("b", &manifest("b", 4, 12), &of_b);
}

#[test]
fn two_models_are_paired_by_sample() {
    let folder = Folder::new();
    two(&folder);
    let arguments = ["compare", "a", "b", "--out", "out", "--top-share", "0.0625"];
    let text = succeeded(&folder.foveate(&arguments, &[]));
    assert!(
        text.contains("11 samples paired\n1 samples not paired:\n  3 \"q3\" (b: picture)"),
        "{text}"
    );
    let found = folder.json("out/comparison.json");
    assert_eq!(found["paired"], 11);
    assert_eq!(
        found["unpaired"],
        json!([{"index": 3, "id": "q3", "missing": {"b": "picture"}}])
    );
    assert_eq!(found["settings_differ"], json!([]));
    let figure = |name: &str, group: &str| {
        let figure = entry(
            &found["figures"],
            &[("name", json!(name)), ("group", json!(group))],
        );
        (
            figure["n"].as_u64().unwrap(),
            figure["value"].as_f64().unwrap(),
        )
    };
    // Of ten maps, eight agree: IoU 1 and correlation 1; for the others the correlation is -1/15
    // (each has its single high rank where the other has a middle one), and the IoU is 0.
    let (n, rank) = figure("rank_correlation", "a, b");
    assert_eq!(n, 10);
    assert!((rank - (8.0 - 2.0 / 15.0) / 10.0).abs() < 1e-9, "{rank}");
    assert_eq!(figure("top_iou", "a, b"), (10, 0.8));
    assert_eq!(figure("correct", "b"), (11, 5.0 / 11.0));
    let contrast = |name: &str| entry(&found["contrasts"], &[("name", json!(name))]);
    // Six pairs in which only a is right: 2 * 2^-6.
    let correct = contrast("correct");
    assert_eq!(correct["test"], "McNemar, exact binomial");
    assert!(
        (correct["p"].as_f64().unwrap() - 2.0 / 64.0).abs() < 1e-12,
        "{correct}"
    );
    assert_eq!(correct["groups"], json!(["a", "b"]));
    // Insertion is equal at sample 0, and larger for a in the nine others: 2 * 2^-9.
    let insertion = contrast("insertion");
    assert_eq!(insertion["test"], "Wilcoxon signed-rank, exact");
    assert_eq!(
        (insertion["n"].clone(), insertion["p"].clone()),
        (json!([10, 10]), json!(2.0 / 512.0))
    );
    assert_eq!(contrast("deletion")["p"], 1.0);
    let agreements = found["agreements"].as_array().unwrap();
    assert_eq!(agreements.len(), 10);
    assert_eq!(agreements[9]["id"], "q11");
    assert_eq!(agreements[9]["top_iou"], 0.0);
    let names: Vec<String> = files(&folder.path("out"))
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(names, ["agreement.png", "comparison.json", "models.png"]);
    succeeded(&folder.foveate(
        &[
            "compare",
            "a",
            "b",
            "--out",
            "again",
            "--top-share",
            "0.0625",
        ],
        &[("RAYON_NUM_THREADS", "1")],
    ));
    assert!(files(&folder.path("out")) == files(&folder.path("again")));
}

/// Three runs: each pair is compared, and the p-values are corrected for all. Maps of two sizes are
/// compared; a second run of the same model has a number in its name.
#[test]
fn three_runs_make_three_pairs() {
    let folder = Folder::new();
    two(&folder);
    let large: Vec<Made> = (0..12)
        .map(|i| Made::new(i, -2.5, Some((7, 2 * 7 + 2))).judged(true))
        .collect();
    folder.run("c", &manifest("a", 7, 12), &large);
    let text = succeeded(&folder.foveate(&["compare", "a", "b", "c", "--out", "out"], &[]));
    assert!(
        text.contains("c: settings.mask_size: 4 in the first run, 7 in this one"),
        "{text}"
    );
    let found = folder.json("out/comparison.json");
    let figures = found["figures"].as_array().unwrap();
    let groups: Vec<&str> = figures
        .iter()
        .filter(|f| f["name"] == "top_iou")
        .map(|f| f["group"].as_str().unwrap())
        .collect();
    assert_eq!(groups, ["a #1, b", "a #1, a #3", "b, a #3"]);
    // Cell (2, 2) of 7 x 7 lies on cell (1, 1) of 4 x 4, which is cell 5.
    let same = [
        ("name", json!("rank_correlation")),
        ("group", json!("a #1, a #3")),
    ];
    assert_eq!(entry(&found["figures"], &same)["value"], 1.0);
    let correct = found["contrasts"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|c| c["name"] == "correct");
    assert_eq!(correct.count(), 3);
}

/// Stability: runs that differ in the seed alone are compared, and so are runs whose pictures were
/// changed under the same names, which leaves no trace in the manifest.
/// AUPRC is compared in pairs.
#[test]
fn runs_of_one_model_that_differ_in_the_seed_are_compared() {
    let folder = Folder::new();
    let of_seed = |cells: [usize; 4]| {
        let made = |(i, cell): (usize, usize)| {
            let made = Made::new(i, -2.5, Some((4, cell)));
            made.boxed([2.0, 2.0, 3.0, 3.0])
        };
        cells.into_iter().enumerate().map(made).collect::<Vec<_>>()
    };
    let mut manifest = manifest("a", 4, 4);
    folder.run("one", &manifest, &of_seed([5, 5, 5, 5]));
    folder.run("pictures", &manifest, &of_seed([5, 5, 5, 6]));
    manifest.settings.seed = 7;
    folder.run("two", &manifest, &of_seed([5, 5, 10, 10]));
    let compared = folder.foveate(&["compare", "one", "two", "pictures", "--out", "out"], &[]);
    let text = succeeded(&compared);
    let seed = "two: settings.seed: 0 in the first run, 7 in this one";
    assert!(
        text.contains(seed) && !text.contains("pictures: "),
        "{text}"
    );
    let found = folder.json("out/comparison.json");
    let value =
        |list: &str, fields: &[(&str, serde_json::Value)]| entry(&found[list], fields).clone();
    let rank = |group: &str| {
        let of = [("name", json!("rank_correlation")), ("group", json!(group))];
        value("figures", &of)["value"].as_f64().unwrap()
    };
    // As above: -1/15 where the salient cell is another one.
    assert!((rank("a #1, a #2") - (2.0 - 2.0 / 15.0) / 4.0).abs() < 1e-9);
    assert!((rank("a #1, a #3") - (3.0 - 1.0 / 15.0) / 4.0).abs() < 1e-9);
    let groups = ("groups", json!(["a #1", "a #2"]));
    let auprc = value("contrasts", &[("name", json!("auprc")), groups]);
    assert_eq!(auprc["n"], json!([4, 4]));
    assert_eq!(auprc["test"], "Wilcoxon signed-rank, exact");
    // The last two look at cell 10 on pixel (4, 4): the box's pixel is one of 40 at 0.
    let expected = (1.0 - 1.0 / 49.0) / 2.0;
    assert!(
        (auprc["difference"].as_f64().unwrap() - expected).abs() < 1e-9,
        "{auprc}"
    );
}

#[test]
fn runs_of_other_data_are_refused_by_what_differs() {
    let folder = Folder::new();
    two(&folder);
    let sample = [Made::new(0, -2.5, Some((4, 5)))];
    let mut other = manifest("c", 4, 12);
    other.data.fingerprint = "other".into();
    other.data.ask = foveate::run::Ask::Choice;
    folder.run("c", &other, &sample);
    let refused = folder.foveate(&["compare", "a", "c", "--out", "out"], &[]);
    ended(
        &refused,
        2,
        &[
            "c: expected the data",
            "of a",
            "data.fingerprint",
            "data.ask",
        ],
    );
    assert!(!folder.path("out").exists());
    // Another name of the same data is not a difference.
    let mut renamed = manifest("d", 4, 12);
    renamed.data.file = "e.csv".into();
    folder.run("d", &renamed, &sample);
    let text = succeeded(&folder.foveate(&["compare", "a", "d", "--out", "out"], &[]));
    assert!(
        text.contains("1 samples paired\n11 samples not paired:") && text.contains("and 1 more"),
        "{text}"
    );
    // No sample in common.
    folder.run(
        "e",
        &manifest("e", 4, 12),
        &[Made::new(0, 0.0, None).failed()],
    );
    let refused = folder.foveate(&["compare", "a", "e", "--out", "out2"], &[]);
    ended(&refused, 2, &["expected samples that both explain"]);
}
