//! The encoder, and the merger: neighbouring patches side by side become a row of the decoder.

use std::sync::Arc;

use crate::device::{Device, Matrix, Part};
use crate::lvlm::encoder::{PatchLayout, QwenVit};
use crate::lvlm::error::Result;
use crate::lvlm::family::traits::{Vision, VisionOutput, single};
use crate::nn::{Checkpointing, Mlp, MlpSaved, NoHook, Norm, StackSaved, require_finite};

/// The encoder and the merger.
pub(in crate::lvlm) struct QwenVision<D: Device> {
    pub encoder: QwenVit<D>,
    /// Of each patch.
    pub norm: Norm<D>,
    /// Columns of the patches of a row, side by side.
    pub merged: usize,
    pub mlp: Mlp<D>,
}

/// Activations that [`QwenVision`] saved.
pub(in crate::lvlm) struct QwenSaved<D: Device> {
    encoder: StackSaved<D, NoHook>,
    features: D::Matrix,
    statistics: D::Statistics,
    mlp: MlpSaved<D>,
}

impl<D: Device> Vision<D> for QwenVision<D> {
    type TokenLayout = PatchLayout;
    type Saved = QwenSaved<D>;
    type Context = NoHook;

    fn forward(
        &self,
        device: &D,
        layout: &Arc<PatchLayout>,
        patches: Vec<D::Matrix>,
        checkpointing: Checkpointing,
        check: bool,
    ) -> Result<VisionOutput<D, Self>> {
        let patches = single(patches)?;
        let (features, encoder) =
            self.encoder
                .forward(device, layout, patches, checkpointing, check)?;
        device.part(Part::Projector);
        let (normed, statistics) = self.norm.forward(device, &features)?;
        let normed = device.reshape(normed, self.merged)?;
        let (rows, mlp) = self.mlp.forward(device, &normed, None)?;
        drop(normed);
        let rows = device.mix_rows(&rows, &layout.lines, None)?;
        if check {
            require_finite(device, &rows, || "projector".into())?;
        }
        Ok(VisionOutput {
            rows,
            context: NoHook,
            saved: QwenSaved {
                encoder,
                features,
                statistics,
                mlp,
            },
        })
    }

    fn vjp(
        &self,
        device: &D,
        layout: &PatchLayout,
        saved: QwenSaved<D>,
        d_rows: D::Matrix,
        (): (),
    ) -> Result<Vec<D::Matrix>> {
        device.part(Part::Projector);
        let d_rows = device.mix_rows_vjp(&d_rows, &layout.lines, None)?;
        let d_normed = self.mlp.vjp(device, saved.mlp, &d_rows)?;
        drop(d_rows);
        let (x, statistics) = (saved.features, saved.statistics);
        let d_normed = device.reshape(d_normed, x.columns())?;
        let d_features = self.norm.vjp(device, &x, &statistics, &d_normed, None)?;
        drop((x, d_normed));
        device.part(Part::Vision);
        let encoder = &self.encoder;
        Ok(vec![encoder.vjp(
            device,
            layout,
            saved.encoder,
            d_features,
        )?])
    }
}
