//! Whole explanations: names of methods, cancelling, sizes of masks.

use super::*;

#[test]
fn methods_are_recorded_by_their_names() {
    for method in Method::ALL {
        let settings = settings(method);
        let name = method.with(&settings).name();
        assert_eq!(serde_json::to_value(method).unwrap(), name);
        assert_eq!(name.parse::<Method>().unwrap(), method);
    }
    let unknown = "igos+++".parse::<Method>().unwrap_err().to_string();
    assert!(
        unknown.starts_with("method: expected fovea or igos+ or igos++ or "),
        "{unknown}"
    );
    assert!(unknown.ends_with(", found igos+++"), "{unknown}");
}

/// Stops the explanation at the `after`-th call.
struct Stop {
    asked: std::cell::Cell<usize>,
    after: usize,
}

impl Progress for Stop {
    fn begin(&mut self, _: Stage, _: Option<usize>) {}
    fn advance(&mut self, _: usize) {}
    fn cancelled(&self) -> bool {
        self.asked.set(self.asked.get() + 1);
        self.asked.get() > self.after
    }
}

#[test]
fn an_explanation_is_given_up_wherever_it_is() {
    use crate::device::cpu::Cpu;
    use crate::picture::Picture;
    let model = crate::lvlm::open(None, Cpu::<f32>::new(2).unwrap()).unwrap();
    let scene = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/demo/scenes/0000.png");
    let picture = Picture::open(scene.as_ref()).unwrap();
    // One blend at a time, so that there are many batches.
    let settings = Settings {
        mask_size: 4,
        iterations: 1,
        steps: 2,
        baseline_answer: true,
        ..Settings::default()
    };
    let request = Request {
        pictures: std::slice::from_ref(&picture),
        question: "How many objects are there?",
        answer: None,
        keys: Some(&[0]),
        settings: &settings,
    };
    let with = |after| {
        let mut stop = Stop {
            asked: Default::default(),
            after,
        };
        let result = explain(&*model, &request, &mut stop);
        (result, stop.asked.get())
    };
    let (whole, asked) = with(usize::MAX);
    assert!(whole.unwrap().curves.is_some());
    // Five stages, and at least a token and a batch in each of the others except the first.
    assert!(asked >= 9, "{asked}");
    for after in 0..asked {
        let (result, asked) = with(after);
        assert!(matches!(result, Err(ExplainError::Cancelled)), "{after}");
        assert_eq!(asked, after + 1, "nothing more is done");
    }
}

#[test]
fn masks_have_as_many_numbers_as_cells() {
    for (size, values) in [
        (0, vec![]),
        (0, vec![1.0]),
        (2, vec![1.0; 3]),
        (1, vec![]),
        (usize::MAX, vec![1.0]),
        (1 << 32, vec![]),
        (1, vec![f64::NAN]),
    ] {
        let refused = Mask::new(size, values);
        assert!(matches!(refused, Err(MaskError { .. })), "{size}");
    }
    let infinite = Mask::new(1, vec![f64::INFINITY]).unwrap();
    assert_eq!(infinite.values(), [1.0], "values are clamped");
    let pixels = Regulariser::new(&view(), &[0.0; 3], [1.0; 3], 1.0);
    assert!(matches!(pixels, Err(ExplainError::Pixels { .. })));
}
