//! The method's settings, with the defaults of each method.

use serde::{Deserialize, Serialize};

use super::{
    Compat, CurvePoints, Each, ExplainError, Method, Result, eagle, occlusion, rise, smoothgrad,
};
use crate::blend::Noise;
use crate::lvlm::{Layer, LvlmError};
use crate::picture::Baseline;

/// The largest number of cells per side of a mask.
const LARGEST_MASK: usize = 1024;

/// The optimiser of masks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OptimizerKind {
    /// Nesterov's accelerated gradient.
    #[serde(rename = "nag")]
    Nag,
    /// Backtracking line search.
    #[serde(rename = "ls")]
    LineSearch,
}

/// A named choice of settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    /// Those of the paper's command line (arXiv 2503.13891): iGOS+ in 5 iterations of 10 steps, and
    /// all points of the curves.
    Paper,
    /// Fovea's first step alone: 6 evaluations.
    Draft,
    /// Fovea's defaults: 18 evaluations.
    Normal,
    /// Fovea in 3 iterations of 12 steps: 60 evaluations.
    High,
}

/// Every input of the method except model, picture and text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// The preset that the settings began with, if any; it is recorded and has no effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preset: Option<Preset>,
    /// The attribution method.
    pub method: Method,
    /// The optimiser of masks.
    pub optimizer: OptimizerKind,
    /// The baseline: the content where the picture is removed.
    pub baseline: Baseline,
    /// Cells per side of the mask, 1 to 1024.
    pub mask_size: usize,
    /// Steps N along each path, at least 1.
    pub steps: usize,
    /// Random samples, at least 1: RISE's masks, SmoothGrad's noisy pictures. `None` for the
    /// method's own number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub samples: Option<usize>,
    /// Cells per side of RISE's grids, regions per side of EAGLE, 1 to 1024. `None` for the
    /// method's own number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grid: Option<usize>,
    /// Cells per side of the window of occlusion, at most those of the mask; `None` for a quarter
    /// of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<usize>,
    /// Cells by which the window moves, at most its side; `None` for half of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stride: Option<usize>,
    /// The layer that Grad-CAM reads; `None` for the vision encoder's last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layer: Option<Layer>,
    /// Updates of the mask, at least 1.
    pub iterations: usize,
    /// Weight of the mask's mean distance from 1.
    pub l1: f64,
    /// Weight of the decaying quadratic term.
    pub l2: f64,
    /// Weight of the bilateral total variation.
    pub l3: f64,
    /// Decay rate of the quadratic term per iteration.
    pub gamma: f64,
    /// Number of iterations in which the momentum builds up; above 0.
    pub momentum: f64,
    /// Step size of the update; above 0.
    pub lr: f64,
    /// Standard deviation of the noise on every blend, in normalised pixel values; 0 for none.
    pub noise: f64,
    /// Seed of noise and of the noise baseline.
    pub seed: u64,
    /// The log-ratio, in nats, above which a token is a key token.
    pub threshold: f64,
    /// The longest greedy answer, in tokens.
    pub max_new_tokens: usize,
    /// Whether deletion and insertion curves are computed.
    pub curves: bool,
    /// The points at which curves are measured.
    #[serde(default)]
    pub curve_points: CurvePoints,
    /// The only picture that is explained of those of a question, counted from 1; the others are
    /// shown whole. `None` explains all of them together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explain_image: Option<usize>,
    /// The parts of the answer that get maps of their own beside that of the whole answer, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub each: Option<Each>,
    /// Whether the model is also asked about the baseline picture.
    #[serde(default)]
    pub baseline_answer: bool,
    /// The program whose particular behaviour is reproduced, if any; the model must be opened for
    /// the same one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compat: Option<Compat>,
    /// The largest size of activations in bytes, excluding mapped weights; `None` for the device's
    /// own budget ([`Lvlm::memory_budget`](crate::Lvlm::memory_budget)). It decides how many blends
    /// are computed together and whether activations are recomputed, and changes no result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_budget: Option<usize>,
}

impl Default for Settings {
    /// Returns the settings of fovea.
    fn default() -> Settings {
        Settings::of(Method::Fovea)
    }
}

impl Settings {
    /// Returns the default settings of a method: for iGOS+ and iGOS++, those of the paper's command
    /// line with fewer points of the curves; for fovea, 6 steps and 2 iterations; for the others,
    /// those of their own papers and programs.
    pub fn of(method: Method) -> Settings {
        let settings = Settings {
            preset: None,
            method,
            optimizer: OptimizerKind::Nag,
            baseline: Baseline::Blur,
            mask_size: 32,
            steps: 10,
            samples: None,
            grid: None,
            window: None,
            stride: None,
            layer: None,
            iterations: 5,
            l1: 1.0,
            l2: 0.1,
            l3: 10.0,
            gamma: 1.0,
            momentum: 5.0,
            lr: 10.0,
            noise: 0.2,
            seed: 0,
            threshold: 1.0,
            max_new_tokens: 128,
            curves: true,
            curve_points: CurvePoints::Adaptive,
            explain_image: None,
            each: None,
            baseline_answer: false,
            compat: None,
            memory_budget: None,
        };
        // One pass, without noise.
        let single = Settings {
            iterations: 1,
            noise: 0.0,
            ..settings.clone()
        };
        match method {
            Method::IgosPlus | Method::IgosPlusPlus => settings,
            Method::Igos => Settings {
                optimizer: OptimizerKind::LineSearch,
                steps: 20,
                iterations: 15,
                l2: 0.0,
                l3: 20.0,
                momentum: 3.0,
                lr: 1000.0,
                ..settings
            },
            Method::Occlusion
            | Method::GradCam
            | Method::Tam
            | Method::AttentionRollout
            | Method::TMm => single,
            Method::Rise => Settings {
                samples: Some(rise::SAMPLES),
                grid: Some(rise::GRID),
                ..single
            },
            Method::IntegratedGradients => Settings {
                steps: 50,
                ..single
            },
            Method::InputXGradient => single,
            // About a tenth of the range of normalised pixels in CLIP, a fifth in SigLIP: the
            // paper's levels of noise.
            Method::SmoothGrad => Settings {
                samples: Some(smoothgrad::SAMPLES),
                noise: 0.4,
                ..single
            },
            Method::Eagle => Settings {
                grid: Some(eagle::GRID),
                ..single
            },
            Method::Fovea => Settings {
                steps: 6,
                iterations: 2,
                ..settings
            },
        }
    }

    /// Returns the noise of a blend, from its own stream; `None` without noise.
    pub(super) fn noise_of(&self, stream: usize) -> Option<Noise> {
        (self.noise > 0.0).then_some(Noise {
            deviation: self.noise,
            seed: self.seed,
            stream: stream as u64,
        })
    }

    /// Returns the settings of a preset.
    pub fn preset(preset: Preset) -> Settings {
        match preset {
            Preset::Paper => Settings {
                preset: Some(preset),
                curve_points: CurvePoints::All,
                ..Settings::of(Method::IgosPlus)
            },
            Preset::Draft | Preset::Normal | Preset::High => {
                let own = Settings::of(Method::Fovea);
                let (steps, iterations) = match preset {
                    Preset::Draft => (own.steps, 1),
                    Preset::High => (2 * own.steps, 3),
                    _ => (own.steps, own.iterations),
                };
                Settings {
                    preset: Some(preset),
                    steps,
                    iterations,
                    ..own
                }
            }
        }
    }

    /// Returns the default settings for reproducing a program, if any: its method, its longest
    /// answer, and all points of the curves.
    pub fn following(compat: Option<Compat>) -> Settings {
        match compat {
            None => Settings::default(),
            Some(Compat::LvlmInterpretation) => Settings {
                compat,
                max_new_tokens: super::lvlm_interpretation::ANSWER,
                curve_points: CurvePoints::All,
                ..Settings::of(Method::IgosPlus)
            },
        }
    }

    /// Checks that the picture to explain is one of `pictures`.
    ///
    /// # Errors
    /// [`LvlmError::Pictures`].
    pub(super) fn explains_among(&self, pictures: usize) -> std::result::Result<(), LvlmError> {
        match self.explain_image {
            Some(number) if number > pictures => Err(LvlmError::Pictures {
                expected: format!("at least {number}, for explain-image"),
                found: pictures.to_string(),
            }),
            _ => Ok(()),
        }
    }

    /// Checks that every setting is in range.
    ///
    /// # Errors
    /// Returns [`ExplainError::Setting`] for the first that is not.
    pub fn validate(&self) -> Result<()> {
        let count = |setting, value: usize, most: usize| {
            let found = || ExplainError::Setting {
                setting,
                expected: format!("1 to {most}"),
                found: value.to_string(),
            };
            if (1..=most).contains(&value) {
                Ok(())
            } else {
                Err(found())
            }
        };
        count("mask-size", self.mask_size, LARGEST_MASK)?;
        count("steps", self.steps, 10_000)?;
        count("iterations", self.iterations, 10_000)?;
        let window = occlusion::window(self);
        // Every region of EAGLE has a cell, and its evaluations grow with their number's square.
        let largest_grid = match self.method {
            Method::Eagle => self.mask_size.min(eagle::LARGEST_GRID),
            _ => LARGEST_MASK,
        };
        for (setting, value, most) in [
            ("samples", self.samples, 1_000_000),
            ("grid", self.grid, LARGEST_MASK.min(largest_grid)),
            ("window", self.window, self.mask_size),
            ("stride", self.stride, window),
        ] {
            value.map_or(Ok(()), |value| count(setting, value, most))?;
        }
        if self.explain_image == Some(0) {
            return Err(ExplainError::Setting {
                setting: "explain-image",
                expected: "the number of a picture, from 1".into(),
                found: "0".into(),
            });
        }
        count("max-new-tokens", self.max_new_tokens, 1_000_000)?;
        let number = |setting, value: f64, least: f64, open: bool| {
            let holds = value.is_finite() && if open { value > least } else { value >= least };
            let expected = format!(
                "a number {} {least}",
                if open { "above" } else { "of at least" }
            );
            if holds {
                Ok(())
            } else {
                Err(ExplainError::Setting {
                    setting,
                    expected,
                    found: value.to_string(),
                })
            }
        };
        number("l1", self.l1, 0.0, false)?;
        number("l2", self.l2, 0.0, false)?;
        number("l3", self.l3, 0.0, false)?;
        number("gamma", self.gamma, 0.0, false)?;
        number("momentum", self.momentum, 0.0, true)?;
        number("lr", self.lr, 0.0, true)?;
        number("noise", self.noise, 0.0, false)?;
        let of_that_program = matches!(self.method, Method::IgosPlus | Method::IgosPlusPlus);
        if let (false, Some(compat)) = (of_that_program, self.compat) {
            return Err(ExplainError::Setting {
                setting: "compat",
                expected: format!("a method of that program, {compat}"),
                found: self.method.with(self).name().into(),
            });
        }
        if let (CurvePoints::Adaptive, Some(compat)) = (self.curve_points, self.compat) {
            return Err(ExplainError::Setting {
                setting: "curve-points",
                expected: format!("all, as {compat} has them"),
                found: "adaptive".into(),
            });
        }
        match self.threshold.is_finite() {
            true => Ok(()),
            false => Err(ExplainError::Setting {
                setting: "threshold",
                expected: "a finite number".into(),
                found: self.threshold.to_string(),
            }),
        }
    }
}
