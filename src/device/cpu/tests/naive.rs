//! Naive implementations of the operations, one scalar after the other, in either precision.
//!
//! Functions are those of the standard library in `f64`, rounded; no code is shared with the
//! device.

use crate::checkpoint::Activation;
use crate::device::{AttentionShape, Real, Visible};

fn to<T: Real>(values: &[f64]) -> Vec<T> {
    values.iter().map(|&v| T::of(v)).collect()
}

fn back<T: Real>(values: &[T]) -> Vec<f64> {
    values.iter().map(|v| v.to_f64()).collect()
}

fn exp<T: Real>(x: T) -> T {
    T::of(x.to_f64().exp())
}

/// Computes `a[m x k] * b[n x k]^T`.
pub(super) fn linear<T: Real>(a: &[f64], b: &[f64], m: usize, n: usize, k: usize) -> Vec<f64> {
    let (a, b) = (to::<T>(a), to::<T>(b));
    let mut y = vec![T::ZERO; m * n];
    for i in 0..m {
        for j in 0..n {
            for l in 0..k {
                y[i * n + j] += a[i * k + l] * b[j * k + l];
            }
        }
    }
    back(&y)
}

/// Returns the transpose of an `m x n` matrix.
pub(super) fn transpose(x: &[f64], m: usize, n: usize) -> Vec<f64> {
    (0..n)
        .flat_map(|j| (0..m).map(move |i| x[i * n + j]))
        .collect()
}

/// Returns the element-wise sum.
pub(super) fn plus(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a + b).collect()
}

/// Operands of an attention.
#[derive(Clone)]
pub(super) struct Attention {
    pub shape: AttentionShape,
    pub q: Vec<f64>,
    pub k: Vec<f64>,
    pub v: Vec<f64>,
    pub prefix_k: Vec<f64>,
    pub prefix_v: Vec<f64>,
}

impl Attention {
    /// Returns the start of the head of key `j` (prefix first) in the prefix or in the sequence's
    /// own rows.
    fn key(&self, b: usize, h: usize, j: usize) -> (bool, usize) {
        let s = &self.shape;
        let (head, width) = (
            h / (s.heads / s.kv_heads) * s.head_dim,
            s.kv_heads * s.head_dim,
        );
        if j < s.prefix {
            (true, j * width + head)
        } else {
            (false, (b * s.keys + j - s.prefix) * width + head)
        }
    }

    fn visible(&self, r: usize) -> usize {
        match &self.shape.visible {
            Visible::All | Visible::Masked(_) => self.shape.prefix + self.shape.keys,
            Visible::Causal(places) => self.shape.prefix + places[r] + 1,
        }
    }

    /// Returns probabilities and log-sum-exp of one query.
    fn row<T: Real>(&self, b: usize, h: usize, r: usize) -> (Vec<T>, T) {
        let s = &self.shape;
        let q = &self.q[(b * s.queries + r) * s.heads * s.head_dim + h * s.head_dim..];
        let scale = T::of(1.0 / (s.head_dim as f64).sqrt());
        let scores: Vec<T> = (0..self.visible(r))
            .map(|j| {
                if let Visible::Masked(seen) = &s.visible
                    && !seen[(b * s.keys + j) % seen.len()]
                {
                    return T::MINUS_INFINITY;
                }
                let (in_prefix, start) = self.key(b, h, j);
                let k = if in_prefix {
                    &self.prefix_k[start..]
                } else {
                    &self.k[start..]
                };
                (0..s.head_dim)
                    .map(|c| T::of(q[c]) * T::of(k[c]))
                    .sum::<T>()
                    * scale
            })
            .collect();
        let top = scores
            .iter()
            .fold(T::MINUS_INFINITY, |m, &v| if v > m { v } else { m });
        let total: T = scores.iter().map(|&v| exp(v - top)).sum();
        (
            scores.iter().map(|&v| exp(v - top) / total).collect(),
            top + T::of(total.to_f64().ln()),
        )
    }

    /// Returns out and lse.
    pub fn forward<T: Real>(&self) -> (Vec<f64>, Vec<f64>) {
        let s = &self.shape;
        let (mut out, mut lse) = (Vec::new(), Vec::new());
        for b in 0..s.batch {
            for r in 0..s.queries {
                for h in 0..s.heads {
                    let (p, total) = self.row::<T>(b, h, r);
                    lse.push(total.to_f64());
                    for c in 0..s.head_dim {
                        let value = |j: usize| match self.key(b, h, j) {
                            (true, start) => T::of(self.prefix_v[start + c]),
                            (false, start) => T::of(self.v[start + c]),
                        };
                        out.push(
                            p.iter()
                                .enumerate()
                                .map(|(j, &p)| p * value(j))
                                .sum::<T>()
                                .to_f64(),
                        );
                    }
                }
            }
        }
        (out, lse)
    }

    /// Returns dq, dk and dv.
    pub fn vjp<T: Real>(&self, dy: &[f64]) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
        let s = &self.shape;
        let scale = T::of(1.0 / (s.head_dim as f64).sqrt());
        let (mut dq, mut dk) = (vec![T::ZERO; self.q.len()], vec![T::ZERO; self.k.len()]);
        let mut dv = dk.clone();
        for b in 0..s.batch {
            for h in 0..s.heads {
                for r in 0..s.queries {
                    let at = (b * s.queries + r) * s.heads * s.head_dim + h * s.head_dim;
                    let (p, _) = self.row::<T>(b, h, r);
                    let dp: Vec<T> = (0..p.len())
                        .map(|j| {
                            let (in_prefix, start) = self.key(b, h, j);
                            let v = if in_prefix {
                                &self.prefix_v[start..]
                            } else {
                                &self.v[start..]
                            };
                            (0..s.head_dim)
                                .map(|c| T::of(dy[at + c]) * T::of(v[c]))
                                .sum()
                        })
                        .collect();
                    let mean: T = p.iter().zip(&dp).map(|(&p, &dp)| p * dp).sum();
                    for j in 0..p.len() {
                        let ds = p[j] * (dp[j] - mean) * scale;
                        let (in_prefix, start) = self.key(b, h, j);
                        for c in 0..s.head_dim {
                            let k = if in_prefix {
                                self.prefix_k[start + c]
                            } else {
                                self.k[start + c]
                            };
                            dq[at + c] += ds * T::of(k);
                            if !in_prefix {
                                dk[start + c] += ds * T::of(self.q[at + c]);
                                dv[start + c] += p[j] * T::of(dy[at + c]);
                            }
                        }
                    }
                }
            }
        }
        (back(&dq), back(&dk), back(&dv))
    }
}

/// Computes a depthwise convolution by its definition, channel by channel, on grids of
/// `height x width` places and `size x size` taps.
pub(super) fn depthwise<T: Real>(
    x: &[f64],
    kernel: &[f64],
    bias: &[f64],
    (height, width, size): (usize, usize, usize),
) -> Vec<f64> {
    let channels = bias.len();
    let (x, kernel, bias) = (to::<T>(x), to::<T>(kernel), to::<T>(bias));
    let mut y = vec![T::ZERO; x.len()];
    for (at, y) in y.iter_mut().enumerate() {
        let (place, c) = (at / channels, at % channels);
        let (grid, i, j) = (
            place / width / height,
            place / width % height,
            place % width,
        );
        *y = bias[c];
        for (u, v) in (0..size).flat_map(|u| (0..size).map(move |v| (u, v))) {
            let (i, j) = ((i + u).checked_sub(size / 2), (j + v).checked_sub(size / 2));
            if let (Some(i), Some(j)) = (i, j)
                && i < height
                && j < width
            {
                let from = ((grid * height + i) * width + j) * channels + c;
                *y += x[from] * kernel[(u * size + v) * channels + c];
            }
        }
    }
    back(&y)
}

/// Computes layer normalisation of rows as long as `gain`.
pub(super) fn layer_norm<T: Real>(x: &[f64], gain: &[f64], bias: &[f64], eps: f64) -> Vec<f64> {
    let count = T::of(gain.len() as f64);
    let (gain, bias) = (to::<T>(gain), to::<T>(bias));
    let row = |x: &[f64]| {
        let x = to::<T>(x);
        let mean = x.iter().copied().sum::<T>() / count;
        let variance = x.iter().map(|&v| (v - mean) * (v - mean)).sum::<T>() / count;
        let deviation = T::of((variance + T::of(eps)).to_f64().sqrt());
        (0..x.len())
            .map(|i| ((x[i] - mean) / deviation * gain[i] + bias[i]).to_f64())
            .collect::<Vec<_>>()
    };
    x.chunks(gain.len()).flat_map(row).collect()
}

/// Returns dx of `layer_norm`: the derivative through mean and deviation written out.
pub(super) fn layer_norm_vjp<T: Real>(x: &[f64], gain: &[f64], eps: f64, dy: &[f64]) -> Vec<f64> {
    let count = T::of(gain.len() as f64);
    let row = |(x, dy): (&[f64], &[f64])| {
        let (x, e): (Vec<T>, Vec<T>) = (
            to(x),
            (0..x.len())
                .map(|i| T::of(dy[i]) * T::of(gain[i]))
                .collect(),
        );
        let mean = x.iter().copied().sum::<T>() / count;
        let variance = x.iter().map(|&v| (v - mean) * (v - mean)).sum::<T>() / count;
        let deviation = T::of((variance + T::of(eps)).to_f64().sqrt());
        let h: Vec<T> = x.iter().map(|&v| (v - mean) / deviation).collect();
        let mean_e = e.iter().copied().sum::<T>() / count;
        let mean_eh = (0..x.len()).map(|i| e[i] * h[i]).sum::<T>() / count;
        (0..x.len())
            .map(|i| ((e[i] - mean_e - h[i] * mean_eh) / deviation).to_f64())
            .collect::<Vec<_>>()
    };
    x.chunks(gain.len())
        .zip(dy.chunks(gain.len()))
        .flat_map(row)
        .collect()
}

/// Computes root-mean-square normalisation of rows as long as `gain`.
pub(super) fn rms_norm<T: Real>(x: &[f64], gain: &[f64], eps: f64) -> Vec<f64> {
    let row = |x: &[f64]| {
        let x = to::<T>(x);
        let square = x.iter().map(|&v| v * v).sum::<T>() / T::of(x.len() as f64);
        let root = T::of((square + T::of(eps)).to_f64().sqrt());
        (0..x.len())
            .map(|i| (x[i] / root * T::of(gain[i])).to_f64())
            .collect::<Vec<_>>()
    };
    x.chunks(gain.len()).flat_map(row).collect()
}

/// Returns dx of `rms_norm`.
pub(super) fn rms_norm_vjp<T: Real>(x: &[f64], gain: &[f64], eps: f64, dy: &[f64]) -> Vec<f64> {
    let row = |(x, dy): (&[f64], &[f64])| {
        let (x, e): (Vec<T>, Vec<T>) = (
            to(x),
            (0..x.len())
                .map(|i| T::of(dy[i]) * T::of(gain[i]))
                .collect(),
        );
        let count = T::of(x.len() as f64);
        let square = x.iter().map(|&v| v * v).sum::<T>() / count;
        let root = T::of((square + T::of(eps)).to_f64().sqrt());
        let along = (0..x.len()).map(|i| e[i] * (x[i] / root)).sum::<T>() / count;
        (0..x.len())
            .map(|i| ((e[i] - x[i] / root * along) / root).to_f64())
            .collect::<Vec<_>>()
    };
    x.chunks(gain.len())
        .zip(dy.chunks(gain.len()))
        .flat_map(row)
        .collect()
}

/// Computes an activation by its definition.
pub(super) fn activation<T: Real>(kind: Activation, x: f64) -> f64 {
    let x = T::of(x);
    let sigmoid = |x: T| T::ONE / (T::ONE + exp(-x));
    let half = T::of(0.5);
    match kind {
        Activation::Silu => x * sigmoid(x),
        Activation::QuickGelu => x * sigmoid(T::of(1.702) * x),
        Activation::Gelu => {
            half * x * (T::ONE + T::of(libm::erf((x / T::of(2f64.sqrt())).to_f64())))
        }
        Activation::GeluTanh => {
            let inner =
                T::of((2.0 / std::f64::consts::PI).sqrt()) * (x + T::of(0.044715) * x * x * x);
            half * x * (T::ONE + T::of(inner.to_f64().tanh()))
        }
        Activation::Relu => T::of(x.to_f64().max(0.0)),
    }
    .to_f64()
}

/// Computes the derivative of an activation by its textbook formula.
pub(super) fn derivative<T: Real>(kind: Activation, x: f64) -> f64 {
    let x = T::of(x);
    let swish = |k: T| {
        let s = T::ONE / (T::ONE + exp(-(k * x)));
        s + k * x * s * (T::ONE - s)
    };
    let half = T::of(0.5);
    match kind {
        Activation::Silu => swish(T::ONE),
        Activation::QuickGelu => swish(T::of(1.702)),
        Activation::Gelu => {
            let cumulative = half * (T::ONE + T::of(libm::erf((x / T::of(2f64.sqrt())).to_f64())));
            cumulative + x * T::of(1.0 / (2.0 * std::f64::consts::PI).sqrt()) * exp(-half * x * x)
        }
        Activation::GeluTanh => {
            let root = T::of((2.0 / std::f64::consts::PI).sqrt());
            let tanh = T::of((root * (x + T::of(0.044715) * x * x * x)).to_f64().tanh());
            let inner = root * (T::ONE + T::of(3.0 * 0.044715) * x * x);
            half * (T::ONE + tanh) + half * x * (T::ONE - tanh * tanh) * inner
        }
        Activation::Relu => T::of(f64::from(x.to_f64() > 0.0)),
    }
    .to_f64()
}

/// Returns log_softmax(row)[target].
pub(super) fn log_probability<T: Real>(row: &[f64], target: usize) -> f64 {
    let row = to::<T>(row);
    let top = row
        .iter()
        .fold(T::MINUS_INFINITY, |m, &v| if v > m { v } else { m });
    let total: T = row.iter().map(|&v| exp(v - top)).sum();
    (row[target] - top - T::of(total.to_f64().ln())).to_f64()
}
