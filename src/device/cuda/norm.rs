//! Launches of `kernels/norm.cu`.

use super::Cuda;
use super::interface::norm::{NormArguments, THREADS};
use super::memory::{CudaMatrix, CudaStatistics};
use crate::device::{Norm, Result};

impl Cuda {
    /// Computes y, and `statistics` numbers per row: 2 for a layer norm, which has a bias, 1 for a
    /// root-mean-square norm.
    fn norm(
        &self,
        name: &'static str,
        x: &CudaMatrix,
        gain: &CudaMatrix,
        bias: Option<&CudaMatrix>,
        eps: f64,
    ) -> Result<(CudaMatrix, CudaStatistics)> {
        let y = self.gpu.matrix(x.rows, x.columns)?;
        let numbers = if bias.is_some() { 2 } else { 1 };
        let statistics = self.gpu.statistics(x.rows, numbers)?;
        let arguments = NormArguments {
            x: x.address(),
            gain: gain.address(),
            bias: bias.map_or(0, CudaMatrix::address),
            statistics: statistics.address(),
            out: y.address(),
            columns: self.number(x.columns)?,
            eps: eps as f32,
            ..NormArguments::default()
        };
        // SAFETY: the trait checked the shapes.
        unsafe { self.launch("norm", name, (x.rows, 1, 1), THREADS, 0, &arguments) }?;
        Ok((y, statistics))
    }

    /// Computes dx of a norm.
    fn norm_vjp(
        &self,
        name: &'static str,
        x: &CudaMatrix,
        statistics: &CudaStatistics,
        gain: &CudaMatrix,
        dy: &CudaMatrix,
        onto: Option<&CudaMatrix>,
    ) -> Result<CudaMatrix> {
        let dx = self.gpu.matrix(x.rows, x.columns)?;
        let arguments = NormArguments {
            x: x.address(),
            gain: gain.address(),
            statistics: statistics.address(),
            dy: dy.address(),
            onto: onto.map_or(0, CudaMatrix::address),
            out: dx.address(),
            columns: self.number(x.columns)?,
            ..NormArguments::default()
        };
        // SAFETY: the trait checked the shapes.
        unsafe { self.launch("norm", name, (x.rows, 1, 1), THREADS, 0, &arguments) }?;
        Ok(dx)
    }
}

impl Norm for Cuda {
    fn layer_norm_impl(
        &self,
        x: &CudaMatrix,
        gain: &CudaMatrix,
        bias: &CudaMatrix,
        eps: f64,
    ) -> Result<(CudaMatrix, CudaStatistics)> {
        self.norm("layer_norm", x, gain, Some(bias), eps)
    }

    fn layer_norm_vjp_impl(
        &self,
        x: &CudaMatrix,
        statistics: &CudaStatistics,
        gain: &CudaMatrix,
        dy: &CudaMatrix,
        onto: Option<&CudaMatrix>,
    ) -> Result<CudaMatrix> {
        self.norm_vjp("layer_norm_vjp", x, statistics, gain, dy, onto)
    }

    fn rms_norm_impl(
        &self,
        x: &CudaMatrix,
        gain: &CudaMatrix,
        eps: f64,
    ) -> Result<(CudaMatrix, CudaStatistics)> {
        self.norm("rms_norm", x, gain, None, eps)
    }

    fn rms_norm_vjp_impl(
        &self,
        x: &CudaMatrix,
        statistics: &CudaStatistics,
        gain: &CudaMatrix,
        dy: &CudaMatrix,
        onto: Option<&CudaMatrix>,
    ) -> Result<CudaMatrix> {
        self.norm_vjp("rms_norm_vjp", x, statistics, gain, dy, onto)
    }
}
