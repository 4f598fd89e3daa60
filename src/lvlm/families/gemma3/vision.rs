//! The encoder, the mean of neighbouring patches, a norm, and a layer to the decoder's width.

use std::sync::Arc;

use crate::device::{Device, Part, RowMap};
use crate::lvlm::encoder::{Vit, VitSaved};
use crate::lvlm::error::Result;
use crate::lvlm::family::traits::{Vision, VisionOutput, single};
use crate::nn::{Checkpointing, Linear, NoHook, Norm, require_finite};

/// The encoder and the projector.
pub(in crate::lvlm) struct GemmaVision<D: Device> {
    pub encoder: Vit<D>,
    /// Of the means.
    pub norm: Norm<D>,
    pub projection: Linear<D>,
}

/// Activations that [`GemmaVision`] saved.
pub(in crate::lvlm) struct GemmaSaved<D: Device> {
    encoder: VitSaved<D>,
    means: D::Matrix,
    statistics: D::Statistics,
}

impl<D: Device> Vision<D> for GemmaVision<D> {
    type TokenLayout = RowMap;
    type Saved = GemmaSaved<D>;
    type Context = NoHook;

    fn encoder(&self) -> Option<&Vit<D>> {
        Some(&self.encoder)
    }

    fn encoder_saved(saved: &mut Self::Saved) -> Option<&mut VitSaved<D>> {
        Some(&mut saved.encoder)
    }

    fn forward(
        &self,
        device: &D,
        pool: &Arc<RowMap>,
        patches: Vec<D::Matrix>,
        checkpointing: Checkpointing,
        check: bool,
    ) -> Result<VisionOutput<D, Self>> {
        let (features, encoder) =
            self.encoder
                .forward(device, single(patches)?, checkpointing, check)?;
        device.part(Part::Projector);
        let means = device.mix_rows(&features, pool, None)?;
        drop(features);
        let (normed, statistics) = self.norm.forward(device, &means)?;
        let rows = self.projection.forward(device, &normed)?;
        if check {
            require_finite(device, &rows, || "projector".into())?;
        }
        Ok(VisionOutput {
            rows,
            context: NoHook,
            saved: GemmaSaved {
                encoder,
                means,
                statistics,
            },
        })
    }

    fn vjp(
        &self,
        device: &D,
        pool: &RowMap,
        saved: GemmaSaved<D>,
        d_rows: D::Matrix,
        (): (),
    ) -> Result<Vec<D::Matrix>> {
        device.part(Part::Projector);
        let d_normed = self.projection.vjp(device, &d_rows, None)?;
        drop(d_rows);
        let GemmaSaved {
            encoder,
            means,
            statistics,
        } = saved;
        let d_means = self
            .norm
            .vjp(device, &means, &statistics, &d_normed, None)?;
        drop((means, d_normed));
        let d_features = device.mix_rows_vjp(&d_means, pool, None)?;
        device.part(Part::Vision);
        Ok(vec![self.encoder.vjp(device, encoder, d_features)?])
    }
}
