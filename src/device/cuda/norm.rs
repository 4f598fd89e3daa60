//! Launches of `kernels/norm.cu`.

use cudarc::driver::DeviceRepr;

use super::matrix::{CudaMatrix, Element};
use super::{Cuda, same, same_shape};
use crate::device::Result;

/// `NormArguments` of the kernels.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Arguments {
    x: u64,
    gain: u64,
    bias: u64,
    statistics: u64,
    dy: u64,
    onto: u64,
    out: u64,
    columns: i32,
    eps: f32,
}

// SAFETY: laid out as the kernels' struct.
unsafe impl DeviceRepr for Arguments {}

/// Threads per row.
const THREADS: u32 = 128;

/// The operands of a norm's vjp.
pub(super) struct VjpInputs<'a> {
    pub x: &'a CudaMatrix,
    pub statistics: &'a CudaMatrix,
    pub gain: &'a CudaMatrix,
    pub dy: &'a CudaMatrix,
    pub onto: Option<&'a CudaMatrix>,
}

impl Cuda {
    /// y and statistics of `statistics` numbers per row: 2 of a layer norm, which has a bias, 1 of a root-mean-square norm.
    pub(super) fn norm(
        &self,
        name: &'static str,
        x: &CudaMatrix,
        gain: &CudaMatrix,
        bias: Option<&CudaMatrix>,
        eps: f64,
    ) -> Result<(CudaMatrix, CudaMatrix)> {
        same_shape(name, x.shape(), x)?;
        same_shape(name, (1, x.columns), gain)?;
        bias.map_or(Ok(()), |b| same_shape(name, (1, x.columns), b))?;
        let y = self.gpu.matrix(x.rows, x.columns, Element::Stored)?;
        let numbers = if bias.is_some() { 2 } else { 1 };
        let statistics = self.gpu.matrix(x.rows, numbers, Element::F32)?;
        let arguments = Arguments {
            x: x.address(),
            gain: gain.address(),
            bias: bias.map_or(0, CudaMatrix::address),
            statistics: statistics.address(),
            out: y.address(),
            columns: self.number(x.columns)?,
            eps: eps as f32,
            ..Arguments::default()
        };
        // SAFETY: the shapes were compared.
        unsafe { self.launch("norm", name, (x.rows, 1, 1), THREADS, 0, &arguments) }?;
        Ok((y, statistics))
    }

    /// dx of a norm whose statistics have `numbers` numbers per row.
    pub(super) fn norm_vjp(
        &self,
        name: &'static str,
        numbers: usize,
        inputs: &VjpInputs,
    ) -> Result<CudaMatrix> {
        let x = inputs.x;
        same_shape(name, (1, x.columns), inputs.gain)?;
        same(name, (x.rows, numbers), Element::F32, inputs.statistics)?;
        same_shape(name, x.shape(), x)?;
        same_shape(name, x.shape(), inputs.dy)?;
        inputs
            .onto
            .map_or(Ok(()), |o| same_shape(name, x.shape(), o))?;
        let dx = self.gpu.matrix(x.rows, x.columns, Element::Stored)?;
        let arguments = Arguments {
            x: x.address(),
            gain: inputs.gain.address(),
            statistics: inputs.statistics.address(),
            dy: inputs.dy.address(),
            onto: inputs.onto.map_or(0, CudaMatrix::address),
            out: dx.address(),
            columns: self.number(x.columns)?,
            ..Arguments::default()
        };
        // SAFETY: the shapes were compared.
        unsafe { self.launch("norm", name, (x.rows, 1, 1), THREADS, 0, &arguments) }?;
        Ok(dx)
    }
}
