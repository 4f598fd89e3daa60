//! Matrix products on the CPU: packed panels, a register-tiled microkernel, weights converted while they are packed.
//!
//! Every element of a product is summed in the same order whatever the number of rows and threads, so a row's result
//! does not depend on the batch that it was computed in.

use std::cell::RefCell;

use half::bf16;
use half::slice::HalfFloatSliceExt;
use rayon::prelude::*;

use super::microkernel::{Microkernel, Multiply};
use super::simd::vectorize;

/// Depth of a block: an A panel of this depth stays in the first-level cache.
const DEPTH: usize = 384;
/// Columns of a block of B: with `DEPTH`, it stays in the second-level cache.
const COLUMNS: usize = 256;
/// The fewest rows worth a task of their own, since each task packs its own block of B.
const ROWS: usize = 192;

/// The elements of a matrix operand.
#[derive(Clone, Copy)]
pub(crate) enum Elements<'a, T> {
    /// Values in working precision.
    Real(&'a [T]),
    /// Little-endian f16, two bytes each, at any alignment.
    F16(&'a [u8]),
    /// Little-endian bf16.
    Bf16(&'a [u8]),
    /// Little-endian f32.
    F32(&'a [u8]),
}

/// A strided view of a matrix: element (i, j) is number `i * row_stride + j * column_stride`.
#[derive(Clone, Copy)]
pub(crate) struct Operand<'a, T> {
    pub elements: Elements<'a, T>,
    pub row_stride: usize,
    pub column_stride: usize,
}

impl<'a, T: Multiply> Operand<'a, T> {
    /// A row-major matrix with `stride` elements from row to row.
    pub fn rows(values: &'a [T], stride: usize) -> Self {
        Operand {
            elements: Elements::Real(values),
            row_stride: stride,
            column_stride: 1,
        }
    }

    /// The transpose of the view.
    pub fn transposed(self) -> Self {
        Operand {
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }

    /// Copies `out.len()` elements that are consecutive in memory from element `start`, converted.
    #[inline(always)]
    pub fn read(&self, start: usize, out: &mut [T]) {
        let n = out.len();
        match self.elements {
            Elements::Real(values) => out.copy_from_slice(&values[start..start + n]),
            Elements::Bf16(bytes) => {
                for (o, b) in out
                    .iter_mut()
                    .zip(bytes[2 * start..2 * (start + n)].chunks_exact(2))
                {
                    *o = T::of(f64::from(bf16::from_le_bytes([b[0], b[1]]).to_f32()));
                }
            }
            Elements::F32(bytes) => {
                for (o, b) in out
                    .iter_mut()
                    .zip(bytes[4 * start..4 * (start + n)].chunks_exact(4))
                {
                    *o = T::of(f64::from(f32::from_le_bytes([b[0], b[1], b[2], b[3]])));
                }
            }
            Elements::F16(bytes) => {
                let (mut raw, mut wide) = ([half::f16::ZERO; 64], [0f32; 64]);
                for (out, bytes) in out
                    .chunks_mut(64)
                    .zip(bytes[2 * start..2 * (start + n)].chunks(128))
                {
                    for (r, b) in raw.iter_mut().zip(bytes.chunks_exact(2)) {
                        *r = half::f16::from_le_bytes([b[0], b[1]]);
                    }
                    raw[..out.len()].convert_to_f32_slice(&mut wide[..out.len()]);
                    for (o, &w) in out.iter_mut().zip(&wide) {
                        *o = T::of(f64::from(w));
                    }
                }
            }
        }
    }

    /// One element.
    #[inline(always)]
    fn at(&self, i: usize, j: usize) -> T {
        let mut one = [T::ZERO];
        self.read(i * self.row_stride + j * self.column_stride, &mut one);
        one[0]
    }

    /// Packs rows `i0 .. i0 + rows` and columns `j0 .. j0 + columns` as one panel: for each column in turn, `width`
    /// values, those past `rows` zero.
    fn pack_panel(
        &self,
        i0: usize,
        rows: usize,
        j0: usize,
        columns: usize,
        width: usize,
        out: &mut [T],
    ) {
        vectorize(
            #[inline(always)]
            || {
                if rows < width {
                    out[..columns * width].fill(T::ZERO);
                }
                if self.row_stride == 1 {
                    for j in 0..columns {
                        let start = i0 + (j0 + j) * self.column_stride;
                        self.read(start, &mut out[j * width..j * width + rows]);
                    }
                } else if self.column_stride == 1 {
                    self.pack_transposing(i0, rows, j0, columns, width, out);
                } else {
                    for j in 0..columns {
                        for i in 0..rows {
                            out[j * width + i] = self.at(i0 + i, j0 + j);
                        }
                    }
                }
            },
        );
    }

    /// `pack_panel` for rows that are consecutive in memory: blocks of 16 columns go through a small buffer, so that
    /// both its reads and its writes stay in the first-level cache.
    #[inline(always)]
    fn pack_transposing(
        &self,
        i0: usize,
        rows: usize,
        j0: usize,
        columns: usize,
        width: usize,
        out: &mut [T],
    ) {
        const BLOCK: usize = 16;
        let mut buffer = [[T::ZERO; BLOCK]; 32];
        for j in (0..columns).step_by(BLOCK) {
            let n = BLOCK.min(columns - j);
            for i in (0..rows).step_by(32) {
                let m = 32.min(rows - i);
                for (r, line) in buffer[..m].iter_mut().enumerate() {
                    let start = (i0 + i + r) * self.row_stride + j0 + j;
                    self.read(start, &mut line[..n]);
                }
                for c in 0..n {
                    let out = &mut out[(j + c) * width + i..][..m];
                    for (o, line) in out.iter_mut().zip(&buffer) {
                        *o = line[c];
                    }
                }
            }
        }
    }
}

/// A pointer to an output matrix whose disjoint tiles are written by different tasks.
struct Shared<T>(*mut T);

// SAFETY: every task writes its own tiles only (see `product`).
unsafe impl<T: Send> Sync for Shared<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Send for Shared<T> {}

impl<T> Shared<T> {
    fn get(&self) -> *mut T {
        self.0
    }
}

/// What is added to a finished product, in this order.
#[derive(Clone, Copy)]
pub(crate) struct Epilogue<'a, T> {
    /// One value per column.
    pub bias: Option<&'a [T]>,
    /// A matrix of the product's own shape.
    pub residual: Option<&'a [T]>,
}

/// `C[m x n] = A[m x k] * B[k x n] + bias + residual`, `c` row-major without gaps, by all threads of the current pool.
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
    packed.clear();
    packed.resize(panels * panel, T::ZERO);
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
    let out = Shared(c.as_mut_ptr());
    let packed = &packed[..];
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
            // SAFETY: tasks differ in their rows or their columns, so their tiles are disjoint; all lie in the m x n of `c`.
            unsafe {
                let tile = Tile {
                    c: out.get().add(first * kernel.mr * n + j0),
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
                    false,
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
    /// From row to row of the whole matrix.
    stride: usize,
}

/// Adds the epilogue to a tile at (i0, j0) of a matrix whose rows are the tile's stride.
///
/// # Safety
/// The tile must be writable.
unsafe fn finish<T: Multiply>(tile: Tile<T>, i0: usize, j0: usize, epilogue: Epilogue<T>) {
    for i in 0..tile.rows {
        // SAFETY: the caller promises the tile.
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

/// `C (+)= A * B` on the calling thread, for the small products inside attention. `c` has row stride `stride`.
#[derive(Clone, Copy)]
pub(crate) struct Serial {
    pub m: usize,
    pub n: usize,
    pub k: usize,
    /// Row stride of the output.
    pub stride: usize,
    /// Add to the output instead of overwriting it.
    pub add: bool,
}

impl Serial {
    /// Runs the product; `c` must hold `(m - 1) * stride + n` elements.
    pub fn run<T: Multiply>(self, a: Operand<T>, b: Operand<T>, c: &mut [T]) {
        let Serial {
            m,
            n,
            k,
            stride,
            add,
        } = self;
        if m == 0 || n == 0 {
            return;
        }
        assert!(c.len() >= (m - 1) * stride + n, "the output holds m rows");
        let kernel = T::microkernel();
        T::with_a(|packed| {
            let panel = kernel.mr * k;
            let panels = m.div_ceil(kernel.mr);
            packed.resize(packed.len().max(panels * panel), T::ZERO);
            for p in 0..panels {
                let i0 = p * kernel.mr;
                let out = &mut packed[p * panel..(p + 1) * panel];
                a.pack_panel(i0, kernel.mr.min(m - i0), 0, k, kernel.mr, out);
            }
            for j0 in (0..n).step_by(COLUMNS) {
                let width = COLUMNS.min(n - j0);
                // SAFETY: the assertion above keeps every row of the tile inside `c`.
                unsafe {
                    let tile = Tile {
                        c: c.as_mut_ptr().add(j0),
                        rows: m,
                        columns: width,
                        stride,
                    };
                    block(&kernel, &packed[..panels * panel], b, k, j0, tile, add);
                }
            }
        });
    }
}

/// `tile (+)= A * B[:, j0 ..]`, A packed over the whole depth k.
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
    add: bool,
) {
    let Tile {
        c,
        rows: m,
        columns: width,
        stride,
    } = tile;
    let (mr, nr) = (kernel.mr, kernel.nr);
    if k == 0 && !add {
        for i in 0..m {
            // SAFETY: the caller promises the tile.
            unsafe { std::slice::from_raw_parts_mut(c.add(i * stride), width) }.fill(T::ZERO);
        }
    }
    let strips = width.div_ceil(nr);
    T::with_b(|packed_b| {
        packed_b.resize(packed_b.len().max(DEPTH * strips * nr), T::ZERO);
        let mut edge = vec![T::ZERO; mr * nr];
        for k0 in (0..k).step_by(DEPTH) {
            let depth = DEPTH.min(k - k0);
            let add = add || k0 > 0;
            for s in 0..strips {
                let out = &mut packed_b[s * nr * depth..(s + 1) * nr * depth];
                b.transposed()
                    .pack_panel(j0 + s * nr, nr.min(width - s * nr), k0, depth, nr, out);
            }
            for p in 0..m.div_ceil(mr) {
                let a = packed_a[p * mr * k + k0 * mr..].as_ptr();
                let rows = mr.min(m - p * mr);
                for s in 0..strips {
                    let b = packed_b[s * nr * depth..].as_ptr();
                    let columns = nr.min(width - s * nr);
                    // SAFETY: panels hold depth * mr and depth * nr elements; a whole tile lies inside the caller's,
                    // and one that would stick out goes through `edge`.
                    unsafe {
                        let out = c.add(p * mr * stride + s * nr);
                        if rows == mr && columns == nr {
                            (kernel.run)(depth, a, b, out, stride, add);
                        } else {
                            (kernel.run)(depth, a, b, edge.as_mut_ptr(), nr, false);
                            for i in 0..rows {
                                let out =
                                    std::slice::from_raw_parts_mut(out.add(i * stride), columns);
                                for (o, &e) in out.iter_mut().zip(&edge[i * nr..]) {
                                    *o = if add { *o + e } else { e };
                                }
                            }
                        }
                    }
                }
            }
        }
    });
}

/// Buffers that each thread keeps for packing.
pub(crate) trait Scratch: Sized {
    /// Lends the buffer for panels of A.
    fn with_a<R>(f: impl FnOnce(&mut Vec<Self>) -> R) -> R;
    /// Lends the buffer for panels of B.
    fn with_b<R>(f: impl FnOnce(&mut Vec<Self>) -> R) -> R;
}

macro_rules! scratch {
    ($type:ty, $a:ident, $b:ident) => {
        thread_local! {
            static $a: RefCell<Vec<$type>> = const { RefCell::new(Vec::new()) };
            static $b: RefCell<Vec<$type>> = const { RefCell::new(Vec::new()) };
        }
        impl Scratch for $type {
            fn with_a<R>(f: impl FnOnce(&mut Vec<$type>) -> R) -> R {
                $a.with_borrow_mut(f)
            }
            fn with_b<R>(f: impl FnOnce(&mut Vec<$type>) -> R) -> R {
                $b.with_borrow_mut(f)
            }
        }
    };
}

scratch!(f32, A32, B32);
scratch!(f64, A64, B64);
