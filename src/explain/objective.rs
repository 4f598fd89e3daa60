//! The objective over one mask or two: blends along the paths, their weights, and the regulariser.

use super::{Mask, Method, Regulariser, Result, Settings};
use crate::device::{Blend, Direction, Masks, Noise, Sampling};
use crate::lvlm::{Callback, Session};

/// One path: the mask it looks through, the way it goes, and its weight in the objective.
struct Path {
    sampling: Sampling,
    direction: Direction,
    weight: f64,
}

/// The paths of a method: deletion and insertion of the result first, what iGOS++ adds after them.
fn paths(method: Method) -> Vec<Path> {
    let path = |sampling, direction, weight| Path {
        sampling,
        direction,
        weight,
    };
    match method {
        Method::IgosPlus => vec![
            path(Sampling::One(0), Direction::Keep, 1.0),
            path(Sampling::One(0), Direction::Reveal, -1.0),
        ],
        Method::IgosPlusPlus => vec![
            path(Sampling::Product(0, 1), Direction::Keep, 0.5),
            path(Sampling::Product(0, 1), Direction::Reveal, -0.5),
            path(Sampling::One(0), Direction::Keep, 0.5),
            path(Sampling::One(1), Direction::Reveal, -0.5),
        ],
    }
}

/// Blends that one evaluation of the objective takes.
pub(super) fn blends(settings: &Settings) -> usize {
    paths(settings.method).len() * settings.steps
}

/// The objective's value, in parts, and its gradient per mask.
pub(super) struct Evaluated {
    pub deletion: f64,
    pub insertion: f64,
    pub regulariser: f64,
    pub loss: f64,
    /// Empty when only the value was asked for.
    pub gradients: Vec<Vec<f64>>,
}

/// What is minimised, for one session and its key tokens.
pub(super) struct Objective<'a> {
    pub session: &'a dyn Session,
    pub regulariser: &'a Regulariser,
    pub settings: &'a Settings,
    pub keys: &'a [usize],
}

impl Objective<'_> {
    /// The mask that is the result: the one, or the product of the two.
    pub fn result(masks: &[Mask]) -> Mask {
        let first = &masks[0];
        match masks.get(1) {
            None => first.clone(),
            Some(second) => first.mapped(|cell, value| value * second.values()[cell]),
        }
    }

    /// The objective at `masks`. Noise is left out without `noise`, the gradient without `gradient`.
    pub fn evaluate(
        &self,
        masks: &[Mask],
        iteration: usize,
        noise: bool,
        gradient: bool,
        evaluated: &mut Callback,
    ) -> Result<Evaluated> {
        let (paths, steps) = (paths(self.settings.method), self.settings.steps);
        let deviation = if noise { self.settings.noise } else { 0.0 };
        let (mut blends, mut weights) = (Vec::new(), Vec::new());
        for (p, path) in paths.iter().enumerate() {
            for n in 0..steps {
                let stream = ((iteration * paths.len() + p) * steps + n) as u64;
                blends.push(Blend {
                    sampling: path.sampling,
                    direction: path.direction,
                    alpha: (n + 1) as f64 / steps as f64,
                    noise: (deviation > 0.0).then_some(Noise {
                        deviation,
                        seed: self.settings.seed,
                        stream,
                    }),
                });
                weights.push(path.weight / steps as f64);
            }
        }
        let values: Vec<Vec<f64>> = masks.iter().map(|m| m.values().to_vec()).collect();
        let on_device = Masks {
            size: masks[0].size(),
            values: &values,
        };
        let (log_probabilities, mut gradients) = if gradient {
            self.session
                .gradient(on_device, &blends, &weights, self.keys, evaluated)?
        } else {
            (
                self.session
                    .log_probabilities(on_device, &blends, self.keys, evaluated)?,
                Vec::new(),
            )
        };
        let mean = |p: usize| {
            let scores = log_probabilities[p * steps..(p + 1) * steps]
                .iter()
                .map(|tokens| tokens.iter().sum::<f64>());
            scores.sum::<f64>() / steps as f64
        };
        let result = Self::result(masks);
        let (regulariser, slope) = self.regulariser.value_and_gradient(&result, iteration);
        for (i, g) in gradients.iter_mut().enumerate() {
            // The derivative of the product of two masks with respect to one is the other.
            let other = (masks.len() == 2).then(|| masks[1 - i].values());
            for (cell, (g, s)) in g.iter_mut().zip(&slope).enumerate() {
                *g += s * other.map_or(1.0, |o| o[cell]);
            }
        }
        let loss = paths
            .iter()
            .enumerate()
            .map(|(p, path)| path.weight * mean(p))
            .sum::<f64>()
            + regulariser;
        Ok(Evaluated {
            deletion: mean(0),
            insertion: mean(1),
            regulariser,
            loss,
            gradients,
        })
    }
}
