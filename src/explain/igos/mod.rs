//! iGOS, iGOS+ and iGOS++: masks optimised by integrated gradients along paths.

pub(super) mod objective;
pub(super) mod optimiser;
mod regulariser;

use serde::{Deserialize, Serialize};

use super::{Attribution, Mask, OptimizerKind, Pass, Result, Schedule, Settings};
use crate::blend::{Path, Sampling};
use crate::lvlm::{Callback, Scorer};
use objective::{Objective, WeightedPath};
use optimiser::{Nesterov, line_search};
pub use regulariser::{Regulariser, Terms};

/// The parts of the objective before one update.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Iteration {
    /// D(M): the mean score with the picture removed.
    pub deletion: f64,
    /// R(M): the mean score with the picture revealed; 0 if the method does not reveal it.
    pub insertion: f64,
    /// The regulariser.
    pub regulariser: f64,
    /// The terms of the regulariser, if the method has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terms: Option<Terms>,
}

/// iGOS, iGOS+ or iGOS++ with its settings.
pub(super) struct Igos<'a> {
    name: &'static str,
    summary: &'static str,
    suited_to: &'static str,
    settings: &'a Settings,
    /// Number of optimised masks; the result is their product.
    masks: usize,
    /// Deletion and insertion of the result, followed by the additional paths of iGOS++; iGOS has
    /// deletion alone.
    pub(super) paths: Vec<WeightedPath>,
    /// Whether the total variation looks at the picture, and the quadratic term is added.
    bilateral: bool,
}

impl<'a> Igos<'a> {
    /// Creates iGOS: one mask for deletion, with a regulariser that does not look at the picture.
    pub fn first(settings: &'a Settings) -> Igos<'a> {
        Igos {
            name: "igos",
            summary: "One mask for deletion alone",
            suited_to: "what deletion alone finds; its map need not bring the answer back",
            settings,
            masks: 1,
            paths: vec![weighted(Sampling::One(0), Path::Deletion, 1.0)],
            bilateral: false,
        }
    }

    /// Creates iGOS+: one mask for both paths.
    pub fn plus(settings: &'a Settings) -> Igos<'a> {
        let path = |path, weight| weighted(Sampling::One(0), path, weight);
        Igos {
            name: "igos+",
            summary: "One mask for deletion and insertion",
            suited_to: "the paper's own map, to compare numbers with it",
            settings,
            masks: 1,
            paths: vec![path(Path::Deletion, 1.0), path(Path::Insertion, -1.0)],
            bilateral: true,
        }
    }

    /// Creates iGOS++: a mask for each path, and their product for both.
    pub fn plus_plus(settings: &'a Settings) -> Igos<'a> {
        Igos {
            name: "igos++",
            summary: "A deletion mask and an insertion mask",
            suited_to: "the smallest evidence under both tests; twice the cost of igos+",
            settings,
            masks: 2,
            paths: vec![
                weighted(Sampling::Product(0, 1), Path::Deletion, 0.5),
                weighted(Sampling::Product(0, 1), Path::Insertion, -0.5),
                weighted(Sampling::One(0), Path::Deletion, 0.5),
                weighted(Sampling::One(1), Path::Insertion, -0.5),
            ],
            bilateral: true,
        }
    }
}

/// Returns a path with its weight in the objective.
fn weighted(sampling: Sampling, path: Path, weight: f64) -> WeightedPath {
    WeightedPath {
        sampling,
        path,
        weight,
    }
}

impl Attribution for Igos<'_> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn summary(&self) -> &'static str {
        self.summary
    }

    fn suited_to(&self) -> &'static str {
        self.suited_to
    }

    fn settings(&self) -> &'static [&'static str] {
        match self.bilateral {
            false => &[
                "steps",
                "iterations",
                "noise",
                "optimizer",
                "l1",
                "l3",
                "momentum",
                "lr",
            ],
            true => &[
                "steps",
                "iterations",
                "noise",
                "optimizer",
                "l1",
                "l2",
                "l3",
                "gamma",
                "momentum",
                "lr",
            ],
        }
    }

    fn schedule(&self, _pictures: usize) -> Schedule {
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
        let regulariser = |(view, pixels)| {
            if !self.bilateral {
                return Ok(Regulariser::of_mask(settings.l1, settings.l3));
            }
            let weights = [settings.l1, settings.l2, settings.l3];
            let regulariser = Regulariser::new(view, pixels, weights, settings.gamma)?;
            Ok(regulariser.with_resampling(scorer.resampling()))
        };
        let views = scorer.first_views().into_iter();
        let regularisers = views.map(regulariser).collect::<Result<Vec<_>>>()?;
        let objective = Objective {
            scorer,
            regularisers: &regularisers,
            settings,
            paths: &self.paths,
            keys,
        };
        let (size, pictures) = (settings.mask_size, regularisers.len());
        let cells = pictures * size * size;
        let whole = Mask::of_pictures(size, pictures, vec![1.0; cells])?;
        let mut masks = vec![whole; self.masks];
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
                terms: Some(at.terms),
            };
            each(i, parts, &Objective::result(&masks));
        }
        Ok(Objective::result(&masks))
    }
}
