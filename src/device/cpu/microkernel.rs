//! The innermost loop of every matrix product: a small tile of C kept in registers.

use super::simd::{Isa, isa};
use crate::device::Real;

/// `C[mr x nr] (+)= A[mr x k] * B[k x nr]` on packed panels.
///
/// `a` holds, for each of `k` steps, `mr` consecutive values; `b` likewise `nr`. `c` is row-major with `stride`
/// elements from row to row; the tile is overwritten, or added to when `add` is set.
pub(crate) type Run<T> =
    unsafe fn(k: usize, a: *const T, b: *const T, c: *mut T, stride: usize, add: bool);

/// A tile size and the code for it.
pub(crate) struct Microkernel<T> {
    /// Rows of the tile.
    pub mr: usize,
    /// Columns of the tile.
    pub nr: usize,
    /// The code.
    ///
    /// # Safety
    /// `a` must be readable for `k * mr` elements, `b` for `k * nr`, `c` writable as an `mr x nr` tile of row
    /// stride `stride`, and the processor must have the instruction set that the kernel was chosen for.
    pub run: Run<T>,
}

/// A type that has a microkernel.
pub(crate) trait Multiply: Real + super::gemm::Scratch {
    /// The microkernel for this processor.
    fn microkernel() -> Microkernel<Self>;
}

impl Multiply for f32 {
    fn microkernel() -> Microkernel<f32> {
        match isa() {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => Microkernel {
                mr: 12,
                nr: 32,
                run: x86::avx512_12x32,
            },
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => Microkernel {
                mr: 6,
                nr: 16,
                run: x86::avx2_6x16,
            },
            Isa::Portable => Microkernel {
                mr: 4,
                nr: 8,
                run: portable::<f32, 4, 8>,
            },
        }
    }
}

impl Multiply for f64 {
    /// The reference: plain loops on every processor.
    fn microkernel() -> Microkernel<f64> {
        Microkernel {
            mr: 4,
            nr: 8,
            run: portable::<f64, 4, 8>,
        }
    }
}

/// The plain statement of the tile.
///
/// # Safety
/// As `Microkernel::run`.
unsafe fn portable<T: Real, const MR: usize, const NR: usize>(
    k: usize,
    a: *const T,
    b: *const T,
    c: *mut T,
    stride: usize,
    add: bool,
) {
    let mut tile = [[T::ZERO; NR]; MR];
    for step in 0..k {
        // SAFETY: the caller promises `k * MR` and `k * NR` readable elements.
        let (a, b) = unsafe {
            (
                &*a.add(step * MR).cast::<[T; MR]>(),
                &*b.add(step * NR).cast::<[T; NR]>(),
            )
        };
        for i in 0..MR {
            for j in 0..NR {
                tile[i][j] += a[i] * b[j];
            }
        }
    }
    for (i, row) in tile.iter().enumerate() {
        for (j, &value) in row.iter().enumerate() {
            // SAFETY: the caller promises a writable tile.
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

    /// 12 x 32 with 24 of the 32 vector registers as the tile.
    ///
    /// # Safety
    /// As `Microkernel::run`.
    #[target_feature(enable = "avx512f")]
    pub(super) unsafe fn avx512_12x32(
        k: usize,
        mut a: *const f32,
        mut b: *const f32,
        c: *mut f32,
        stride: usize,
        add: bool,
    ) {
        let mut tile = [[_mm512_setzero_ps(); 2]; 12];
        for _ in 0..k {
            // SAFETY: the caller promises `k * 12` and `k * 32` readable elements.
            unsafe {
                let b0 = _mm512_loadu_ps(b);
                let b1 = _mm512_loadu_ps(b.add(16));
                for (i, row) in tile.iter_mut().enumerate() {
                    let a = _mm512_set1_ps(*a.add(i));
                    row[0] = _mm512_fmadd_ps(a, b0, row[0]);
                    row[1] = _mm512_fmadd_ps(a, b1, row[1]);
                }
                a = a.add(12);
                b = b.add(32);
            }
        }
        for (i, row) in tile.iter().enumerate() {
            // SAFETY: the caller promises a writable tile.
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

    /// 6 x 16 with 12 of the 16 vector registers as the tile.
    ///
    /// # Safety
    /// As `Microkernel::run`.
    #[target_feature(enable = "avx2,fma")]
    pub(super) unsafe fn avx2_6x16(
        k: usize,
        mut a: *const f32,
        mut b: *const f32,
        c: *mut f32,
        stride: usize,
        add: bool,
    ) {
        let mut tile = [[_mm256_setzero_ps(); 2]; 6];
        for _ in 0..k {
            // SAFETY: the caller promises `k * 6` and `k * 16` readable elements.
            unsafe {
                let b0 = _mm256_loadu_ps(b);
                let b1 = _mm256_loadu_ps(b.add(8));
                for (i, row) in tile.iter_mut().enumerate() {
                    let a = _mm256_set1_ps(*a.add(i));
                    row[0] = _mm256_fmadd_ps(a, b0, row[0]);
                    row[1] = _mm256_fmadd_ps(a, b1, row[1]);
                }
                a = a.add(6);
                b = b.add(16);
            }
        }
        for (i, row) in tile.iter().enumerate() {
            // SAFETY: the caller promises a writable tile.
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
