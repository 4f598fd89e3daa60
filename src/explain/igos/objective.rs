//! The objective over one mask or two: blends along the paths, their weights, and the regulariser.

use super::{Regulariser, Terms};
use crate::blend::{Blend, Masks, Path, Sampling, Score};
use crate::explain::{Mask, Result, Settings};
use crate::lvlm::{Callback, Scorer};

/// One path: its mask, its direction, and its weight in the objective.
pub(in crate::explain) struct WeightedPath {
    pub sampling: Sampling,
    pub path: Path,
    pub weight: f64,
}

/// The parts of the objective's value, and its gradient per mask.
pub(in crate::explain) struct Evaluated {
    pub deletion: f64,
    pub insertion: f64,
    pub regulariser: f64,
    pub terms: Terms,
    pub loss: f64,
    /// Empty if only the value was requested.
    pub gradients: Vec<Vec<f64>>,
}

/// The objective to minimise, for one answer and its key tokens.
pub(in crate::explain) struct Objective<'a> {
    pub scorer: &'a dyn Scorer,
    /// That of each picture.
    pub regularisers: &'a [Regulariser],
    pub settings: &'a Settings,
    /// Deletion and, if there is any, insertion of the result come first.
    pub paths: &'a [WeightedPath],
    pub keys: &'a [usize],
}

impl Objective<'_> {
    /// Returns the resulting mask: the only one, or the product of the two.
    pub fn result(masks: &[Mask]) -> Mask {
        let first = &masks[0];
        match masks.get(1) {
            None => first.clone(),
            Some(second) => first.mapped(|cell, value| value * second.values()[cell]),
        }
    }

    /// Returns the sum of the pictures' regularisers, of their terms, and the gradient.
    fn regularised(&self, mask: &Mask, iteration: usize) -> (f64, Terms, Vec<f64>) {
        let (mut value, mut terms, mut slope) = (0.0, Terms::default(), Vec::new());
        for (regulariser, mask) in self.regularisers.iter().zip(mask.split()) {
            let (own, own_terms, own_slope) = regulariser.evaluate(&mask, iteration);
            value += own;
            terms.l1 += own_terms.l1;
            terms.l2 += own_terms.l2;
            terms.l3 += own_terms.l3;
            slope.extend(own_slope);
        }
        (value, terms, slope)
    }

    /// Returns the objective at `masks` and its gradient, with the noise of an iteration.
    pub fn gradient(
        &self,
        masks: &[Mask],
        iteration: usize,
        evaluated: &mut Callback,
    ) -> Result<Evaluated> {
        self.evaluate(masks, iteration, true, evaluated)
    }

    /// Returns the objective at `masks`, without noise.
    pub fn loss(&self, masks: &[Mask], iteration: usize, evaluated: &mut Callback) -> Result<f64> {
        Ok(self.evaluate(masks, iteration, false, evaluated)?.loss)
    }

    /// Evaluates the objective: with gradients and noise, or without both.
    fn evaluate(
        &self,
        masks: &[Mask],
        iteration: usize,
        gradient: bool,
        evaluated: &mut Callback,
    ) -> Result<Evaluated> {
        let (paths, steps) = (self.paths, self.settings.steps);
        let (mut blends, mut weights) = (Vec::new(), Vec::new());
        for (p, path) in paths.iter().enumerate() {
            for n in 0..steps {
                let stream = (iteration * paths.len() + p) * steps + n;
                blends.push(Blend {
                    sampling: path.sampling,
                    path: path.path,
                    alpha: (n + 1) as f64 / steps as f64,
                    noise: gradient.then(|| self.settings.noise_of(stream)).flatten(),
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
            self.scorer.gradient(
                on_device,
                &blends,
                &weights,
                self.keys,
                Score::LogProbability,
                evaluated,
            )?
        } else {
            (
                self.scorer
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
        let (regulariser, terms, slope) = self.regularised(&result, iteration);
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
            insertion: if paths.len() > 1 { mean(1) } else { 0.0 },
            regulariser,
            terms,
            loss,
            gradients,
        })
    }
}
