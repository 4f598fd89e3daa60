//! Launches of `kernels/rows.cu`, and the tables they read.

use std::sync::Arc;

use super::Cuda;
use super::interface::rows::{
    FINITE_ELEMENTS, FINITE_THREADS, FiniteArguments, GatherArguments, MixArguments,
    RepadArguments, RopeArguments, THREADS,
};
use super::memory::{CudaMatrix, CudaWeight, STORED};
use super::pool::Buffer;
use crate::device::{Matrix, Result, RowMap, Rows};

/// The initial value of a mixed row.
enum Start<'a> {
    /// The same rows for every sequence, or zero.
    Repeated(Option<&'a CudaMatrix>),
    /// Rows of the whole batch, or zero.
    Whole(Option<&'a CudaMatrix>),
}

impl Cuda {
    /// Returns sparse rows as offsets, row numbers and weights.
    fn sparse(&self, terms: &[Vec<(usize, f64)>]) -> Result<[Arc<Buffer>; 3]> {
        let ends = terms.iter().scan(0, |end, row| {
            *end += row.len();
            Some(*end)
        });
        let offsets = self
            .gpu
            .indices("row map offsets", std::iter::once(0).chain(ends))?;
        let flat = || terms.iter().flatten();
        let rows = self.gpu.indices("row map rows", flat().map(|t| t.0))?;
        let key = flat().map(|t| t.1.to_bits()).collect();
        let weights = self.gpu.constant(("row map weights", key), || {
            flat().flat_map(|t| (t.1 as f32).to_ne_bytes()).collect()
        })?;
        Ok([offsets, rows, weights])
    }

    /// Multiplies the rows of every sequence, `batch` of `inputs` rows each, by a sparse matrix.
    fn mix(
        &self,
        x: &CudaMatrix,
        (batch, inputs): (usize, usize),
        terms: &[Vec<(usize, f64)>],
        start: Start,
    ) -> Result<CudaMatrix> {
        let outputs = terms.len();
        let (constant, onto) = match start {
            Start::Repeated(rows) => (rows, None),
            Start::Whole(rows) => (None, rows),
        };
        let [offsets, rows, weights] = self.sparse(terms)?;
        let y = self.gpu.matrix(batch * outputs, x.columns)?;
        let arguments = MixArguments {
            x: x.address(),
            offsets: offsets.address(),
            rows: rows.address(),
            weights: weights.address(),
            constant: constant.map_or(0, CudaMatrix::address),
            onto: onto.map_or(0, CudaMatrix::address),
            y: y.address(),
            inputs: self.number(inputs)?,
            outputs: self.number(outputs)?,
            columns: self.number(x.columns)?,
        };
        // SAFETY: the traits checked the shapes, and a row map's rows are below its inputs.
        unsafe { self.launch("rows", "mix_rows", (y.rows, 1, 1), THREADS, 0, &arguments) }?;
        Ok(y)
    }

    /// Returns cosines and sines of rotary positions `[positions, head_dim / 2]`.
    pub(super) fn rotations(
        &self,
        frequencies: &[f64],
        positions: &[usize],
    ) -> Result<Arc<Buffer>> {
        let key = frequencies
            .iter()
            .map(|f| f.to_bits())
            .chain(positions.iter().map(|&p| p as u64))
            .collect();
        self.gpu.constant(("rotary turns", key), || {
            let angles = positions
                .iter()
                .flat_map(|&p| frequencies.iter().map(move |f| p as f64 * f));
            angles
                .map(f64::sin_cos)
                .flat_map(|(sine, cosine)| [cosine as f32, sine as f32])
                .flat_map(f32::to_ne_bytes)
                .collect()
        })
    }

    /// Rotates rows in place; `turns` is the table for heads of `head_dim` columns at `positions`
    /// positions.
    pub(super) fn rotate_rows(
        &self,
        x: u64,
        (rows, columns): (usize, usize),
        turns: u64,
        (head_dim, positions): (i32, i32),
        inverse: bool,
    ) -> Result<()> {
        let arguments = RopeArguments {
            x,
            turns,
            columns: self.number(columns)?,
            head_dim,
            positions,
            sign: if inverse { -1.0 } else { 1.0 },
        };
        // SAFETY: the table has a row for every position.
        unsafe { self.launch("rows", "rope", (rows, 1, 1), THREADS, 0, &arguments) }
    }

    /// Converts heads of `from` columns to heads of `to`: widened with zeros, or cut.
    pub(super) fn repad(&self, x: &CudaMatrix, from: usize, to: usize) -> Result<CudaMatrix> {
        let heads = x.columns / from;
        let y = self.gpu.matrix(x.rows, heads * to)?;
        let arguments = RepadArguments {
            x: x.address(),
            y: y.address(),
            heads: self.number(heads)?,
            from: self.number(from)?,
            to: self.number(to)?,
        };
        // SAFETY: both matrices have that many heads of those sizes.
        unsafe { self.launch("rows", "repad", (x.rows, 1, 1), THREADS, 0, &arguments) }?;
        Ok(y)
    }
}

impl Rows for Cuda {
    fn is_finite(&self, x: &CudaMatrix) -> Result<bool> {
        let found = self.gpu.buffer(4)?;
        self.gpu.zero(&found, 4)?;
        let arguments = FiniteArguments {
            x: x.address(),
            found: found.address(),
            count: x.count() as i64,
        };
        let blocks = (x.count().div_ceil(FINITE_ELEMENTS), 1, 1);
        // SAFETY: the matrix has `count` elements.
        unsafe { self.launch("rows", "finite", blocks, FINITE_THREADS, 0, &arguments) }?;
        let mut bytes = [0; 4];
        self.gpu.read(&found, &mut bytes)?;
        Ok(bytes == [0; 4])
    }

    fn gather_impl(&self, weight: &CudaWeight, ids: &[u32]) -> Result<CudaMatrix> {
        let table = self
            .gpu
            .indices("token ids", ids.iter().map(|&id| id as usize))?;
        let y = self.gpu.matrix(ids.len(), weight.columns)?;
        let arguments = GatherArguments {
            table: weight.buffer.address(),
            ids: table.address(),
            y: y.address(),
            columns: self.number(weight.columns)?,
        };
        // SAFETY: the ids were checked against the table's rows.
        unsafe { self.launch("rows", "gather", (ids.len(), 1, 1), THREADS, 0, &arguments) }?;
        Ok(y)
    }

    fn write_rows_impl(&self, target: &mut CudaMatrix, at: usize, x: &CudaMatrix) -> Result<()> {
        let to = target.address() + (at * target.columns * STORED) as u64;
        // SAFETY: the rows fit, and a matrix is not copied into itself: `target` is borrowed
        // mutably.
        unsafe { self.gpu.copy(to, x.address(), x.count() * STORED) }
    }

    fn mix_rows_impl(
        &self,
        x: &CudaMatrix,
        map: &RowMap,
        constant: Option<&CudaMatrix>,
        batch: usize,
    ) -> Result<CudaMatrix> {
        let start = Start::Repeated(constant);
        self.mix(x, (batch, map.inputs()), map.forward(), start)
    }

    fn mix_rows_vjp_impl(
        &self,
        dy: &CudaMatrix,
        map: &RowMap,
        onto: Option<&CudaMatrix>,
        batch: usize,
    ) -> Result<CudaMatrix> {
        let start = Start::Whole(onto);
        self.mix(dy, (batch, map.outputs()), map.backward(), start)
    }

    fn rope_impl(
        &self,
        x: &mut CudaMatrix,
        head_dim: usize,
        frequencies: &[f64],
        positions: &[usize],
        inverse: bool,
    ) -> Result<()> {
        let turns = self.rotations(frequencies, positions)?;
        let heads = (self.number(head_dim)?, self.number(positions.len())?);
        self.rotate_rows(x.address(), x.shape(), turns.address(), heads, inverse)
    }
}
