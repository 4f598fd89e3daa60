//! Matrix products on the CPU: packed panels, a register-tiled microkernel, weights converted while
//! they are packed.
//!
//! Every element of a product is summed in the same order whatever the number of rows and threads,
//! so a row's result does not depend on its batch.

use std::cell::RefCell;
use std::sync::PoisonError;

use rayon::prelude::*;

use super::microkernel::{Left, Microkernel, Multiply};
use super::output::Output;
use super::packing::Operand;
use super::panels::Target;
use super::{Cpu, CpuMatrix, CpuReal, CpuWeight};
use crate::device::{Gemm, Matrix, Result};

/// Depth of a block: an A panel of this depth fits in the first-level cache.
const DEPTH: usize = 384;
/// Columns of a block of B: with `DEPTH`, it fits in the second-level cache.
const COLUMNS: usize = 256;
/// The smallest number of rows per task, since each task packs its own block of B.
const ROWS: usize = 192;

/// The terms added to a finished product, in this order.
#[derive(Clone, Copy)]
pub(crate) struct Epilogue<'a, T> {
    /// One value per column.
    pub bias: Option<&'a [T]>,
    /// A matrix of the product's own shape.
    pub residual: Option<&'a [T]>,
}

/// Computes `C[m x n] = A[m x k] * B[k x n] + bias + residual`, `c` row-major without gaps, on all
/// threads of the current pool.
pub(crate) fn product<T: Multiply>(
    (m, n, k): (usize, usize, usize),
    a: Operand<T>,
    b: Operand<T>,
    c: &mut [T],
    epilogue: Epilogue<T>,
    packed: &mut Vec<T>,
) {
    assert_eq!(c.len(), m * n, "the output holds m x n elements");
    if m == 0 || n == 0 {
        return;
    }
    let kernel = T::microkernel();
    let panels = m.div_ceil(kernel.mr);
    let panel = kernel.mr * k;
    packed.resize(packed.len().max(panels * panel), T::ZERO);
    let packed = &mut packed[..panels * panel];
    if panel > 0 {
        packed
            .par_chunks_mut(panel)
            .enumerate()
            .for_each(|(p, out)| {
                let i0 = p * kernel.mr;
                a.pack_panel(i0, kernel.mr.min(m - i0), 0, k, kernel.mr, out);
            });
    }
    let threads = rayon::current_num_threads();
    let row_tasks = if m < 2 * ROWS {
        1
    } else {
        threads.min(m / ROWS)
    };
    let panels_each = panels.div_ceil(row_tasks);
    let columns = if row_tasks == 1 {
        n.div_ceil(2 * threads)
            .next_multiple_of(kernel.nr)
            .min(COLUMNS)
    } else {
        COLUMNS
    };
    let column_tasks = n.div_ceil(columns);
    let out = Output::new(c);
    let packed = &*packed;
    (0..row_tasks * column_tasks)
        .into_par_iter()
        .for_each(|task| {
            let (first, j0) = (
                (task / column_tasks) * panels_each,
                (task % column_tasks) * columns,
            );
            let last = (first + panels_each).min(panels);
            if first >= last {
                return;
            }
            let width = columns.min(n - j0);
            let rows = (last * kernel.mr).min(m) - first * kernel.mr;
            // SAFETY: tasks differ in their rows or their columns, so their tiles are disjoint; all
            // lie in the m x n of `c`.
            unsafe {
                let tile = Tile {
                    c: out.at(first * kernel.mr * n + j0),
                    rows,
                    columns: width,
                    stride: n,
                };
                block(
                    &kernel,
                    &packed[first * panel..last * panel],
                    b,
                    k,
                    j0,
                    tile,
                );
                finish(tile, first * kernel.mr, j0, epilogue);
            }
        });
}

/// A part of an output matrix.
#[derive(Clone, Copy)]
struct Tile<T> {
    c: *mut T,
    rows: usize,
    columns: usize,
    /// Elements between rows of the whole matrix.
    stride: usize,
}

/// Adds the epilogue to a tile at (i0, j0) of a matrix whose rows are the tile's stride.
///
/// # Safety
/// The tile must be writable.
unsafe fn finish<T: Multiply>(tile: Tile<T>, i0: usize, j0: usize, epilogue: Epilogue<T>) {
    for i in 0..tile.rows {
        // SAFETY: the caller guarantees the tile.
        let row =
            unsafe { std::slice::from_raw_parts_mut(tile.c.add(i * tile.stride), tile.columns) };
        if let Some(bias) = epilogue.bias {
            row.iter_mut().zip(&bias[j0..]).for_each(|(c, &b)| *c += b);
        }
        if let Some(residual) = epilogue.residual {
            row.iter_mut()
                .zip(&residual[(i0 + i) * tile.stride + j0..])
                .for_each(|(c, &r)| *c += r);
        }
    }
}

/// Computes `tile = A * B[:, j0 ..]`, A packed over the whole depth k.
///
/// # Safety
/// The tile must be writable.
unsafe fn block<T: Multiply>(
    kernel: &Microkernel<T>,
    packed_a: &[T],
    b: Operand<T>,
    k: usize,
    j0: usize,
    tile: Tile<T>,
) {
    let Tile {
        c,
        rows: m,
        columns: width,
        stride,
    } = tile;
    let (mr, nr) = (kernel.mr, kernel.nr);
    if k == 0 {
        for i in 0..m {
            // SAFETY: the caller guarantees the tile.
            unsafe { std::slice::from_raw_parts_mut(c.add(i * stride), width) }.fill(T::ZERO);
        }
    }
    let strips = width.div_ceil(nr);
    T::with_b(|packed_b| {
        packed_b.resize(packed_b.len().max(DEPTH * strips * nr), T::ZERO);
        let mut edge = vec![T::ZERO; mr * nr];
        for k0 in (0..k).step_by(DEPTH) {
            let depth = DEPTH.min(k - k0);
            let add = k0 > 0;
            for s in 0..strips {
                let out = &mut packed_b[s * nr * depth..(s + 1) * nr * depth];
                b.transposed()
                    .pack_panel(j0 + s * nr, nr.min(width - s * nr), k0, depth, nr, out);
            }
            for p in 0..m.div_ceil(mr) {
                let a = Left {
                    start: packed_a[p * mr * k + k0 * mr..].as_ptr(),
                    row: 1,
                    column: mr,
                };
                let rows = mr.min(m - p * mr);
                for s in 0..strips {
                    let b = packed_b[s * nr * depth..].as_ptr();
                    let columns = nr.min(width - s * nr);
                    // SAFETY: panels hold depth * mr and depth * nr elements; a whole tile lies
                    // inside the caller's, and one that would extend beyond it goes through `edge`.
                    unsafe {
                        let out = c.add(p * mr * stride + s * nr);
                        if rows == mr && columns == nr {
                            (kernel.packed)(depth, a, b, out, stride, add);
                        } else {
                            (kernel.packed)(depth, a, b, edge.as_mut_ptr(), nr, false);
                            let target = Target {
                                start: c,
                                stride,
                                add: false,
                                padded: false,
                            };
                            target.take(&edge, nr, (p * mr, s * nr), (rows, columns), add);
                        }
                    }
                }
            }
        }
    });
}

/// Buffers kept by each thread.
pub(crate) trait Scratch: Sized {
    /// Lends the buffer for attention's values of a head.
    fn with_head<R>(f: impl FnOnce(&mut Vec<Self>) -> R) -> R;
    /// Lends the buffer for panels of B, or for the edges of a product.
    fn with_b<R>(f: impl FnOnce(&mut Vec<Self>) -> R) -> R;
}

macro_rules! scratch {
    ($type:ty, $head:ident, $b:ident) => {
        thread_local! {
            static $head: RefCell<Vec<$type>> = const { RefCell::new(Vec::new()) };
            static $b: RefCell<Vec<$type>> = const { RefCell::new(Vec::new()) };
        }
        impl Scratch for $type {
            fn with_head<R>(f: impl FnOnce(&mut Vec<$type>) -> R) -> R {
                $head.with_borrow_mut(f)
            }
            fn with_b<R>(f: impl FnOnce(&mut Vec<$type>) -> R) -> R {
                $b.with_borrow_mut(f)
            }
        }
    };
}

scratch!(f32, HEAD32, B32);
scratch!(f64, HEAD64, B64);

impl<T: CpuReal> Cpu<T> {
    /// Computes `A B + bias + residual` in a new matrix.
    fn product(
        &self,
        m: usize,
        n: usize,
        k: usize,
        a: Operand<T>,
        b: Operand<T>,
        epilogue: Epilogue<T>,
    ) -> CpuMatrix<T> {
        let mut y = self.matrix(m, n);
        // A thread that panicked while packing left no data that the next product would read.
        let mut guard = self.packed.lock().unwrap_or_else(PoisonError::into_inner);
        let packed = &mut *guard;
        self.run(|| product((m, n, k), a, b, &mut y.values, epilogue, packed));
        y
    }
}

impl<T: CpuReal> Gemm for Cpu<T> {
    fn linear_impl(
        &self,
        x: &CpuMatrix<T>,
        weight: &CpuWeight,
        bias: Option<&CpuMatrix<T>>,
        residual: Option<&CpuMatrix<T>>,
    ) -> Result<CpuMatrix<T>> {
        let epilogue = Epilogue {
            bias: bias.map(|b| &b.values[..]),
            residual: residual.map(|r| &r.values[..]),
        };
        let a = Operand::rows(&x.values, weight.columns);
        Ok(self.product(
            x.rows(),
            weight.rows,
            weight.columns,
            a,
            weight.operand().transposed(),
            epilogue,
        ))
    }

    fn linear_vjp_impl(
        &self,
        dy: &CpuMatrix<T>,
        weight: &CpuWeight,
        onto: Option<&CpuMatrix<T>>,
    ) -> Result<CpuMatrix<T>> {
        let epilogue = Epilogue {
            bias: None,
            residual: onto.map(|o| &o.values[..]),
        };
        let a = Operand::rows(&dy.values, weight.rows);
        Ok(self.product(
            dy.rows(),
            weight.columns,
            weight.rows,
            a,
            weight.operand(),
            epilogue,
        ))
    }
}
