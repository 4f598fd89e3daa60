//! Tests of the method on a model simple enough to be computed by hand.

mod curves;
mod each;
mod explanation;
mod faithfulness;
mod fovea;
mod internals;
mod objective;
mod optimiser;
mod rivals;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::igos::Igos;
use super::igos::objective::Objective;
use super::igos::optimiser::{Nesterov, line_search};
use super::*;
use crate::blend::{Blend, Masks, Path, Sampling, Score, View};
use crate::lvlm::{BatchPlan, Callback, Internals, LogProbabilities, LvlmError, Scorer, go_on};
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
    fn internals(&self) -> crate::lvlm::Result<&dyn Internals> {
        unreachable!("no method of these tests looks inside")
    }

    fn image_rows(&self) -> Vec<usize> {
        vec![16]
    }

    fn first_views(&self) -> Vec<(&View, &[f32])> {
        vec![(&self.view, &self.pixels)]
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

    fn gradient_by_token(
        &self,
        masks: Masks,
        blends: &[Blend],
        weights: &[f64],
        tokens: &[usize],
        score: Score,
        evaluated: &mut Callback,
    ) -> crate::lvlm::Result<(LogProbabilities, Vec<Vec<f64>>)> {
        let mut gradients: Vec<Vec<f64>> =
            masks.values.iter().map(|m| vec![0.0; m.len()]).collect();
        for (blend, weights) in blends.iter().zip(weights.chunks(tokens.len())) {
            let sign = if blend.path == Path::Deletion {
                blend.alpha
            } else {
                -blend.alpha
            };
            for (&t, weight) in tokens.iter().zip(weights) {
                let hidden = self.hidden(&masks, blend, t);
                let factor = match score {
                    Score::LogProbability => 1.0,
                    Score::LogOdds => -1.0 / (-hidden * hidden).exp_m1(),
                };
                let slope = 2.0 * hidden * weight * sign * factor / 16.0;
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
        ..Settings::of(Method::IgosPlus)
    }
}

fn close(found: f64, expected: f64, tolerance: f64, what: &str) {
    assert!(
        (found - expected).abs() <= tolerance,
        "{what}: found {found}, expected {expected}"
    );
}
