//! Operands of matrix products, and their packing into panels: converted, transposed where needed,
//! padded with zeros.

use bytemuck::AnyBitPattern;

use super::microkernel::Multiply;
use super::simd::vectorize;
use crate::device::Real;

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

/// A view of a matrix: element (i, j) is number `i * stride + j`, or `j * stride + i` if it is
/// transposed.
#[derive(Clone, Copy)]
pub(crate) struct Operand<'a, T> {
    pub elements: Elements<'a, T>,
    pub stride: usize,
    pub transposed: bool,
}

impl<'a, T: Multiply> Operand<'a, T> {
    /// Creates a view of a row-major matrix with `stride` elements between rows.
    pub fn rows(values: &'a [T], stride: usize) -> Self {
        Operand {
            elements: Elements::Real(values),
            stride,
            transposed: false,
        }
    }

    /// Returns the transpose of the view.
    pub fn transposed(self) -> Self {
        Operand {
            transposed: !self.transposed,
            ..self
        }
    }

    /// Copies and converts `out.len()` elements that are consecutive in memory from element
    /// `start`.
    #[inline(always)]
    pub fn read(&self, start: usize, out: &mut [T]) {
        let n = out.len();
        match self.elements {
            Elements::Real(values) => copy(&values[start..start + n], out),
            Elements::F16(bytes) => convert(&bytes[2 * start..2 * (start + n)], out, |b: u16| {
                widen(u16::from_le(b))
            }),
            // The upper half of a binary32.
            Elements::Bf16(bytes) => convert(&bytes[2 * start..2 * (start + n)], out, |b: u16| {
                f32::from_bits(u32::from(u16::from_le(b)) << 16)
            }),
            Elements::F32(bytes) => convert(&bytes[4 * start..4 * (start + n)], out, |b: u32| {
                f32::from_bits(u32::from_le(b))
            }),
        }
    }

    /// Packs rows `i0 .. i0 + rows` and columns `j0 .. j0 + columns` as one panel: for each column
    /// in turn, `width` values, those past `rows` zero.
    pub fn pack_panel(
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
                if self.transposed {
                    for (j, out) in out.chunks_exact_mut(width).take(columns).enumerate() {
                        self.read(i0 + (j0 + j) * self.stride, &mut out[..rows]);
                    }
                } else {
                    self.pack_transposing(i0, rows, j0, columns, width, out);
                }
            },
        );
    }

    /// Packs like `pack_panel` rows that are consecutive in memory: blocks of at most 16 x 16 are
    /// transposed while they are copied.
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
        let mut block = [[T::ZERO; SIDE]; SIDE];
        for i in (0..rows).step_by(SIDE) {
            let m = SIDE.min(rows - i);
            for j in (0..columns).step_by(SIDE) {
                let n = SIDE.min(columns - j);
                let start = |r: usize| (i0 + i + r) * self.stride + j0 + j;
                if n == SIDE {
                    for (r, line) in block[..m].iter_mut().enumerate() {
                        self.read(start(r), line);
                    }
                } else {
                    for (r, line) in block[..m].iter_mut().enumerate() {
                        self.read(start(r), &mut line[..n]);
                    }
                }
                transpose(&mut block);
                for (c, line) in block[..n].iter().enumerate() {
                    copy(&line[..m], &mut out[(j + c) * width + i..][..m]);
                }
            }
        }
    }
}

/// Copies values between slices of equal length. The lengths of panels are constants here, since a
/// copy of unknown length is a function call.
#[inline(always)]
fn copy<T: Copy>(from: &[T], to: &mut [T]) {
    match to.len() {
        32 => to[..32].copy_from_slice(&from[..32]),
        16 => to[..16].copy_from_slice(&from[..16]),
        12 => to[..12].copy_from_slice(&from[..12]),
        8 => to[..8].copy_from_slice(&from[..8]),
        _ => to.copy_from_slice(from),
    }
}

/// Converts stored numbers at any alignment, 16 at a time; the slices have equal lengths.
#[inline(always)]
fn convert<T: Real, B: AnyBitPattern>(bytes: &[u8], out: &mut [T], one: impl Fn(B) -> f32)
where
    [B; SIDE]: AnyBitPattern,
{
    let size = size_of::<B>();
    let whole = bytes.len() / (SIDE * size);
    let (blocks, rest) = out.as_chunks_mut::<SIDE>();
    for (o, b) in blocks.iter_mut().zip(bytes.chunks_exact(SIDE * size)) {
        let stored: [B; SIDE] = bytemuck::pod_read_unaligned(b);
        for (o, b) in o.iter_mut().zip(stored) {
            *o = T::of(f64::from(one(b)));
        }
    }
    for (o, b) in rest
        .iter_mut()
        .zip(bytes[whole * SIDE * size..].chunks_exact(size))
    {
        *o = T::of(f64::from(one(bytemuck::pod_read_unaligned(b))));
    }
}

/// Side of the blocks that are transposed at a time.
const SIDE: usize = 16;

/// Transposes a block by four perfect shuffles.
#[inline(always)]
fn transpose<T: Copy>(block: &mut [[T; SIDE]; SIDE]) {
    let mut other = [block[0]; SIDE];
    shuffle(block, &mut other);
    shuffle(&other, block);
    shuffle(block, &mut other);
    shuffle(&other, block);
}

/// Performs a perfect shuffle of the rows, which moves one bit of a row's number to the column's
/// and one of the column's to the row's.
#[inline(always)]
fn shuffle<T: Copy>(from: &[[T; SIDE]; SIDE], to: &mut [[T; SIDE]; SIDE]) {
    const HALF: usize = SIDE / 2;
    for i in 0..HALF {
        for j in 0..HALF {
            to[2 * i][2 * j] = from[i][j];
            to[2 * i][2 * j + 1] = from[i + HALF][j];
            to[2 * i + 1][2 * j] = from[i][j + HALF];
            to[2 * i + 1][2 * j + 1] = from[i + HALF][j + HALF];
        }
    }
}

/// Converts a binary16 to f32. Branch-free, unlike `half`'s conversion, so that loops over it
/// vectorise inside `vectorize`.
#[inline(always)]
fn widen(bits: u16) -> f32 {
    let magnitude = u32::from(bits & 0x7fff) << 13;
    // The exponent's bias is 127 - 15 larger; the product is exact, for subnormal numbers too.
    let scaled = (f32::from_bits(magnitude) * f32::from_bits((127 + 112) << 23)).to_bits();
    let special = if bits & 0x7c00 == 0x7c00 {
        0x7f80_0000 | magnitude
    } else {
        scaled
    };
    f32::from_bits(special | u32::from(bits & 0x8000) << 16)
}

#[cfg(test)]
mod tests {
    use super::{SIDE, transpose, widen};

    #[test]
    fn widen_is_the_value_of_every_f16() {
        for bits in 0..=u16::MAX {
            let (found, exact) = (widen(bits), half::f16::from_bits(bits).to_f32());
            assert!(
                found.to_bits() == exact.to_bits() || found.is_nan() && exact.is_nan(),
                "{bits:#x}"
            );
        }
    }

    #[test]
    fn transpose_swaps_rows_and_columns() {
        let mut block: [[usize; SIDE]; SIDE] =
            std::array::from_fn(|i| std::array::from_fn(|j| i * SIDE + j));
        transpose(&mut block);
        for (i, row) in block.iter().enumerate() {
            assert_eq!(*row, std::array::from_fn(|j| j * SIDE + i));
        }
    }
}
