//! The pre-norm transformer block, of vision encoders and decoders alike.

use super::attention::NormSaved;
use super::{
    Attention, AttentionSaved, Mlp, MlpSaved, NoWatch, Norm, Result, Sequence, Site, Watch,
};
use crate::device::Device;

/// `mid = x + attention(norm(x))`, `y = mid + mlp(norm(mid))`; where there are norms after
/// attention and perceptron, what these compute passes its own before it is added.
pub struct Block<D: Device> {
    /// Before attention.
    pub attention_norm: Norm<D>,
    /// Attention.
    pub attention: Attention<D>,
    /// Before the perceptron.
    pub mlp_norm: Norm<D>,
    /// The perceptron.
    pub mlp: Mlp<D>,
    /// After attention and after the perceptron.
    pub norms_after: Option<[Norm<D>; 2]>,
}

/// Activations that [`Block::forward`] saved beside its input.
pub struct BlockSaved<D: Device> {
    attention_statistics: D::Statistics,
    /// Queries, keys, values and their mixture.
    pub attention: AttentionSaved<D>,
    mid: D::Matrix,
    mlp_statistics: D::Statistics,
    mlp: MlpSaved<D>,
    /// Of the norms after attention and after the perceptron.
    after: [Option<NormSaved<D>>; 2],
}

/// Returns `residual + norm(x)`, and what the norm saved.
fn add_normed<D: Device>(
    device: &D,
    norm: &Norm<D>,
    x: D::Matrix,
    residual: &D::Matrix,
) -> Result<(D::Matrix, Option<NormSaved<D>>)> {
    let (h, statistics) = norm.forward(device, &x)?;
    Ok((device.add(residual, &h)?, Some((x, statistics))))
}

/// Returns the gradient of what a part computes from that of what it adds, if its own norm makes
/// them differ.
fn before_norm<D: Device>(
    device: &D,
    norm: Option<&Norm<D>>,
    saved: Option<NormSaved<D>>,
    dy: &D::Matrix,
) -> Result<Option<D::Matrix>> {
    let part = norm.zip(saved);
    let vjp = |(norm, (x, statistics)): (&Norm<D>, NormSaved<D>)| {
        norm.vjp(device, &x, &statistics, dy, None)
    };
    part.map(vjp).transpose()
}

impl<D: Device> Block<D> {
    /// Returns the norms after attention and after the perceptron.
    fn after(&self) -> [Option<&Norm<D>>; 2] {
        let norms = self.norms_after.as_ref();
        [norms.map(|n| &n[0]), norms.map(|n| &n[1])]
    }

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
        let [after_attention, after_mlp] = self.after();
        let (h, attention_statistics) = self.attention_norm.forward(device, x)?;
        let wanted = match sequence.queries {
            Some(queries) => Some(device.mix_rows(x, queries.map(), None)?),
            None => None,
        };
        let residual = wanted.as_ref().unwrap_or(x);
        let added = after_attention.is_none().then_some(residual);
        let (mid, attention) = self.attention.forward(device, &h, added, sequence)?;
        drop(h);
        let (mid, saved_attention) = match after_attention {
            Some(norm) => add_normed(device, norm, mid, residual)?,
            None => (mid, None),
        };
        drop(wanted);
        let (h, mlp_statistics) = self.mlp_norm.forward(device, &mid)?;
        let added = after_mlp.is_none().then_some(&mid);
        let (y, mlp) = self.mlp.forward(device, &h, added)?;
        drop(h);
        let (y, saved_mlp) = match after_mlp {
            Some(norm) => add_normed(device, norm, y, &mid)?,
            None => (y, None),
        };
        Ok((
            y,
            BlockSaved {
                attention_statistics,
                attention,
                mid,
                mlp_statistics,
                mlp,
                after: [saved_attention, saved_mlp],
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
            after: [saved_attention, saved_mlp],
        } = saved;
        let [after_attention, after_mlp] = self.after();
        let d_mlp = before_norm(device, after_mlp, saved_mlp, &dy)?;
        let dh = self.mlp.vjp(device, mlp, d_mlp.as_ref().unwrap_or(&dy))?;
        drop(d_mlp);
        if watch.wants(Site::MlpInput(i)) {
            let (h, _) = self.mlp_norm.forward(device, &mid)?;
            watch.see(device, Site::MlpInput(i), &h, &dh)?;
        }
        let d_mid = self
            .mlp_norm
            .vjp(device, &mid, &mlp_statistics, &dh, Some(&dy))?;
        drop((dh, dy, mid));
        let d_attention = before_norm(device, after_attention, saved_attention, &d_mid)?;
        let d_out = d_attention.as_ref().unwrap_or(&d_mid);
        if watch.wants_attention() {
            let own = &self.attention;
            let values = own.values(device, &attention, Some(d_out), sequence)?;
            watch.see_attention(i, values);
        }
        let dh = self.attention.vjp(device, attention, d_out, sequence)?;
        drop(d_attention);
        let through = match sequence.queries {
            Some(queries) => device.mix_rows_vjp(&d_mid, queries.map(), None)?,
            None => d_mid,
        };
        self.attention_norm
            .vjp(device, x, &attention_statistics, &dh, Some(&through))
    }
}
