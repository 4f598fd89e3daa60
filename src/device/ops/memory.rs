//! Matrices and weights on a device, and how values get there and back.

use super::Size;
use crate::checkpoint::Tensor;
use crate::device::error::expect;
use crate::device::{Real, Result};

/// The size of a matrix on a device.
pub trait Matrix: Send + Sync {
    /// Number of rows.
    fn rows(&self) -> usize;
    /// Number of columns.
    fn columns(&self) -> usize;
    /// Rows and columns.
    fn shape(&self) -> (usize, usize) {
        (self.rows(), self.columns())
    }
}

/// Matrices, weights, and the memory that they take.
pub trait Memory: Send + Sync + 'static {
    /// The type in which values enter and leave the device.
    type Host: Real;
    /// A row-major matrix of activations on the device.
    type Matrix: Matrix;
    /// Numbers that a forward pass leaves for its vjp, in f32 or better whatever the activations
    /// are.
    type Statistics: Matrix;
    /// A frozen weight matrix `[out, in]`, in the checkpoint's own dtype.
    type Weight: Matrix;

    /// Bytes of one activation element.
    fn element_bytes(&self) -> usize;
    /// Bytes that operations need beside their inputs and outputs, for matrices of up to `rows x
    /// columns`.
    fn scratch_bytes(&self, rows: usize, columns: usize) -> usize;
    /// A budget for activations that suits the device, in bytes, once a model's weights are where
    /// they belong.
    fn memory_budget(&self) -> usize;
    /// Memory of matrices no longer in use is kept for the next ones, but given back before `bytes`
    /// are exceeded.
    fn limit_memory(&self, bytes: usize);

    /// Copies values to the device; `values` holds `rows * columns` of them.
    ///
    /// # Errors
    /// [`DeviceError::Shape`](crate::device::DeviceError::Shape) when it holds more or fewer; what
    /// the device reports.
    fn upload(&self, rows: usize, columns: usize, values: &[Self::Host]) -> Result<Self::Matrix> {
        let fits = rows.checked_mul(columns) == Some(values.len());
        let expected = || format!("{rows} x {columns} values");
        expect(fits, "upload", expected, || values.len().to_string())?;
        self.upload_impl(rows, columns, values)
    }
    /// Computes [`Memory::upload`].
    fn upload_impl(
        &self,
        rows: usize,
        columns: usize,
        values: &[Self::Host],
    ) -> Result<Self::Matrix>;
    /// Makes a matrix of zeros.
    fn zeros(&self, rows: usize, columns: usize) -> Result<Self::Matrix> {
        self.upload(rows, columns, &vec![Self::Host::default(); rows * columns])
    }
    /// Copies values from the device, row by row.
    fn download(&self, x: &Self::Matrix) -> Result<Vec<Self::Host>>;
    /// Copies statistics from the device, row by row.
    fn download_statistics(&self, x: &Self::Statistics) -> Result<Vec<Self::Host>>;
    /// Whether every element is finite.
    fn is_finite(&self, x: &Self::Matrix) -> Result<bool>;

    /// Makes a weight matrix of a tensor whose first dimension is the output; the other dimensions
    /// are flattened.
    ///
    /// # Errors
    /// [`DeviceError::Shape`](crate::device::DeviceError::Shape) when the tensor has not as many
    /// bytes as its shape says.
    fn weight(&self, tensor: &Tensor) -> Result<Self::Weight> {
        let (out, inside) = weight_size(tensor)?;
        self.weight_impl(tensor, out, inside)
    }
    /// Computes [`Memory::weight`].
    fn weight_impl(&self, tensor: &Tensor, out: usize, inside: usize) -> Result<Self::Weight>;
    /// Whether it computes with a weight's numbers, or knows its shape only.
    fn reads_weights(&self) -> bool {
        true
    }
}

/// Rows and columns of a weight: a tensor whose first dimension is the output, with all of its
/// bytes.
fn weight_size(tensor: &Tensor) -> Result<Size> {
    let bytes = tensor
        .shape
        .iter()
        .try_fold(tensor.dtype.size(), |bytes, &size| bytes.checked_mul(size));
    let expected = || format!("{} of {:?} {}", tensor.name, tensor.shape, tensor.dtype);
    let fits = !tensor.shape.is_empty() && bytes == Some(tensor.bytes().len());
    expect(fits, "weight", expected, || {
        format!("{} bytes", tensor.bytes().len())
    })?;
    let rows = tensor.shape.first().copied().unwrap_or(0);
    Ok((rows, tensor.shape.iter().skip(1).product()))
}
