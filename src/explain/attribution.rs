//! Attribution methods, their names, and the calls of the model that they make.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::attention_rollout::AttentionRollout;
use super::eagle::Eagle;
use super::fovea::Fovea;
use super::grad_cam::GradCam;
use super::igos::Igos;
use super::input_x_gradient::InputXGradient;
use super::integrated_gradients::IntegratedGradients;
use super::occlusion::Occlusion;
use super::rise::Rise;
use super::smoothgrad::SmoothGrad;
use super::t_mm::TMm;
use super::tam::Tam;
use super::{ExplainError, Iteration, Mask, Result, Settings};
use crate::lvlm::{Callback, Scorer};

/// A group of equal calls of the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pass {
    /// Blends in each call: pictures evaluated by the model.
    pub blends: usize,
    /// Whether each call computes the masks' gradient.
    pub gradient: bool,
    /// Number of calls.
    pub calls: usize,
}

/// The calls of the model that a method makes, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schedule {
    /// The passes.
    pub passes: Vec<Pass>,
    /// Whether the method may make more calls, depending on intermediate results.
    pub open_ended: bool,
}

impl Schedule {
    /// Returns the schedule of one call of the model, of `blends` blends.
    pub(super) fn once(blends: usize, gradient: bool) -> Schedule {
        let pass = Pass {
            blends,
            gradient,
            calls: 1,
        };
        Schedule {
            passes: vec![pass],
            open_ended: false,
        }
    }

    /// Returns the number of pictures evaluated by the model; `None` if not known in advance.
    pub fn evaluations(&self) -> Option<usize> {
        let passes = self.passes.iter();
        let all = passes.map(|pass| pass.blends * pass.calls).sum();
        (!self.open_ended).then_some(all)
    }
}

/// The mask of a unit of an answer, and how it was found.
#[derive(Clone, Debug, PartialEq)]
pub struct FoundMask {
    /// The mask.
    pub mask: Mask,
    /// The objective before each update.
    pub iterations: Vec<Iteration>,
    /// Pictures evaluated by the model.
    pub evaluations: usize,
}

/// A method that finds the part of a picture that tokens of an answer depend on.
pub trait Attribution {
    /// Returns the method's name on the command line.
    fn name(&self) -> &'static str;

    /// Returns what the method does in a few words, as `--help` shows it.
    fn summary(&self) -> &'static str;

    /// Returns what the method is good for, and what it is not, in a few words.
    fn suited_to(&self) -> &'static str;

    /// Returns the names of the settings that the method reads, of those that some methods do not.
    fn settings(&self) -> &'static [&'static str];

    /// Returns the calls that [`Attribution::run`] will make for masks of that number of pictures.
    fn schedule(&self, pictures: usize) -> Schedule;

    /// Finds the mask of the tokens `keys` of the scorer's answer. `evaluated` is called after
    /// every batch; `each` after every iteration, if the method has iterations, with its number,
    /// its measurements and the mask that would be the result if it were the last.
    ///
    /// # Errors
    /// Returns an error if a setting is out of range, and the scorer's errors.
    fn run(
        &self,
        scorer: &dyn Scorer,
        keys: &[usize],
        evaluated: &mut Callback,
        each: &mut dyn FnMut(usize, Iteration, &Mask),
    ) -> Result<Mask>;

    /// Finds the mask of each of `units`, tokens of the scorer's answer: those of
    /// [`Attribution::run`], by it or, where a method can, by batches that the units share.
    ///
    /// # Errors
    /// As [`Attribution::run`].
    fn run_each(
        &self,
        scorer: &dyn Scorer,
        units: &[Vec<usize>],
        evaluated: &mut Callback,
    ) -> Result<Vec<FoundMask>> {
        let alone = |tokens: &Vec<usize>| {
            let (mut evaluations, mut iterations) = (0, Vec::new());
            let mask = self.run(
                scorer,
                tokens,
                &mut |count| {
                    evaluations += count;
                    evaluated(count)
                },
                &mut |_, parts, _| iterations.push(parts),
            )?;
            Ok(FoundMask {
                mask,
                iterations,
                evaluations,
            })
        };
        units.iter().map(alone).collect()
    }
}

/// The attribution methods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Method {
    /// One mask in two steps of the integrated gradient of the log-odds, smoothed to the spacing of
    /// visual tokens.
    #[serde(rename = "fovea")]
    Fovea,
    /// One mask for deletion and insertion (iGOS+, the paper's choice).
    #[serde(rename = "igos+")]
    IgosPlus,
    /// A deletion mask and an insertion mask, the result their product (iGOS++, arXiv 2012.15783).
    #[serde(rename = "igos++")]
    IgosPlusPlus,
    /// One mask for deletion (the first iGOS, arXiv 1905.00954).
    #[serde(rename = "igos")]
    Igos,
    /// The score's drop under a sliding window (arXiv 1311.2901).
    #[serde(rename = "occlusion")]
    Occlusion,
    /// Random masks, weighted by the score (arXiv 1806.07421).
    #[serde(rename = "rise")]
    Rise,
    /// The mean gradient of the mask between baseline and picture (arXiv 1703.01365).
    #[serde(rename = "integrated-gradients")]
    IntegratedGradients,
    /// The gradient of the mask at the picture (arXiv 1605.01713).
    #[serde(rename = "input-x-gradient")]
    InputXGradient,
    /// The mean gradient of the mask at noisy pictures (arXiv 1706.03825).
    #[serde(rename = "smoothgrad")]
    SmoothGrad,
    /// Greedy search over regions for insight and necessity (arXiv 2509.22496).
    #[serde(rename = "eagle")]
    Eagle,
    /// A layer's activations, weighed by their mean gradient (arXiv 1610.02391, 2406.06579).
    #[serde(rename = "grad-cam")]
    GradCam,
    /// Logits of visual tokens, less what the words before explain (arXiv 2506.23270).
    #[serde(rename = "tam")]
    Tam,
    /// Attention of all layers, multiplied (arXiv 2005.00928).
    #[serde(rename = "attention-rollout")]
    AttentionRollout,
    /// Attention of all layers, weighed by its gradient (arXiv 2103.15679).
    #[serde(rename = "t-mm")]
    TMm,
}

impl Method {
    /// All methods.
    pub const ALL: [Method; 14] = [
        Method::Fovea,
        Method::IgosPlus,
        Method::IgosPlusPlus,
        Method::Igos,
        Method::Occlusion,
        Method::Rise,
        Method::IntegratedGradients,
        Method::InputXGradient,
        Method::SmoothGrad,
        Method::Eagle,
        Method::GradCam,
        Method::Tam,
        Method::AttentionRollout,
        Method::TMm,
    ];

    /// Returns the method with its settings.
    pub fn with(self, settings: &Settings) -> Box<dyn Attribution + '_> {
        match self {
            Method::IgosPlus => Box::new(Igos::plus(settings)),
            Method::IgosPlusPlus => Box::new(Igos::plus_plus(settings)),
            Method::Fovea => Box::new(Fovea { settings }),
            Method::Igos => Box::new(Igos::first(settings)),
            Method::Occlusion => Box::new(Occlusion { settings }),
            Method::Rise => Box::new(Rise { settings }),
            Method::IntegratedGradients => Box::new(IntegratedGradients { settings }),
            Method::InputXGradient => Box::new(InputXGradient { settings }),
            Method::SmoothGrad => Box::new(SmoothGrad { settings }),
            Method::Eagle => Box::new(Eagle { settings }),
            Method::GradCam => Box::new(GradCam { settings }),
            Method::Tam => Box::new(Tam { settings }),
            Method::AttentionRollout => Box::new(AttentionRollout { settings }),
            Method::TMm => Box::new(TMm { settings }),
        }
    }
}

impl FromStr for Method {
    type Err = ExplainError;

    /// Returns the method of that name.
    fn from_str(name: &str) -> Result<Method> {
        let settings = Settings::default();
        let named = |method: Method| method.with(&settings).name();
        let method = Method::ALL.into_iter().find(|&m| named(m) == name);
        method.ok_or_else(|| ExplainError::Setting {
            setting: "method",
            expected: Method::ALL.map(named).join(" or "),
            found: name.to_string(),
        })
    }
}
