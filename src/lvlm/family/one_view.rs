//! One square view for one encoder and a two-layer projector: LLaVA-1.5 in either layout.

use std::sync::Arc;

use super::traits::{EncoderViews, ImageProcessing, Vision, VisionOutput, grids, single};
use crate::blend::TokenPlaces;
use crate::device::{Device, Part};
use crate::lvlm::encoder::{FeatureSelect, Select, Vit, VitSaved, VitSizes};
use crate::lvlm::error::{LvlmError, Result};
use crate::lvlm::model::ViewPixels;
use crate::nn::{Checkpointing, Mlp, MlpSaved, NoHook, require_finite};
use crate::picture::{Picture, Processor};

/// One square view for one encoder.
pub(in crate::lvlm) struct OneView {
    processor: Processor,
    /// Pixels that the encoder takes each way.
    side: usize,
    patch: usize,
    tokens: usize,
}

impl OneView {
    /// Makes the processing for an encoder that takes `pixels` each way, with these selected
    /// features.
    pub fn new(
        processor: Processor,
        pixels: usize,
        vit: &VitSizes,
        feature_select: &FeatureSelect,
    ) -> OneView {
        let class_token = vit.names.class.is_some() && feature_select.select == Select::Full;
        OneView {
            processor,
            side: pixels,
            patch: vit.patch,
            tokens: vit.across.pow(2) + usize::from(class_token),
        }
    }
}

impl ImageProcessing for OneView {
    type TokenLayout = ();

    fn encoder_views(&self, width: u32, height: u32) -> Result<Vec<EncoderViews>> {
        let view = self.processor.view(width, height)?;
        if view.width != self.side || view.height != self.side {
            let (width, height) = (view.width, view.height);
            let expected = self.side;
            return Err(LvlmError::PictureSize {
                expected,
                width,
                height,
            });
        }
        Ok(vec![EncoderViews {
            patch: self.patch,
            views: vec![view],
        }])
    }

    fn process(&self, picture: &Picture) -> Result<Vec<ViewPixels>> {
        Ok(vec![vec![self.processor.process(picture)?]])
    }

    fn token_layout(&self, _: u32, _: u32) -> Result<((), usize)> {
        Ok(((), self.tokens))
    }

    fn token_places(&self, width: u32, height: u32) -> Result<TokenPlaces> {
        let grids = grids(&self.encoder_views(width, height)?, self.patch);
        let patches: usize = grids.iter().map(|grid| grid.rows * grid.columns).sum();
        // A class token comes first.
        let others = self.tokens.saturating_sub(patches);
        let places = (0..self.tokens).map(|token| token.checked_sub(others));
        Ok(TokenPlaces::of(grids, places))
    }
}

/// The encoder and the projector.
pub(in crate::lvlm) struct LlavaVision<D: Device> {
    pub encoder: Vit<D>,
    pub projector: Mlp<D>,
}

impl<D: Device> Vision<D> for LlavaVision<D> {
    type TokenLayout = ();
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
        _: &Arc<()>,
        patches: Vec<D::Matrix>,
        checkpointing: Checkpointing,
        check: bool,
    ) -> Result<VisionOutput<D, Self>> {
        let (features, encoder) =
            self.encoder
                .forward(device, single(patches)?, checkpointing, check)?;
        device.part(Part::Projector);
        let (rows, projector) = self.projector.forward(device, &features, None)?;
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
        (): &(),
        (encoder, projector): Self::Saved,
        d_rows: D::Matrix,
        (): (),
    ) -> Result<Vec<D::Matrix>> {
        device.part(Part::Projector);
        let d_features = self.projector.vjp(device, projector, &d_rows)?;
        device.part(Part::Vision);
        Ok(vec![self.encoder.vjp(device, encoder, d_features)?])
    }
}
