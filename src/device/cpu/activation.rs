//! Activation functions and the gated product, forward and vjp.

use rayon::prelude::*;

use super::simd::vectorize;
use super::{Cpu, CpuMatrix, CpuReal};
use crate::device::{Activation, Activations, Matrix, Real, Result};

/// Elements per task.
const CHUNK: usize = 1 << 14;

/// An activation function: its value, and its value with the derivative.
trait Function {
    fn value<T: Real>(x: T) -> T;
    fn derivative<T: Real>(x: T) -> T;
}

#[inline(always)]
fn sigmoid<T: Real>(x: T) -> T {
    T::ONE / (T::ONE + (-x).exp())
}

/// Computes x * sigmoid(k x): SiLU with k = 1, CLIP's quick GELU with k = 1.702.
#[inline(always)]
fn swish<T: Real>(x: T, k: f64) -> T {
    x * sigmoid(T::of(k) * x)
}

#[inline(always)]
fn swish_derivative<T: Real>(x: T, k: f64) -> T {
    let s = sigmoid(T::of(k) * x);
    s * (T::ONE + T::of(k) * x * (T::ONE - s))
}

struct Silu;
impl Function for Silu {
    #[inline(always)]
    fn value<T: Real>(x: T) -> T {
        swish(x, 1.0)
    }
    #[inline(always)]
    fn derivative<T: Real>(x: T) -> T {
        swish_derivative(x, 1.0)
    }
}

struct QuickGelu;
impl Function for QuickGelu {
    #[inline(always)]
    fn value<T: Real>(x: T) -> T {
        swish(x, 1.702)
    }
    #[inline(always)]
    fn derivative<T: Real>(x: T) -> T {
        swish_derivative(x, 1.702)
    }
}

/// Returns Phi(x), the cumulative normal distribution.
#[inline(always)]
fn normal<T: Real>(x: T) -> T {
    T::of(0.5) * (x * T::of(-std::f64::consts::FRAC_1_SQRT_2)).erfc()
}

/// x * Phi(x), exactly.
struct Gelu;
impl Function for Gelu {
    #[inline(always)]
    fn value<T: Real>(x: T) -> T {
        x * normal(x)
    }
    #[inline(always)]
    fn derivative<T: Real>(x: T) -> T {
        // Phi(x) + x * phi(x), with phi(x) = exp(-x^2 / 2) / sqrt(2 pi).
        let density = T::of(0.398_942_280_401_432_7) * (T::of(-0.5) * x * x).exp();
        normal(x) + x * density
    }
}

/// x / 2 * (1 + tanh(u)), u = sqrt(2 / pi) * (x + 0.044715 x^3); (1 + tanh(u)) / 2 = sigmoid(2 u).
struct GeluTanh;
const TWO_ROOT_TWO_OVER_PI: f64 = 1.595_769_121_605_730_8;
impl Function for GeluTanh {
    #[inline(always)]
    fn value<T: Real>(x: T) -> T {
        x * sigmoid(T::of(TWO_ROOT_TWO_OVER_PI) * (x + T::of(0.044_715) * x * x * x))
    }
    #[inline(always)]
    fn derivative<T: Real>(x: T) -> T {
        let s = sigmoid(T::of(TWO_ROOT_TWO_OVER_PI) * (x + T::of(0.044_715) * x * x * x));
        let slope = T::of(TWO_ROOT_TWO_OVER_PI) * (T::ONE + T::of(3.0 * 0.044_715) * x * x);
        s + x * s * (T::ONE - s) * slope
    }
}

/// max(x, 0), and not a number where x is none; the derivative at 0 is 0.
struct Relu;
impl Function for Relu {
    #[inline(always)]
    fn value<T: Real>(x: T) -> T {
        if x < T::ZERO { T::ZERO } else { x }
    }
    #[inline(always)]
    fn derivative<T: Real>(x: T) -> T {
        if x > T::ZERO { T::ONE } else { T::ZERO }
    }
}

/// Runs `$body` with `$f` bound to the function of an activation.
macro_rules! with_function {
    ($kind:expr, $f:ident, $body:expr) => {
        match $kind {
            Activation::Silu => {
                type $f = Silu;
                $body
            }
            Activation::QuickGelu => {
                type $f = QuickGelu;
                $body
            }
            Activation::Gelu => {
                type $f = Gelu;
                $body
            }
            Activation::GeluTanh => {
                type $f = GeluTanh;
                $body
            }
            Activation::Relu => {
                type $f = Relu;
                $body
            }
        }
    };
}

/// Computes y = f(x).
pub(super) fn forward<T: Real>(kind: Activation, x: &[T], y: &mut [T]) {
    with_function!(kind, F, forward_with::<T, F>(x, y));
}

fn forward_with<T: Real, F: Function>(x: &[T], y: &mut [T]) {
    y.par_chunks_mut(CHUNK)
        .zip(x.par_chunks(CHUNK))
        .for_each(|(y, x)| {
            vectorize(
                #[inline(always)]
                || {
                    for (y, &x) in y.iter_mut().zip(x) {
                        *y = F::value(x);
                    }
                },
            );
        });
}

/// Replaces dy with dx = dy * f'(x).
pub(super) fn vjp<T: Real>(kind: Activation, x: &[T], dy: &mut [T]) {
    with_function!(kind, F, vjp_with::<T, F>(x, dy));
}

fn vjp_with<T: Real, F: Function>(x: &[T], dy: &mut [T]) {
    dy.par_chunks_mut(CHUNK)
        .zip(x.par_chunks(CHUNK))
        .for_each(|(dy, x)| {
            vectorize(
                #[inline(always)]
                || {
                    for (dy, &x) in dy.iter_mut().zip(x) {
                        *dy *= F::derivative(x);
                    }
                },
            );
        });
}

/// Computes y = f(gate) * up.
pub(super) fn gate<T: Real>(kind: Activation, gate: &[T], up: &[T], y: &mut [T]) {
    with_function!(kind, F, gate_with::<T, F>(gate, up, y));
}

fn gate_with<T: Real, F: Function>(gate: &[T], up: &[T], y: &mut [T]) {
    y.par_chunks_mut(CHUNK)
        .zip(gate.par_chunks(CHUNK))
        .zip(up.par_chunks(CHUNK))
        .for_each(|((y, gate), up)| {
            vectorize(
                #[inline(always)]
                || {
                    for ((y, &g), &u) in y.iter_mut().zip(gate).zip(up) {
                        *y = F::value(g) * u;
                    }
                },
            );
        });
}

/// Replaces dy with d_up = dy * f(gate), and computes d_gate = dy * up * f'(gate).
pub(super) fn gate_vjp<T: Real>(
    kind: Activation,
    gate: &[T],
    up: &[T],
    dy: &mut [T],
    d_gate: &mut [T],
) {
    with_function!(kind, F, gate_vjp_with::<T, F>(gate, up, dy, d_gate));
}

fn gate_vjp_with<T: Real, F: Function>(gate: &[T], up: &[T], dy: &mut [T], d_gate: &mut [T]) {
    dy.par_chunks_mut(CHUNK)
        .zip(d_gate.par_chunks_mut(CHUNK))
        .zip(gate.par_chunks(CHUNK).zip(up.par_chunks(CHUNK)))
        .for_each(|((dy, d_gate), (gate, up))| {
            vectorize(
                #[inline(always)]
                || {
                    for (((dy, dg), &g), &u) in dy.iter_mut().zip(d_gate).zip(gate).zip(up) {
                        *dg = *dy * u * F::derivative(g);
                        *dy *= F::value(g);
                    }
                },
            );
        });
}

impl<T: CpuReal> Activations for Cpu<T> {
    fn activation_impl(&self, kind: Activation, x: &CpuMatrix<T>) -> Result<CpuMatrix<T>> {
        let mut y = self.matrix(x.rows(), x.columns());
        self.run(|| forward(kind, &x.values, &mut y.values));
        Ok(y)
    }

    fn activation_vjp_impl(
        &self,
        kind: Activation,
        x: &CpuMatrix<T>,
        mut dy: CpuMatrix<T>,
    ) -> Result<CpuMatrix<T>> {
        self.run(|| vjp(kind, &x.values, &mut dy.values));
        Ok(dy)
    }

    fn gate_impl(
        &self,
        kind: Activation,
        gate: &CpuMatrix<T>,
        up: &CpuMatrix<T>,
    ) -> Result<CpuMatrix<T>> {
        let mut y = self.matrix(up.rows(), up.columns());
        self.run(|| self::gate(kind, &gate.values, &up.values, &mut y.values));
        Ok(y)
    }

    fn gate_vjp_impl(
        &self,
        kind: Activation,
        gate: &CpuMatrix<T>,
        up: &CpuMatrix<T>,
        mut dy: CpuMatrix<T>,
    ) -> Result<(CpuMatrix<T>, CpuMatrix<T>)> {
        let mut d_gate = self.matrix(up.rows(), up.columns());
        self.run(|| {
            self::gate_vjp(
                kind,
                &gate.values,
                &up.values,
                &mut dy.values,
                &mut d_gate.values,
            )
        });
        Ok((d_gate, dy))
    }
}
