//! Launches of `kernels/depthwise.cu`.

use super::Cuda;
use super::interface::depthwise::{CHANNELS, DepthwiseArguments, SHARED_BYTES, SIDE, THREADS};
use super::memory::CudaMatrix;
use crate::device::{Depthwise, DepthwiseShape, Matrix, Result};

impl Cuda {
    /// Computes [`Depthwise::depthwise`]; with `flipped`, [`Depthwise::depthwise_vjp`].
    fn convolve(
        &self,
        x: &CudaMatrix,
        kernel: &CudaMatrix,
        bias: Option<&CudaMatrix>,
        onto: Option<&CudaMatrix>,
        shape: DepthwiseShape,
        flipped: bool,
    ) -> Result<CudaMatrix> {
        let (rows, channels) = x.shape();
        let y = self.gpu.matrix(rows, channels)?;
        let DepthwiseShape {
            height,
            width,
            size,
        } = shape;
        self.number(rows)?;
        let batch = rows / (height * width);
        let arguments = DepthwiseArguments {
            x: x.address(),
            kernel: kernel.address(),
            bias: bias.map_or(0, CudaMatrix::address),
            onto: onto.map_or(0, CudaMatrix::address),
            y: y.address(),
            batch: self.number(batch)?,
            height: self.number(height)?,
            width: self.number(width)?,
            channels: self.number(channels)?,
            size: self.number(size)?,
            flipped: i32::from(flipped),
        };
        let (name, grid, shared) = if size == 7 && channels.is_multiple_of(8) {
            let tiles = height.div_ceil(SIDE) * width.div_ceil(SIDE);
            let blocks = batch * channels.div_ceil(CHANNELS) * tiles;
            ("depthwise_7", (blocks, 1, 1), SHARED_BYTES)
        } else {
            let grid = self.over_columns(rows, channels, channels.is_multiple_of(8), THREADS)?;
            ("depthwise_any", grid, 0)
        };
        // SAFETY: the trait checked the shapes.
        unsafe { self.launch("depthwise", name, grid, THREADS, shared, &arguments) }?;
        Ok(y)
    }
}

impl Depthwise for Cuda {
    fn depthwise_impl(
        &self,
        x: &CudaMatrix,
        kernel: &CudaMatrix,
        bias: &CudaMatrix,
        shape: DepthwiseShape,
    ) -> Result<CudaMatrix> {
        self.convolve(x, kernel, Some(bias), None, shape, false)
    }

    fn depthwise_vjp_impl(
        &self,
        dy: &CudaMatrix,
        kernel: &CudaMatrix,
        shape: DepthwiseShape,
        onto: Option<&CudaMatrix>,
    ) -> Result<CudaMatrix> {
        self.convolve(dy, kernel, None, onto, shape, true)
    }
}
