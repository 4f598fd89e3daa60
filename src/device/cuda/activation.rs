//! Launches of `kernels/activation.cu`.

use cudarc::driver::DeviceRepr;

use super::matrix::{CudaMatrix, Element};
use super::{Cuda, same_shape};
use crate::device::{Activation, Result};

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

/// The kernels' number of an activation function (`ActivationKind` in `kernels/common.cuh`).
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
        // SAFETY: every matrix has `count` elements: the callers compare shapes.
        unsafe { self.launch("activation", name, (blocks, 1, 1), 256, 0, &arguments) }
    }

    /// `f(x)`.
    pub(super) fn activate(&self, kind: Activation, x: &CudaMatrix) -> Result<CudaMatrix> {
        same_shape("activation", x.shape(), x)?;
        let y = self.gpu.matrix(x.rows, x.columns, Element::Stored)?;
        let arguments = Arguments {
            x: x.address(),
            out: y.address(),
            kind: number(kind),
            ..Arguments::default()
        };
        self.over_elements("activation", x.count(), arguments)?;
        Ok(y)
    }

    /// `dy * f'(x)`, in dy's place.
    pub(super) fn activate_vjp(
        &self,
        kind: Activation,
        x: &CudaMatrix,
        dy: CudaMatrix,
    ) -> Result<CudaMatrix> {
        same_shape("activation_vjp", x.shape(), x)?;
        same_shape("activation_vjp", x.shape(), &dy)?;
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

    /// `f(gate) * up`.
    pub(super) fn multiply_gate(
        &self,
        kind: Activation,
        gate: &CudaMatrix,
        up: &CudaMatrix,
    ) -> Result<CudaMatrix> {
        same_shape("gate", gate.shape(), gate)?;
        same_shape("gate", gate.shape(), up)?;
        let y = self.gpu.matrix(up.rows, up.columns, Element::Stored)?;
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

    /// The gradients of gate, and of up in dy's place.
    pub(super) fn multiply_gate_vjp(
        &self,
        kind: Activation,
        gate: &CudaMatrix,
        up: &CudaMatrix,
        dy: CudaMatrix,
    ) -> Result<(CudaMatrix, CudaMatrix)> {
        same_shape("gate_vjp: gate", gate.shape(), gate)?;
        same_shape("gate_vjp: up", gate.shape(), up)?;
        same_shape("gate_vjp: dy", gate.shape(), &dy)?;
        let d_gate = self.gpu.matrix(up.rows, up.columns, Element::Stored)?;
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
