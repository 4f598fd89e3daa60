//! Gradients by pixel against all recorded cases of `tests/oracle`: the only check of the whole
//! model's vjp without the mask's sums after it.

use std::path::Path;

use super::Results;
use super::numbers::distance;
use crate::device::cpu::Cpu;
use crate::lvlm::{OpenOptions, SessionOptions, checkpoint, load};
use crate::picture::{Baseline, Picture};

/// Returns the gradient by pixel of every view, one after the other.
fn found(results: &Results, folder: &Path) -> Vec<f64> {
    let argument = |name: &str| results.meta()["args"][name].as_str();
    let options = OpenOptions {
        encoders: argument("towers")
            .map(|towers| folder.join(towers))
            .into_iter()
            .collect(),
        compat: results.compat(),
    };
    let model = folder.join(argument("model").unwrap());
    let checkpoint = checkpoint(Some(&model), &options).unwrap();
    let model = load(checkpoint, Cpu::<f32>::new(2).unwrap()).unwrap();
    let text = |name: &str| results.meta()[name].as_str().unwrap();
    let picture = Picture::open(&folder.join(text("image"))).unwrap();
    let baseline = Baseline::Blur.of(&picture, 0);
    let prompt = model
        .prompt(text("question"), std::slice::from_ref(&picture))
        .unwrap();
    let options = SessionOptions {
        mask_size: results.settings().mask_size,
        memory_budget: 1 << 30,
    };
    let mut session = model.start(&picture, &baseline, &prompt, options).unwrap();
    let scorer = session.scorer(&results.ids("answer_ids")).unwrap();
    scorer.pixel_gradients(&results.keys()).unwrap().concat()
}

/// Returns the recorded gradient: one tensor, or one for each view if their sizes differ.
fn recorded(results: &Results) -> Vec<f64> {
    let whole = results.numbers("grad_pixels");
    if !whole.is_empty() {
        return whole;
    }
    let each = (0..).map(|v| results.numbers(&format!("grad_pixels.{v}")));
    each.take_while(|t| !t.is_empty()).flatten().collect()
}

#[test]
fn pixel_gradients_of_all_recorded_cases() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracle");
    let files = std::fs::read_dir(folder.join("cases")).unwrap();
    let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty());
    for file in files {
        let results = Results::open(std::fs::read(&file).unwrap().leak()).unwrap();
        let (found, recorded) = (found(&results, &folder), recorded(&results));
        assert!(!recorded.is_empty(), "{file:?}");
        assert_eq!(found.len(), recorded.len(), "{file:?}");
        let largest = recorded.iter().fold(0.0f64, |m, v| v.abs().max(m));
        let worst = distance(&found, &recorded);
        println!("{file:?}: largest difference {worst:.2e} of {largest:.2e}");
        assert!(
            worst <= 1e-4 * largest,
            "{file:?}: {worst:e} of {largest:e}"
        );
    }
}
