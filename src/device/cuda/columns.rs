//! Launches of `kernels/columns.cu`, and reshaping.

use super::Cuda;
use super::interface::columns::{CopyArguments, ScaleArguments, THREADS};
use super::memory::CudaMatrix;
use crate::device::{Columns, Result};

impl Cuda {
    /// Returns a grid of blocks of `block` threads with one thread for every 8 columns, or for
    /// every column unless `packed`.
    pub(super) fn over_columns(
        &self,
        rows: usize,
        columns: usize,
        packed: bool,
        block: usize,
    ) -> Result<(usize, usize, usize)> {
        let threads = rows * if packed { columns / 8 } else { columns };
        // The kernels count threads in 32 bits.
        self.number(threads)?;
        Ok((threads.div_ceil(block), 1, 1))
    }

    /// Computes `x * gain + onto`, each factor or term if given.
    fn scale(
        &self,
        x: &CudaMatrix,
        gain: Option<&CudaMatrix>,
        onto: Option<&CudaMatrix>,
    ) -> Result<CudaMatrix> {
        let y = self.gpu.matrix(x.rows, x.columns)?;
        let arguments = ScaleArguments {
            x: x.address(),
            gain: gain.map_or(0, CudaMatrix::address),
            onto: onto.map_or(0, CudaMatrix::address),
            y: y.address(),
            rows: self.number(x.rows)?,
            count: self.number(x.columns)?,
        };
        let packed = x.columns.is_multiple_of(8);
        let grid = self.over_columns(x.rows, x.columns, packed, THREADS)?;
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
        let arguments = CopyArguments {
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
        let grid = self.over_columns(x.rows, count, packed, THREADS)?;
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
