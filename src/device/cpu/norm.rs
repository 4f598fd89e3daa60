//! LayerNorm and RMSNorm over the columns of a matrix, forward and vjp.

use rayon::prelude::*;

use super::simd::vectorize;
use super::{Cpu, CpuMatrix, CpuReal};
use crate::device::{Matrix, Norm, Real, Result};

/// Interleaved parts of a sum: as many as the widest vector holds.
pub(super) const PARTS: usize = 16;
/// Rows per task.
const ROWS: usize = 16;

/// Computes y, and (mean, 1 / standard deviation) per row; moments in `f64`-free two passes.
pub(super) fn layer<T: Real>(
    x: &[T],
    gain: &[T],
    bias: &[T],
    eps: f64,
    y: &mut [T],
    statistics: &mut [T],
) {
    let n = gain.len().max(1);
    let scale = T::of(1.0 / n as f64);
    y.par_chunks_mut(n * ROWS)
        .zip(statistics.par_chunks_mut(2 * ROWS))
        .zip(x.par_chunks(n * ROWS))
        .for_each(|((y, statistics), x)| {
            vectorize(
                #[inline(always)]
                || {
                    for ((y, s), x) in y
                        .chunks_mut(n)
                        .zip(statistics.chunks_mut(2))
                        .zip(x.chunks(n))
                    {
                        let mean = sum(x, |v| v) * scale;
                        let variance = sum(x, |v| (v - mean) * (v - mean)) * scale;
                        let r = T::ONE / (variance + T::of(eps)).sqrt();
                        for (((y, &x), &g), &b) in y.iter_mut().zip(x).zip(gain).zip(bias) {
                            *y = (x - mean) * r * g + b;
                        }
                        (s[0], s[1]) = (mean, r);
                    }
                },
            );
        });
}

/// Computes dx = r * (e - mean(e) - h * mean(e * h)) + onto, with h = (x - mean) * r and e = dy *
/// gain.
pub(super) fn layer_vjp<T: Real>(
    x: &[T],
    statistics: &[T],
    gain: &[T],
    dy: &[T],
    onto: Option<&[T]>,
    dx: &mut [T],
) {
    let n = gain.len().max(1);
    let scale = T::of(1.0 / n as f64);
    dx.par_chunks_mut(n)
        .enumerate()
        .with_min_len(ROWS)
        .for_each(|(i, dx)| {
            let (x, dy, mean, r) = (
                &x[i * n..][..n],
                &dy[i * n..][..n],
                statistics[2 * i],
                statistics[2 * i + 1],
            );
            vectorize(
                #[inline(always)]
                || {
                    for ((d, &g), &dy) in dx.iter_mut().zip(gain).zip(dy) {
                        *d = g * dy;
                    }
                    let mean_e = sum(dx, |v| v) * scale;
                    let mean_eh = dot(dx, x, |e, x| e * ((x - mean) * r)) * scale;
                    for (d, &x) in dx.iter_mut().zip(x) {
                        *d = r * (*d - mean_e - (x - mean) * r * mean_eh);
                    }
                    add(dx, onto, i);
                },
            );
        });
}

/// Computes y, and 1 / root mean square per row.
pub(super) fn rms<T: Real>(x: &[T], gain: &[T], eps: f64, y: &mut [T], statistics: &mut [T]) {
    let n = gain.len().max(1);
    let scale = T::of(1.0 / n as f64);
    y.par_chunks_mut(n * ROWS)
        .zip(statistics.par_chunks_mut(ROWS))
        .zip(x.par_chunks(n * ROWS))
        .for_each(|((y, statistics), x)| {
            vectorize(
                #[inline(always)]
                || {
                    for ((y, s), x) in y.chunks_mut(n).zip(statistics).zip(x.chunks(n)) {
                        let r = T::ONE / (sum(x, |v| v * v) * scale + T::of(eps)).sqrt();
                        for ((y, &x), &g) in y.iter_mut().zip(x).zip(gain) {
                            *y = x * r * g;
                        }
                        *s = r;
                    }
                },
            );
        });
}

/// Computes dx = r * (e - x * r^2 * mean(e * x)) + onto, with e = dy * gain.
pub(super) fn rms_vjp<T: Real>(
    x: &[T],
    statistics: &[T],
    gain: &[T],
    dy: &[T],
    onto: Option<&[T]>,
    dx: &mut [T],
) {
    let n = gain.len().max(1);
    let scale = T::of(1.0 / n as f64);
    dx.par_chunks_mut(n)
        .enumerate()
        .with_min_len(ROWS)
        .for_each(|(i, dx)| {
            let (x, dy, r) = (&x[i * n..][..n], &dy[i * n..][..n], statistics[i]);
            vectorize(
                #[inline(always)]
                || {
                    for ((d, &g), &dy) in dx.iter_mut().zip(gain).zip(dy) {
                        *d = g * dy;
                    }
                    let along = r * r * (dot(dx, x, |e, x| e * x) * scale);
                    for (d, &x) in dx.iter_mut().zip(x) {
                        *d = r * (*d - x * along);
                    }
                    add(dx, onto, i);
                },
            );
        });
}

/// Adds row `i` of `onto`, if any.
#[inline(always)]
fn add<T: Real>(dx: &mut [T], onto: Option<&[T]>, i: usize) {
    if let Some(onto) = onto {
        let n = dx.len();
        for (d, &o) in dx.iter_mut().zip(&onto[i * n..][..n]) {
            *d += o;
        }
    }
}

/// Returns the sum of `f(x)` in 16 interleaved parts, which vectorises and rounds less than one
/// running sum.
#[inline(always)]
pub(super) fn sum<T: Real>(x: &[T], f: impl Fn(T) -> T) -> T {
    dot(x, x, |v, _| f(v))
}

/// Returns the largest of `x`, in 16 interleaved parts; minus infinity if `x` is empty.
#[inline(always)]
pub(super) fn largest<T: Real>(x: &[T]) -> T {
    let mut parts = [T::MINUS_INFINITY; PARTS];
    let chunks = x.chunks_exact(PARTS);
    let rest = chunks.remainder();
    for chunk in chunks {
        for i in 0..PARTS {
            parts[i] = parts[i].max(chunk[i]);
        }
    }
    parts
        .iter()
        .chain(rest)
        .fold(T::MINUS_INFINITY, |m, &v| m.max(v))
}

/// Returns the sum of `f(x, y)` in 16 interleaved parts.
#[inline(always)]
pub(super) fn dot<T: Real>(x: &[T], y: &[T], f: impl Fn(T, T) -> T) -> T {
    let mut parts = [T::ZERO; PARTS];
    let (xs, ys) = (x.chunks_exact(PARTS), y.chunks_exact(PARTS));
    let (x_rest, y_rest) = (xs.remainder(), ys.remainder());
    for (x, y) in xs.zip(ys) {
        for i in 0..PARTS {
            parts[i] += f(x[i], y[i]);
        }
    }
    let rest: T = x_rest.iter().zip(y_rest).map(|(&x, &y)| f(x, y)).sum();
    parts.into_iter().sum::<T>() + rest
}

impl<T: CpuReal> Norm for Cpu<T> {
    fn layer_norm_impl(
        &self,
        x: &CpuMatrix<T>,
        gain: &CpuMatrix<T>,
        bias: &CpuMatrix<T>,
        eps: f64,
    ) -> Result<(CpuMatrix<T>, CpuMatrix<T>)> {
        let (mut y, mut statistics) =
            (self.matrix(x.rows(), x.columns()), self.matrix(x.rows(), 2));
        self.run(|| {
            layer(
                &x.values,
                &gain.values,
                &bias.values,
                eps,
                &mut y.values,
                &mut statistics.values,
            )
        });
        Ok((y, statistics))
    }

    fn layer_norm_vjp_impl(
        &self,
        x: &CpuMatrix<T>,
        statistics: &CpuMatrix<T>,
        gain: &CpuMatrix<T>,
        dy: &CpuMatrix<T>,
        onto: Option<&CpuMatrix<T>>,
    ) -> Result<CpuMatrix<T>> {
        let mut dx = self.matrix(x.rows(), x.columns());
        let onto = onto.map(|o| &o.values[..]);
        self.run(|| {
            layer_vjp(
                &x.values,
                &statistics.values,
                &gain.values,
                &dy.values,
                onto,
                &mut dx.values,
            )
        });
        Ok(dx)
    }

    fn rms_norm_impl(
        &self,
        x: &CpuMatrix<T>,
        gain: &CpuMatrix<T>,
        eps: f64,
    ) -> Result<(CpuMatrix<T>, CpuMatrix<T>)> {
        let (mut y, mut statistics) =
            (self.matrix(x.rows(), x.columns()), self.matrix(x.rows(), 1));
        self.run(|| {
            rms(
                &x.values,
                &gain.values,
                eps,
                &mut y.values,
                &mut statistics.values,
            )
        });
        Ok((y, statistics))
    }

    fn rms_norm_vjp_impl(
        &self,
        x: &CpuMatrix<T>,
        statistics: &CpuMatrix<T>,
        gain: &CpuMatrix<T>,
        dy: &CpuMatrix<T>,
        onto: Option<&CpuMatrix<T>>,
    ) -> Result<CpuMatrix<T>> {
        let mut dx = self.matrix(x.rows(), x.columns());
        let onto = onto.map(|o| &o.values[..]);
        self.run(|| {
            rms_vjp(
                &x.values,
                &statistics.values,
                &gain.values,
                &dy.values,
                onto,
                &mut dx.values,
            )
        });
        Ok(dx)
    }
}
