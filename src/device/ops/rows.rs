//! Rows of matrices: gathering, copying, sparse maps, rotary positions.

use super::{Matrix, Memory, Size, below, same_shape, same_shape_if};
use crate::device::Result;
use crate::device::error::expect;

/// Operations on whole rows.
pub trait Rows: Memory {
    /// Checks whether every element is finite.
    fn is_finite(&self, x: &Self::Matrix) -> Result<bool>;

    /// Copies the rows `ids` of a weight, `[ids, in]`.
    ///
    /// # Errors
    /// [`DeviceError::Index`](crate::device::DeviceError::Index) for an id that is not below the
    /// weight's rows.
    fn gather(&self, weight: &Self::Weight, ids: &[u32]) -> Result<Self::Matrix> {
        below("gather", ids.iter().map(|&id| id as usize), weight.rows())?;
        self.gather_impl(weight, ids)
    }
    /// Implements [`Rows::gather`].
    fn gather_impl(&self, weight: &Self::Weight, ids: &[u32]) -> Result<Self::Matrix>;

    /// Copies all of `x` into `target` from row `at` on.
    ///
    /// # Errors
    /// An error if the rows do not fit.
    fn write_rows(&self, target: &mut Self::Matrix, at: usize, x: &Self::Matrix) -> Result<()> {
        let (to, from) = (target.shape(), x.shape());
        let end = at.checked_add(from.0);
        let fits = end.is_some_and(|end| end <= to.0) && from.1 == to.1;
        let expected = || format!("rows of {} up to row {}", to.1, to.0);
        expect(fits, "write_rows", expected, || {
            format!("{from:?} from row {at} on")
        })?;
        self.write_rows_impl(target, at, x)
    }
    /// Implements [`Rows::write_rows`].
    fn write_rows_impl(&self, target: &mut Self::Matrix, at: usize, x: &Self::Matrix)
    -> Result<()>;

    /// Computes `y = map x + constant` per sequence: x `[batch * map.inputs, c]`, constant
    /// `[map.outputs, c]` the same for every sequence, y `[batch * map.outputs, c]`.
    ///
    /// # Errors
    /// [`DeviceError::Shape`](crate::device::DeviceError::Shape) for operands of other sizes.
    fn mix_rows(
        &self,
        x: &Self::Matrix,
        map: &RowMap,
        constant: Option<&Self::Matrix>,
    ) -> Result<Self::Matrix> {
        let (batch, columns) = (sequences(x.rows(), map.inputs()), x.columns());
        same_shape("mix_rows", (batch * map.inputs(), columns), x)?;
        same_shape_if("mix_rows: constant", (map.outputs(), columns), constant)?;
        self.mix_rows_impl(x, map, constant, batch)
    }
    /// Implements [`Rows::mix_rows`] for `batch` sequences.
    fn mix_rows_impl(
        &self,
        x: &Self::Matrix,
        map: &RowMap,
        constant: Option<&Self::Matrix>,
        batch: usize,
    ) -> Result<Self::Matrix>;

    /// Computes `dx = map^T dy + onto` per sequence.
    ///
    /// # Errors
    /// As [`Rows::mix_rows`].
    fn mix_rows_vjp(
        &self,
        dy: &Self::Matrix,
        map: &RowMap,
        onto: Option<&Self::Matrix>,
    ) -> Result<Self::Matrix> {
        let (batch, columns) = (sequences(dy.rows(), map.outputs()), dy.columns());
        same_shape("mix_rows_vjp", (batch * map.outputs(), columns), dy)?;
        same_shape_if("mix_rows_vjp: onto", (batch * map.inputs(), columns), onto)?;
        self.mix_rows_vjp_impl(dy, map, onto, batch)
    }
    /// Implements [`Rows::mix_rows_vjp`] for `batch` sequences.
    fn mix_rows_vjp_impl(
        &self,
        dy: &Self::Matrix,
        map: &RowMap,
        onto: Option<&Self::Matrix>,
        batch: usize,
    ) -> Result<Self::Matrix>;

    /// Applies rotary position embedding in place: in each head of size d, pair (i, i + d/2) is
    /// rotated by `position * frequency[i]`. Row r of x is at position
    /// `positions[r % positions.len()]`. `inverse` rotates back, which is the vjp.
    ///
    /// # Errors
    /// An error for heads that do not divide the columns, another number of frequencies, or no
    /// positions.
    fn rope(
        &self,
        x: &mut Self::Matrix,
        head_dim: usize,
        frequencies: &[f64],
        positions: &[usize],
        inverse: bool,
    ) -> Result<()> {
        check_rope(x.shape(), head_dim, frequencies, positions)?;
        self.rope_impl(x, head_dim, frequencies, positions, inverse)
    }
    /// Implements [`Rows::rope`].
    fn rope_impl(
        &self,
        x: &mut Self::Matrix,
        head_dim: usize,
        frequencies: &[f64],
        positions: &[usize],
        inverse: bool,
    ) -> Result<()>;
}

fn sequences(rows: usize, each: usize) -> usize {
    rows.checked_div(each).unwrap_or(0)
}

/// Checks that heads and frequencies fit the columns.
pub(super) fn check_rope(
    (rows, columns): Size,
    head_dim: usize,
    frequencies: &[f64],
    positions: &[usize],
) -> Result<()> {
    let heads =
        head_dim > 0 && columns.is_multiple_of(head_dim) && head_dim == 2 * frequencies.len();
    let positions_fit = !positions.is_empty() || rows == 0;
    let expected = || {
        format!(
            "heads of {head_dim}, even, with {} frequencies, and a position",
            head_dim / 2
        )
    };
    let found = || {
        format!(
            "{columns} columns, {} frequencies, {} positions",
            frequencies.len(),
            positions.len()
        )
    };
    expect(heads && positions_fit, "rope", expected, found)
}

/// A fixed sparse matrix over the rows of a sequence, which drops, places, pools or reorders rows.
#[derive(Clone, Debug)]
pub struct RowMap {
    inputs: usize,
    /// For each output row, the input rows and their weights.
    forward: Vec<Vec<(usize, f64)>>,
    /// For each input row, the output rows and their weights.
    backward: Vec<Vec<(usize, f64)>>,
}

impl RowMap {
    /// Creates a map from the terms of each output row: `(input row, weight)`.
    ///
    /// # Panics
    /// If an input row is not below `inputs`: maps are made by model code, never from a user's
    /// data.
    pub(crate) fn new(inputs: usize, forward: Vec<Vec<(usize, f64)>>) -> RowMap {
        let mut backward = vec![Vec::new(); inputs];
        for (o, terms) in forward.iter().enumerate() {
            for &(i, w) in terms {
                backward[i].push((o, w));
            }
        }
        RowMap {
            inputs,
            forward,
            backward,
        }
    }

    /// Creates a map whose output row r is input row `rows[r]`, or zero if that is `None`.
    ///
    /// # Panics
    /// As [`RowMap::new`].
    pub(crate) fn select(inputs: usize, rows: impl IntoIterator<Item = Option<usize>>) -> RowMap {
        RowMap::new(
            inputs,
            rows.into_iter()
                .map(|r| r.map(|i| (i, 1.0)).into_iter().collect())
                .collect(),
        )
    }

    /// Returns the number of input rows per sequence.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Returns the number of output rows per sequence.
    pub fn outputs(&self) -> usize {
        self.forward.len()
    }

    /// Returns the terms of each output row.
    pub fn forward(&self) -> &[Vec<(usize, f64)>] {
        &self.forward
    }

    /// Returns the terms of each input row in the transpose.
    pub fn backward(&self) -> &[Vec<(usize, f64)>] {
        &self.backward
    }
}
