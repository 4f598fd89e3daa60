//! The pre-norm transformer block, of vision encoders and decoders alike.

use super::{
    Attention, AttentionSaved, Mlp, MlpSaved, NoWatch, Norm, Result, Sequence, Site, Watch,
};
use crate::device::Device;

/// `mid = x + attention(norm(x))`, `y = mid + mlp(norm(mid))`.
pub struct Block<D: Device> {
    /// Before attention.
    pub attention_norm: Norm<D>,
    /// Attention.
    pub attention: Attention<D>,
    /// Before the perceptron.
    pub mlp_norm: Norm<D>,
    /// The perceptron.
    pub mlp: Mlp<D>,
}

/// Activations that [`Block::forward`] saved beside its input.
pub struct BlockSaved<D: Device> {
    attention_statistics: D::Statistics,
    /// Queries, keys, values and their mixture.
    pub attention: AttentionSaved<D>,
    mid: D::Matrix,
    mlp_statistics: D::Statistics,
    mlp: MlpSaved<D>,
}

impl<D: Device> Block<D> {
    /// Maps x `[batch * length, c]` to `[batch * outputs, c]`.
    ///
    /// # Errors
    /// When sizes do not fit.
    pub fn forward(
        &self,
        device: &D,
        x: &D::Matrix,
        sequence: &Sequence<D>,
    ) -> Result<(D::Matrix, BlockSaved<D>)> {
        let (h, attention_statistics) = self.attention_norm.forward(device, x)?;
        let (mid, attention) = match sequence.queries {
            Some(queries) => {
                let residual = device.mix_rows(x, queries.map(), None)?;
                self.attention.forward(device, &h, &residual, sequence)?
            }
            None => self.attention.forward(device, &h, x, sequence)?,
        };
        drop(h);
        let (h, mlp_statistics) = self.mlp_norm.forward(device, &mid)?;
        let (y, mlp) = self.mlp.forward(device, &h, Some(&mid))?;
        Ok((
            y,
            BlockSaved {
                attention_statistics,
                attention,
                mid,
                mlp_statistics,
                mlp,
            },
        ))
    }

    /// Returns dx from the block's input, the saved activations, and dy.
    ///
    /// # Errors
    /// When sizes do not fit.
    pub fn vjp(
        &self,
        device: &D,
        x: &D::Matrix,
        saved: BlockSaved<D>,
        dy: D::Matrix,
        sequence: &Sequence<D>,
    ) -> Result<D::Matrix> {
        self.watched_vjp(device, x, saved, dy, sequence, (0, &mut NoWatch))
    }

    /// [`Block::vjp`] of block i of a stack, read by a watch.
    ///
    /// # Errors
    /// As [`Block::vjp`], and those of the watch.
    pub(crate) fn watched_vjp(
        &self,
        device: &D,
        x: &D::Matrix,
        saved: BlockSaved<D>,
        dy: D::Matrix,
        sequence: &Sequence<D>,
        (i, watch): (usize, &mut dyn Watch<D>),
    ) -> Result<D::Matrix> {
        let BlockSaved {
            attention_statistics,
            attention,
            mid,
            mlp_statistics,
            mlp,
        } = saved;
        let dh = self.mlp.vjp(device, mlp, &dy)?;
        if watch.wants(Site::MlpInput(i)) {
            let (h, _) = self.mlp_norm.forward(device, &mid)?;
            watch.see(device, Site::MlpInput(i), &h, &dh)?;
        }
        let d_mid = self
            .mlp_norm
            .vjp(device, &mid, &mlp_statistics, &dh, Some(&dy))?;
        drop((dh, dy, mid));
        if watch.wants_attention() {
            let own = &self.attention;
            let values = own.values(device, &attention, Some(&d_mid), sequence)?;
            watch.see_attention(i, values);
        }
        let dh = self.attention.vjp(device, attention, &d_mid, sequence)?;
        let through = match sequence.queries {
            Some(queries) => device.mix_rows_vjp(&d_mid, queries.map(), None)?,
            None => d_mid,
        };
        self.attention_norm
            .vjp(device, x, &attention_statistics, &dh, Some(&through))
    }
}
