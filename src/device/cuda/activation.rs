//! Launches of `kernels/activation.cu`.

use cudarc::driver::DeviceRepr;

use super::Cuda;
use super::memory::CudaMatrix;
use crate::device::{Activation, Activations, Result};

/// `ActivationArguments` of the kernels.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(super) struct Arguments {
    pub x: u64,
    pub up: u64,
    pub dy: u64,
    pub out: u64,
    pub also: u64,
    pub count: i64,
    pub kind: i32,
}

// SAFETY: laid out as the kernels' struct.
unsafe impl DeviceRepr for Arguments {}

/// Returns the kernels' number of an activation function (`ActivationKind` in
/// `kernels/common.cuh`).
pub(super) fn number(kind: Activation) -> i32 {
    match kind {
        Activation::Gelu => 0,
        Activation::GeluTanh => 1,
        Activation::QuickGelu => 2,
        Activation::Silu => 3,
    }
}

impl Cuda {
    /// Launches kernel `name` over matrices of `count` elements in all.
    pub(super) fn over_elements(
        &self,
        name: &str,
        count: usize,
        arguments: Arguments,
    ) -> Result<()> {
        let arguments = Arguments {
            count: count as i64,
            ..arguments
        };
        let blocks = count.div_ceil(256 * 8);
        // SAFETY: every matrix has `count` elements: the traits compare shapes.
        unsafe { self.launch("activation", name, (blocks, 1, 1), 256, 0, &arguments) }
    }
}

impl Activations for Cuda {
    fn activation_impl(&self, kind: Activation, x: &CudaMatrix) -> Result<CudaMatrix> {
        let y = self.gpu.matrix(x.rows, x.columns)?;
        let arguments = Arguments {
            x: x.address(),
            out: y.address(),
            kind: number(kind),
            ..Arguments::default()
        };
        self.over_elements("activation", x.count(), arguments)?;
        Ok(y)
    }

    fn activation_vjp_impl(
        &self,
        kind: Activation,
        x: &CudaMatrix,
        dy: CudaMatrix,
    ) -> Result<CudaMatrix> {
        let arguments = Arguments {
            x: x.address(),
            dy: dy.address(),
            out: dy.address(),
            kind: number(kind),
            ..Arguments::default()
        };
        self.over_elements("activation_vjp", x.count(), arguments)?;
        Ok(dy)
    }

    fn gate_impl(
        &self,
        kind: Activation,
        gate: &CudaMatrix,
        up: &CudaMatrix,
    ) -> Result<CudaMatrix> {
        let y = self.gpu.matrix(up.rows, up.columns)?;
        let arguments = Arguments {
            x: gate.address(),
            up: up.address(),
            out: y.address(),
            kind: number(kind),
            ..Arguments::default()
        };
        self.over_elements("gate", up.count(), arguments)?;
        Ok(y)
    }

    fn gate_vjp_impl(
        &self,
        kind: Activation,
        gate: &CudaMatrix,
        up: &CudaMatrix,
        dy: CudaMatrix,
    ) -> Result<(CudaMatrix, CudaMatrix)> {
        let d_gate = self.gpu.matrix(up.rows, up.columns)?;
        let arguments = Arguments {
            x: gate.address(),
            up: up.address(),
            dy: dy.address(),
            out: d_gate.address(),
            also: dy.address(),
            kind: number(kind),
            ..Arguments::default()
        };
        self.over_elements("gate_vjp", up.count(), arguments)?;
        Ok((d_gate, dy))
    }
}
