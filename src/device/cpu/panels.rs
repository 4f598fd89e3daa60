//! Matrix products on the calling thread with a right operand that is packed once and reused, as in
//! attention.

use super::microkernel::{Left, Microkernel, Multiply};
use super::packing::Operand;

/// Steps of the inner dimension per block: a strip of B of this depth fits in the first-level
/// cache.
const DEPTH: usize = 256;

/// A packed right operand `[k x n]`: strips of the microkernel's width, each over the whole depth,
/// padded with zeros.
pub(super) struct Panels<'a, T> {
    data: &'a [T],
    k: usize,
}

/// The left operand: element (i, step) is `values[i * row + step * column]`.
#[derive(Clone, Copy)]
pub(super) struct Strided<'a, T> {
    pub values: &'a [T],
    pub row: usize,
    pub column: usize,
}

/// The destination of a product.
pub(super) struct Target<T> {
    pub start: *mut T,
    /// Elements between rows.
    pub stride: usize,
    /// Whether to add to the previous values instead of overwriting them.
    pub add: bool,
    /// Whether rows and columns up to whole tiles may be overwritten beyond the product's own.
    pub padded: bool,
}

/// Returns the number of elements of a packed `[k x n]`.
pub(super) fn packed_length<T: Multiply>(kernel: &Microkernel<T>, k: usize, n: usize) -> usize {
    k * n.next_multiple_of(kernel.nr)
}

impl<'a, T: Multiply> Panels<'a, T> {
    /// Packs `b`, `[k x n]`, into `buffer`, whose length is its [`packed_length`].
    pub fn pack(
        kernel: &Microkernel<T>,
        b: Operand<T>,
        k: usize,
        n: usize,
        buffer: &'a mut [T],
    ) -> Self {
        for (s, out) in buffer.chunks_exact_mut((kernel.nr * k).max(1)).enumerate() {
            let j0 = s * kernel.nr;
            b.transposed()
                .pack_panel(j0, kernel.nr.min(n - j0), 0, k, kernel.nr, out);
        }
        Panels { data: buffer, k }
    }

    /// Computes `C[m x n] (+)= A[m x k] * B[..k, ..n]`, all three sizes at least 1.
    ///
    /// # Safety
    /// The target must be writable as an `m x n` matrix; if it is padded, with both rounded up to
    /// whole tiles.
    ///
    /// # Panics
    /// If A or B are smaller than that.
    pub unsafe fn multiply(
        &self,
        kernel: &Microkernel<T>,
        (m, n, k): (usize, usize, usize),
        a: Strided<T>,
        target: &Target<T>,
    ) {
        let (mr, nr) = (kernel.mr, kernel.nr);
        assert!(
            k <= self.k && n.div_ceil(nr) * nr * self.k <= self.data.len(),
            "B holds k x n elements"
        );
        assert!(
            (m - 1) * a.row + (k - 1) * a.column < a.values.len(),
            "A holds m x k elements"
        );
        T::with_b(|edges| {
            edges.resize(edges.len().max(mr * DEPTH + mr * nr), T::ZERO);
            let (rest, edge) = edges.split_at_mut(mr * DEPTH);
            for k0 in (0..k).step_by(DEPTH) {
                let depth = DEPTH.min(k - k0);
                let add = target.add || k0 > 0;
                let whole = m / mr * mr;
                // The last rows, if they are fewer than a tile's, are packed and padded with zeros.
                if whole < m {
                    for (step, out) in rest.chunks_exact_mut(mr).take(depth).enumerate() {
                        out.fill(T::ZERO);
                        for (i, out) in out[..m - whole].iter_mut().enumerate() {
                            *out = a.values[(whole + i) * a.row + (k0 + step) * a.column];
                        }
                    }
                }
                for j in (0..n).step_by(nr) {
                    let b = self.data[j * self.k + k0 * nr..].as_ptr();
                    let columns = nr.min(n - j);
                    for i in (0..m).step_by(mr) {
                        let rows = mr.min(m - i);
                        // SAFETY: the assertions above keep whole tiles of A and B inside their
                        // slices, and `rest` holds the rows that do not fill one; the caller
                        // guarantees the target, and nothing is written beyond m and n unless it is
                        // padded.
                        unsafe {
                            let c = target.start.add(i * target.stride + j);
                            let direct = target.padded || rows == mr && columns == nr;
                            let (c, stride, add) = if direct {
                                (c, target.stride, add)
                            } else {
                                (edge.as_mut_ptr(), nr, false)
                            };
                            if rows == mr {
                                let start = a.values.as_ptr().add(i * a.row + k0 * a.column);
                                (kernel.strided)(
                                    depth,
                                    Left {
                                        start,
                                        row: a.row,
                                        column: a.column,
                                    },
                                    b,
                                    c,
                                    stride,
                                    add,
                                );
                            } else {
                                (kernel.packed)(
                                    depth,
                                    Left {
                                        start: rest.as_ptr(),
                                        row: 1,
                                        column: mr,
                                    },
                                    b,
                                    c,
                                    stride,
                                    add,
                                );
                            }
                            if !direct {
                                target.take(edge, nr, (i, j), (rows, columns), k0 > 0);
                            }
                        }
                    }
                }
            }
        });
    }
}

impl<T: Multiply> Target<T> {
    /// Copies `rows x columns` of a tile to (i, j), adding if the target or `more` requires it.
    ///
    /// # Safety
    /// They must lie inside the target.
    pub unsafe fn take(
        &self,
        tile: &[T],
        width: usize,
        at: (usize, usize),
        size: (usize, usize),
        more: bool,
    ) {
        for (r, tile) in tile.chunks_exact(width).take(size.0).enumerate() {
            // SAFETY: guaranteed by the caller.
            let out = unsafe {
                std::slice::from_raw_parts_mut(
                    self.start.add((at.0 + r) * self.stride + at.1),
                    size.1,
                )
            };
            for (o, &t) in out.iter_mut().zip(tile) {
                *o = if self.add || more { *o + t } else { t };
            }
        }
    }
}
