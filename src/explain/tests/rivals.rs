//! The methods of others: exact on scores of which the map is known.

use std::cell::RefCell;

use super::internals::Inside;
use super::*;
use crate::explain::perturbation::mean_probability;
use crate::explain::rise::Rise;
use crate::lvlm::{AttentionValues, Layer, LayerActivations, SequenceRows};

/// A model whose token has `log p = -sum of w (1 - shown)` over cells: every method that adds up
/// its effects finds w.
struct Linear {
    view: View,
    weights: Vec<f64>,
    /// Blends of every call, and whether it was for a gradient.
    calls: RefCell<Vec<(usize, bool)>>,
    inside: Inside,
}

impl Linear {
    fn new(weights: Vec<f64>) -> Linear {
        Linear {
            view: view(),
            weights,
            calls: RefCell::default(),
            inside: Inside::new(),
        }
    }

    fn score(&self, masks: &Masks, blend: &Blend) -> f64 {
        let cells = self.weights.iter().enumerate();
        cells
            .map(|(cell, w)| -w * (1.0 - Quadratic::shown(masks, blend, cell)))
            .sum()
    }
}

/// Something to read for every method that looks inside, which the calls count.
impl Internals for Linear {
    fn rows(&self) -> SequenceRows<'_> {
        self.inside.rows()
    }

    fn activations(
        &self,
        layer: Layer,
        tokens: &[usize],
        evaluated: &mut Callback,
    ) -> crate::lvlm::Result<LayerActivations> {
        self.calls.borrow_mut().push((1, true));
        self.inside.activations(layer, tokens, evaluated)
    }

    fn attention(
        &self,
        tokens: &[usize],
        gradient: bool,
        each: &mut dyn FnMut(usize, AttentionValues),
        evaluated: &mut Callback,
    ) -> crate::lvlm::Result<()> {
        self.calls.borrow_mut().push((1, gradient));
        self.inside.attention(tokens, gradient, each, evaluated)
    }

    fn logits(
        &self,
        last: usize,
        ids: &[u32],
        evaluated: &mut Callback,
    ) -> crate::lvlm::Result<Vec<f64>> {
        self.calls.borrow_mut().push((1, false));
        self.inside.logits(last, ids, evaluated)
    }
}

impl Scorer for Linear {
    fn internals(&self) -> crate::lvlm::Result<&dyn Internals> {
        Ok(self)
    }

    fn image_rows(&self) -> Vec<usize> {
        vec![16]
    }

    fn first_views(&self) -> Vec<(&View, &[f32])> {
        const NO_PIXELS: [f32; 3 * VIEW.0 * VIEW.1] = [0.0; 3 * VIEW.0 * VIEW.1];
        vec![(&self.view, &NO_PIXELS)]
    }

    fn log_probabilities(
        &self,
        masks: Masks,
        blends: &[Blend],
        tokens: &[usize],
        evaluated: &mut Callback,
    ) -> crate::lvlm::Result<LogProbabilities> {
        self.calls.borrow_mut().push((blends.len(), false));
        if evaluated(blends.len()).is_break() {
            return Err(LvlmError::Cancelled);
        }
        let of = |blend| vec![self.score(&masks, blend); tokens.len()];
        Ok(blends.iter().map(of).collect())
    }

    fn gradient_by_token(
        &self,
        masks: Masks,
        blends: &[Blend],
        weights: &[f64],
        tokens: &[usize],
        _: Score,
        evaluated: &mut Callback,
    ) -> crate::lvlm::Result<(LogProbabilities, Vec<Vec<f64>>)> {
        let values = self.log_probabilities(masks, blends, tokens, evaluated)?;
        if let Some(call) = self.calls.borrow_mut().last_mut() {
            call.1 = true;
        }
        let mut gradients: Vec<Vec<f64>> =
            masks.values.iter().map(|m| vec![0.0; m.len()]).collect();
        for (blend, weights) in blends.iter().zip(weights.chunks(tokens.len())) {
            let slope = match blend.path {
                Path::Deletion => blend.alpha,
                Path::Insertion => -blend.alpha,
            } * weights.iter().sum::<f64>();
            for (cell, w) in self.weights.iter().enumerate() {
                match blend.sampling {
                    Sampling::One(m) => gradients[m][cell] += slope * w,
                    Sampling::Product(m, n) => {
                        gradients[m][cell] += slope * w * masks.values[n][cell];
                        gradients[n][cell] += slope * w * masks.values[m][cell];
                    }
                }
            }
        }
        Ok((values, gradients))
    }

    fn pixel_gradients(&self, _: &[usize]) -> crate::lvlm::Result<Vec<Vec<f64>>> {
        Ok(Vec::new())
    }

    fn plan(&self, blends: usize, _: &[usize]) -> crate::lvlm::Result<BatchPlan> {
        Ok(BatchPlan {
            batch: blends,
            checkpointing: Checkpointing::Everything,
            bytes: 0,
        })
    }
}

/// Returns the mask that a method finds for the first two tokens.
fn found(scorer: &dyn Scorer, settings: &Settings) -> Vec<f64> {
    found_for(scorer, settings, &[0, 1])
}

/// Returns the mask that a method finds for key tokens.
pub(super) fn found_for(scorer: &dyn Scorer, settings: &Settings, keys: &[usize]) -> Vec<f64> {
    let method = settings.method.with(settings);
    let mask = method.run(scorer, keys, &mut go_on, &mut |_, _, _| {});
    mask.unwrap().values().to_vec()
}

/// Returns the mask whose saliency is proportional to the positive attributions.
fn scaled(attributions: &[f64]) -> Vec<f64> {
    let largest = attributions.iter().fold(0.0, |m: f64, &a| m.max(a));
    let kept = attributions.iter().map(|a| 1.0 - a.max(0.0) / largest);
    kept.collect()
}

fn all_close(found: &[f64], expected: &[f64], what: &str) {
    assert_eq!(found.len(), expected.len());
    for (cell, (found, expected)) in found.iter().zip(expected).enumerate() {
        close(*found, *expected, 1e-12, &format!("{what}, cell {cell}"));
    }
}

/// Weights of both signs.
fn signed(seed: u64) -> Vec<f64> {
    random(seed, 16).iter().map(|w| w - 0.3).collect()
}

#[test]
fn gradients_of_a_linear_score_are_its_weights() {
    let model = Linear::new(signed(41));
    let expected = scaled(&model.weights);
    assert!(expected.contains(&1.0), "some weights are negative");
    for method in [
        Method::IntegratedGradients,
        Method::InputXGradient,
        Method::SmoothGrad,
    ] {
        let settings = Settings {
            mask_size: 4,
            ..Settings::of(method)
        };
        let name = method.with(&settings).name();
        all_close(&found(&model, &settings), &expected, name);
    }
}

#[test]
fn integrated_gradients_weigh_the_whole_path() {
    // At the picture nothing is hidden and the quadratic is flat: its gradient is 0 there, but not
    // on the path, where it is proportional to each token's hidden weight.
    let model = Quadratic::new();
    let sums: Vec<f64> = model.weights.iter().map(|w| w.iter().sum()).collect();
    let path =
        (0..16).map(|cell| sums[0] * model.weights[0][cell] + sums[1] * model.weights[1][cell]);
    let path: Vec<f64> = path.collect();
    let settings = |method| Settings {
        mask_size: 4,
        ..Settings::of(method)
    };
    let integrated = found(&model, &settings(Method::IntegratedGradients));
    all_close(&integrated, &scaled(&path), "integrated gradients");
    let flat = found(&model, &settings(Method::InputXGradient));
    assert_eq!(flat, [1.0; 16], "there is nothing to see");
}

#[test]
fn occlusion_of_an_additive_score_is_the_mean_of_the_windows_sums() {
    let model = Linear::new(signed(42));
    for (window, stride) in [(1, 1), (2, 1), (2, 2), (3, 2), (4, 1), (3, 3)] {
        let settings = Settings {
            mask_size: 4,
            window: Some(window),
            stride: Some(stride),
            ..Settings::of(Method::Occlusion)
        };
        // The first cell of every window along a side: the last one reaches the border.
        let mut starts = vec![0];
        while starts[starts.len() - 1] + window < 4 {
            starts.push(starts.len() * stride);
        }
        let covers = |start: usize, at: usize| (start..start + window).contains(&at);
        let drop = |i: usize, j: usize| -> f64 {
            let cells = (0..16).filter(|cell| covers(i, cell / 4) && covers(j, cell % 4));
            cells.map(|cell| model.weights[cell]).sum()
        };
        let mean = |cell: usize| {
            let over = |at| starts.iter().filter(move |&&start| covers(start, at));
            let pairs = over(cell / 4).flat_map(|&i| over(cell % 4).map(move |&j| (i, j)));
            let drops: Vec<f64> = pairs.map(|(i, j)| drop(i, j)).collect();
            drops.iter().sum::<f64>() / drops.len() as f64
        };
        let expected: Vec<f64> = (0..16).map(mean).collect();
        let what = format!("window {window}, stride {stride}");
        all_close(&found(&model, &settings), &scaled(&expected), &what);
    }
}

#[test]
fn random_masks_keep_half_of_every_cell() {
    for (size, grid) in [(16, 5), (9, 4), (4, 7), (3, 1), (1, 1)] {
        let settings = Settings {
            mask_size: size,
            grid: Some(grid),
            seed: 6,
            ..Settings::of(Method::Rise)
        };
        let rise = Rise {
            settings: &settings,
        };
        let mut sum = vec![0.0; size * size];
        for index in 0..4000 {
            let mask = rise.mask(index);
            assert_eq!(mask.len(), size * size);
            assert!(mask.iter().all(|v| (0.0..=1.0).contains(v)));
            sum.iter_mut().zip(&mask).for_each(|(sum, v)| *sum += v);
        }
        // Five standard errors of the mean of bits.
        let worst = sum.iter().map(|s| (s / 4000.0 - 0.5).abs());
        let worst = worst.fold(0.0, f64::max);
        assert!(worst < 0.04, "{size}, {grid}: {worst}");
    }
}

/// Two blocks of four cells matter, one more than the other; a grid's cells are as large.
#[test]
fn rise_ranks_cells_by_what_they_hide() {
    let inside = |cell: usize, from: usize| {
        let along = from..from + 2;
        along.contains(&(cell / 8)) && along.contains(&(cell % 8))
    };
    let weight = |cell| match (inside(cell, 1), inside(cell, 5)) {
        (true, _) => 0.5,
        (_, true) => 0.25,
        _ => 0.005,
    };
    let model = Linear::new((0..64).map(weight).collect());
    let maps = [1, 2].map(|seed| {
        println!("seed {seed}");
        let settings = Settings {
            mask_size: 8,
            grid: Some(4),
            seed,
            ..Settings::of(Method::Rise)
        };
        found(&model, &settings)
    });
    for map in &maps {
        let mean = |of: &dyn Fn(usize) -> bool| {
            let cells: Vec<usize> = (0..64).filter(|&cell| of(cell)).collect();
            cells.iter().map(|&cell| 1.0 - map[cell]).sum::<f64>() / cells.len() as f64
        };
        let (more, less) = (mean(&|c| inside(c, 1)), mean(&|c| inside(c, 5)));
        let rest = mean(&|c| !inside(c, 1) && !inside(c, 5));
        assert!(
            more > less + 0.2 && less > rest + 0.1,
            "{more} {less} {rest}"
        );
        let top = Mask::new(8, map.clone()).unwrap().ascending()[0];
        assert!(inside(top, 1), "{top}");
        assert_eq!(map[top], 0.0);
        assert!(map.contains(&1.0));
    }
    assert_ne!(maps[0], maps[1], "another seed");
}

#[test]
fn eagle_chooses_regions_by_their_weight() {
    // Four regions of four cells: 0 and 1 above, 2 and 3 below.
    let of_region = [0.1, 0.4, 0.05, 0.2];
    let weights = (0..16).map(|cell| of_region[cell / 8 * 2 + cell % 4 / 2] / 4.0);
    let model = Linear::new(weights.collect());
    let settings = Settings {
        mask_size: 4,
        grid: Some(2),
        ..Settings::of(Method::Eagle)
    };
    let whole: f64 = of_region.iter().sum();
    // With the weight w in sight, p is exp(w - whole) and, without it, exp(-w).
    let score = |w: f64| (w - whole).exp() + 1.0 - (-w).exp();
    let shown = [0.0, 0.4, 0.6, 0.7, 0.75];
    let changes = shown.windows(2).map(|w| score(w[1]) - score(w[0]));
    let mut heights = vec![0.0];
    for change in changes {
        heights.push(heights[heights.len() - 1] - f64::abs(change));
    }
    let (high, low) = (heights[1], heights[4]);
    let saliency = |order: usize| (heights[order] - low) / (high - low);
    let order = [3, 1, 4, 2];
    let expected = (0..16).map(|cell| 1.0 - saliency(order[cell / 8 * 2 + cell % 4 / 2]));
    all_close(
        &found(&model, &settings),
        &expected.collect::<Vec<_>>(),
        "eagle",
    );
    let fine = Settings {
        grid: Some(5),
        ..settings
    };
    let refused = fine.validate().unwrap_err().to_string();
    assert_eq!(refused, "grid: expected 1 to 4, found 5");
}

#[test]
fn the_mean_probability_is_that_of_the_tokens() {
    close(
        mean_probability(&[0.5f64.ln(), 0.1f64.ln()]),
        0.3,
        1e-12,
        "mean",
    );
}

#[test]
fn every_method_makes_the_calls_of_its_schedule() {
    for method in Method::ALL {
        // The second mask has more windows and more samples than one call takes.
        for (mask_size, samples, stride) in [(4, 3, None), (4, 150, None), (40, 33, Some(1))] {
            let own = Settings::of(method);
            let settings = Settings {
                mask_size,
                steps: 3,
                iterations: own.iterations.min(3),
                samples: own.samples.map(|_| samples),
                grid: own.grid.map(|_| 3),
                window: (method == Method::Occlusion).then_some(mask_size / 4),
                stride: stride.filter(|_| method == Method::Occlusion),
                ..own
            };
            let model = Linear::new(vec![0.01; mask_size * mask_size]);
            let method = method.with(&settings);
            let mut counted = 0;
            let run = method.run(
                &model,
                &[0],
                &mut |count| {
                    counted += count;
                    go_on(count)
                },
                &mut |_, _, _| {},
            );
            run.unwrap();
            let schedule = method.schedule(1);
            let calls = model.calls.borrow();
            if !schedule.open_ended {
                let passes = schedule.passes.iter();
                let expected: Vec<_> = passes
                    .flat_map(|pass| vec![(pass.blends, pass.gradient); pass.calls])
                    .collect();
                assert_eq!(*calls, expected, "{}, {mask_size}", method.name());
                assert_eq!(schedule.evaluations(), Some(counted), "{}", method.name());
                continue;
            }
            let least = |gradient| -> usize {
                let passes = schedule.passes.iter().filter(|p| p.gradient == gradient);
                passes.map(|pass| pass.blends * pass.calls).sum()
            };
            let sum = |gradient| -> usize {
                let calls = calls.iter().filter(|call| call.1 == gradient);
                calls.map(|call| call.0).sum()
            };
            assert_eq!(sum(true), least(true), "{}", method.name());
            assert!(sum(false) >= least(false), "{}", method.name());
        }
    }
}

#[test]
fn settings_of_other_methods_are_in_range() {
    let with = |change: &dyn Fn(&mut Settings)| {
        let mut settings = Settings {
            mask_size: 8,
            ..Settings::default()
        };
        change(&mut settings);
        settings.validate().map_err(|error| error.to_string())
    };
    assert_eq!(with(&|_| ()), Ok(()));
    assert_eq!(with(&|s| s.window = Some(8)), Ok(()));
    let refused = |text: &str, change: &dyn Fn(&mut Settings)| {
        assert_eq!(with(change), Err(text.to_string()));
    };
    refused("samples: expected 1 to 1000000, found 0", &|s| {
        s.samples = Some(0);
    });
    refused("grid: expected 1 to 1024, found 1025", &|s| {
        s.grid = Some(1025);
    });
    refused("window: expected 1 to 8, found 9", &|s| s.window = Some(9));
    // A window is by default a quarter of the mask.
    refused("stride: expected 1 to 2, found 3", &|s| s.stride = Some(3));
    for method in Method::ALL {
        let settings = Settings {
            compat: Some(Compat::LvlmInterpretation),
            curve_points: CurvePoints::All,
            ..Settings::of(method)
        };
        let of_that_program = ["igos+", "igos++"].contains(&method.with(&settings).name());
        assert_eq!(settings.validate().is_ok(), of_that_program);
    }
}

/// Records of runs that were begun before there were other methods have none of their settings, and
/// all points of the curves.
#[test]
fn settings_of_older_records_are_read() {
    let older = Settings::of(Method::IgosPlus);
    let mut record = serde_json::to_value(&older).unwrap();
    let fields = record.as_object_mut().unwrap();
    for absent in ["samples", "grid", "window", "stride"] {
        assert_eq!(fields.remove(absent), None, "{absent} is not written");
    }
    assert!(fields.remove("curve_points").is_some());
    let read: Settings = serde_json::from_value(record).unwrap();
    let older = Settings {
        curve_points: CurvePoints::All,
        ..older
    };
    assert_eq!(read, older);
    let rise = Settings::of(Method::Rise);
    let record = serde_json::to_value(&rise).unwrap();
    assert_eq!(record["samples"], 4000);
    assert_eq!(record["grid"], 7);
    assert_eq!(serde_json::from_value::<Settings>(record).unwrap(), rise);
}
