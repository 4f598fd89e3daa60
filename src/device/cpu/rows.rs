//! Rearrangements of token rows, and rotary position embedding.

use rayon::prelude::*;

use super::{Cpu, CpuMatrix, CpuReal, CpuWeight};
use crate::device::{Matrix, Real, Result, RowMap, Rows};

/// The initial value of a mixed row.
#[derive(Clone, Copy)]
pub(super) enum Start<'a, T> {
    /// Zero.
    Zero,
    /// The same rows for every sequence.
    Repeated(&'a [T]),
    /// Rows of the whole batch.
    Whole(&'a [T]),
}

/// Computes for each sequence of `inputs` rows: row o of y is `start + sum of weight * x[row]` over
/// `terms[o]`.
pub(super) fn mix<T: Real>(
    x: &[T],
    inputs: usize,
    terms: &[Vec<(usize, f64)>],
    columns: usize,
    start: Start<T>,
    y: &mut [T],
) {
    y.par_chunks_mut(columns.max(1))
        .enumerate()
        .with_min_len(16)
        .for_each(|(row, y)| {
            let (sequence, o) = (row / terms.len(), row % terms.len());
            match start {
                Start::Zero => y.fill(T::ZERO),
                Start::Repeated(values) => y.copy_from_slice(&values[o * columns..][..columns]),
                Start::Whole(values) => y.copy_from_slice(&values[row * columns..][..columns]),
            }
            for &(i, weight) in &terms[o] {
                let (x, weight) = (
                    &x[(sequence * inputs + i) * columns..][..columns],
                    T::of(weight),
                );
                for (y, &x) in y.iter_mut().zip(x) {
                    *y += weight * x;
                }
            }
        });
}

/// Rotates pairs (i, i + d/2) of every head by `position * frequency[i]`, back if `inverse` is set.
pub(super) fn rope<T: Real>(
    x: &mut [T],
    columns: usize,
    head_dim: usize,
    frequencies: &[f64],
    positions: &[usize],
    inverse: bool,
) {
    let half = frequencies.len();
    let sign = if inverse { -1.0 } else { 1.0 };
    let turns: Vec<(T, T)> = positions
        .iter()
        .flat_map(|&p| frequencies.iter().map(move |f| (p as f64 * f).sin_cos()))
        .map(|(sin, cos)| (T::of(cos), T::of(sign * sin)))
        .collect();
    x.par_chunks_mut(columns.max(1))
        .enumerate()
        .with_min_len(16)
        .for_each(|(row, x)| {
            let turns = &turns[(row % positions.len()) * half..][..half];
            for head in x.chunks_exact_mut(head_dim) {
                let (low, high) = head.split_at_mut(half);
                for ((a, b), &(cos, sin)) in low.iter_mut().zip(high).zip(turns) {
                    (*a, *b) = (*a * cos - *b * sin, *b * cos + *a * sin);
                }
            }
        });
}

impl<T: CpuReal> Rows for Cpu<T> {
    fn is_finite(&self, x: &CpuMatrix<T>) -> Result<bool> {
        Ok(x.values.iter().all(|v| v.is_finite()))
    }

    fn gather_impl(&self, weight: &CpuWeight, ids: &[u32]) -> Result<CpuMatrix<T>> {
        let mut y = self.matrix(ids.len(), weight.columns);
        for (&id, out) in ids.iter().zip(y.values.chunks_mut(weight.columns.max(1))) {
            weight
                .operand::<T>()
                .read(id as usize * weight.columns, out);
        }
        Ok(y)
    }

    fn write_rows_impl(
        &self,
        target: &mut CpuMatrix<T>,
        at: usize,
        x: &CpuMatrix<T>,
    ) -> Result<()> {
        let columns = target.columns();
        target.values[at * columns..(at + x.rows()) * columns].copy_from_slice(&x.values);
        Ok(())
    }

    fn mix_rows_impl(
        &self,
        x: &CpuMatrix<T>,
        map: &RowMap,
        constant: Option<&CpuMatrix<T>>,
        batch: usize,
    ) -> Result<CpuMatrix<T>> {
        let mut y = self.matrix(batch * map.outputs(), x.columns());
        let columns = x.columns();
        let start = constant.map_or(Start::Zero, |c| Start::Repeated(&c.values));
        self.run(|| {
            mix(
                &x.values,
                map.inputs(),
                map.forward(),
                columns,
                start,
                &mut y.values,
            )
        });
        Ok(y)
    }

    fn mix_rows_vjp_impl(
        &self,
        dy: &CpuMatrix<T>,
        map: &RowMap,
        onto: Option<&CpuMatrix<T>>,
        batch: usize,
    ) -> Result<CpuMatrix<T>> {
        let mut dx = self.matrix(batch * map.inputs(), dy.columns());
        let columns = dy.columns();
        let start = onto.map_or(Start::Zero, |o| Start::Whole(&o.values));
        self.run(|| {
            mix(
                &dy.values,
                map.outputs(),
                map.backward(),
                columns,
                start,
                &mut dx.values,
            )
        });
        Ok(dx)
    }

    fn rope_impl(
        &self,
        x: &mut CpuMatrix<T>,
        head_dim: usize,
        frequencies: &[f64],
        positions: &[usize],
        inverse: bool,
    ) -> Result<()> {
        let columns = x.columns();
        self.run(|| {
            rope(
                &mut x.values,
                columns,
                head_dim,
                frequencies,
                positions,
                inverse,
            )
        });
        Ok(())
    }
}
