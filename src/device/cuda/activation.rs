//! Launches of `kernels/activation.cu`.

use super::Cuda;
use super::interface::activation::{ActivationArguments, ELEMENTS, THREADS};
use super::interface::common;
use super::memory::CudaMatrix;
use crate::device::{Activation, Activations, Result};

/// Returns the kernels' number of an activation function.
pub(super) fn number(kind: Activation) -> i32 {
    let number = match kind {
        Activation::Gelu => common::GELU,
        Activation::GeluTanh => common::GELU_TANH,
        Activation::QuickGelu => common::QUICK_GELU,
        Activation::Silu => common::SILU,
        Activation::Relu => common::RELU,
    };
    number as i32
}

impl Cuda {
    /// Launches kernel `name` over matrices of `count` elements in all.
    pub(super) fn over_elements(
        &self,
        name: &str,
        count: usize,
        arguments: ActivationArguments,
    ) -> Result<()> {
        let arguments = ActivationArguments {
            count: count as i64,
            ..arguments
        };
        let blocks = count.div_ceil(ELEMENTS);
        // SAFETY: every matrix has `count` elements: the traits compare shapes.
        unsafe { self.launch("activation", name, (blocks, 1, 1), THREADS, 0, &arguments) }
    }
}

impl Activations for Cuda {
    fn activation_impl(&self, kind: Activation, x: &CudaMatrix) -> Result<CudaMatrix> {
        let y = self.gpu.matrix(x.rows, x.columns)?;
        let arguments = ActivationArguments {
            x: x.address(),
            out: y.address(),
            kind: number(kind),
            ..ActivationArguments::default()
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
        let arguments = ActivationArguments {
            x: x.address(),
            dy: dy.address(),
            out: dy.address(),
            kind: number(kind),
            ..ActivationArguments::default()
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
        let arguments = ActivationArguments {
            x: gate.address(),
            up: up.address(),
            out: y.address(),
            kind: number(kind),
            ..ActivationArguments::default()
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
        let arguments = ActivationArguments {
            x: gate.address(),
            up: up.address(),
            dy: dy.address(),
            out: d_gate.address(),
            also: dy.address(),
            kind: number(kind),
            ..ActivationArguments::default()
        };
        self.over_elements("gate_vjp", up.count(), arguments)?;
        Ok((d_gate, dy))
    }
}
