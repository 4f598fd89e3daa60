//! Columns side by side, columns cut out, and columns times a gain.

use rayon::prelude::*;

use crate::device::Real;

/// Rows per task.
const ROWS: usize = 16;

/// `y = x * gain + onto`, row by row of `columns`; without a gain `x + onto`.
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

/// Parts, each with its number of columns, side by side in rows of `columns`.
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

/// `count` columns from `from` on of rows of `columns`.
pub(super) fn take<T: Real>(x: &[T], columns: usize, from: usize, count: usize, y: &mut [T]) {
    y.par_chunks_mut(count.max(1))
        .enumerate()
        .with_min_len(ROWS)
        .for_each(|(row, y)| y.copy_from_slice(&x[row * columns + from..][..count]));
}
