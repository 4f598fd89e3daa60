//! Foveate's own method: one mask in a few large steps along integrated gradients of the log-odds.
//!
//! Three things set it apart from iGOS+. The score is the log-odds of the key tokens, whose
//! gradient does not vanish where the model is certain. A step's length is relative to the largest
//! gradient, so no setting depends on a model's scale, and no regulariser is needed. The map is
//! smoothed to the spacing of visual tokens, since a model says nothing about finer structure, and
//! scaled to a largest saliency of 1.

mod smooth;

use super::saliency::mask_of;
use super::{Attribution, Iteration, Mask, Pass, Result, Schedule, Settings};
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
    /// Returns blends at the midpoints `(n - 1/2) / N` of paths, with fresh noise, and the weights
    /// of their scores in D - R.
    ///
    /// At the first step the mask keeps everything, and the midpoints of both paths are the same
    /// pictures: those of deletion stand for both. With g(a) the gradient where the picture's share
    /// is a, the gradient of D - R is then the mean of `a g(a) + (1 - a) g(a)`, and that of the
    /// blend at a on the path of deletion is `a g(a)`: its weight is `1 / (a N)`.
    fn blends(&self, iteration: usize) -> (Vec<Blend>, Vec<f64>) {
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
                    sampling: Sampling::One(0),
                    path,
                    alpha,
                    noise: self.settings.noise_of(2 * steps * iteration + at),
                };
                (blend, sign / (share * steps as f64))
            })
            .unzip()
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

    fn schedule(&self) -> Schedule {
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
        let settings = self.settings;
        settings.validate()?;
        let size = settings.mask_size;
        let spacing = size as f64 / (scorer.image_rows() as f64).sqrt();
        let mut mask = Mask::new(size, vec![1.0; size * size])?;
        for iteration in 0..settings.iterations {
            let (blends, weights) = self.blends(iteration);
            let masks = Masks {
                size,
                values: &[mask.values().to_vec()],
            };
            let (scores, gradients) =
                scorer.gradient(masks, &blends, &weights, keys, Score::LogOdds, evaluated)?;
            let mean = |path| {
                let of_path = blends.iter().zip(&scores).filter(|(b, _)| b.path == path);
                let sum: f64 = of_path.flat_map(|(_, tokens)| tokens).sum();
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
            let gradient = &gradients[0];
            let largest = gradient.iter().fold(0.0, |m: f64, &g| m.max(g));
            // Without a cell whose removal lowers D - R there is nothing to remove.
            if largest > 0.0 {
                mask = mask.mapped(|cell, value| value - STEP * gradient[cell] / largest);
            }
            each(iteration, parts, &mask);
        }
        let removed: Vec<f64> = mask.values().iter().map(|value| 1.0 - value).collect();
        let removed = smoothed(&removed, size, WIDTH * spacing);
        // The length of the steps has no meaning of its own: only the order of cells has.
        mask_of(size, &removed)
    }
}
