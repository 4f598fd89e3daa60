//! The encoder and its mergers.

use std::sync::Arc;

use super::deepstack::DeepStack;
use crate::device::{Device, Part};
use crate::lvlm::encoder::{Merger, MergerSaved, PatchLayout, QwenVit, QwenVitSaved};
use crate::lvlm::error::Result;
use crate::lvlm::family::traits::{Vision, VisionOutput, single};
use crate::nn::{Checkpointing, require_finite};

/// The encoder and the mergers.
pub(in crate::lvlm) struct QwenVision<D: Device> {
    pub(super) encoder: QwenVit<D>,
    pub(super) merger: Merger<D>,
    /// Layers of the decoder.
    pub(super) layers: usize,
}

/// Activations that [`QwenVision`] saved.
pub(in crate::lvlm) struct QwenSaved<D: Device> {
    encoder: QwenVitSaved<D>,
    merger: MergerSaved<D>,
}

impl<D: Device> Vision<D> for QwenVision<D> {
    type TokenLayout = PatchLayout;
    type Saved = QwenSaved<D>;
    type Context = DeepStack<D>;

    fn forward(
        &self,
        device: &D,
        layout: &Arc<PatchLayout>,
        patches: Vec<D::Matrix>,
        checkpointing: Checkpointing,
        check: bool,
    ) -> Result<VisionOutput<D, Self>> {
        let patches = single(patches)?;
        let (features, deep, encoder) =
            self.encoder
                .forward(device, layout, patches, checkpointing, check)?;
        device.part(Part::Projector);
        let (rows, merger) = self.merger.forward(device, features)?;
        let rows = device.mix_rows(&rows, &layout.lines, None)?;
        if check {
            for rows in deep.iter().chain([&rows]) {
                require_finite(device, rows, || "projector".into())?;
            }
        }
        Ok(VisionOutput {
            rows,
            context: DeepStack {
                rows: deep,
                layout: Arc::clone(layout),
                first: 0,
                layers: self.layers,
            },
            saved: QwenSaved { encoder, merger },
        })
    }

    fn vjp(
        &self,
        device: &D,
        layout: &PatchLayout,
        saved: QwenSaved<D>,
        d_rows: D::Matrix,
        d_deep: Vec<Option<D::Matrix>>,
    ) -> Result<Vec<D::Matrix>> {
        device.part(Part::Projector);
        let d_rows = device.mix_rows_vjp(&d_rows, &layout.lines, None)?;
        let d_features = self.merger.vjp(device, saved.merger, d_rows, None)?;
        device.part(Part::Vision);
        let encoder = &self.encoder;
        let d_patches = encoder.vjp(device, layout, saved.encoder, d_features, d_deep)?;
        Ok(vec![d_patches])
    }
}
