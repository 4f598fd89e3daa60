//! iGOS+ and iGOS++: masks optimised by integrated gradients along paths.

pub(super) mod objective;
pub(super) mod optimiser;
mod regulariser;

use serde::{Deserialize, Serialize};

use super::{Attribution, Mask, OptimizerKind, Pass, Result, Schedule, Settings};
use crate::blend::{Path, Sampling};
use crate::lvlm::{Callback, Scorer};
use objective::{Objective, WeightedPath};
use optimiser::{Nesterov, line_search};
pub use regulariser::Regulariser;

/// The parts of the objective before one update.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Iteration {
    /// D(M): the mean score with the picture removed.
    pub deletion: f64,
    /// R(M): the mean score with the picture revealed.
    pub insertion: f64,
    /// The regulariser.
    pub regulariser: f64,
}

/// iGOS+ or iGOS++ with its settings.
pub(super) struct Igos<'a> {
    name: &'static str,
    summary: &'static str,
    settings: &'a Settings,
    /// Number of optimised masks; the result is their product.
    masks: usize,
    /// Deletion and insertion of the result, followed by the additional paths of iGOS++.
    pub(super) paths: Vec<WeightedPath>,
}

impl<'a> Igos<'a> {
    /// Creates iGOS+: one mask for both paths.
    pub fn plus(settings: &'a Settings) -> Igos<'a> {
        let path = |path, weight| WeightedPath {
            sampling: Sampling::One(0),
            path,
            weight,
        };
        Igos {
            name: "igos+",
            summary: "One mask for deletion and insertion",
            settings,
            masks: 1,
            paths: vec![path(Path::Deletion, 1.0), path(Path::Insertion, -1.0)],
        }
    }

    /// Creates iGOS++: a mask for each path, and their product for both.
    pub fn plus_plus(settings: &'a Settings) -> Igos<'a> {
        let path = |sampling, path, weight| WeightedPath {
            sampling,
            path,
            weight,
        };
        Igos {
            name: "igos++",
            summary: "A deletion mask and an insertion mask",
            settings,
            masks: 2,
            paths: vec![
                path(Sampling::Product(0, 1), Path::Deletion, 0.5),
                path(Sampling::Product(0, 1), Path::Insertion, -0.5),
                path(Sampling::One(0), Path::Deletion, 0.5),
                path(Sampling::One(1), Path::Insertion, -0.5),
            ],
        }
    }
}

impl Attribution for Igos<'_> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn summary(&self) -> &'static str {
        self.summary
    }

    fn settings(&self) -> &'static [&'static str] {
        &["optimizer", "l1", "l2", "l3", "gamma", "momentum", "lr"]
    }

    fn schedule(&self) -> Schedule {
        let pass = |gradient, calls| Pass {
            blends: self.paths.len() * self.settings.steps,
            gradient,
            calls,
        };
        let updates = self.settings.iterations;
        let gradients = pass(true, updates);
        match self.settings.optimizer {
            OptimizerKind::Nag => Schedule {
                passes: vec![gradients],
                open_ended: false,
            },
            // At least one step of each search. Under noise, the initial loss is computed again
            // without noise.
            OptimizerKind::LineSearch => {
                let start = usize::from(self.settings.noise > 0.0);
                Schedule {
                    passes: vec![gradients, pass(false, (1 + start) * updates)],
                    open_ended: true,
                }
            }
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
        let (view, pixels) = scorer.first_view();
        let weights = [settings.l1, settings.l2, settings.l3];
        let regulariser = Regulariser::new(view, pixels, weights, settings.gamma)?;
        let objective = Objective {
            scorer,
            regulariser: &regulariser.with_resampling(scorer.resampling()),
            settings,
            paths: &self.paths,
            keys,
        };
        let cells = settings.mask_size * settings.mask_size;
        let mut masks = vec![Mask::new(settings.mask_size, vec![1.0; cells])?; self.masks];
        let mut nesterov: Vec<_> = (0..self.masks)
            .map(|_| Nesterov::new(settings.lr, settings.momentum, cells))
            .collect();
        for i in 0..settings.iterations {
            let at = objective.gradient(&masks, i, evaluated)?;
            masks = match settings.optimizer {
                OptimizerKind::Nag => {
                    let steps = nesterov.iter_mut().zip(&masks).zip(&at.gradients);
                    steps
                        .map(|((nesterov, mask), gradient)| nesterov.step(mask, gradient, i))
                        .collect()
                }
                OptimizerKind::LineSearch => {
                    let start = match settings.noise > 0.0 {
                        true => objective.loss(&masks, i, evaluated)?,
                        false => at.loss,
                    };
                    line_search(&masks, &at.gradients, settings.lr, start, |masks| {
                        objective.loss(masks, i, evaluated)
                    })?
                }
            };
            let parts = Iteration {
                deletion: at.deletion,
                insertion: at.insertion,
                regulariser: at.regulariser,
            };
            each(i, parts, &Objective::result(&masks));
        }
        Ok(Objective::result(&masks))
    }
}
