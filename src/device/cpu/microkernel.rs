//! The innermost loop of every matrix product: a small tile of C kept in registers.

use super::simd::{Isa, isa};
use crate::device::Real;

/// Computes `C[mr x nr] (+)= A[mr x k] * B[k x nr]`.
///
/// `b` holds, for each of `k` steps, `nr` consecutive values. `c` is row-major with `stride`
/// elements between rows; the tile is overwritten, or added to if `add` is set.
pub(crate) type Run<T> =
    unsafe fn(k: usize, a: Left<T>, b: *const T, c: *mut T, stride: usize, add: bool);

/// The left operand of a tile: element (i, step) is at `start + i * row + step * column`.
#[derive(Clone, Copy)]
pub(crate) struct Left<T> {
    pub start: *const T,
    pub row: usize,
    pub column: usize,
}

/// A tile size and its code.
pub(crate) struct Microkernel<T> {
    /// Rows of the tile.
    pub mr: usize,
    /// Columns of the tile.
    pub nr: usize,
    /// The code for a packed `a`, whose strides are taken as 1 and `mr`, whatever it states.
    ///
    /// # Safety
    /// `a` must be readable as an `mr x k` matrix, `b` for `k * nr` elements, `c` writable as an
    /// `mr x nr` tile of row stride `stride`, and the processor must have the instruction set that
    /// the kernel was chosen for.
    pub packed: Run<T>,
    /// The code for an `a` with any strides.
    ///
    /// # Safety
    /// As `packed`.
    pub strided: Run<T>,
}

/// A type that has a microkernel.
pub(crate) trait Multiply: Real + super::gemm::Scratch {
    /// Returns the microkernel for this processor.
    fn microkernel() -> Microkernel<Self>;
}

impl Multiply for f32 {
    fn microkernel() -> Microkernel<f32> {
        match isa() {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => Microkernel {
                mr: 12,
                nr: 32,
                packed: x86::avx512_12x32::<true>,
                strided: x86::avx512_12x32::<false>,
            },
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => Microkernel {
                mr: 6,
                nr: 16,
                packed: x86::avx2_6x16::<true>,
                strided: x86::avx2_6x16::<false>,
            },
            Isa::Portable => plain(),
        }
    }
}

impl Multiply for f64 {
    /// Returns the reference: plain loops on every processor.
    fn microkernel() -> Microkernel<f64> {
        plain()
    }
}

fn plain<T: Real>() -> Microkernel<T> {
    Microkernel {
        mr: 4,
        nr: 8,
        packed: portable::<T, 4, 8>,
        strided: portable::<T, 4, 8>,
    }
}

/// Computes a tile with plain loops.
///
/// # Safety
/// As `Microkernel::run`.
unsafe fn portable<T: Real, const MR: usize, const NR: usize>(
    k: usize,
    a: Left<T>,
    b: *const T,
    c: *mut T,
    stride: usize,
    add: bool,
) {
    let mut tile = [[T::ZERO; NR]; MR];
    for step in 0..k {
        // SAFETY: the caller guarantees `k * NR` readable elements.
        let b = unsafe { &*b.add(step * NR).cast::<[T; NR]>() };
        for (i, row) in tile.iter_mut().enumerate() {
            // SAFETY: the caller guarantees a readable `MR x k` matrix.
            let a = unsafe { *a.start.add(i * a.row + step * a.column) };
            for j in 0..NR {
                row[j] += a * b[j];
            }
        }
    }
    for (i, row) in tile.iter().enumerate() {
        for (j, &value) in row.iter().enumerate() {
            // SAFETY: the caller guarantees a writable tile.
            unsafe {
                let out = c.add(i * stride + j);
                *out = if add { *out + value } else { value };
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::Left;

    /// Computes 12 x 32 with 24 of the 32 vector registers as the tile.
    ///
    /// # Safety
    /// As `Microkernel::run`.
    #[target_feature(enable = "avx512f")]
    pub(super) unsafe fn avx512_12x32<const PACKED: bool>(
        k: usize,
        a: Left<f32>,
        mut b: *const f32,
        c: *mut f32,
        stride: usize,
        add: bool,
    ) {
        let (row_stride, column) = if PACKED { (1, 12) } else { (a.row, a.column) };
        let mut a = a.start;
        let mut tile = [[_mm512_setzero_ps(); 2]; 12];
        for _ in 0..k {
            // SAFETY: the caller guarantees `12 x k` and `k * 32` readable elements.
            unsafe {
                let b0 = _mm512_loadu_ps(b);
                let b1 = _mm512_loadu_ps(b.add(16));
                for (i, row) in tile.iter_mut().enumerate() {
                    let a = _mm512_set1_ps(*a.add(i * row_stride));
                    row[0] = _mm512_fmadd_ps(a, b0, row[0]);
                    row[1] = _mm512_fmadd_ps(a, b1, row[1]);
                }
                a = a.wrapping_add(column);
                b = b.add(32);
            }
        }
        for (i, row) in tile.iter().enumerate() {
            // SAFETY: the caller guarantees a writable tile.
            unsafe {
                let out = c.add(i * stride);
                for (half, &value) in row.iter().enumerate() {
                    let out = out.add(16 * half);
                    let value = if add {
                        _mm512_add_ps(_mm512_loadu_ps(out), value)
                    } else {
                        value
                    };
                    _mm512_storeu_ps(out, value);
                }
            }
        }
    }

    /// Computes 6 x 16 with 12 of the 16 vector registers as the tile.
    ///
    /// # Safety
    /// As `Microkernel::run`.
    #[target_feature(enable = "avx2,fma")]
    pub(super) unsafe fn avx2_6x16<const PACKED: bool>(
        k: usize,
        a: Left<f32>,
        mut b: *const f32,
        c: *mut f32,
        stride: usize,
        add: bool,
    ) {
        let (row_stride, column) = if PACKED { (1, 6) } else { (a.row, a.column) };
        let mut a = a.start;
        let mut tile = [[_mm256_setzero_ps(); 2]; 6];
        for _ in 0..k {
            // SAFETY: the caller guarantees `6 x k` and `k * 16` readable elements.
            unsafe {
                let b0 = _mm256_loadu_ps(b);
                let b1 = _mm256_loadu_ps(b.add(8));
                for (i, row) in tile.iter_mut().enumerate() {
                    let a = _mm256_set1_ps(*a.add(i * row_stride));
                    row[0] = _mm256_fmadd_ps(a, b0, row[0]);
                    row[1] = _mm256_fmadd_ps(a, b1, row[1]);
                }
                a = a.wrapping_add(column);
                b = b.add(16);
            }
        }
        for (i, row) in tile.iter().enumerate() {
            // SAFETY: the caller guarantees a writable tile.
            unsafe {
                let out = c.add(i * stride);
                for (half, &value) in row.iter().enumerate() {
                    let out = out.add(8 * half);
                    let value = if add {
                        _mm256_add_ps(_mm256_loadu_ps(out), value)
                    } else {
                        value
                    };
                    _mm256_storeu_ps(out, value);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Left, Microkernel, plain};
    use crate::device::cpu::tests::support::Random;

    /// Returns every kernel that this processor can run, not only the selected one.
    fn kernels() -> Vec<Microkernel<f32>> {
        let mut all = vec![plain()];
        #[cfg(target_arch = "x86_64")]
        {
            use super::x86::{avx2_6x16, avx512_12x32};
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                let (packed, strided) = (avx2_6x16::<true>, avx2_6x16::<false>);
                all.push(Microkernel {
                    mr: 6,
                    nr: 16,
                    packed,
                    strided,
                });
            }
            if is_x86_feature_detected!("avx512f") {
                let (packed, strided) = (avx512_12x32::<true>, avx512_12x32::<false>);
                all.push(Microkernel {
                    mr: 12,
                    nr: 32,
                    packed,
                    strided,
                });
            }
        }
        all
    }

    #[test]
    fn every_kernel_multiplies_packed_and_strided_operands() {
        let mut random = Random::new(19);
        for Microkernel {
            mr,
            nr,
            packed,
            strided,
        } in kernels()
        {
            for (k, add) in [(0, false), (1, false), (37, false), (37, true)] {
                // Columns of A one after the other, rows with a gap, and columns with a gap.
                for (run, row, column) in [
                    (packed, 1, mr),
                    (strided, 1, mr),
                    (strided, k + 3, 1),
                    (strided, 1, mr + 5),
                ] {
                    // Small whole numbers: every order of summation gives the same result.
                    let mut whole = |n| {
                        (0..n)
                            .map(|_| random.below(9) as f32 - 4.0)
                            .collect::<Vec<f32>>()
                    };
                    let stride = nr + 3;
                    let (a, b, before) = (
                        whole(mr * row + k * column),
                        whole(k * nr),
                        whole(mr * stride),
                    );
                    let mut c = before.clone();
                    // SAFETY: A has room for `mr x k` at these strides, B for `k * nr`, C for `mr`
                    // rows; the processor's instruction sets were detected.
                    unsafe {
                        run(
                            k,
                            Left {
                                start: a.as_ptr(),
                                row,
                                column,
                            },
                            b.as_ptr(),
                            c.as_mut_ptr(),
                            stride,
                            add,
                        );
                    }
                    for (at, (&found, &start)) in c.iter().zip(&before).enumerate() {
                        let (i, j) = (at / stride, at % stride);
                        let terms =
                            (0..k).map(|step| a[i * row + step * column] * b[step * nr + j]);
                        let expected = match (j < nr, add) {
                            (true, true) => start + terms.sum::<f32>(),
                            (true, false) => terms.sum(),
                            (false, _) => start,
                        };
                        assert_eq!(
                            found, expected,
                            "{mr} x {nr}, k {k}, ({i}, {j}), strides {row} and {column}"
                        );
                    }
                }
            }
        }
    }
}
