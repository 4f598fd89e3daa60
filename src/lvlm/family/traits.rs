//! What a model family is to the rest: the views it takes of a picture, how their tokens join, and a decoder.

use std::sync::Arc;

use super::towers::{Tower, TowerName};
use crate::checkpoint::{
    Compat, Config, Fields, ImageToken, ProcessorFile, Template, Tensors, Tokenizer,
};
use crate::device::Device;
use crate::lvlm::decoder::{DecoderConfig, DecoderNames};
use crate::lvlm::error::{LvlmError, ReadResult, Result};
use crate::lvlm::loader::Loader;
use crate::nn::{BlockHook, Checkpointing};
use crate::picture::{Picture, View};

/// A model family: its config, as read from config.json.
pub(in crate::lvlm) trait Family: Clone + Send + Sync + 'static {
    /// What records call it.
    const NAME: &'static str;
    /// The picture's way to the encoders' pixels.
    type ImageProcessing: ImageProcessing;
    /// The encoders, and what is between them and the decoder.
    type Vision<D: Device>: Vision<D, TokenLayout = <Self::ImageProcessing as ImageProcessing>::TokenLayout>;

    /// Whether a config.json is this family's.
    ///
    /// # Errors
    /// A field of the wrong type.
    fn claims(top: &Fields) -> ReadResult<bool>;
    /// Reads config.json.
    ///
    /// # Errors
    /// [`CheckpointError::Config`], [`CheckpointError::UnsupportedArchitecture`].
    fn read(config: &Config) -> ReadResult<Self>;
    /// The encoders that are looked for in checkpoints of their own, given the model's own tensors.
    fn towers(&self, _: &Tensors) -> Vec<TowerName> {
        Vec::new()
    }
    /// Takes from the tensors what the config does not say: how they are called, whether the projection is tied. `towers` are
    /// those of [`Family::towers`], `None` where an optional one is nowhere; without any, names are listed only.
    ///
    /// # Errors
    /// [`CheckpointError::AmbiguousNames`]; what is wrong with an encoder's config.
    fn fit(&mut self, tensors: &Tensors, towers: Vec<Option<Tower>>) -> ReadResult<()>;

    /// From now on looks at pictures as `program` does; called behind [`Family::fit`].
    ///
    /// # Errors
    /// [`LvlmError::Compat`] for a family that the program does not have.
    fn follow(&mut self, program: Compat) -> Result<()> {
        let found = Self::NAME.to_string();
        Err(LvlmError::Compat { program, found })
    }

    /// The decoder.
    fn decoder(&self) -> (&DecoderConfig, &DecoderNames);
    /// How the picture's place in a prompt is marked.
    fn image_token(&self) -> ImageToken;
    /// Where the layers look for the picture among the decoder's rows, and the config's field that says so; `None` where they do not.
    fn image_position(&self) -> Option<(&'static str, usize)> {
        None
    }
    /// How a question becomes a prompt.
    fn template(&self, tokenizer: &Tokenizer) -> Template;
    /// Texts of tokens that end an answer, beside those that the checkpoint names.
    fn stops(&self) -> &'static [&'static str] {
        &[]
    }
    /// The image processor.
    ///
    /// # Errors
    /// A processor that is not supported or does not fit the encoder.
    fn image_processing(&self, processor: &ProcessorFile) -> Result<Self::ImageProcessing>;
    /// Loads the encoders and the projector.
    ///
    /// # Errors
    /// A tensor that is missing or of another shape.
    fn load<D: Device>(&self, loader: &Loader<D>) -> Result<Self::Vision<D>>;

    /// The parts for people, the decoder left out: name, beginnings of its tensors' names, sizes.
    fn parts(&self) -> Vec<PartOf>;
    /// The parts whose tensors are in checkpoints of their own.
    fn outside(&self) -> Vec<Outside<'_>> {
        Vec::new()
    }
    /// The same with every layer that a checkpoint may hold, used or not, so that its tensors are known.
    #[must_use]
    fn whole(&self) -> Self;
    /// Tensors of the architecture that no layer here ever uses, beside those of [`Family::whole`].
    fn never_used(&self) -> Vec<String>;
}

/// A part of a model for people.
pub(in crate::lvlm) struct PartOf {
    pub name: &'static str,
    pub prefixes: Vec<String>,
    pub sizes: serde_json::Value,
}

/// The tensors of a part that has a checkpoint of its own.
pub(in crate::lvlm) struct Outside<'a> {
    /// Its name among [`Family::parts`].
    pub part: &'static str,
    pub tensors: &'a Tensors,
    /// What those of the part begin with; the checkpoint may hold others.
    pub prefix: &'static str,
}

/// The views that one encoder takes of a picture, all of one size.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::lvlm) struct EncoderViews {
    /// Side of a patch in pixels.
    pub patch: usize,
    /// In the order of the rows that come of them.
    pub views: Vec<View>,
}

/// From a picture to the encoders' pixels.
pub(in crate::lvlm) trait ImageProcessing: Send + Sync {
    /// How the tokens of a picture of one size join.
    type TokenLayout: Send + Sync;

    /// What the encoders look at in a picture of that size. The first view of the first encoder is the whole picture.
    ///
    /// # Errors
    /// A picture that cannot be processed.
    fn encoder_views(&self, width: u32, height: u32) -> Result<Vec<EncoderViews>>;
    /// The pixels, by encoder and view: `3 x height x width`, channel by channel, normalised.
    ///
    /// # Errors
    /// A picture that cannot be processed.
    fn process(&self, picture: &Picture) -> Result<Vec<Vec<Vec<f32>>>>;
    /// Rows and columns of tiles that a picture of that size is cut into, seen or not; 1 and 1 where the family makes none, or as
    /// many each way for every picture.
    ///
    /// # Errors
    /// A picture that cannot be processed.
    fn tiles(&self, _width: u32, _height: u32) -> Result<(usize, usize)> {
        Ok((1, 1))
    }
    /// How the tokens join, and how many rows of the decoder they are.
    ///
    /// # Errors
    /// A picture that cannot be processed.
    fn token_layout(&self, width: u32, height: u32) -> Result<(Self::TokenLayout, usize)>;
}

/// From patches to the decoder's image rows.
pub(in crate::lvlm) trait Vision<D: Device>: Send + Sync {
    /// As the family's [`ImageProcessing`] makes it.
    type TokenLayout: Send + Sync;
    /// What `forward` keeps for the vjp.
    type Saved;
    /// What the decoder reads of the picture beside the image rows.
    type Context: BlockHook<D>;

    /// Patches of every encoder, `[blends * views * patches, 3 * p * p]`, to image rows `[blends * rows, hidden]`. With `check`,
    /// the first layer whose output is not finite is an error that names it.
    ///
    /// # Errors
    /// When sizes do not fit, and as `check` says.
    fn forward(
        &self,
        device: &D,
        token_layout: &Arc<Self::TokenLayout>,
        patches: Vec<D::Matrix>,
        checkpointing: Checkpointing,
        check: bool,
    ) -> Result<VisionOutput<D, Self>>;
    /// Gradients of every encoder's patches.
    ///
    /// # Errors
    /// When sizes do not fit.
    fn vjp(
        &self,
        device: &D,
        token_layout: &Self::TokenLayout,
        saved: Self::Saved,
        d_rows: D::Matrix,
        d_context: <Self::Context as BlockHook<D>>::Gradients,
    ) -> Result<Vec<D::Matrix>>;
}

/// What the encoders saw.
pub(in crate::lvlm) struct VisionOutput<D: Device, V: Vision<D> + ?Sized> {
    /// The decoder's image rows.
    pub rows: D::Matrix,
    /// What the decoder reads beside them.
    pub context: V::Context,
    /// For the vjp.
    pub saved: V::Saved,
}

/// One set of patches, for an encoder that is alone.
pub(in crate::lvlm) fn single<T>(mut all: Vec<T>) -> Result<T> {
    let found = all.len();
    match (all.pop(), found) {
        (Some(one), 1) => Ok(one),
        _ => Err(LvlmError::Encoders { expected: 1, found }),
    }
}
