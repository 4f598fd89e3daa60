//! Joining, cutting and scaling of columns.

use rayon::prelude::*;

use super::{Cpu, CpuMatrix, CpuReal};
use crate::device::{Columns, Matrix, Real, Result};

/// Rows per task.
const ROWS: usize = 16;

/// Computes `y = x * gain + onto`, row by row of `columns`; without a gain `x + onto`.
pub(super) fn scale<T: Real>(
    x: &[T],
    gain: Option<&[T]>,
    onto: Option<&[T]>,
    columns: usize,
    y: &mut [T],
) {
    let columns = columns.max(1);
    y.par_chunks_mut(columns)
        .enumerate()
        .with_min_len(ROWS)
        .for_each(|(row, y)| {
            y.copy_from_slice(&x[row * columns..][..columns]);
            if let Some(gain) = gain {
                for (y, &g) in y.iter_mut().zip(gain) {
                    *y *= g;
                }
            }
            if let Some(onto) = onto {
                let onto = &onto[row * columns..][..columns];
                for (y, &o) in y.iter_mut().zip(onto) {
                    *y += o;
                }
            }
        });
}

/// Joins parts, each with its number of columns, side by side in rows of `columns`.
pub(super) fn join<T: Real>(parts: &[(&[T], usize)], columns: usize, y: &mut [T]) {
    y.par_chunks_mut(columns.max(1))
        .enumerate()
        .with_min_len(ROWS)
        .for_each(|(row, mut y)| {
            for &(x, columns) in parts {
                let (part, rest) = y.split_at_mut(columns);
                part.copy_from_slice(&x[row * columns..][..columns]);
                y = rest;
            }
        });
}

/// Copies `count` columns from `from` on of rows of `columns`.
pub(super) fn take<T: Real>(x: &[T], columns: usize, from: usize, count: usize, y: &mut [T]) {
    y.par_chunks_mut(count.max(1))
        .enumerate()
        .with_min_len(ROWS)
        .for_each(|(row, y)| y.copy_from_slice(&x[row * columns + from..][..count]));
}

impl<T: CpuReal> Columns for Cpu<T> {
    fn reshape_impl(&self, x: CpuMatrix<T>, rows: usize, columns: usize) -> Result<CpuMatrix<T>> {
        Ok(x.reshaped(rows, columns))
    }

    fn add_impl(&self, a: &CpuMatrix<T>, b: &CpuMatrix<T>) -> Result<CpuMatrix<T>> {
        let mut y = self.matrix(a.rows(), a.columns());
        self.run(|| scale(&a.values, None, Some(&b.values), a.columns(), &mut y.values));
        Ok(y)
    }

    fn scale_columns_impl(
        &self,
        x: &CpuMatrix<T>,
        gain: &CpuMatrix<T>,
        onto: Option<&CpuMatrix<T>>,
    ) -> Result<CpuMatrix<T>> {
        let mut y = self.matrix(x.rows(), x.columns());
        let (gain, onto) = (Some(&gain.values[..]), onto.map(|o| &o.values[..]));
        self.run(|| scale(&x.values, gain, onto, x.columns(), &mut y.values));
        Ok(y)
    }

    fn join_columns_impl(
        &self,
        parts: &[&CpuMatrix<T>],
        rows: usize,
        width: usize,
    ) -> Result<CpuMatrix<T>> {
        let parts: Vec<(&[T], usize)> = parts
            .iter()
            .map(|part| (&part.values[..], part.columns()))
            .collect();
        let mut y = self.matrix(rows, width);
        self.run(|| join(&parts, width, &mut y.values));
        Ok(y)
    }

    fn take_columns_impl(
        &self,
        x: &CpuMatrix<T>,
        from: usize,
        count: usize,
    ) -> Result<CpuMatrix<T>> {
        let mut y = self.matrix(x.rows(), count);
        self.run(|| take(&x.values, x.columns(), from, count, &mut y.values));
        Ok(y)
    }
}
