//! The floating-point types that the CPU device computes in.

use std::fmt::Debug;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Div, Mul, MulAssign, Neg, Sub, SubAssign};

/// A floating-point type of the host: `f32` for work, `f64` as the reference in higher precision.
pub trait Real:
    Copy
    + Debug
    + Default
    + PartialOrd
    + Send
    + Sync
    + Sum
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + SubAssign
    + MulAssign
    + 'static
{
    /// 0.
    const ZERO: Self;
    /// 1.
    const ONE: Self;
    /// Minus infinity.
    const MINUS_INFINITY: Self;
    /// Returns the nearest value of this type.
    fn of(value: f64) -> Self;
    /// Converts to `f64`, exactly.
    fn to_f64(self) -> f64;
    /// Returns the square root.
    fn sqrt(self) -> Self;
    /// Returns e^x. The `f32` form is branch-free, so that loops over it vectorise; its error is
    /// below 2 ulp.
    fn exp(self) -> Self;
    /// Returns the complementary error function. The `f32` form is branch-free; its error is below
    /// 4e-7, and below 1e-5 of the value for arguments up to 6.
    fn erfc(self) -> Self;
    /// Returns the larger of two numbers.
    fn max(self, other: Self) -> Self;
    /// Checks whether the number is neither infinite nor NaN.
    fn is_finite(self) -> bool;
}

impl Real for f32 {
    const ZERO: f32 = 0.0;
    const ONE: f32 = 1.0;
    const MINUS_INFINITY: f32 = f32::NEG_INFINITY;

    #[inline(always)]
    fn of(value: f64) -> f32 {
        value as f32
    }
    #[inline(always)]
    fn to_f64(self) -> f64 {
        f64::from(self)
    }
    #[inline(always)]
    fn sqrt(self) -> f32 {
        f32::sqrt(self)
    }
    /// Range reduction by ln 2 in two parts and the minimax polynomial of Cephes' `expf`.
    #[inline(always)]
    fn exp(self) -> f32 {
        const LN2_HIGH: f32 = 0.693_359_4;
        const LN2_LOW: f32 = -2.121_944_4e-4;
        // Adding and subtracting 1.5 * 2^23 rounds to the nearest integer without a function call.
        const ROUND: f32 = 12_582_912.0;
        let x = if self < -87.3 { -87.3 } else { self };
        let x = if x > 88.7 { 88.7 } else { x };
        let shifted = x * std::f32::consts::LOG2_E + ROUND;
        let n = shifted - ROUND;
        let r = x - n * LN2_HIGH - n * LN2_LOW;
        let p = 1.987_569_1e-4;
        let p = p * r + 1.398_199_9e-3;
        let p = p * r + 8.333_452e-3;
        let p = p * r + 4.166_579_6e-2;
        let p = p * r + 1.666_666_5e-1;
        let p = p * r + 5e-1;
        let y = p * r * r + r + 1.0;
        // n lies in -126 ..= 128; two factors keep 2^128 from overflowing before the product. The
        // low bits of `shifted` hold n, read as bits because a checked conversion would keep loops
        // from vectorising.
        let n = shifted.to_bits().wrapping_sub(ROUND.to_bits()) as i32;
        let half = n >> 1;
        let power = |e: i32| f32::from_bits((e.wrapping_add(127) << 23) as u32);
        let y = y * power(half) * power(n.wrapping_sub(half));
        if self < -87.3 { 0.0 } else { y }
    }
    /// Chebyshev fit of Press, Teukolsky, Vetterling, Flannery: "Numerical Recipes", section 6.2
    /// (`erfcc`).
    #[inline(always)]
    fn erfc(self) -> f32 {
        let z = self.abs();
        let t = 1.0 / (1.0 + 0.5 * z);
        let p = 0.170_872_77;
        let p = p * t - 0.822_152_23;
        let p = p * t + 1.488_515_9;
        let p = p * t - 1.135_204;
        let p = p * t + 0.278_868_07;
        let p = p * t - 0.186_288_06;
        let p = p * t + 0.096_784_18;
        let p = p * t + 0.374_091_96;
        let p = p * t + 1.000_023_7;
        let p = p * t - 1.265_512_2;
        let tail = t * Real::exp(p - z * z);
        if self < 0.0 { 2.0 - tail } else { tail }
    }
    #[inline(always)]
    fn max(self, other: f32) -> f32 {
        if self > other { self } else { other }
    }
    #[inline(always)]
    fn is_finite(self) -> bool {
        f32::is_finite(self)
    }
}

impl Real for f64 {
    const ZERO: f64 = 0.0;
    const ONE: f64 = 1.0;
    const MINUS_INFINITY: f64 = f64::NEG_INFINITY;

    #[inline(always)]
    fn of(value: f64) -> f64 {
        value
    }
    #[inline(always)]
    fn to_f64(self) -> f64 {
        self
    }
    #[inline(always)]
    fn sqrt(self) -> f64 {
        f64::sqrt(self)
    }
    #[inline(always)]
    fn exp(self) -> f64 {
        f64::exp(self)
    }
    #[inline(always)]
    fn erfc(self) -> f64 {
        libm::erfc(self)
    }
    #[inline(always)]
    fn max(self, other: f64) -> f64 {
        if self > other { self } else { other }
    }
    #[inline(always)]
    fn is_finite(self) -> bool {
        f64::is_finite(self)
    }
}

#[cfg(test)]
mod tests {
    use super::Real;

    #[test]
    fn exp_of_f32_is_within_two_ulp_of_the_f64_one() {
        let mut x = -87.0f32;
        while x < 88.7 {
            let exact = f64::from(x).exp();
            let ulp = f64::from(f32::EPSILON) * exact;
            assert!(
                (f64::from(Real::exp(x)) - exact).abs() <= 2.0 * ulp,
                "exp({x})"
            );
            x += 0.013_7;
        }
        assert_eq!(Real::exp(f32::NEG_INFINITY), 0.0);
        assert_eq!(Real::exp(0.0f32), 1.0);
        assert!(Real::exp(f32::NAN).is_nan(), "a NaN must stay visible");
    }

    #[test]
    fn erfc_of_f32_is_close_to_the_f64_one() {
        let mut x = -7.0f32;
        while x < 9.0 {
            let (found, exact) = (f64::from(Real::erfc(x)), libm::erfc(f64::from(x)));
            let limit = if x <= 0.0 || x > 6.0 {
                4e-7
            } else {
                f64::min(4e-7, 1e-5 * exact)
            };
            assert!(
                (found - exact).abs() <= limit,
                "erfc({x}): {found} instead of {exact}"
            );
            x += 0.001_37;
        }
        assert_eq!(Real::erfc(f32::INFINITY), 0.0);
        assert_eq!(Real::erfc(f32::NEG_INFINITY), 2.0);
        assert!(Real::erfc(f32::NAN).is_nan(), "a NaN must stay visible");
    }
}
