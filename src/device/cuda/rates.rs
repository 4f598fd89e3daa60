//! Measures a GPU's peak rates: copies in its memory, and products of registers
//! (`kernels/rates.cu`).

use super::Cuda;
use super::interface::rates::{BLOCKS, DEPTH, RatesArguments, SIDE, THREADS, WARPS};
use super::memory::{CudaMatrix, CudaStatistics};
use super::pool::Buffer;
use crate::device::{Matrix, Memory, Result};

/// A copy from one buffer on a GPU to another, by the driver, as in vendors' own bandwidth tests,
/// so that no kernel of this program affects the rate.
pub(crate) struct Copies<'d> {
    device: &'d Cuda,
    from: Buffer,
    to: Buffer,
    bytes: usize,
}

impl<'d> Copies<'d> {
    /// Allocates two buffers of `bytes` bytes.
    pub fn new(device: &'d Cuda, bytes: usize) -> Result<Copies<'d>> {
        let copies = Copies {
            device,
            from: device.gpu.buffer(bytes)?,
            to: device.gpu.buffer(bytes)?,
            bytes,
        };
        device.gpu.zero(&copies.from, bytes)?;
        Ok(copies)
    }

    /// Returns the bytes that one copy reads and writes together.
    pub fn moved(&self) -> f64 {
        2.0 * self.bytes as f64
    }

    /// Submits one copy.
    pub fn run(&self) -> Result<()> {
        let (to, from) = (self.to.address(), self.from.address());
        // SAFETY: both buffers are that long and distinct.
        unsafe { self.device.gpu.copy(to, from, self.bytes) }
    }
}

/// Products of registers, by all warps that a GPU can hold at once: `steps` times `a b^T`, summed.
pub(crate) struct Products<'d> {
    device: &'d Cuda,
    a: CudaMatrix,
    b: CudaMatrix,
    sums: CudaStatistics,
    steps: usize,
}

impl<'d> Products<'d> {
    /// Rows of both operands, which are the rows and columns of the product.
    pub const SIDE: usize = SIDE;
    /// Columns of both operands.
    pub const DEPTH: usize = DEPTH;

    /// Uploads `a` and `b`, `[SIDE, DEPTH]` each, row-major, rounded to the device's storage type.
    pub fn new(device: &'d Cuda, a: &[f32], b: &[f32], steps: usize) -> Result<Products<'d>> {
        let upload = |values| device.upload(Self::SIDE, Self::DEPTH, values);
        let warps = device.multiprocessors * BLOCKS * WARPS;
        Ok(Products {
            device,
            a: upload(a)?,
            b: upload(b)?,
            sums: device.gpu.statistics(warps, Self::SIDE * Self::SIDE)?,
            steps,
        })
    }

    /// Returns the floating-point operations of one run.
    pub fn operations(&self) -> f64 {
        let step = 2 * Self::SIDE * Self::SIDE * Self::DEPTH;
        self.sums.rows() as f64 * self.steps as f64 * step as f64
    }

    /// Submits one run.
    pub fn run(&self) -> Result<()> {
        let arguments = RatesArguments {
            a: self.a.address(),
            b: self.b.address(),
            sums: self.sums.address(),
            steps: self.device.number(self.steps)?,
        };
        let grid = (self.sums.rows() / WARPS, 1, 1);
        // SAFETY: the operands were uploaded in the kernels' shape, and there is a matrix of sums
        // for every warp of the grid.
        unsafe {
            self.device
                .launch("rates", "products", grid, THREADS, 0, &arguments)
        }
    }

    /// Returns the sums of the last run, warp by warp: `[SIDE, SIDE]` each, row-major.
    pub fn sums(&self) -> Result<Vec<f32>> {
        self.device.download_statistics(&self.sums)
    }
}
