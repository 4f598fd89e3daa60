//! The trait of models that the method sees: prompts, pictures as the encoders take them, and
//! sessions.

use super::error::Result;
use super::session::{Session, SessionOptions};
use crate::blend::View;
use crate::checkpoint::{Compat, RandomizedLayers, Tokenizer};
use crate::picture::Picture;

/// The most pictures of one prompt.
pub const MOST_PICTURES: usize = 64;

/// A question as the model's decoder takes it.
#[derive(Clone, Debug)]
pub struct Prompt {
    /// The rendered chat template.
    pub text: String,
    /// Its token ids, with the image token once per visual token.
    pub ids: Vec<u32>,
    /// Columns and rows of the pictures that it is about.
    pub pictures: Vec<(u32, u32)>,
}

/// A large vision-language model.
pub trait Lvlm: Send + Sync {
    /// Returns the checkpoint's folder or name.
    fn name(&self) -> String;
    /// Returns the family, such as `llava`.
    fn family(&self) -> &'static str;
    /// Returns the name of the device that it runs on.
    fn device(&self) -> String;
    /// Returns the storage format of activations.
    fn dtype(&self) -> &'static str;
    /// Returns a budget for activations that suits the device, in bytes.
    fn memory_budget(&self) -> usize;
    /// Returns the choices that the device has made so far and that results may depend on, a line
    /// each.
    fn device_choices(&self) -> Vec<String>;
    /// Returns the tokenizer.
    fn tokenizer(&self) -> &Tokenizer;
    /// Returns the program whose views and mask extent it reproduces.
    fn compat(&self) -> Option<Compat>;
    /// Returns the layers that have random weights instead of the checkpoint's, if any.
    fn randomized(&self) -> Option<RandomizedLayers> {
        None
    }
    /// Renders and tokenises a question about pictures, which stand before it in their order.
    ///
    /// # Errors
    /// [`LvlmError::EmptyQuestion`], [`LvlmError::TooLong`], [`LvlmError::Pictures`] for more
    /// pictures than the model takes, and errors of the template and the tokenizer.
    ///
    /// [`LvlmError::EmptyQuestion`]: super::LvlmError::EmptyQuestion
    /// [`LvlmError::TooLong`]: super::LvlmError::TooLong
    /// [`LvlmError::Pictures`]: super::LvlmError::Pictures
    fn prompt(&self, question: &str, pictures: &[Picture]) -> Result<Prompt>;
    /// Returns every view that the encoders take of a picture, with its normalised pixels, `3 x
    /// height x width`, channel by channel. The first view is of the whole picture.
    ///
    /// # Errors
    /// When the picture cannot be processed.
    fn views(&self, picture: &Picture) -> Result<Vec<(View, Vec<f32>)>>;
    /// Returns a digest that tells this model from others, in hexadecimal: of its config,
    /// tokenizer, chat template and image processor's config, of every tensor's name, dtype and
    /// shape, of some bytes of each, and of the layers that have random weights. Where the files
    /// lie and when they were written does not matter.
    ///
    /// # Errors
    /// A file that can no longer be read.
    fn fingerprint(&self) -> Result<String>;
    /// Resizes and normalises the pictures of a prompt, each with its baseline; a picture without
    /// one is kept whole, and masks do not cover it. The device has no part in it: it may be busy
    /// with another picture.
    ///
    /// # Errors
    /// When a picture cannot be processed; [`LvlmError::Pictures`](super::LvlmError::Pictures) for
    /// no picture with a baseline, or more pictures than the model takes.
    fn process(&self, pictures: &[(&Picture, Option<&Picture>)]) -> Result<Vec<PicturePair>>;
    /// Puts the pictures of [`Lvlm::process`] and a prompt on the device.
    ///
    /// # Errors
    /// When the prompt is not this model's, or not about pictures of these sizes, or one blend does
    /// not fit `memory_budget`.
    fn begin<'a>(
        &'a self,
        pictures: Vec<PicturePair>,
        prompt: &Prompt,
        options: SessionOptions,
    ) -> Result<Box<dyn Session + 'a>>;
    /// Calls [`Lvlm::process`] and [`Lvlm::begin`] for one picture.
    ///
    /// # Errors
    /// Errors of both.
    fn start<'a>(
        &'a self,
        picture: &Picture,
        baseline: &Picture,
        prompt: &Prompt,
        options: SessionOptions,
    ) -> Result<Box<dyn Session + 'a>> {
        self.begin(self.process(&[(picture, Some(baseline))])?, prompt, options)
    }
}

/// Pixels of one encoder's views, `3 x height x width` each, channel by channel, normalised.
pub(in crate::lvlm) type ViewPixels = Vec<Vec<f32>>;

/// A picture and its baseline as the encoders of a model take them.
#[derive(Clone)]
pub struct PicturePair {
    /// Columns and rows of the picture.
    pub(in crate::lvlm) size: (u32, u32),
    /// The number of pictures that it was processed with, itself included.
    pub(in crate::lvlm) among: usize,
    /// Pixels of the picture, by encoder.
    pub(in crate::lvlm) picture: Vec<ViewPixels>,
    /// Pixels of the baseline, likewise; `None` for a picture that is kept whole.
    pub(in crate::lvlm) baseline: Option<Vec<ViewPixels>>,
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
