//! Matrices and weights on a device, and copies to and from it.

use crate::checkpoint::Tensor;
use crate::device::error::expect;
use crate::device::{Real, Result};

/// The size of a matrix on a device.
pub trait Matrix: Send + Sync + 'static {
    /// Returns the number of rows.
    fn rows(&self) -> usize;
    /// Returns the number of columns.
    fn columns(&self) -> usize;
    /// Returns rows and columns.
    fn shape(&self) -> (usize, usize) {
        (self.rows(), self.columns())
    }
}

/// Matrices, weights, and their memory.
pub trait Memory: Send + Sync + 'static {
    /// The type of values copied to and from the device.
    type Host: Real;
    /// A row-major matrix of activations on the device.
    type Matrix: Matrix;
    /// Numbers that a forward pass saves for its vjp, in f32 or better whatever the type of
    /// activations.
    type Statistics: Matrix;
    /// A frozen weight matrix `[out, in]`, in the checkpoint's dtype or the device's storage type.
    type Weight: Matrix;

    /// Returns the bytes of one activation element.
    fn element_bytes(&self) -> usize;
    /// Returns the bytes that operations need in addition to their inputs and outputs, for matrices
    /// of up to `rows x columns`.
    fn scratch_bytes(&self, rows: usize, columns: usize) -> usize;
    /// Returns a suitable budget for activations in bytes, after a model's weights are loaded.
    fn memory_budget(&self) -> usize;
    /// Limits memory to `bytes`: unused memory of matrices is kept for reuse, but freed before the
    /// limit is exceeded.
    fn limit_memory(&self, bytes: usize);

    /// Copies values to the device; `values` holds `rows * columns` of them.
    ///
    /// # Errors
    /// [`DeviceError::Shape`](crate::device::DeviceError::Shape) if it holds another number, and
    /// the errors of the device.
    fn upload(&self, rows: usize, columns: usize, values: &[Self::Host]) -> Result<Self::Matrix> {
        let fits = rows.checked_mul(columns) == Some(values.len());
        let expected = || format!("{rows} x {columns} values");
        expect(fits, "upload", expected, || values.len().to_string())?;
        self.upload_impl(rows, columns, values)
    }
    /// Implements [`Memory::upload`].
    fn upload_impl(
        &self,
        rows: usize,
        columns: usize,
        values: &[Self::Host],
    ) -> Result<Self::Matrix>;
    /// Creates a matrix of zeros.
    fn zeros(&self, rows: usize, columns: usize) -> Result<Self::Matrix> {
        self.upload(rows, columns, &vec![Self::Host::default(); rows * columns])
    }
    /// Copies values from the device, row by row.
    fn download(&self, x: &Self::Matrix) -> Result<Vec<Self::Host>>;
    /// Copies statistics from the device, row by row.
    fn download_statistics(&self, x: &Self::Statistics) -> Result<Vec<Self::Host>>;

    /// Creates a weight matrix from a tensor whose first dimension is the output; the other
    /// dimensions are flattened.
    ///
    /// # Errors
    /// [`DeviceError::Shape`](crate::device::DeviceError::Shape) if the tensor's number of bytes
    /// does not match its shape, on a device that reads them.
    fn weight(&self, tensor: &Tensor) -> Result<Self::Weight> {
        if self.reads_weights() {
            check_bytes(tensor)?;
        }
        let out = tensor.shape.first().copied().unwrap_or(0);
        self.weight_impl(tensor, out, tensor.shape.iter().skip(1).product())
    }
    /// Implements [`Memory::weight`].
    fn weight_impl(&self, tensor: &Tensor, out: usize, inside: usize) -> Result<Self::Weight>;
    /// Checks whether the device computes with weights, rather than using only their shapes.
    fn reads_weights(&self) -> bool {
        true
    }
}

/// Checks that a tensor has a dimension, and all of its bytes.
fn check_bytes(tensor: &Tensor) -> Result<()> {
    let bytes = tensor
        .shape
        .iter()
        .try_fold(tensor.dtype.size(), |bytes, &size| bytes.checked_mul(size));
    let expected = || format!("{} of {:?} {}", tensor.name, tensor.shape, tensor.dtype);
    let fits = !tensor.shape.is_empty() && bytes == Some(tensor.bytes().len());
    expect(fits, "weight", expected, || {
        format!("{} bytes", tensor.bytes().len())
    })
}
