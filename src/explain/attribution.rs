//! What an explanation asks of a method, and the methods by name.

use serde::{Deserialize, Serialize};

use super::igos::Igos;
use super::{Iteration, Mask, Result, Settings};
use crate::lvlm::{Callback, Session};

/// Calls of the model that a method makes alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pass {
    /// Blends of each call: pictures sent through the model.
    pub blends: usize,
    /// Whether each call computes the masks' gradient.
    pub gradient: bool,
    /// Calls.
    pub calls: usize,
}

/// What a method asks of the model, in the order of its passes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schedule {
    /// The passes.
    pub passes: Vec<Pass>,
    /// Whether the method may make more calls than these, depending on what it finds.
    pub open_ended: bool,
}

impl Schedule {
    /// Pictures sent through the model, where that is known beforehand.
    pub fn evaluations(&self) -> Option<usize> {
        let passes = self.passes.iter();
        let all = passes.map(|pass| pass.blends * pass.calls).sum();
        (!self.open_ended).then_some(all)
    }
}

/// A method that finds the part of a picture that tokens of an answer need.
pub trait Attribution {
    /// The method's name, as a user types it.
    fn name(&self) -> &'static str;

    /// What [`Attribution::run`] will ask of the model.
    fn schedule(&self) -> Schedule;

    /// Finds the mask of the tokens `keys` of the session's answer. `evaluated` is called after
    /// every batch; `each` after every iteration of a method that has any, with its number, its
    /// measurements and the mask that it made.
    ///
    /// # Errors
    /// A setting outside its range, what the session reports.
    fn run(
        &self,
        session: &dyn Session,
        keys: &[usize],
        evaluated: &mut Callback,
        each: &mut dyn FnMut(usize, Iteration, &Mask),
    ) -> Result<Mask>;
}

/// The methods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Method {
    /// One mask for deletion and insertion (iGOS+, the paper's choice).
    #[serde(rename = "igos+")]
    IgosPlus,
    /// A deletion mask and an insertion mask, the result their product (iGOS++, arXiv 2012.15783).
    #[serde(rename = "igos++")]
    IgosPlusPlus,
}

impl Method {
    /// The method with its settings.
    pub fn with(self, settings: &Settings) -> Box<dyn Attribution + '_> {
        match self {
            Method::IgosPlus => Box::new(Igos::plus(settings)),
            Method::IgosPlusPlus => Box::new(Igos::plus_plus(settings)),
        }
    }
}
