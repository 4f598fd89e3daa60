//! The shared parts of LLaVA-NeXT and LLaVA-OneVision: one encoder for the whole picture and its
//! tiles, a two-layer projector, and rows that join by [`super::packing`].

use std::sync::Arc;

use super::packing::{Packed, Packing, Unpadding};
use super::traits::{EncoderViews, ImageProcessing, Vision, VisionOutput, grids, single};
use crate::blend::TokenPlaces;
use crate::device::{Device, Part};
use crate::lvlm::encoder::{Vit, VitSaved};
use crate::lvlm::error::{LvlmError, Result};
use crate::lvlm::model::ViewPixels;
use crate::nn::{Checkpointing, Mlp, MlpSaved, NoHook, require_finite};
use crate::picture::{AnyResolution, Picture};

/// The whole picture and its tiles.
pub(in crate::lvlm) struct TiledProcessing {
    processor: AnyResolution,
    patch: usize,
    /// Tokens of a view each way.
    side: usize,
    most_views: Option<usize>,
    unpadding: Unpadding,
    /// Whether the encoder sees the whole picture alone.
    without_tiles: bool,
}

impl TiledProcessing {
    /// Makes the processing for an encoder that takes `pixels` each way in patches of `patch`.
    ///
    /// # Errors
    /// [`LvlmError::PictureSize`] for tiles of another size.
    pub fn new(
        processor: AnyResolution,
        pixels: usize,
        patch: usize,
        most_views: Option<usize>,
        unpadding: Unpadding,
    ) -> Result<TiledProcessing> {
        let tile = processor.tile();
        if tile != pixels {
            return Err(LvlmError::PictureSize {
                expected: pixels,
                width: tile,
                height: tile,
            });
        }
        Ok(TiledProcessing {
            processor,
            patch,
            side: pixels / patch,
            most_views,
            unpadding,
            without_tiles: false,
        })
    }

    /// Returns it with the whole picture alone where `without_tiles`.
    #[must_use]
    pub fn without_tiles(self, without_tiles: bool) -> TiledProcessing {
        TiledProcessing {
            without_tiles,
            ..self
        }
    }

    /// Selects the views that the encoder takes among all.
    fn used<T>(&self, mut views: Vec<T>) -> Vec<T> {
        if self.without_tiles {
            views.truncate(1);
        }
        views
    }
}

impl ImageProcessing for TiledProcessing {
    type TokenLayout = Packed;

    fn encoder_views(&self, width: u32, height: u32) -> Result<Vec<EncoderViews>> {
        Ok(vec![EncoderViews {
            patch: self.patch,
            views: self.used(self.processor.tiling(width, height)?.views),
        }])
    }

    fn tiles(&self, width: u32, height: u32) -> Result<(usize, usize)> {
        Ok(self.processor.tiling(width, height)?.grid)
    }

    fn process(&self, picture: &Picture) -> Result<Vec<ViewPixels>> {
        Ok(vec![self.used(self.processor.process(picture)?)])
    }

    fn token_layout(&self, width: u32, height: u32) -> Result<(Packed, usize)> {
        if self.without_tiles {
            let packed = Packed::without_tiles(self.side);
            let rows = packed.rows.outputs();
            return Ok((packed, rows));
        }
        let packing = Packing {
            grid: self.processor.tiling(width, height)?.grid,
            side: self.side,
            picture: (width, height),
            most_views: self.most_views,
            unpadding: self.unpadding,
        };
        let packed = packing.pack();
        let rows = packed.rows.outputs();
        Ok((packed, rows))
    }

    fn token_places(&self, width: u32, height: u32) -> Result<TokenPlaces> {
        let grids = grids(&self.encoder_views(width, height)?, self.patch);
        let (packed, _) = self.token_layout(width, height)?;
        Ok(TokenPlaces::new(grids, packed.places()))
    }
}

/// The encoder, the projector and the newline.
pub(in crate::lvlm) struct TiledVision<D: Device> {
    pub encoder: Vit<D>,
    pub projector: Mlp<D>,
    /// `[1, hidden]`.
    pub newline: D::Matrix,
}

impl<D: Device> Vision<D> for TiledVision<D> {
    type TokenLayout = Packed;
    type Saved = (VitSaved<D>, MlpSaved<D>);
    type Context = NoHook;

    fn encoder(&self) -> Option<&Vit<D>> {
        Some(&self.encoder)
    }

    fn encoder_saved(saved: &mut Self::Saved) -> Option<&mut VitSaved<D>> {
        Some(&mut saved.0)
    }

    fn forward(
        &self,
        device: &D,
        packed: &Arc<Packed>,
        patches: Vec<D::Matrix>,
        checkpointing: Checkpointing,
        check: bool,
    ) -> Result<VisionOutput<D, Self>> {
        let (features, encoder) =
            self.encoder
                .forward(device, single(patches)?, checkpointing, check)?;
        device.part(Part::Projector);
        // Tokens of the padding go no further.
        let features = device.mix_rows(&features, &packed.used, None)?;
        let (tokens, projector) = self.projector.forward(device, &features, None)?;
        drop(features);
        let newlines = device.mix_rows(&self.newline, &packed.newlines, None)?;
        let rows = device.mix_rows(&tokens, &packed.rows, Some(&newlines))?;
        if check {
            require_finite(device, &rows, || "projector".into())?;
        }
        Ok(VisionOutput {
            rows,
            context: NoHook,
            saved: (encoder, projector),
        })
    }

    fn vjp(
        &self,
        device: &D,
        packed: &Packed,
        (encoder, projector): Self::Saved,
        d_rows: D::Matrix,
        (): (),
    ) -> Result<Vec<D::Matrix>> {
        device.part(Part::Projector);
        let d_tokens = device.mix_rows_vjp(&d_rows, &packed.rows, None)?;
        drop(d_rows);
        let d_features = self.projector.vjp(device, projector, &d_tokens)?;
        let d_features = device.mix_rows_vjp(&d_features, &packed.used, None)?;
        device.part(Part::Vision);
        Ok(vec![self.encoder.vjp(device, encoder, d_features)?])
    }
}
