//! The traits of a model family: the views that it takes of a picture, how their tokens join, and a
//! decoder.

use std::sync::Arc;

use super::towers::{Tower, TowerName};
use crate::blend::{TokenGrid, TokenPlaces, View};
use crate::checkpoint::{
    Compat, Config, Fields, ImageToken, PictureText, ProcessorFile, Template, Tensors, Tokenizer,
};
use crate::device::Device;
use crate::lvlm::decoder::{DecoderConfig, DecoderNames};
use crate::lvlm::encoder::{Vit, VitSaved};
use crate::lvlm::error::{LvlmError, ReadResult, Result};
use crate::lvlm::loader::Loader;
use crate::lvlm::model::ViewPixels;
use crate::nn::{BlockHook, Checkpointing, Positions};
use crate::picture::Picture;

/// A model family: its config, as read from config.json.
pub(in crate::lvlm) trait Family: Clone + Send + Sync + 'static {
    /// The family's name in records.
    const NAME: &'static str;
    /// The picture's way to the encoders' pixels.
    type ImageProcessing: ImageProcessing + 'static;
    /// The encoders, and what is between them and the decoder.
    type Vision<D: Device>: Vision<D, TokenLayout = <Self::ImageProcessing as ImageProcessing>::TokenLayout>
        + 'static;

    /// Returns whether a config.json is this family's.
    ///
    /// # Errors
    /// A field of the wrong type.
    fn claims(top: &Fields) -> ReadResult<bool>;
    /// Reads config.json.
    ///
    /// # Errors
    /// Fields of the wrong type or value, an architecture that is not supported.
    fn read(config: &Config) -> ReadResult<Self>;
    /// Returns the encoders that have checkpoints of their own, given the model's own tensors.
    fn towers(&self, _: &Tensors) -> Vec<TowerName> {
        Vec::new()
    }
    /// Takes from the tensors what the config does not say: how they are called, whether the
    /// projection is tied. `towers` are those of [`Family::towers`], `None` where an optional one
    /// is nowhere; without any, names are listed only.
    ///
    /// # Errors
    /// Ambiguous names of tensors, errors of an encoder's config.
    fn fit(&mut self, tensors: &Tensors, towers: Vec<Option<Tower>>) -> ReadResult<()>;

    /// Reproduces the views of `program` from now on; called after [`Family::fit`].
    ///
    /// # Errors
    /// [`LvlmError::Compat`] for a family that the program does not have.
    fn follow(&mut self, program: Compat) -> Result<()> {
        let found = Self::NAME.to_string();
        Err(LvlmError::Compat { program, found })
    }

    /// Returns the decoder's config and the names of its tensors.
    fn decoder(&self) -> (&DecoderConfig, &DecoderNames);
    /// Returns the token that marks the picture's place in a prompt.
    fn image_token(&self) -> ImageToken;
    /// Returns the name that the processor looks the image token up by among the tokenizer's.
    fn image_token_name() -> &'static str {
        "image_token"
    }
    /// Returns the image token's text for the processor where neither the tokenizer nor the
    /// processor's own file names one.
    fn image_token_text() -> &'static str {
        "<image>"
    }
    /// Returns the config's field of the first of the picture's rows in the decoder, and its value;
    /// `None` where layers do not depend on it.
    fn image_position(&self) -> Option<(&'static str, usize)> {
        None
    }
    /// Returns the name, among the tokenizer's, of the token that templates write in the picture's
    /// place where that is not the image token.
    fn picture_mark_name() -> Option<&'static str> {
        None
    }
    /// Returns the template that makes a prompt of a question.
    fn template(&self, tokenizer: &Tokenizer) -> Template;
    /// Returns the texts of tokens that end an answer, beside those that the checkpoint names.
    fn stops(&self) -> &'static [&'static str] {
        &[]
    }
    /// Makes the image processing of the checkpoint's processor.
    ///
    /// # Errors
    /// A processor that is not supported or does not fit the encoder.
    fn image_processing(&self, processor: &ProcessorFile) -> Result<Self::ImageProcessing>;
    /// Makes the image processing of each of several pictures of one prompt; by default a prompt has
    /// one picture, and the result is `None`.
    ///
    /// # Errors
    /// As [`Family::image_processing`].
    fn several_pictures(&self, _: &ProcessorFile) -> Result<Option<Self::ImageProcessing>> {
        Ok(None)
    }
    /// Loads the encoders and the projector.
    ///
    /// # Errors
    /// A tensor that is missing or of another shape.
    fn load<D: Device>(&self, loader: &Loader<D>) -> Result<Self::Vision<D>>;

    /// Describes the parts without the decoder: name, prefixes of its tensors' names, sizes.
    fn parts(&self) -> Vec<PartOf>;
    /// Returns the parts whose tensors are in checkpoints of their own.
    fn outside(&self) -> Vec<Outside<'_>> {
        Vec::new()
    }
    /// Returns the family with every layer that a checkpoint may hold, used or not, so that its
    /// tensors are known.
    #[must_use]
    fn whole(&self) -> Self;
    /// Names the tensors of the architecture that no layer here ever uses, beside those of
    /// [`Family::whole`].
    fn never_used(&self) -> Vec<String>;
}

/// The description of a part of a model.
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
    /// The prefix of the part's tensors; the checkpoint may hold others.
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

impl EncoderViews {
    /// Returns the grids of squares of `step` pixels over every view, as many as fit.
    pub fn grids(&self, step: usize) -> Vec<TokenGrid> {
        let grid = |&view: &View| TokenGrid {
            view,
            rows: view.height / step.max(1),
            columns: view.width / step.max(1),
            step: step as f64,
        };
        self.views.iter().map(grid).collect()
    }
}

/// Returns the grids of squares of `step` pixels over every view of every encoder.
pub(in crate::lvlm) fn grids(encoders: &[EncoderViews], step: usize) -> Vec<TokenGrid> {
    encoders
        .iter()
        .flat_map(|views| views.grids(step))
        .collect()
}

/// Returns the places of tokens that are those of the grids, one after another.
pub(in crate::lvlm) fn in_order(grids: Vec<TokenGrid>) -> TokenPlaces {
    let count: usize = grids.iter().map(|grid| grid.rows * grid.columns).sum();
    TokenPlaces::of(grids, (0..count).map(Some))
}

/// The image processing of a family: from a picture to the encoders' pixels.
pub(in crate::lvlm) trait ImageProcessing: Send + Sync {
    /// The layout of the tokens of a picture of one size.
    type TokenLayout: Send + Sync + 'static
    where
        Self: Sized;

    /// Returns the views that the encoders take of a picture of that size. The first view of the
    /// first encoder is the whole picture.
    ///
    /// # Errors
    /// A picture that cannot be processed.
    fn encoder_views(&self, width: u32, height: u32) -> Result<Vec<EncoderViews>>;
    /// Returns the pixels, by encoder and view: `3 x height x width`, channel by channel,
    /// normalised.
    ///
    /// # Errors
    /// A picture that cannot be processed.
    fn process(&self, picture: &Picture) -> Result<Vec<ViewPixels>>;
    /// Returns the rows and columns of tiles that a picture of that size is cut into, used or not;
    /// 1 and 1 where the family makes none, or as many each way for every picture.
    ///
    /// # Errors
    /// A picture that cannot be processed.
    fn tiles(&self, _width: u32, _height: u32) -> Result<(usize, usize)> {
        Ok((1, 1))
    }
    /// Returns the layout of the tokens, and how many rows of the decoder they are.
    ///
    /// # Errors
    /// A picture that cannot be processed.
    fn token_layout(&self, width: u32, height: u32) -> Result<(Self::TokenLayout, usize)>
    where
        Self: Sized;
    /// Returns the places in the picture of these tokens.
    ///
    /// # Errors
    /// A picture that cannot be processed.
    fn token_places(&self, width: u32, height: u32) -> Result<TokenPlaces>;
    /// Returns the rotary positions, along several axes, of the decoder's rows from the picture's
    /// first on; `None` where positions are the numbers of rows. The picture's rows follow each
    /// other.
    ///
    /// # Errors
    /// A picture that cannot be processed.
    fn positions(&self, _width: u32, _height: u32) -> Result<Option<Positions>> {
        Ok(None)
    }
    /// Returns the text of a picture of that size in a prompt, which stands for as many rows, in
    /// their order.
    ///
    /// # Errors
    /// A picture that cannot be processed.
    fn picture_text(&self, _: &Tokenizer, width: u32, height: u32) -> Result<PictureText>
    where
        Self: Sized,
    {
        let (_, rows) = self.token_layout(width, height)?;
        Ok(PictureText::rows(rows))
    }
}

/// The vision layers of a family: from patches to the decoder's image rows.
pub(in crate::lvlm) trait Vision<D: Device>: Send + Sync {
    /// The one of the family's [`ImageProcessing`].
    type TokenLayout: Send + Sync + 'static;
    /// Activations that `forward` saves for the vjp.
    type Saved: 'static;
    /// The hook through which the decoder reads the picture beside the image rows.
    type Context: BlockHook<D> + 'static;

    /// Returns the transformer that reads the first encoder's views, where a family has one such
    /// encoder; its layers can then be read.
    fn encoder(&self) -> Option<&Vit<D>> {
        None
    }
    /// Returns what [`Vision::encoder`] saved.
    fn encoder_saved(_: &mut Self::Saved) -> Option<&mut VitSaved<D>> {
        None
    }
    /// Maps the patches of every encoder, `[blends * views * patches, 3 * p * p]`, to image rows
    /// `[blends * rows, hidden]`. With `check`, the first layer whose output is not finite is an
    /// error that names it.
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
    /// Returns the gradients of every encoder's patches.
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

/// The output of [`Vision::forward`].
pub(in crate::lvlm) struct VisionOutput<D: Device, V: Vision<D> + ?Sized> {
    /// The decoder's image rows.
    pub rows: D::Matrix,
    /// The hook through which the decoder reads the picture beside them.
    pub context: V::Context,
    /// The activations for the vjp.
    pub saved: V::Saved,
}

/// Returns the patches of the only encoder.
///
/// # Errors
/// [`LvlmError::Encoders`].
pub(in crate::lvlm) fn single<T>(mut all: Vec<T>) -> Result<T> {
    let found = all.len();
    match (all.pop(), found) {
        (Some(one), 1) => Ok(one),
        _ => Err(LvlmError::Encoders { expected: 1, found }),
    }
}
