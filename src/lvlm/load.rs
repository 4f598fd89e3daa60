//! Layers from a checkpoint's tensors.

use super::Result;
use crate::checkpoint::{Checkpoint, Tensor};
use crate::device::{Device, Real};
use crate::nn::{Linear, Norm};

/// A checkpoint and the device that its layers go to.
pub(super) struct Loader<'a, D: Device> {
    pub checkpoint: &'a Checkpoint,
    pub device: &'a D,
}

impl<D: Device> Loader<'_, D> {
    /// A tensor that must be there with that shape.
    pub fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        Ok(self.checkpoint.require(name, shape)?)
    }

    /// A weight matrix.
    pub fn weight(&self, name: &str, shape: &[usize]) -> Result<D::Weight> {
        Ok(self.device.weight(&self.tensor(name, shape)?)?)
    }

    /// A tensor as `rows x columns` of activations.
    pub fn matrix(
        &self,
        name: &str,
        shape: &[usize],
        rows: usize,
        columns: usize,
    ) -> Result<D::Matrix> {
        let values: Vec<D::Host> = self
            .tensor(name, shape)?
            .to_f32()
            .into_iter()
            .map(|v| D::Host::of(f64::from(v)))
            .collect();
        Ok(self.device.upload(rows, columns, &values)?)
    }

    /// `name.weight` and, where there is one, `name.bias`.
    pub fn linear(&self, name: &str, out: usize, inside: usize, bias: bool) -> Result<Linear<D>> {
        let weight = self.weight(&format!("{name}.weight"), &[out, inside])?;
        let bias = bias
            .then(|| self.matrix(&format!("{name}.bias"), &[out], 1, out))
            .transpose()?;
        Ok(Linear { weight, bias })
    }

    /// A layer norm of `name.weight` and `name.bias`.
    pub fn layer_norm(&self, name: &str, columns: usize, eps: f64) -> Result<Norm<D>> {
        let gain = self.matrix(&format!("{name}.weight"), &[columns], 1, columns)?;
        let bias = self.matrix(&format!("{name}.bias"), &[columns], 1, columns)?;
        Ok(Norm::Layer { gain, bias, eps })
    }

    /// A root-mean-square norm of `name.weight`.
    pub fn rms_norm(&self, name: &str, columns: usize, eps: f64) -> Result<Norm<D>> {
        Ok(Norm::Rms {
            gain: self.matrix(&format!("{name}.weight"), &[columns], 1, columns)?,
            eps,
        })
    }
}
