//! The merger: neighbouring patches side by side become a row of the decoder.

use super::{EPS, QwenVitConfig};
use crate::checkpoint::Activation;
use crate::device::Device;
use crate::lvlm::error::Result;
use crate::lvlm::loader::Loader;
use crate::nn::{Mlp, MlpSaved, Norm};

/// A norm, and a perceptron of two layers on the patches of a row side by side.
pub(in crate::lvlm) struct Merger<D: Device> {
    norm: Norm<D>,
    /// Columns of what is normalised: those of a patch, or of the patches side by side.
    normed: usize,
    /// Columns of a patch.
    patch: usize,
    /// Columns of the patches side by side.
    merged: usize,
    mlp: Mlp<D>,
}

/// Activations that [`Merger::forward`] saved.
pub(in crate::lvlm) struct MergerSaved<D: Device> {
    /// In rows of what is normalised.
    x: D::Matrix,
    statistics: D::Statistics,
    mlp: MlpSaved<D>,
}

impl<D: Device> Merger<D> {
    /// Loads the merger after the encoder, whose tensors begin with `prefix`.
    pub fn load(loader: &Loader<D>, config: &QwenVitConfig, prefix: &str) -> Result<Merger<D>> {
        let (norm, layers) = match config.deepstack() {
            Some(_) => ("norm", ["linear_fc1", "linear_fc2"]),
            None => ("ln_q", ["mlp.0", "mlp.2"]),
        };
        let norm = config.norm(loader, &format!("{prefix}{norm}"))?;
        Self::with(
            loader,
            config,
            (norm, config.hidden),
            layers.map(|layer| format!("{prefix}{layer}")),
        )
    }

    /// Loads a merger between the encoder's layers, which normalises the patches side by side.
    pub fn load_deep(
        loader: &Loader<D>,
        config: &QwenVitConfig,
        prefix: &str,
    ) -> Result<Merger<D>> {
        let columns = config.merged();
        let norm = loader.layer_norm(&format!("{prefix}norm"), columns, EPS)?;
        let layers = ["linear_fc1", "linear_fc2"].map(|layer| format!("{prefix}{layer}"));
        Self::with(loader, config, (norm, columns), layers)
    }

    fn with(
        loader: &Loader<D>,
        config: &QwenVitConfig,
        (norm, normed): (Norm<D>, usize),
        [first, second]: [String; 2],
    ) -> Result<Merger<D>> {
        let (merged, (_, out)) = (config.merged(), config.out);
        Ok(Merger {
            norm,
            normed,
            patch: config.hidden,
            merged,
            mlp: Mlp::Plain {
                first: loader.linear(&first, merged, merged, true)?,
                second: loader.linear(&second, out, merged, true)?,
                activation: Activation::Gelu,
            },
        })
    }

    /// Maps the features of patches `[pictures * patches, hidden]`, those of a row following each
    /// other, to rows of the decoder `[pictures * rows, out]`.
    ///
    /// # Errors
    /// When sizes do not fit.
    pub fn forward(
        &self,
        device: &D,
        x: D::Matrix,
    ) -> crate::nn::Result<(D::Matrix, MergerSaved<D>)> {
        let x = device.reshape(x, self.normed)?;
        let (normed, statistics) = self.norm.forward(device, &x)?;
        let normed = device.reshape(normed, self.merged)?;
        let (rows, mlp) = self.mlp.forward(device, &normed, None)?;
        let saved = MergerSaved { x, statistics, mlp };
        Ok((rows, saved))
    }

    /// Returns the gradient of the features plus `onto`, which has their size.
    ///
    /// # Errors
    /// When sizes do not fit.
    pub fn vjp(
        &self,
        device: &D,
        saved: MergerSaved<D>,
        d_rows: D::Matrix,
        onto: Option<D::Matrix>,
    ) -> crate::nn::Result<D::Matrix> {
        let MergerSaved { x, statistics, mlp } = saved;
        let d_normed = self.mlp.vjp(device, mlp, &d_rows)?;
        drop(d_rows);
        let d_normed = device.reshape(d_normed, self.normed)?;
        let onto = onto.map(|onto| device.reshape(onto, self.normed));
        let onto = onto.transpose()?;
        let dx = self
            .norm
            .vjp(device, &x, &statistics, &d_normed, onto.as_ref())?;
        Ok(device.reshape(dx, self.patch)?)
    }
}
