//! One encoder, rows that a map makes of its patches, and a projector: pixel shuffle, and means of
//! neighbouring patches.

use super::one_encoder::{Connector, OneEncoder};
use crate::device::{Device, Matrix, RowMap};
use crate::lvlm::error::Result;
use crate::nn::{Linear, Mlp, MlpSaved, Norm};

/// The encoder, and a projector of mapped rows.
pub(in crate::lvlm) type MappedVision<D> = OneEncoder<D, Mapped<D>>;

/// The map and the projector.
pub(in crate::lvlm) struct Mapped<D: Device> {
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

impl<D: Device> Connector<D> for Mapped<D> {
    type TokenLayout = RowMap;
    type Saved = RowProjectorSaved<D>;

    fn forward(
        &self,
        device: &D,
        map: &RowMap,
        features: D::Matrix,
    ) -> Result<(D::Matrix, RowProjectorSaved<D>)> {
        let rows = device.mix_rows(&features, map, None)?;
        let width = features.columns() * self.side_by_side;
        drop(features);
        self.projector.forward(device, device.reshape(rows, width)?)
    }

    fn vjp(
        &self,
        device: &D,
        map: &RowMap,
        saved: RowProjectorSaved<D>,
        d_rows: D::Matrix,
    ) -> Result<D::Matrix> {
        let d_rows = self.projector.vjp(device, saved, &d_rows)?;
        let width = d_rows.columns() / self.side_by_side;
        Ok(device.mix_rows_vjp(&device.reshape(d_rows, width)?, map, None)?)
    }
}
