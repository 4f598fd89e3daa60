//! Depthwise convolution over a grid and its vjp, which is the convolution with the reversed
//! kernel.

use rayon::prelude::*;

use super::simd::vectorize;
use super::{Cpu, CpuMatrix, CpuReal};
use crate::device::{Depthwise, DepthwiseShape, Matrix, Real, Result};

/// The operands.
pub(super) struct Inputs<'a, T> {
    pub shape: DepthwiseShape,
    pub channels: usize,
    pub x: &'a [T],
    pub kernel: &'a [T],
    pub bias: Option<&'a [T]>,
    pub onto: Option<&'a [T]>,
    /// Whether the taps are in reverse order.
    pub flipped: bool,
}

/// Implements `Device::depthwise`, which documents the contract.
pub(super) fn convolve<T: Real>(inputs: &Inputs<T>, y: &mut [T]) {
    let DepthwiseShape { height, width, .. } = inputs.shape;
    let line = (width * inputs.channels).max(1);
    y.par_chunks_mut(line).enumerate().for_each(|(row, y)| {
        let grid = &inputs.x[row / height * height * line..][..height * line];
        vectorize(
            #[inline(always)]
            || {
                let places = y.chunks_mut(inputs.channels.max(1)).enumerate();
                for (j, y) in places {
                    inputs.place(grid, row % height, j, y);
                }
                if let Some(onto) = inputs.onto {
                    let onto = &onto[row * line..][..line];
                    for (y, &o) in y.iter_mut().zip(onto) {
                        *y += o;
                    }
                }
            },
        );
    });
}

impl<T: Real> Inputs<'_, T> {
    /// Computes all channels of place (i, j) of a grid, with the taps in order.
    #[inline(always)]
    fn place(&self, grid: &[T], i: usize, j: usize, y: &mut [T]) {
        let DepthwiseShape {
            height,
            width,
            size,
        } = self.shape;
        let (half, channels) = (size / 2, self.channels);
        match self.bias {
            Some(bias) => y.copy_from_slice(bias),
            None => y.fill(T::ZERO),
        }
        // Taps u for which 0 <= at + u - half < length.
        let inside =
            |at: usize, length: usize| half.saturating_sub(at)..size.min(length + half - at);
        for u in inside(i, height) {
            for v in inside(j, width) {
                let tap = u * size + v;
                let tap = if self.flipped {
                    size * size - 1 - tap
                } else {
                    tap
                };
                let kernel = &self.kernel[tap * channels..][..channels];
                let at = ((i + u - half) * width + j + v - half) * channels;
                for ((y, &x), &w) in y.iter_mut().zip(&grid[at..][..channels]).zip(kernel) {
                    *y += x * w;
                }
            }
        }
    }
}

impl<T: CpuReal> Depthwise for Cpu<T> {
    fn depthwise_impl(
        &self,
        x: &CpuMatrix<T>,
        kernel: &CpuMatrix<T>,
        bias: &CpuMatrix<T>,
        shape: DepthwiseShape,
    ) -> Result<CpuMatrix<T>> {
        let mut y = self.matrix(x.rows(), x.columns());
        let inputs = Inputs {
            shape,
            channels: x.columns(),
            x: &x.values,
            kernel: &kernel.values,
            bias: Some(&bias.values),
            onto: None,
            flipped: false,
        };
        self.run(|| convolve(&inputs, &mut y.values));
        Ok(y)
    }

    fn depthwise_vjp_impl(
        &self,
        dy: &CpuMatrix<T>,
        kernel: &CpuMatrix<T>,
        shape: DepthwiseShape,
        onto: Option<&CpuMatrix<T>>,
    ) -> Result<CpuMatrix<T>> {
        let mut dx = self.matrix(dy.rows(), dy.columns());
        let inputs = Inputs {
            shape,
            channels: dy.columns(),
            x: &dy.values,
            kernel: &kernel.values,
            bias: None,
            onto: onto.map(|o| &o.values[..]),
            flipped: true,
        };
        self.run(|| convolve(&inputs, &mut dx.values));
        Ok(dx)
    }
}
