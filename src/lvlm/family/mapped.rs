//! One encoder, rows that a map makes of its patches, and a projector: pixel shuffle, and means of
//! neighbouring patches.

use std::sync::Arc;

use super::traits::{Vision, VisionOutput, single};
use crate::device::{Device, Matrix, Part, RowMap};
use crate::lvlm::encoder::{Vit, VitSaved};
use crate::lvlm::error::Result;
use crate::nn::{Checkpointing, Linear, Mlp, MlpSaved, NoHook, Norm, require_finite};

/// The encoder and the projector.
pub(in crate::lvlm) struct MappedVision<D: Device> {
    pub encoder: Vit<D>,
    /// Rows of the map that stand side by side in one row.
    pub side_by_side: usize,
    pub projector: RowProjector<D>,
}

/// The layers from a row to the decoder's width.
pub(in crate::lvlm) struct RowProjector<D: Device> {
    pub norm: Option<Norm<D>>,
    pub layers: RowLayers<D>,
}

/// The layers after the norm.
pub(in crate::lvlm) enum RowLayers<D: Device> {
    One(Linear<D>),
    Perceptron(Mlp<D>),
}

/// Activations that the projector saved.
pub(in crate::lvlm) struct RowProjectorSaved<D: Device> {
    norm: Option<(D::Matrix, D::Statistics)>,
    perceptron: Option<MlpSaved<D>>,
}

impl<D: Device> RowProjector<D> {
    fn forward(&self, device: &D, x: D::Matrix) -> Result<(D::Matrix, RowProjectorSaved<D>)> {
        let (x, norm) = match &self.norm {
            Some(norm) => {
                let (normed, statistics) = norm.forward(device, &x)?;
                (normed, Some((x, statistics)))
            }
            None => (x, None),
        };
        let (y, perceptron) = match &self.layers {
            RowLayers::One(linear) => (linear.forward(device, &x)?, None),
            RowLayers::Perceptron(mlp) => {
                let (y, saved) = mlp.forward(device, &x, None)?;
                (y, Some(saved))
            }
        };
        Ok((y, RowProjectorSaved { norm, perceptron }))
    }

    fn vjp(&self, device: &D, saved: RowProjectorSaved<D>, dy: &D::Matrix) -> Result<D::Matrix> {
        let dx = match (&self.layers, saved.perceptron) {
            (RowLayers::One(linear), _) => linear.vjp(device, dy, None)?,
            (RowLayers::Perceptron(mlp), Some(saved)) => mlp.vjp(device, saved, dy)?,
            (RowLayers::Perceptron(_), None) => unreachable!("its forward saves them"),
        };
        Ok(match (&self.norm, saved.norm) {
            (Some(norm), Some((x, statistics))) => norm.vjp(device, &x, &statistics, &dx, None)?,
            _ => dx,
        })
    }
}

impl<D: Device> Vision<D> for MappedVision<D> {
    type TokenLayout = RowMap;
    type Saved = (VitSaved<D>, RowProjectorSaved<D>);
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
        map: &Arc<RowMap>,
        patches: Vec<D::Matrix>,
        checkpointing: Checkpointing,
        check: bool,
    ) -> Result<VisionOutput<D, Self>> {
        let (features, encoder) =
            self.encoder
                .forward(device, single(patches)?, checkpointing, check)?;
        device.part(Part::Projector);
        let rows = device.mix_rows(&features, map, None)?;
        let width = features.columns() * self.side_by_side;
        drop(features);
        let (rows, projector) = self
            .projector
            .forward(device, device.reshape(rows, width)?)?;
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
        map: &RowMap,
        (encoder, projector): Self::Saved,
        d_rows: D::Matrix,
        (): (),
    ) -> Result<Vec<D::Matrix>> {
        device.part(Part::Projector);
        let d_rows = self.projector.vjp(device, projector, &d_rows)?;
        let width = d_rows.columns() / self.side_by_side;
        let d_features = device.mix_rows_vjp(&device.reshape(d_rows, width)?, map, None)?;
        device.part(Part::Vision);
        Ok(vec![self.encoder.vjp(device, encoder, d_features)?])
    }
}
