//! Launches of `kernels/columns.cu`, and reshaping.

use cudarc::driver::DeviceRepr;

use super::Cuda;
use super::memory::CudaMatrix;
use crate::device::{Columns, Result};

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
// SAFETY: as above.
unsafe impl DeviceRepr for Scale {}

/// Threads per block.
const THREADS: u32 = 256;

impl Cuda {
    /// Returns a grid with one thread for every 8 columns, or for every column unless `packed`.
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

    /// Computes `x * gain + onto`, each factor or term if given.
    fn scale(
        &self,
        x: &CudaMatrix,
        gain: Option<&CudaMatrix>,
        onto: Option<&CudaMatrix>,
    ) -> Result<CudaMatrix> {
        let y = self.gpu.matrix(x.rows, x.columns)?;
        let arguments = Scale {
            x: x.address(),
            gain: gain.map_or(0, CudaMatrix::address),
            onto: onto.map_or(0, CudaMatrix::address),
            y: y.address(),
            rows: self.number(x.rows)?,
            count: self.number(x.columns)?,
        };
        let grid = self.over_columns(x.rows, x.columns, x.columns.is_multiple_of(8))?;
        // SAFETY: the trait checked the shapes.
        unsafe { self.launch("columns", "scale_columns", grid, THREADS, 0, &arguments) }?;
        Ok(y)
    }

    /// Copies `count` columns of x from `from` on to y from `to` on; both must have them.
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
        // SAFETY: both matrices have these columns and the same number of rows.
        unsafe { self.launch("columns", "copy_columns", grid, THREADS, 0, &arguments) }
    }
}

impl Columns for Cuda {
    fn reshape_impl(&self, x: CudaMatrix, rows: usize, columns: usize) -> Result<CudaMatrix> {
        Ok(CudaMatrix { rows, columns, ..x })
    }

    fn add_impl(&self, a: &CudaMatrix, b: &CudaMatrix) -> Result<CudaMatrix> {
        self.scale(a, None, Some(b))
    }

    fn scale_columns_impl(
        &self,
        x: &CudaMatrix,
        gain: &CudaMatrix,
        onto: Option<&CudaMatrix>,
    ) -> Result<CudaMatrix> {
        self.scale(x, Some(gain), onto)
    }

    fn join_columns_impl(
        &self,
        parts: &[&CudaMatrix],
        rows: usize,
        columns: usize,
    ) -> Result<CudaMatrix> {
        let y = self.gpu.matrix(rows, columns)?;
        let mut to = 0;
        for part in parts {
            self.copy_columns((part, 0), (&y, to), part.columns)?;
            to += part.columns;
        }
        Ok(y)
    }

    fn take_columns_impl(&self, x: &CudaMatrix, from: usize, count: usize) -> Result<CudaMatrix> {
        let y = self.gpu.matrix(x.rows, count)?;
        self.copy_columns((x, from), (&y, 0), count)?;
        Ok(y)
    }
}
