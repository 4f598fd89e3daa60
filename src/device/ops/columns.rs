//! Columns of matrices: scaling, sums, joining, cutting, and rows of another length.

use super::{Matrix, Memory, Size, same_shape, same_shape_if};
use crate::device::Result;
use crate::device::error::expect;

/// Operations on whole columns.
pub trait Columns: Memory {
    /// Reshapes a matrix to rows of another length, without copying.
    ///
    /// # Errors
    /// [`DeviceError::Shape`](crate::device::DeviceError::Shape) if the length does not divide the
    /// number of elements.
    fn reshape(&self, x: Self::Matrix, columns: usize) -> Result<Self::Matrix> {
        let rows = reshaped(x.shape(), columns)?;
        self.reshape_impl(x, rows, columns)
    }
    /// Implements [`Columns::reshape`].
    fn reshape_impl(&self, x: Self::Matrix, rows: usize, columns: usize) -> Result<Self::Matrix>;

    /// Computes `a + b` of matrices of one size.
    ///
    /// # Errors
    /// [`DeviceError::Shape`](crate::device::DeviceError::Shape) if the sizes of operands differ.
    fn add(&self, a: &Self::Matrix, b: &Self::Matrix) -> Result<Self::Matrix> {
        same_shape("add", a.shape(), b)?;
        self.add_impl(a, b)
    }
    /// Implements [`Columns::add`].
    fn add_impl(&self, a: &Self::Matrix, b: &Self::Matrix) -> Result<Self::Matrix>;

    /// Computes `y = x * gain + onto`: x, onto and y `[n, c]`, gain `[1, c]`. Without `onto` the
    /// operation is its own vjp.
    ///
    /// # Errors
    /// [`DeviceError::Shape`](crate::device::DeviceError::Shape) for operands of other sizes.
    /// Operands of other sizes.
    fn scale_columns(
        &self,
        x: &Self::Matrix,
        gain: &Self::Matrix,
        onto: Option<&Self::Matrix>,
    ) -> Result<Self::Matrix> {
        same_shape("scale_columns: gain", (1, x.columns()), gain)?;
        same_shape_if("scale_columns: onto", x.shape(), onto)?;
        self.scale_columns_impl(x, gain, onto)
    }
    /// Implements [`Columns::scale_columns`].
    fn scale_columns_impl(
        &self,
        x: &Self::Matrix,
        gain: &Self::Matrix,
        onto: Option<&Self::Matrix>,
    ) -> Result<Self::Matrix>;

    /// Joins at least one matrix side by side; all have the same number of rows. The vjp with
    /// respect to each part is [`Columns::take_columns`].
    ///
    /// # Errors
    /// An error for no matrices, or for matrices of different numbers of rows.
    fn join_columns(&self, parts: &[&Self::Matrix]) -> Result<Self::Matrix> {
        let (rows, columns) = joined(parts.iter().map(|part| part.shape()))?;
        self.join_columns_impl(parts, rows, columns)
    }
    /// Implements [`Columns::join_columns`].
    fn join_columns_impl(
        &self,
        parts: &[&Self::Matrix],
        rows: usize,
        columns: usize,
    ) -> Result<Self::Matrix>;

    /// Copies `count` columns of `x` from column `from` on.
    ///
    /// # Errors
    /// An error if `x` does not have these columns.
    fn take_columns(&self, x: &Self::Matrix, from: usize, count: usize) -> Result<Self::Matrix> {
        let columns = x.columns();
        let fits = from.checked_add(count).is_some_and(|end| end <= columns);
        let expected = || format!("columns of {columns}");
        expect(fits, "take_columns", expected, || {
            format!("{count} from {from} on")
        })?;
        self.take_columns_impl(x, from, count)
    }
    /// Implements [`Columns::take_columns`].
    fn take_columns_impl(
        &self,
        x: &Self::Matrix,
        from: usize,
        count: usize,
    ) -> Result<Self::Matrix>;
}

/// Returns the number of rows of `to` columns that a matrix can be cut into.
fn reshaped((rows, columns): Size, to: usize) -> Result<usize> {
    let count = rows * columns;
    let expected = || format!("a row length that divides {rows} x {columns}");
    expect(
        to > 0 && count.is_multiple_of(to),
        "reshape",
        expected,
        || to.to_string(),
    )?;
    Ok(count / to)
}

/// Returns the size of matrices joined side by side.
fn joined(parts: impl Iterator<Item = Size> + Clone) -> Result<Size> {
    let rows = parts.clone().next().map(|first| first.0);
    let even = parts.clone().all(|part| Some(part.0) == rows);
    let expected = || "matrices of as many rows".to_string();
    expect(rows.is_some() && even, "join_columns", expected, || {
        format!("{:?}", parts.clone().collect::<Vec<_>>())
    })?;
    Ok((rows.unwrap_or(0), parts.map(|part| part.1).sum()))
}
