//! The vision layers of several pictures of one prompt as if they were those of one: each picture
//! by layers for its size, the rows of one after those of another.

use std::any::Any;
use std::sync::Arc;

use super::picture_layers::{PictureLayers, PictureRows, PictureSaved};
use crate::device::{Device, RowMap};
use crate::lvlm::encoder::{Vit, VitSaved};
use crate::lvlm::error::{LvlmError, Result};
use crate::nn::{AnyHook, BlockHook, Checkpointing, HookGradients, any_hook, gradients_of};

/// The place of one of several pictures of a prompt.
#[derive(Clone, Copy)]
pub(in crate::lvlm) struct OnePicture {
    /// Encoders that see it.
    pub encoders: usize,
    /// Rows of the decoder that it becomes.
    pub rows: usize,
    /// The row of the decoder that is its first.
    pub first: usize,
    /// Whether gradients of its patches are wanted.
    pub masked: bool,
}

/// Returns the layers of several pictures, each with its own. Patches are those of the first
/// picture's encoders, then of the second's, and so on; gradients are those of the masked pictures
/// alone.
pub(in crate::lvlm) fn several<D: Device>(
    pictures: &[OnePicture],
    layers: Vec<Box<dyn PictureLayers<D>>>,
) -> Box<dyn PictureLayers<D>> {
    let total = pictures.iter().map(|picture| picture.rows).sum();
    let mut before = 0;
    let mut placed = |(&picture, layers): (&OnePicture, _)| {
        let rows = before..before + picture.rows;
        before = rows.end;
        let map = Arc::new(RowMap::select(total, rows.map(Some)));
        Placed {
            picture,
            layers,
            map,
        }
    };
    let pictures = pictures.iter().zip(layers);
    Box::new(Several {
        pictures: pictures.map(&mut placed).collect(),
    })
}

/// A picture, its layers, and the map from all rows to its own.
struct Placed<D: Device> {
    picture: OnePicture,
    layers: Box<dyn PictureLayers<D>>,
    map: Arc<RowMap>,
}

struct Several<D: Device> {
    pictures: Vec<Placed<D>>,
}

impl<D: Device> PictureLayers<D> for Several<D> {
    fn encoder(&self) -> Option<&Vit<D>> {
        None
    }

    fn forward(
        &self,
        device: &D,
        patches: Vec<D::Matrix>,
        checkpointing: Checkpointing,
        check: bool,
    ) -> Result<PictureRows<D>> {
        let mut patches = patches.into_iter();
        let (mut all, mut hooks, mut saved) = (None, Vec::new(), Vec::new());
        for placed in &self.pictures {
            let Placed {
                picture,
                layers,
                map,
            } = placed;
            let own = patches.by_ref().take(picture.encoders).collect();
            let checkpointing = match picture.masked {
                true => checkpointing,
                false => Checkpointing::Nothing,
            };
            let output = layers.forward(device, own, checkpointing, check)?;
            all = Some(device.mix_rows_vjp(&output.rows, map, all.as_ref())?);
            let mut hook = output.context;
            hook.begin_at(picture.first);
            hooks.push(hook);
            saved.push(picture.masked.then(|| (output.saved, Arc::clone(map))));
        }
        let (expected, found) = (1, self.pictures.len());
        Ok(PictureRows {
            rows: all.ok_or(LvlmError::Encoders { expected, found })?,
            context: any_hook(Hooks(hooks)),
            saved: Box::new(SeveralSaved(saved)),
        })
    }
}

/// What each picture saved; `None` for a picture whose gradients are not wanted.
struct SeveralSaved<D: Device>(Vec<Option<OneSaved<D>>>);

/// What a picture saved, and the map to its rows.
type OneSaved<D> = (Box<dyn PictureSaved<D>>, Arc<RowMap>);

impl<D: Device> PictureSaved<D> for SeveralSaved<D> {
    fn encoder(&mut self) -> Option<&mut VitSaved<D>> {
        None
    }

    fn vjp(
        self: Box<Self>,
        device: &D,
        d_rows: D::Matrix,
        d_context: HookGradients,
    ) -> Result<Vec<D::Matrix>> {
        let mut contexts = gradients_of::<D, Hooks<D>>(d_context)?;
        contexts.resize_with(self.0.len(), || None);
        let mut d_patches = Vec::new();
        for (saved, d_context) in self.0.into_iter().zip(contexts) {
            if let Some((saved, map)) = saved {
                let own = device.mix_rows(&d_rows, &map, None)?;
                d_patches.extend(saved.vjp(device, own, d_context)?);
            }
        }
        Ok(d_patches)
    }
}

/// The hooks of all pictures, one after the other.
struct Hooks<D: Device>(Vec<Box<AnyHook<D>>>);

impl<D: Device> BlockHook<D> for Hooks<D> {
    /// Of the hooks that change rows after the block.
    type Saved = Vec<Option<Box<dyn Any>>>;
    type Gradients = Vec<HookGradients>;

    fn changes(&self, i: usize) -> bool {
        self.0.iter().any(|hook| hook.changes(i))
    }

    fn reads(&self, i: usize) -> bool {
        self.0.iter().any(|hook| hook.reads(i))
    }

    fn mixes(&self, i: usize) -> bool {
        self.0.iter().any(|hook| hook.mixes(i))
    }

    fn forward(
        &self,
        device: &D,
        i: usize,
        mut x: D::Matrix,
    ) -> crate::nn::Result<(D::Matrix, Self::Saved)> {
        let mut all = Vec::with_capacity(self.0.len());
        for hook in &self.0 {
            if !hook.changes(i) {
                all.push(None);
                continue;
            }
            let (changed, saved) = hook.forward(device, i, x)?;
            x = changed;
            all.push(Some(saved));
        }
        Ok((x, all))
    }

    fn vjp(
        &self,
        device: &D,
        i: usize,
        saved: Self::Saved,
        mut dy: D::Matrix,
        gradients: &mut Self::Gradients,
    ) -> crate::nn::Result<D::Matrix> {
        gradients.resize_with(self.0.len(), || None);
        let all = self.0.iter().zip(saved).zip(gradients).rev();
        for ((hook, saved), gradients) in all {
            if let Some(saved) = saved {
                dy = hook.vjp(device, i, saved, dy, gradients)?;
            }
        }
        Ok(dy)
    }
}
