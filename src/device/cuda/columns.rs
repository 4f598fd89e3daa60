//! Launches of `kernels/columns.cu`, and rows of another length.

use cudarc::driver::DeviceRepr;

use super::matrix::{CudaMatrix, Element};
use super::{Cuda, same_shape};
use crate::device::{Result, contract};

/// `CopyArguments` of the kernels.
#[repr(C)]
#[derive(Clone, Copy)]
struct Copy {
    x: u64,
    y: u64,
    rows: i32,
    x_columns: i32,
    from: i32,
    y_columns: i32,
    to: i32,
    count: i32,
}

/// `ScaleArguments` of the kernels.
#[repr(C)]
#[derive(Clone, Copy)]
struct Scale {
    x: u64,
    gain: u64,
    onto: u64,
    y: u64,
    rows: i32,
    count: i32,
}

// SAFETY: laid out as the kernels' structs.
unsafe impl DeviceRepr for Copy {}
// SAFETY: likewise.
unsafe impl DeviceRepr for Scale {}

/// Threads per block.
const THREADS: u32 = 256;

impl Cuda {
    /// The grid of one thread for every 8 columns, or for every single one where `packed` does not hold.
    pub(super) fn over_columns(
        &self,
        rows: usize,
        columns: usize,
        packed: bool,
    ) -> Result<(usize, usize, usize)> {
        let threads = rows * if packed { columns / 8 } else { columns };
        // The kernels count threads in 32 bits.
        self.number(threads)?;
        Ok((threads.div_ceil(THREADS as usize), 1, 1))
    }

    /// The contract is on `Device::reshape`.
    pub(super) fn reshaped(&self, x: CudaMatrix, columns: usize) -> Result<CudaMatrix> {
        let rows = contract::reshape(x.shape(), columns)?;
        Ok(CudaMatrix { rows, columns, ..x })
    }

    /// `x * gain + onto`, each where there is one.
    pub(super) fn scale(
        &self,
        operation: &'static str,
        x: &CudaMatrix,
        gain: Option<&CudaMatrix>,
        onto: Option<&CudaMatrix>,
    ) -> Result<CudaMatrix> {
        same_shape(operation, x.shape(), x)?;
        gain.map_or(Ok(()), |g| same_shape(operation, (1, x.columns), g))?;
        onto.map_or(Ok(()), |o| same_shape(operation, x.shape(), o))?;
        let y = self.gpu.matrix(x.rows, x.columns, Element::Stored)?;
        let arguments = Scale {
            x: x.address(),
            gain: gain.map_or(0, CudaMatrix::address),
            onto: onto.map_or(0, CudaMatrix::address),
            y: y.address(),
            rows: self.number(x.rows)?,
            count: self.number(x.columns)?,
        };
        let grid = self.over_columns(x.rows, x.columns, x.columns.is_multiple_of(8))?;
        // SAFETY: the shapes were compared.
        unsafe { self.launch("columns", "scale_columns", grid, THREADS, 0, &arguments) }?;
        Ok(y)
    }

    /// Columns `from ..` of x become columns `to ..` of y, `count` of them, which both have.
    fn copy_columns(
        &self,
        (x, from): (&CudaMatrix, usize),
        (y, to): (&CudaMatrix, usize),
        count: usize,
    ) -> Result<()> {
        let sizes = [x.columns, from, y.columns, to, count];
        let [x_columns, from, y_columns, to, columns] = sizes.map(|size| self.number(size));
        let arguments = Copy {
            x: x.address(),
            y: y.address(),
            rows: self.number(x.rows)?,
            x_columns: x_columns?,
            from: from?,
            y_columns: y_columns?,
            to: to?,
            count: columns?,
        };
        let packed = sizes.iter().all(|size| size.is_multiple_of(8));
        let grid = self.over_columns(x.rows, count, packed)?;
        // SAFETY: both matrices have these columns, and as many rows.
        unsafe { self.launch("columns", "copy_columns", grid, THREADS, 0, &arguments) }
    }

    /// The contract is on `Device::join_columns`.
    pub(super) fn join(&self, parts: &[&CudaMatrix]) -> Result<CudaMatrix> {
        let (rows, columns) = contract::join_columns(parts.iter().map(|part| part.shape()))?;
        let y = self.gpu.matrix(rows, columns, Element::Stored)?;
        let mut to = 0;
        for part in parts {
            same_shape("join_columns", part.shape(), part)?;
            self.copy_columns((part, 0), (&y, to), part.columns)?;
            to += part.columns;
        }
        Ok(y)
    }

    /// The contract is on `Device::take_columns`.
    pub(super) fn take(&self, x: &CudaMatrix, from: usize, count: usize) -> Result<CudaMatrix> {
        contract::take_columns(x.shape(), from, count)?;
        same_shape("take_columns", x.shape(), x)?;
        let y = self.gpu.matrix(x.rows, count, Element::Stored)?;
        self.copy_columns((x, from), (&y, 0), count)?;
        Ok(y)
    }
}
