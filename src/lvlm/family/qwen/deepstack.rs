//! DeepStack (Meng et al., arXiv 2406.04334) in the decoder: rows of the encoder's layers are added
//! to the picture's rows between the first layers.

use std::sync::Arc;

use crate::device::{Device, Matrix, RowMap};
use crate::lvlm::encoder::PatchLayout;
use crate::nn::{BlockHook, Result};

/// Adds rows to those of the picture.
pub(in crate::lvlm) struct DeepStack<D: Device> {
    /// Those that are added after the first layer, after the second, and so on: `[batch * rows,
    /// hidden]`, in the encoder's order.
    pub(super) rows: Vec<D::Matrix>,
    pub(super) layout: Arc<PatchLayout>,
    /// The row of a sequence that is the picture's first.
    pub(super) first: usize,
    /// Layers of the decoder. Nothing reads the picture's rows after the last one.
    pub(super) layers: usize,
}

impl<D: Device> DeepStack<D> {
    /// Returns the map from the rows of a sequence to those that are added to.
    fn picked(&self, i: usize, x: &D::Matrix) -> RowMap {
        let batch = self.rows[i].rows() / self.layout.order.len();
        let places = self.layout.order.iter();
        let places = places.map(|&place| Some(self.first + place));
        RowMap::select(x.rows() / batch, places)
    }
}

impl<D: Device> BlockHook<D> for DeepStack<D> {
    type Saved = ();
    /// Of the rows that are added, where they are.
    type Gradients = Vec<Option<D::Matrix>>;

    fn changes(&self, i: usize) -> bool {
        i < self.rows.len() && i + 1 < self.layers
    }

    fn begin_at(&mut self, row: usize) {
        self.first = row;
    }

    /// A row gets what the encoder made of its own place.
    fn mixes(&self, _: usize) -> bool {
        false
    }

    fn forward(&self, device: &D, i: usize, x: D::Matrix) -> Result<(D::Matrix, ())> {
        let picked = self.picked(i, &x);
        Ok((device.mix_rows_vjp(&self.rows[i], &picked, Some(&x))?, ()))
    }

    fn vjp(
        &self,
        device: &D,
        i: usize,
        (): (),
        dy: D::Matrix,
        gradients: &mut Self::Gradients,
    ) -> Result<D::Matrix> {
        gradients.resize_with(self.rows.len(), || None);
        gradients[i] = Some(device.mix_rows(&dy, &self.picked(i, &dy), None)?);
        Ok(dy)
    }
}
