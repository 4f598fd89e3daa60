//! Depthwise convolution.

use super::{Matrix, Memory, Size, same_shape_if};
use crate::device::Result;
use crate::device::error::expect;

/// The shape of a depthwise convolution of stride 1, padded with zeros so that the grid keeps its
/// size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DepthwiseShape {
    /// Rows of the grid.
    pub height: usize,
    /// Columns of the grid.
    pub width: usize,
    /// Taps of the kernel along each side, odd.
    pub size: usize,
}

/// Convolution of every channel with its own kernel.
pub trait Depthwise: Memory {
    /// Convolves every channel with its own kernel and adds its bias: x and y
    /// `[batch * height * width, c]`, grid by grid and row by row, kernel `[size * size, c]`, bias
    /// `[1, c]`. Outside the grid x is zero.
    ///
    /// [`DeviceError::Shape`](crate::device::DeviceError::Shape) for operands of other sizes or a
    /// kernel of an even size.
    fn depthwise(
        &self,
        x: &Self::Matrix,
        kernel: &Self::Matrix,
        bias: &Self::Matrix,
        shape: DepthwiseShape,
    ) -> Result<Self::Matrix> {
        check(x.shape(), kernel.shape(), shape)?;
        same_shape_if("depthwise: bias", (1, x.columns()), Some(bias))?;
        self.depthwise_impl(x, kernel, bias, shape)
    }
    /// Implements [`Depthwise::depthwise`].
    fn depthwise_impl(
        &self,
        x: &Self::Matrix,
        kernel: &Self::Matrix,
        bias: &Self::Matrix,
        shape: DepthwiseShape,
    ) -> Result<Self::Matrix>;

    /// Returns `dx + onto` of `depthwise`.
    ///
    /// # Errors
    /// As [`Depthwise::depthwise`].
    fn depthwise_vjp(
        &self,
        dy: &Self::Matrix,
        kernel: &Self::Matrix,
        shape: DepthwiseShape,
        onto: Option<&Self::Matrix>,
    ) -> Result<Self::Matrix> {
        check(dy.shape(), kernel.shape(), shape)?;
        same_shape_if("depthwise_vjp: onto", dy.shape(), onto)?;
        self.depthwise_vjp_impl(dy, kernel, shape, onto)
    }
    /// Implements [`Depthwise::depthwise_vjp`].
    fn depthwise_vjp_impl(
        &self,
        dy: &Self::Matrix,
        kernel: &Self::Matrix,
        shape: DepthwiseShape,
        onto: Option<&Self::Matrix>,
    ) -> Result<Self::Matrix>;
}

/// Checks that the grids are whole, and the kernel odd and of as many channels.
fn check(x: Size, kernel: Size, shape: DepthwiseShape) -> Result<()> {
    let DepthwiseShape {
        height,
        width,
        size,
    } = shape;
    let places = height.checked_mul(width).filter(|&places| places > 0);
    let taps = size.checked_mul(size).filter(|_| size % 2 == 1);
    let grids = places.is_some_and(|places| x.0.is_multiple_of(places));
    let fits = taps == Some(kernel.0) && kernel.1 == x.1;
    let expected = || {
        format!("grids of {height} x {width}, and {size} x {size} taps, odd, of as many channels")
    };
    expect(grids && fits, "depthwise", expected, || {
        format!("{x:?} and {kernel:?}")
    })
}
