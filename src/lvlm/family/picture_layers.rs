//! The vision layers of every family as one type, for pictures of one size. The engine is compiled
//! once for each device, not once for each family.
//!
//! A family may process a picture otherwise where it is one of several: `among` is the number of
//! pictures of the prompt.

use std::sync::Arc;

use super::traits::{ImageProcessing, Vision, VisionOutput};
use crate::checkpoint::{PictureText, Tokenizer};
use crate::device::Device;
use crate::device::meta::Meta;
use crate::lvlm::encoder::{Vit, VitSaved};
use crate::lvlm::error::Result;
use crate::nn::{AnyHook, Checkpointing, HookGradients, any_hook, gradients_of};

/// The vision layers of a model, and their image processing.
pub(in crate::lvlm) trait ModelVision<D: Device>: Send + Sync {
    /// Returns whether a prompt may have several pictures.
    fn takes_several(&self) -> bool;
    /// Returns the image processing.
    fn processing(&self, among: usize) -> &dyn ImageProcessing;
    /// Returns the text of a picture of that width and height in a prompt, as
    /// [`ImageProcessing::picture_text`].
    ///
    /// # Errors
    /// A picture that cannot be processed.
    fn picture_text(
        &self,
        tokenizer: &Tokenizer,
        size: (u32, u32),
        among: usize,
    ) -> Result<PictureText>;
    /// Returns the layers for pictures of that width and height.
    ///
    /// # Errors
    /// A picture that cannot be processed.
    fn of_size(&self, size: (u32, u32), among: usize) -> Result<OfSize<D>>;
}

/// The layers for pictures of one size.
pub(in crate::lvlm) struct OfSize<D: Device> {
    pub layers: Box<dyn PictureLayers<D>>,
    /// The same layers without numbers.
    pub meta: Box<dyn PictureLayers<Meta>>,
    /// Rows of the decoder that a picture becomes.
    pub images: usize,
}

/// The layers from the patches of pictures of one size to the decoder's image rows.
pub(in crate::lvlm) trait PictureLayers<D: Device>: Send + Sync {
    /// As [`Vision::encoder`].
    fn encoder(&self) -> Option<&Vit<D>>;
    /// As [`Vision::forward`].
    ///
    /// # Errors
    /// As [`Vision::forward`].
    fn forward(
        &self,
        device: &D,
        patches: Vec<D::Matrix>,
        checkpointing: Checkpointing,
        check: bool,
    ) -> Result<PictureRows<D>>;
}

/// The output of [`PictureLayers::forward`].
pub(in crate::lvlm) struct PictureRows<D: Device> {
    /// The decoder's image rows.
    pub rows: D::Matrix,
    /// The hook through which the decoder reads the picture beside them.
    pub context: Box<AnyHook<D>>,
    /// The activations for the vjp.
    pub saved: Box<dyn PictureSaved<D>>,
}

/// What [`PictureLayers::forward`] saved, with the layers that saved it.
pub(in crate::lvlm) trait PictureSaved<D: Device> {
    /// As [`Vision::encoder_saved`].
    fn encoder(&mut self) -> Option<&mut VitSaved<D>>;
    /// Returns the gradients of every encoder's patches.
    ///
    /// # Errors
    /// As [`Vision::vjp`].
    fn vjp(
        self: Box<Self>,
        device: &D,
        d_rows: D::Matrix,
        d_context: HookGradients,
    ) -> Result<Vec<D::Matrix>>;
}

/// A family's image processing and vision layers.
pub(in crate::lvlm) struct FamilyVision<P, V, M> {
    pub processing: P,
    /// That of each of several pictures; `None` where a prompt has one.
    pub several: Option<P>,
    pub vision: Arc<V>,
    /// The same layers without numbers.
    pub meta: Arc<M>,
}

impl<P, V, M> FamilyVision<P, V, M> {
    fn of(&self, among: usize) -> &P {
        let several = self.several.as_ref().filter(|_| among > 1);
        several.unwrap_or(&self.processing)
    }
}

impl<D, P, V, M> ModelVision<D> for FamilyVision<P, V, M>
where
    D: Device,
    P: ImageProcessing + 'static,
    V: Vision<D, TokenLayout = P::TokenLayout> + 'static,
    M: Vision<Meta, TokenLayout = P::TokenLayout> + 'static,
{
    fn takes_several(&self) -> bool {
        self.several.is_some()
    }

    fn processing(&self, among: usize) -> &dyn ImageProcessing {
        self.of(among)
    }

    fn picture_text(
        &self,
        tokenizer: &Tokenizer,
        (width, height): (u32, u32),
        among: usize,
    ) -> Result<PictureText> {
        self.of(among).picture_text(tokenizer, width, height)
    }

    fn of_size(&self, (width, height): (u32, u32), among: usize) -> Result<OfSize<D>> {
        let (token_layout, images) = self.of(among).token_layout(width, height)?;
        let token_layout = Arc::new(token_layout);
        Ok(OfSize {
            layers: picture_layers(Arc::clone(&self.vision), Arc::clone(&token_layout)),
            meta: picture_layers(Arc::clone(&self.meta), token_layout),
            images,
        })
    }
}

/// Returns vision layers for pictures whose tokens have that layout.
pub(in crate::lvlm) fn picture_layers<D: Device, V: Vision<D> + 'static>(
    vision: Arc<V>,
    token_layout: Arc<V::TokenLayout>,
) -> Box<dyn PictureLayers<D>> {
    Box::new(OfLayout {
        vision,
        token_layout,
    })
}

struct OfLayout<V, L> {
    vision: Arc<V>,
    token_layout: Arc<L>,
}

impl<D: Device, V: Vision<D> + 'static> PictureLayers<D> for OfLayout<V, V::TokenLayout> {
    fn encoder(&self) -> Option<&Vit<D>> {
        self.vision.encoder()
    }

    fn forward(
        &self,
        device: &D,
        patches: Vec<D::Matrix>,
        checkpointing: Checkpointing,
        check: bool,
    ) -> Result<PictureRows<D>> {
        let (vision, layout) = (&self.vision, &self.token_layout);
        let VisionOutput {
            rows,
            context,
            saved,
        } = vision.forward(device, layout, patches, checkpointing, check)?;
        Ok(PictureRows {
            rows,
            context: any_hook(context),
            saved: Box::new(SavedOf::<D, V> {
                vision: Arc::clone(vision),
                token_layout: Arc::clone(layout),
                saved,
            }),
        })
    }
}

struct SavedOf<D: Device, V: Vision<D>> {
    vision: Arc<V>,
    token_layout: Arc<V::TokenLayout>,
    saved: V::Saved,
}

impl<D: Device, V: Vision<D>> PictureSaved<D> for SavedOf<D, V> {
    fn encoder(&mut self) -> Option<&mut VitSaved<D>> {
        V::encoder_saved(&mut self.saved)
    }

    fn vjp(
        self: Box<Self>,
        device: &D,
        d_rows: D::Matrix,
        d_context: HookGradients,
    ) -> Result<Vec<D::Matrix>> {
        let d_context = gradients_of::<D, V::Context>(d_context)?;
        let SavedOf {
            vision,
            token_layout,
            saved,
        } = *self;
        vision.vjp(device, &token_layout, saved, d_rows, d_context)
    }
}
