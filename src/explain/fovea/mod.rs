//! Foveate's own method: one mask in a few large steps along integrated gradients of the log-odds.
//!
//! Three things set it apart from iGOS+. The score is the log-odds of the key tokens, whose
//! gradient does not vanish where the model is certain. A step's length is relative to the largest
//! gradient, so no setting depends on a model's scale, and no regulariser is needed. The map is
//! smoothed to the spacing of visual tokens, since a model says nothing about finer structure, and
//! scaled to a largest saliency of 1.

mod smooth;

use std::collections::BTreeSet;

use super::saliency::mask_of;
use super::{Attribution, FoundMask, Iteration, Mask, Pass, Result, Schedule, Settings};
use crate::blend::{Blend, Masks, Path, Sampling, Score};
use crate::lvlm::{Callback, Scorer};
use smooth::smoothed;

/// The change of the cell with the largest gradient in one step.
const STEP: f64 = 0.5;
/// Standard deviation of the smoothing in spacings of visual tokens.
const WIDTH: f64 = 0.5;

/// The method with its settings: `steps` points along each path, `iterations` steps, `noise` and
/// its seed.
pub(super) struct Fovea<'a> {
    pub settings: &'a Settings,
}

impl Fovea<'_> {
    /// Returns blends of a mask at the midpoints `(n - 1/2) / N` of paths, with fresh noise, and the
    /// weights of their scores in D - R.
    ///
    /// At the first step the mask keeps everything, and the midpoints of both paths are the same
    /// pictures: those of deletion stand for both. With g(a) the gradient where the picture's share
    /// is a, the gradient of D - R is then the mean of `a g(a) + (1 - a) g(a)`, and that of the
    /// blend at a on the path of deletion is `a g(a)`: its weight is `1 / (a N)`.
    fn blends(&self, mask: usize, iteration: usize) -> (Vec<Blend>, Vec<f64>) {
        let steps = self.settings.steps;
        let paths: &[(Path, f64)] = match iteration {
            0 => &[(Path::Deletion, 1.0)],
            _ => &[(Path::Deletion, 1.0), (Path::Insertion, -1.0)],
        };
        let points = paths
            .iter()
            .flat_map(|&path| (0..steps).map(move |n| (path, n)));
        points
            .enumerate()
            .map(|(at, ((path, sign), n))| {
                let alpha = (n as f64 + 0.5) / steps as f64;
                let share = if iteration == 0 { alpha } else { 1.0 };
                let blend = Blend {
                    sampling: Sampling::One(mask),
                    path,
                    alpha,
                    noise: self.settings.noise_of(2 * steps * iteration + at),
                };
                (blend, sign / (share * steps as f64))
            })
            .unzip()
    }

    /// Finds the mask of each of `units`, tokens of the scorer's answer. Every step of all units is
    /// one call of the scorer, so that they share its batches. `each` is called after every step
    /// with the number of the unit and of the step, the measurements and the mask that would be the
    /// result.
    fn find(
        &self,
        scorer: &dyn Scorer,
        units: &[&[usize]],
        evaluated: &mut Callback,
        each: &mut dyn FnMut(usize, usize, Iteration, &Mask),
    ) -> Result<Vec<Mask>> {
        let settings = self.settings;
        settings.validate()?;
        if units.is_empty() {
            return Ok(Vec::new());
        }
        let size = settings.mask_size;
        let tokens: BTreeSet<usize> = units.iter().copied().flatten().copied().collect();
        let tokens: Vec<usize> = tokens.into_iter().collect();
        let spacing = |rows: usize| size as f64 / (rows as f64).sqrt();
        let widths: Vec<f64> = scorer.image_rows().into_iter().map(spacing).collect();
        let cells = widths.len() * size * size;
        let whole = Mask::of_pictures(size, widths.len(), vec![1.0; cells])?;
        let mut masks = vec![whole; units.len()];
        let mut found = masks.clone();
        for iteration in 0..settings.iterations {
            let (mut blends, mut weights) = (Vec::new(), Vec::new());
            for (number, unit) in units.iter().enumerate() {
                let (own, of_blends) = self.blends(number, iteration);
                blends.extend(own);
                let of_token = |weight: f64, token| match unit.contains(token) {
                    true => weight,
                    false => 0.0,
                };
                let by_token = |&weight| tokens.iter().map(move |token| of_token(weight, token));
                weights.extend(of_blends.iter().flat_map(by_token));
            }
            let values: Vec<Vec<f64>> = masks.iter().map(|mask| mask.values().to_vec()).collect();
            let on_device = Masks {
                size,
                values: &values,
            };
            let (scores, gradients) = scorer.gradient_by_token(
                on_device,
                &blends,
                &weights,
                &tokens,
                Score::LogOdds,
                evaluated,
            )?;
            let count = blends.len() / units.len();
            let of_units = blends.chunks(count).zip(scores.chunks(count));
            for (number, (blends, scores)) in of_units.enumerate() {
                let mean = |path| {
                    let of_path = blends.iter().zip(scores).filter(|(b, _)| b.path == path);
                    let of_tokens = of_path.flat_map(|(_, scores)| tokens.iter().zip(scores));
                    let own = of_tokens.filter(|(token, _)| units[number].contains(token));
                    let sum: f64 = own.map(|(_, score)| score).sum();
                    sum / settings.steps as f64
                };
                let deletion = mean(Path::Deletion);
                let parts = Iteration {
                    deletion,
                    insertion: match iteration {
                        0 => deletion,
                        _ => mean(Path::Insertion),
                    },
                    regulariser: 0.0,
                    terms: None,
                };
                masks[number] = stepped(&masks[number], &gradients[number]);
                let removed = masks[number].values().iter().map(|value| 1.0 - value);
                let removed: Vec<f64> = removed.collect();
                let of_pictures = removed.chunks(size * size).zip(&widths);
                let removed: Vec<f64> = of_pictures
                    .flat_map(|(cells, spacing)| smoothed(cells, size, WIDTH * spacing))
                    .collect();
                // The length of the steps has no meaning of its own: only the order of cells has.
                found[number] = mask_of(size, &removed)?;
                each(number, iteration, parts, &found[number]);
            }
        }
        Ok(found)
    }
}

/// Returns the mask after a step along the gradient of D - R.
fn stepped(mask: &Mask, gradient: &[f64]) -> Mask {
    let largest = gradient.iter().fold(0.0, |m: f64, &g| m.max(g));
    // Without a cell whose removal lowers D - R there is nothing to remove.
    match largest > 0.0 {
        true => mask.mapped(|cell, value| value - STEP * gradient[cell] / largest),
        false => mask.clone(),
    }
}

impl Attribution for Fovea<'_> {
    fn name(&self) -> &'static str {
        "fovea"
    }

    fn summary(&self) -> &'static str {
        "Two large steps on the log-odds, smoothed to visual tokens"
    }

    fn suited_to(&self) -> &'static str {
        "a quick map that points well; shows nothing finer than a visual token"
    }

    fn settings(&self) -> &'static [&'static str] {
        &["steps", "iterations", "noise"]
    }

    fn schedule(&self, _pictures: usize) -> Schedule {
        let pass = |paths, calls| Pass {
            blends: paths * self.settings.steps,
            gradient: true,
            calls,
        };
        Schedule {
            passes: vec![pass(1, 1), pass(2, self.settings.iterations - 1)],
            open_ended: false,
        }
    }

    fn run(
        &self,
        scorer: &dyn Scorer,
        keys: &[usize],
        evaluated: &mut Callback,
        each: &mut dyn FnMut(usize, Iteration, &Mask),
    ) -> Result<Mask> {
        let with_unit = &mut |_, iteration, parts, mask: &Mask| each(iteration, parts, mask);
        let mut masks = self.find(scorer, &[keys], evaluated, with_unit)?;
        Ok(masks.swap_remove(0))
    }

    fn run_each(
        &self,
        scorer: &dyn Scorer,
        units: &[Vec<usize>],
        evaluated: &mut Callback,
    ) -> Result<Vec<FoundMask>> {
        let tokens: Vec<&[usize]> = units.iter().map(Vec::as_slice).collect();
        let mut iterations = vec![Vec::new(); units.len()];
        let collect = &mut |unit: usize, _, parts, _: &Mask| iterations[unit].push(parts);
        let masks = self.find(scorer, &tokens, evaluated, collect)?;
        let evaluations = self
            .schedule(scorer.pictures())
            .evaluations()
            .unwrap_or_default();
        let found = masks.into_iter().zip(iterations);
        let found = found.map(|(mask, iterations)| FoundMask {
            mask,
            iterations,
            evaluations,
        });
        Ok(found.collect())
    }
}
