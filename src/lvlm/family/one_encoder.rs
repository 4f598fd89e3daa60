//! One encoder, and layers from its features to the decoder's image rows.

use std::sync::Arc;

use super::traits::{Vision, VisionOutput, single};
use crate::device::{Device, Part};
use crate::lvlm::encoder::{Vit, VitSaved};
use crate::lvlm::error::Result;
use crate::nn::{Checkpointing, NoHook, require_finite};

/// An encoder and what connects it to the decoder.
pub(in crate::lvlm) struct OneEncoder<D: Device, C> {
    pub encoder: Vit<D>,
    pub connector: C,
}

/// The layers from an encoder's features to image rows.
pub(in crate::lvlm) trait Connector<D: Device>: Send + Sync {
    /// As [`Vision::TokenLayout`].
    type TokenLayout: Send + Sync + 'static;
    /// Activations that `forward` saves for the vjp.
    type Saved: 'static;

    /// Returns the image rows of the features of every view.
    ///
    /// # Errors
    /// When sizes do not fit.
    fn forward(
        &self,
        device: &D,
        token_layout: &Self::TokenLayout,
        features: D::Matrix,
    ) -> Result<(D::Matrix, Self::Saved)>;
    /// Returns the gradient of the features.
    ///
    /// # Errors
    /// When sizes do not fit.
    fn vjp(
        &self,
        device: &D,
        token_layout: &Self::TokenLayout,
        saved: Self::Saved,
        d_rows: D::Matrix,
    ) -> Result<D::Matrix>;
}

impl<D: Device, C: Connector<D>> Vision<D> for OneEncoder<D, C> {
    type TokenLayout = C::TokenLayout;
    type Saved = (VitSaved<D>, C::Saved);
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
        token_layout: &Arc<C::TokenLayout>,
        patches: Vec<D::Matrix>,
        checkpointing: Checkpointing,
        check: bool,
    ) -> Result<VisionOutput<D, Self>> {
        let (features, encoder) =
            self.encoder
                .forward(device, single(patches)?, checkpointing, check)?;
        device.part(Part::Projector);
        let (rows, connector) = self.connector.forward(device, token_layout, features)?;
        if check {
            require_finite(device, &rows, || "projector".into())?;
        }
        Ok(VisionOutput {
            rows,
            context: NoHook,
            saved: (encoder, connector),
        })
    }

    fn vjp(
        &self,
        device: &D,
        token_layout: &C::TokenLayout,
        (encoder, connector): Self::Saved,
        d_rows: D::Matrix,
        (): (),
    ) -> Result<Vec<D::Matrix>> {
        device.part(Part::Projector);
        let d_features = self
            .connector
            .vjp(device, token_layout, connector, d_rows)?;
        device.part(Part::Vision);
        Ok(vec![self.encoder.vjp(device, encoder, d_features)?])
    }
}
