//! Large vision-language models: how a picture becomes views, views become tokens, tokens a score and its gradient.
//!
//! The method knows a model only through [`Lvlm`] and [`Session`].

mod anyres;
mod authors;
mod cambrian;
mod conversations;
mod decoder;
mod demo;
mod encoder;
mod error;
mod estimate;
mod family;
mod fingerprint;
mod hf_tiled;
mod inspect;
mod layers;
mod llava;
mod llava_anyres;
mod llava_llama;
mod load;
mod mini_gemini;
mod model;
mod model_device;
mod names;
mod next;
mod onevision;
mod open;
mod pinpoints;
mod plan;
mod processor;
mod projector;
mod refused;
mod registry;
mod resampling;
mod session;
mod sitting;
#[cfg(test)]
mod tests;
mod tiled;
mod towers;
mod vit_tower;

use std::ops::ControlFlow;

use crate::checkpoint::{Compat, Tokenizer};
use crate::device::{Blend, Direction, Masks};
use crate::picture::{Extent, Picture, View};

pub use crate::device::dry::{Parts, Tally};
pub use decoder::DecoderConfig;
pub use demo::demo_checkpoint;
pub use encoder::{ClipConfig, Select, SiglipConfig};
pub use error::LvlmError;
pub use estimate::{Blueprint, Estimator, Lengths};
pub use inspect::{Contradiction, Inspection, NamedShape, Part, inspect, inspect_files};
pub use model_device::ModelDevice;
#[cfg(any(test, feature = "cli"))]
pub(crate) use open::expected_tensors;
pub use open::{OpenOptions, checkpoint, load, open, open_files};
pub use plan::Plan;
pub use resampling::Resampling;

/// Result of a model's operation.
pub type Result<T> = std::result::Result<T, LvlmError>;

/// A question as the model reads it.
#[derive(Clone, Debug)]
pub struct Prompt {
    /// The rendered chat template.
    pub text: String,
    /// Its tokens, the image token once per visual token.
    pub ids: Vec<u32>,
}

/// A large vision-language model.
pub trait Lvlm: Send + Sync {
    /// What to call it: the checkpoint's folder or name.
    fn name(&self) -> String;
    /// Its family, such as `llava`.
    fn family(&self) -> &'static str;
    /// Where it runs.
    fn device(&self) -> String;
    /// How activations are stored there.
    fn dtype(&self) -> &'static str;
    /// A budget for activations that suits the device, in bytes.
    fn memory_budget(&self) -> usize;
    /// What the device has chosen by itself so far and results may depend on, a line each.
    fn device_choices(&self) -> Vec<String>;
    /// Its tokenizer.
    fn tokenizer(&self) -> &Tokenizer;
    /// The program as which it looks at pictures.
    fn compat(&self) -> Option<Compat>;
    /// Renders and tokenises a question about a picture.
    ///
    /// # Errors
    /// [`LvlmError::EmptyQuestion`], [`LvlmError::TooLong`], and what template and tokenizer report.
    fn prompt(&self, question: &str, picture: &Picture) -> Result<Prompt>;
    /// What the encoders see of a picture: every view with its pixels, `3 x height x width`, channel by channel, normalised.
    /// The first is of the whole picture.
    ///
    /// # Errors
    /// When the picture cannot be processed.
    fn views(&self, picture: &Picture) -> Result<Vec<(View, Vec<f32>)>>;
    /// What tells this model from others: a digest, in hexadecimal, of its config, tokenizer, chat template and image
    /// processor's config, of every tensor's name, dtype and shape, and of some bytes of each. Where the files lie and when they
    /// were written does not matter.
    ///
    /// # Errors
    /// A file that can no longer be read.
    fn fingerprint(&self) -> Result<String>;
    /// Resizes and normalises a picture and its baseline. The device has no part in it: it may be busy with another picture.
    ///
    /// # Errors
    /// When the picture cannot be processed.
    fn process(&self, picture: &Picture, baseline: &Picture) -> Result<PicturePair>;
    /// Puts a picture, its baseline and a prompt on the device.
    ///
    /// # Errors
    /// When the prompt is not this model's, or one blend does not fit `memory_budget`.
    fn begin<'a>(
        &'a self,
        pictures: PicturePair,
        prompt: &Prompt,
        options: SessionOptions,
    ) -> Result<Box<dyn Session + 'a>>;
    /// [`Lvlm::process`] and [`Lvlm::begin`] in one.
    ///
    /// # Errors
    /// Those of both.
    fn start<'a>(
        &'a self,
        picture: &Picture,
        baseline: &Picture,
        prompt: &Prompt,
        options: SessionOptions,
    ) -> Result<Box<dyn Session + 'a>> {
        self.begin(self.process(picture, baseline)?, prompt, options)
    }
}

/// A picture and its baseline as a model's encoders take them.
#[derive(Clone)]
pub struct PicturePair {
    /// Columns and rows of the picture.
    pub(crate) size: (u32, u32),
    /// Pixels of the picture by encoder and view, `3 x height x width` each, normalised.
    pub(crate) picture: Vec<Vec<Vec<f32>>>,
    /// Pixels of the baseline, likewise.
    pub(crate) baseline: Vec<Vec<Vec<f32>>>,
}

impl std::fmt::Debug for PicturePair {
    /// The size, without the pixels.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("PicturePair")
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

/// What a session is prepared for.
#[derive(Clone, Copy, Debug)]
pub struct SessionOptions {
    /// Cells per side of the masks.
    pub mask_size: usize,
    /// The most bytes that activations may take, the mapped weights not counted.
    pub memory_budget: usize,
}

/// Log-probabilities per blend and token.
pub type LogProbabilities = Vec<Vec<f64>>;

/// Called between pieces of work with how many blends or tokens are done since the last time; [`ControlFlow::Break`] gives the work up.
pub type Callback<'a> = dyn FnMut(usize) -> ControlFlow<()> + 'a;

/// The [`Callback`] of those who neither listen nor stop.
pub fn go_on(_: usize) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// A picture, its baseline and a prompt on the device, and an answer once there is one.
///
/// `evaluated` is called after every batch with the number of blends in it, `produced` after every token. Where one of them breaks, the
/// call ends with [`LvlmError::Cancelled`] and the session can go on to be used.
pub trait Session {
    /// The first view's geometry and its pixels of the picture, `3 x height x width`, normalised.
    fn first_view(&self) -> (&View, &[f32]);
    /// What a mask is made into before views sample it; the geometry of [`Session::first_view`] is then that of what is made.
    fn resampling(&self) -> Option<&Resampling> {
        None
    }
    /// The part of the picture that a mask covers, where that is not the whole.
    fn mask_extent(&self) -> Option<Extent> {
        None
    }
    /// The greedy answer to the picture ([`Direction::Keep`]) or to the baseline ([`Direction::Reveal`]), without its end marker; the
    /// image token is never produced.
    ///
    /// # Errors
    /// [`crate::nn::NnError::NotFinite`] when the model's output is.
    fn generate(
        &self,
        direction: Direction,
        max_new_tokens: usize,
        produced: &mut Callback,
    ) -> Result<Vec<u32>>;
    /// Fixes the answer that the following calls are about.
    ///
    /// # Errors
    /// When it is empty, has tokens the model lacks, or does not fit the context.
    fn set_answer(&mut self, answer: &[u32]) -> Result<()>;
    /// log p of the answer's tokens `tokens` (ascending) for every blend, each given the tokens before it.
    ///
    /// # Errors
    /// When the model's output is not finite: the first such layer is named. When `tokens` are not the answer's.
    fn log_probabilities(
        &self,
        masks: Masks,
        blends: &[Blend],
        tokens: &[usize],
        evaluated: &mut Callback,
    ) -> Result<LogProbabilities>;
    /// As [`Session::log_probabilities`], and the gradient of `sum over blends of weight * score` with respect to every
    /// mask, score being the sum over `tokens`.
    ///
    /// # Errors
    /// As [`Session::log_probabilities`], and when `weights` are not one per blend.
    fn gradient(
        &self,
        masks: Masks,
        blends: &[Blend],
        weights: &[f64],
        tokens: &[usize],
        evaluated: &mut Callback,
    ) -> Result<(LogProbabilities, Vec<Vec<f64>>)>;
    /// Gradient of the score of `tokens` at the whole picture, by pixel of every view: `3 x height x width` each, encoder by
    /// encoder. Rows and columns of a view that its encoder does not see have none.
    ///
    /// # Errors
    /// As [`Session::log_probabilities`].
    fn pixel_gradients(&self, tokens: &[usize]) -> Result<Vec<Vec<f64>>>;
    /// How the batch is cut for gradients of the answer up to token `last`.
    ///
    /// # Errors
    /// [`LvlmError::Memory`].
    fn plan(&self, blends: usize, tokens: &[usize]) -> Result<Plan>;
}
