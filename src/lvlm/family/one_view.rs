//! One square view for one encoder and a two-layer projector: LLaVA-1.5 in either layout.

use super::one_encoder::{Connector, OneEncoder};
use super::traits::{EncoderViews, ImageProcessing, grids};
use crate::blend::TokenPlaces;
use crate::device::Device;
use crate::lvlm::encoder::{FeatureSelect, Select, VitSizes};
use crate::lvlm::error::{LvlmError, Result};
use crate::lvlm::model::ViewPixels;
use crate::nn::{Mlp, MlpSaved};
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
pub(in crate::lvlm) type LlavaVision<D> = OneEncoder<D, Mlp<D>>;

impl<D: Device> Connector<D> for Mlp<D> {
    type TokenLayout = ();
    type Saved = MlpSaved<D>;

    fn forward(
        &self,
        device: &D,
        (): &(),
        features: D::Matrix,
    ) -> Result<(D::Matrix, MlpSaved<D>)> {
        Ok(Mlp::forward(self, device, &features, None)?)
    }

    fn vjp(&self, device: &D, (): &(), saved: MlpSaved<D>, d_rows: D::Matrix) -> Result<D::Matrix> {
        Ok(Mlp::vjp(self, device, saved, &d_rows)?)
    }
}
