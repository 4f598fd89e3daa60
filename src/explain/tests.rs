//! Tests of the method on a model simple enough to be computed by hand.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::igos::Igos;
use super::igos::objective::Objective;
use super::igos::optimiser::{Nesterov, line_search};
use super::*;
use crate::blend::View;
use crate::blend::{Blend, Masks, Path, Sampling};
use crate::lvlm::{BatchPlan, Callback, LogProbabilities, LvlmError, Scorer, go_on};
use crate::nn::Checkpointing;

/// Height, width and mask size of the tests, all different.
const VIEW: (usize, usize, usize) = (7, 11, 4);

fn view() -> View {
    let (height, width, _) = VIEW;
    View {
        height,
        width,
        unit: 1,
        resized_height: 9,
        resized_width: 11,
        offset_x: 0,
        offset_y: 1,
    }
}

fn random(seed: u64, count: usize) -> Vec<f64> {
    println!("seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    (0..count).map(|_| rng.random_range(0.05..0.95)).collect()
}

/// A model whose token t has `log p = -|cells of weight w_t hidden|^2`: a quadratic in the mask's
/// cells.
struct Quadratic {
    view: View,
    pixels: Vec<f32>,
    weights: Vec<Vec<f64>>,
}

impl Quadratic {
    fn new() -> Quadratic {
        let (h, w, s) = VIEW;
        let pixels = random(1, 3 * h * w)
            .into_iter()
            .map(|v| 0.2 * v as f32)
            .collect();
        Quadratic {
            view: view(),
            pixels,
            weights: (0..3).map(|t| random(10 + t, s * s)).collect(),
        }
    }

    fn shown(masks: &Masks, blend: &Blend, cell: usize) -> f64 {
        let u = match blend.sampling {
            Sampling::One(m) => masks.values[m][cell],
            Sampling::Product(m, n) => masks.values[m][cell] * masks.values[n][cell],
        };
        match blend.path {
            Path::Deletion => blend.alpha * u,
            Path::Insertion => 1.0 - blend.alpha * u,
        }
    }

    fn hidden(&self, masks: &Masks, blend: &Blend, token: usize) -> f64 {
        let weights = self.weights[token].iter().enumerate();
        weights
            .map(|(cell, w)| w * (1.0 - Self::shown(masks, blend, cell)))
            .sum::<f64>()
            / 16.0
    }
}

impl Scorer for Quadratic {
    fn first_view(&self) -> (&View, &[f32]) {
        (&self.view, &self.pixels)
    }

    fn log_probabilities(
        &self,
        masks: Masks,
        blends: &[Blend],
        tokens: &[usize],
        evaluated: &mut Callback,
    ) -> crate::lvlm::Result<LogProbabilities> {
        if evaluated(blends.len()).is_break() {
            return Err(LvlmError::Cancelled);
        }
        let of = |blend| {
            tokens
                .iter()
                .map(|&t| -self.hidden(&masks, blend, t).powi(2))
                .collect()
        };
        Ok(blends.iter().map(of).collect())
    }

    fn gradient(
        &self,
        masks: Masks,
        blends: &[Blend],
        weights: &[f64],
        tokens: &[usize],
        evaluated: &mut Callback,
    ) -> crate::lvlm::Result<(LogProbabilities, Vec<Vec<f64>>)> {
        let mut gradients: Vec<Vec<f64>> =
            masks.values.iter().map(|m| vec![0.0; m.len()]).collect();
        for (blend, weight) in blends.iter().zip(weights) {
            let sign = if blend.path == Path::Deletion {
                blend.alpha
            } else {
                -blend.alpha
            };
            for &t in tokens {
                let slope = 2.0 * self.hidden(&masks, blend, t) * weight * sign / 16.0;
                for (cell, w) in self.weights[t].iter().enumerate() {
                    match blend.sampling {
                        Sampling::One(m) => gradients[m][cell] += slope * w,
                        Sampling::Product(m, n) => {
                            gradients[m][cell] += slope * w * masks.values[n][cell];
                            gradients[n][cell] += slope * w * masks.values[m][cell];
                        }
                    }
                }
            }
        }
        Ok((
            self.log_probabilities(masks, blends, tokens, evaluated)?,
            gradients,
        ))
    }

    fn pixel_gradients(&self, _: &[usize]) -> crate::lvlm::Result<Vec<Vec<f64>>> {
        Ok(vec![vec![0.0; self.pixels.len()]])
    }

    fn plan(&self, blends: usize, _: &[usize]) -> crate::lvlm::Result<BatchPlan> {
        Ok(BatchPlan {
            batch: blends,
            checkpointing: Checkpointing::Everything,
            bytes: 0,
        })
    }
}

fn settings(method: Method) -> Settings {
    Settings {
        method,
        mask_size: VIEW.2,
        steps: 3,
        noise: 0.0,
        ..Settings::default()
    }
}

fn close(found: f64, expected: f64, tolerance: f64, what: &str) {
    assert!(
        (found - expected).abs() <= tolerance,
        "{what}: found {found}, expected {expected}"
    );
}

#[test]
fn the_regularisers_gradient_is_its_slope() {
    let model = Quadratic::new();
    let regulariser = Regulariser::new(&model.view, &model.pixels, [1.0, 0.1, 10.0], 1.0).unwrap();
    let mask = random(2, 16);
    let (_, gradient) = regulariser.value_and_gradient(&Mask::new(4, mask.clone()).unwrap(), 2);
    for cell in 0..16 {
        let at = |step: f64| {
            let mut moved = mask.clone();
            moved[cell] += step;
            regulariser
                .value_and_gradient(&Mask::new(4, moved).unwrap(), 2)
                .0
        };
        close(
            gradient[cell],
            (at(1e-5) - at(-1e-5)) / 2e-5,
            1e-7,
            "regulariser",
        );
    }
}

#[test]
fn the_regularisers_terms() {
    // One pixel and one cell: no neighbours, so only the two terms of the distance from 1 remain.
    let one = View {
        height: 1,
        width: 1,
        unit: 1,
        resized_height: 1,
        resized_width: 1,
        offset_x: 0,
        offset_y: 0,
    };
    let regulariser = Regulariser::new(&one, &[0.0; 3], [2.0, 0.5, 10.0], 1.0).unwrap();
    let (value, gradient) = regulariser.value_and_gradient(&Mask::new(1, vec![0.25]).unwrap(), 3);
    let decayed = 0.5 * (-3.0f64).exp();
    close(value, 2.0 * 0.75 + decayed * 0.75 * 0.75, 1e-12, "value");
    close(gradient[0], -2.0 - 2.0 * decayed * 0.75, 1e-12, "gradient");
    // At a mask of ones the gradient is 0.
    let (value, gradient) = regulariser.value_and_gradient(&Mask::new(1, vec![1.0]).unwrap(), 0);
    assert_eq!((value, gradient[0]), (0.0, 0.0));
}

#[test]
fn bilateral_variation_of_a_flat_picture() {
    // Equal pixels: every weight is 1, so BTV is the mask's own variation twice, once by cells and
    // once by pixels.
    let flat = View {
        height: 2,
        width: 2,
        unit: 1,
        resized_height: 2,
        resized_width: 2,
        offset_x: 0,
        offset_y: 0,
    };
    let regulariser = Regulariser::new(&flat, &[0.3; 12], [0.0, 0.0, 1.0], 1.0).unwrap();
    let (value, _) =
        regulariser.bilateral_total_variation(&Mask::new(2, vec![1.0, 0.5, 0.0, 0.5]).unwrap());
    // Down: 1 and 0; across: 0.5 and -0.5.
    let own = 0.5 * ((1.0 + 0.0) / 2.0 + (0.25 + 0.25) / 2.0);
    close(value, 2.0 * own, 1e-12, "BTV");
}

#[test]
fn the_objectives_gradient_is_its_slope_for_one_mask_and_for_two() {
    let model = Quadratic::new();
    let regulariser = Regulariser::new(&model.view, &model.pixels, [1.0, 0.1, 10.0], 1.0).unwrap();
    for method in [Method::IgosPlus, Method::IgosPlusPlus] {
        let settings = settings(method);
        let igos = match method {
            Method::IgosPlus => Igos::plus(&settings),
            Method::IgosPlusPlus => Igos::plus_plus(&settings),
        };
        let objective = Objective {
            scorer: &model,
            regulariser: &regulariser,
            settings: &settings,
            paths: &igos.paths,
            keys: &[0, 2],
        };
        let count = if method == Method::IgosPlus { 1 } else { 2 };
        let values: Vec<Vec<f64>> = (0..count).map(|m| random(20 + m, 16)).collect();
        let masks = |values: &[Vec<f64>]| -> Vec<Mask> {
            let masks = values.iter().map(|v| Mask::new(4, v.clone()).unwrap());
            masks.collect()
        };
        let at = objective.gradient(&masks(&values), 1, &mut go_on).unwrap();
        let gradients = at.gradients;
        for mask in 0..values.len() {
            for cell in 0..16 {
                let moved = |step: f64| {
                    let mut moved = values.clone();
                    moved[mask][cell] += step;
                    objective.loss(&masks(&moved), 1, &mut go_on).unwrap()
                };
                let slope = (moved(1e-5) - moved(-1e-5)) / 2e-5;
                close(
                    gradients[mask][cell],
                    slope,
                    1e-7,
                    &format!("{method:?}, mask {mask}, cell {cell}"),
                );
            }
        }
    }
}

#[test]
fn deletion_is_the_mean_over_the_path() {
    let model = Quadratic::new();
    let regulariser = Regulariser::new(&model.view, &model.pixels, [0.0; 3], 1.0).unwrap();
    let settings = settings(Method::IgosPlus);
    let objective = Objective {
        scorer: &model,
        regulariser: &regulariser,
        settings: &settings,
        paths: &Igos::plus(&settings).paths,
        keys: &[1],
    };
    let ones = [Mask::new(4, vec![1.0; 16]).unwrap()];
    let at = objective.gradient(&ones, 0, &mut go_on).unwrap();
    // With a mask of ones a share 1 - n/3 of token 1's weight is hidden at step n, or n/3 of it.
    let whole = model.weights[1].iter().sum::<f64>() / 16.0;
    let mean = |hidden: [f64; 3]| hidden.iter().map(|h| -(whole * h).powi(2)).sum::<f64>() / 3.0;
    close(at.deletion, mean([2.0 / 3.0, 1.0 / 3.0, 0.0]), 1e-12, "D");
    close(at.insertion, mean([1.0 / 3.0, 2.0 / 3.0, 1.0]), 1e-12, "R");
    close(at.loss, at.deletion - at.insertion, 1e-12, "D - R");
}

#[test]
fn nesterovs_steps() {
    let mut nesterov = Nesterov::new(2.0, 5.0, 4);
    let first = nesterov.step(
        &Mask::new(2, vec![1.0; 4]).unwrap(),
        &[0.1, -0.1, 0.3, 0.0],
        0,
    );
    // No momentum yet: 1 - 2 g, clamped.
    assert_eq!(first.values()[..2], [0.8, 1.0]);
    let mut nesterov = Nesterov::new(2.0, 5.0, 1);
    let first = nesterov.step(&Mask::new(1, vec![1.0]).unwrap(), &[0.1], 0);
    let second = nesterov.step(&first, &[0.05], 1);
    // c_0 = 0.8, c_1 = 0.8 - 0.1 = 0.7, M = 0.7 + 1/6 (0.7 - 0.8).
    close(second.values()[0], 0.7 - 0.1 / 6.0, 1e-12, "second step");
}

#[test]
fn a_line_search_takes_the_first_step_that_falls_enough() {
    // f(m) = 50 (m - 0.5)^2 from m = 1: gradient 50, f = 12.5. A step of 0.05 or more overshoots to
    // 0, f = 12.5 again.
    let f = |masks: &[Mask]| Ok::<f64, ()>(50.0 * (masks[0].values()[0] - 0.5).powi(2));
    let mut tried = Vec::new();
    let next = line_search(
        &[Mask::new(1, vec![1.0]).unwrap()],
        &[vec![50.0]],
        1.0,
        12.5,
        |masks| {
            tried.push(masks[0].values()[0]);
            f(masks)
        },
    )
    .unwrap();
    // Steps 1, 0.2 and 0.04 reach 0, 0 and 1 - 0.04 * 50 = 0 (clamped); 0.008 reaches 0.6.
    assert_eq!(tried.len(), 4);
    close(next[0].values()[0], 0.6, 1e-12, "line search");
    // No step decreases the loss: the search ends below its smallest step.
    let stuck = line_search(
        &[Mask::new(1, vec![0.5]).unwrap()],
        &[vec![1.0]],
        1.0,
        0.0,
        |_| Ok::<f64, ()>(1.0),
    )
    .unwrap();
    assert!(stuck[0].values()[0] > 0.5 - 1e-5);
}

#[test]
fn methods_are_recorded_by_their_names() {
    for method in Method::ALL {
        let settings = settings(method);
        let name = method.with(&settings).name();
        assert_eq!(serde_json::to_value(method).unwrap(), name);
        assert_eq!(name.parse::<Method>().unwrap(), method);
    }
    let unknown = "igos".parse::<Method>().unwrap_err().to_string();
    assert_eq!(unknown, "method: expected igos+ or igos++, found igos");
}

#[test]
fn both_optimisers_lower_the_objective() {
    let model = Quadratic::new();
    for optimizer in [OptimizerKind::Nag, OptimizerKind::LineSearch] {
        let settings = Settings {
            optimizer,
            lr: 0.5,
            iterations: 6,
            ..settings(Method::IgosPlus)
        };
        let mut losses = Vec::new();
        let method = settings.method.with(&settings);
        let mut each = |_, i: Iteration, _: &Mask| losses.push(i.deletion - i.insertion);
        method.run(&model, &[0, 1], &mut go_on, &mut each).unwrap();
        assert!(losses[5] < losses[0], "{optimizer:?}: {losses:?}");
    }
}

#[test]
fn key_tokens_gain_from_the_picture_and_carry_content() {
    let texts: Vec<String> = [" The", " circle", " is", " red", "."]
        .map(String::from)
        .to_vec();
    let baseline = [-3.0, -3.0, -3.0, -3.0, -3.0];
    let image = [-0.5, -2.0, -0.5, -0.5, -0.5];
    // " The", " is" and "." are function words; " circle" gains exactly 1.0, which is not above the
    // threshold.
    assert_eq!(key_tokens(&image, &baseline, &texts, 1.0), [3]);
    assert_eq!(key_tokens(&image, &baseline, &texts, 0.9), [1, 3]);
    let one = [String::from(" red")];
    assert_eq!(key_tokens(&[0.4f64.ln()], &[0.2f64.ln()], &one, 1.0), [0]);
    assert_eq!(
        key_tokens(&[0.4f64.ln()], &[0.21f64.ln()], &one, 1.0),
        [] as [usize; 0]
    );
    assert!(is_function_word(" THE ") && !is_function_word(" red"));
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
        picture: &picture,
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

#[test]
fn cells_go_in_ascending_order_equal_ones_by_place() {
    let mask = Mask::new(2, vec![0.5, 0.0, 0.5, 0.0]).unwrap();
    assert_eq!(mask.ascending(), [1, 3, 0, 2]);
    assert_eq!(
        Mask::new(1, vec![2.0]).unwrap().values(),
        [1.0],
        "values are clamped"
    );
}

#[test]
fn curves_of_a_mask_and_when_their_scores_are_undefined() {
    let model = Quadratic::new();
    let mask = Mask::new(4, random(5, 16)).unwrap();
    let (picture, baseline) = (
        [0.0],
        [-model.weights[0].iter().sum::<f64>().powi(2) / 256.0],
    );
    let curves = deletion_insertion(&model, &mask, &[0], &picture, &baseline, &mut go_on).unwrap();
    assert_eq!(curves.fraction.len(), 17);
    close(curves.fraction[1], 1.0 / 16.0, 1e-12, "fraction");
    // The most important cell is first.
    let first = mask.ascending()[0];
    let hidden = model.weights[0][first] / 16.0;
    close(
        curves.deletion[1],
        (-hidden * hidden).exp(),
        1e-12,
        "first cell removed",
    );
    close(
        curves.deletion[16],
        baseline[0].exp(),
        1e-12,
        "all removed is the baseline",
    );
    close(
        curves.insertion[16],
        1.0,
        1e-12,
        "all revealed is the picture",
    );
    let normal = |s: &f64| (s - curves.deletion[16]) / (1.0 - curves.deletion[16]);
    let points: Vec<f64> = curves.deletion.iter().map(normal).collect();
    let area: f64 = points.windows(2).map(|p| (p[0] + p[1]) / 32.0).sum();
    close(
        curves.deletion_score.unwrap(),
        area,
        1e-12,
        "area under the normalised curve",
    );
    let alike = deletion_insertion(&model, &mask, &[0], &[-1.0], &[-1.02], &mut go_on).unwrap();
    assert_eq!((alike.deletion_score, alike.insertion_score), (None, None));
    assert!(alike.reason.unwrap().contains("too small"));
}
