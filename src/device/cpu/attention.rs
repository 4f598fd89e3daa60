//! Scaled dot-product attention on the CPU, forward and vjp, by blocks of queries.
//!
//! A head's keys and values are packed once for all its queries. A block of queries holds its
//! scores against all keys that it sees, so its softmax needs no running maximum; the whole matrix
//! of scores is never stored. The vjp recomputes a block's probabilities from the saved
//! log-sum-exp.

use rayon::prelude::*;

use super::microkernel::{Microkernel, Multiply};
use super::norm::{PARTS, dot, largest};
use super::output::Output;
use super::packing::Operand;
use super::panels::{Panels, Strided, Target, packed_length};
use super::simd::vectorize;
use super::{Cpu, CpuMatrix, CpuReal, window};
use crate::device::ops::{AttentionInputs, AttentionSaved};
use crate::device::{Attention, AttentionShape, Matrix, Result};

/// Elements of a block of scores: two blocks fit in the second-level cache.
const BLOCK: usize = 1 << 15;
/// The largest number of rows of a block: causal queries see different numbers of keys, and a block
/// computes the largest of them for all.
const ROWS: usize = 48;
/// Rows of scores start at multiples of this, which every tile's width divides.
const ALIGNMENT: usize = 32;

/// The operands.
pub(super) struct Inputs<'a, T> {
    pub shape: &'a AttentionShape,
    pub q: &'a [T],
    pub k: &'a [T],
    pub v: &'a [T],
    pub prefix: Option<(&'a [T], &'a [T])>,
}

impl<'a, T: CpuReal> Inputs<'a, T> {
    /// Borrows the values of the operands, whose sizes must be those of the shape.
    fn new(shape: &'a AttentionShape, inputs: AttentionInputs<'a, CpuMatrix<T>>) -> Self {
        let AttentionInputs { q, k, v, prefix } = inputs;
        Inputs {
            shape,
            q: &q.values,
            k: &k.values,
            v: &v.values,
            prefix: prefix.map(|(k, v)| (&k.values[..], &v.values[..])),
        }
    }
}

/// The values saved by the forward pass.
pub(super) struct Saved<'a, T> {
    pub out: &'a [T],
    pub lse: &'a [T],
}

/// Returns a product's target that starts at element `at` of an output.
///
/// # Safety
/// As [`Output::at`].
unsafe fn target<T>(out: &Output<T>, at: usize, stride: usize, add: bool) -> Target<T> {
    Target {
        // SAFETY: guaranteed by the caller.
        start: unsafe { out.at(at) },
        stride,
        add,
        padded: false,
    }
}

/// One head of one sequence.
struct Head<'a, T> {
    inputs: &'a Inputs<'a, T>,
    sequence: usize,
    head: usize,
}

impl<'a, T: Multiply> Head<'a, T> {
    fn width(&self) -> usize {
        self.inputs.shape.heads * self.inputs.shape.head_dim
    }
    fn kv_width(&self) -> usize {
        self.inputs.shape.kv_heads * self.inputs.shape.head_dim
    }
    fn kv_head(&self) -> usize {
        self.head / (self.inputs.shape.heads / self.inputs.shape.kv_heads)
    }
    /// Returns the start of row `r` of this head in a matrix of q's shape.
    fn row(&self, r: usize) -> usize {
        (self.sequence * self.inputs.shape.queries + r) * self.width()
            + self.head * self.inputs.shape.head_dim
    }
    /// Returns the start of this head's keys in k or v.
    fn keys(&self) -> usize {
        self.sequence * self.inputs.shape.keys * self.kv_width()
            + self.kv_head() * self.inputs.shape.head_dim
    }
    /// Returns the position of the log-sum-exp of row `r`.
    fn lse(&self, r: usize) -> usize {
        (self.sequence * self.inputs.shape.queries + r) * self.inputs.shape.heads + self.head
    }
    /// Returns the rows from `r` on as a left operand.
    fn left(&self, values: &'a [T], r: usize) -> Strided<'a, T> {
        Strided {
            values: &values[self.row(r)..],
            row: self.width(),
            column: 1,
        }
    }
    /// Copies this head's rows of k (or v), those of the prefix first, without gaps.
    fn gather(&self, own: &[T], prefix: Option<&[T]>, out: &mut [T]) {
        let (s, kv_width) = (self.inputs.shape, self.kv_width());
        let first = prefix.map_or(0, |_| s.prefix);
        let (before, after) = out.split_at_mut(first * s.head_dim);
        let sources = [
            (prefix.unwrap_or(&[]), self.kv_head() * s.head_dim, before),
            (own, self.keys(), after),
        ];
        for (values, start, out) in sources {
            for (r, out) in out.chunks_exact_mut(s.head_dim).enumerate() {
                out.copy_from_slice(&values[start + r * kv_width..][..s.head_dim]);
            }
        }
    }
}

/// The parameters shared by all tasks.
struct Plan<T> {
    kernel: Microkernel<T>,
    /// Rows per block.
    step: usize,
    /// Number of keys, prefix included.
    keys: usize,
    /// Elements between rows of scores.
    stride: usize,
    scale: T,
}

impl<T: Multiply> Plan<T> {
    fn new(shape: &AttentionShape) -> Plan<T> {
        let kernel = T::microkernel();
        let keys = shape.prefix + shape.keys;
        let step = (BLOCK / keys.max(1)).clamp(kernel.mr, ROWS) / kernel.mr * kernel.mr;
        Plan {
            kernel,
            step,
            keys,
            stride: keys.next_multiple_of(ALIGNMENT),
            scale: T::of(shape.scale()),
        }
    }

    /// Returns the blocks of queries: the first query, their number, and the largest number of keys
    /// that any of them sees.
    fn blocks(&self, shape: &AttentionShape) -> impl Iterator<Item = (usize, usize, usize)> {
        (0..shape.queries).step_by(self.step).map(move |first| {
            let rows = self.step.min(shape.queries - first);
            (
                first,
                rows,
                (first..first + rows)
                    .map(|r| shape.seen(r))
                    .max()
                    .unwrap_or(0),
            )
        })
    }

    /// Returns the target of a block of scores.
    fn scores(&self, scores: &mut [T]) -> Target<T> {
        Target {
            start: scores.as_mut_ptr(),
            stride: self.stride,
            add: false,
            padded: true,
        }
    }
}

/// Splits a buffer into parts of these lengths.
fn cut<T: Multiply, const N: usize>(buffer: &mut Vec<T>, lengths: [usize; N]) -> [&mut [T]; N] {
    buffer.resize(buffer.len().max(lengths.iter().sum()), T::ZERO);
    let mut rest = &mut buffer[..];
    lengths.map(|length| rest.split_off_mut(..length).unwrap_or_default())
}

/// Computes out and lse.
pub(super) fn forward<T: Multiply>(inputs: &Inputs<T>, out: &mut [T], lse: &mut [T]) {
    let (shape, d) = (inputs.shape, inputs.shape.head_dim);
    let plan = &Plan::<T>::new(shape);
    let (kernel, n, stride) = (&plan.kernel, plan.keys, plan.stride);
    let lengths = [
        n * d,
        packed_length(kernel, d, n),
        packed_length(kernel, n, d),
        plan.step * stride,
    ];
    let (out, lse) = (Output::new(out), Output::new(lse));
    (0..shape.batch * shape.heads)
        .into_par_iter()
        .for_each(|task| {
            let head = Head {
                inputs,
                sequence: task / shape.heads,
                head: task % shape.heads,
            };
            T::with_head(|buffer| {
                let [rows, k, v, scores] = cut(buffer, lengths);
                head.gather(inputs.k, inputs.prefix.map(|p| p.0), rows);
                let k = Panels::pack(kernel, Operand::rows(rows, d).transposed(), d, n, k);
                head.gather(inputs.v, inputs.prefix.map(|p| p.1), rows);
                let v = Panels::pack(kernel, Operand::rows(rows, d), n, d, v);
                for (first, count, seen) in plan.blocks(shape) {
                    // SAFETY: a block of scores is whole tiles; these rows of this head in `out`
                    // and `lse` belong to this task alone.
                    unsafe {
                        k.multiply(
                            kernel,
                            (count, seen, d),
                            head.left(inputs.q, first),
                            &plan.scores(scores),
                        );
                        let mut inverse = [T::ONE; ROWS];
                        for (r, row) in scores.chunks_exact_mut(stride).take(count).enumerate() {
                            let total;
                            (total, inverse[r]) =
                                softmax(row, shape.seen(first + r), seen, plan.scale);
                            lse.slice(head.lse(first + r), 1)[0] = total;
                        }
                        let p = Strided {
                            values: scores,
                            row: stride,
                            column: 1,
                        };
                        v.multiply(
                            kernel,
                            (count, d, seen),
                            p,
                            &target(&out, head.row(first), head.width(), false),
                        );
                        for (r, &inverse) in inverse[..count].iter().enumerate() {
                            for o in out.slice(head.row(first + r), d) {
                                *o *= inverse;
                            }
                        }
                    }
                }
            });
        });
}

/// Replaces a row of unscaled scores with exponentials, zero from `visible` to `seen`. Returns
/// log(sum exp) of the scaled scores, and the reciprocal of the exponentials' sum. The row has room
/// up to a multiple of `PARTS`.
fn softmax<T: Multiply>(row: &mut [T], visible: usize, seen: usize, scale: T) -> (T, T) {
    vectorize(
        #[inline(always)]
        || {
            let padded = visible.next_multiple_of(PARTS);
            row[visible..padded].fill(T::MINUS_INFINITY);
            let largest = largest(&row[..padded]);
            let mut parts = [T::ZERO; PARTS];
            for chunk in row[..padded].chunks_exact_mut(PARTS) {
                for i in 0..PARTS {
                    chunk[i] = ((chunk[i] - largest) * scale).exp();
                    parts[i] += chunk[i];
                }
            }
            if visible < seen {
                row[visible..seen].fill(T::ZERO);
            }
            let total = parts.into_iter().sum::<T>();
            (largest * scale + T::of(total.to_f64().ln()), T::ONE / total)
        },
    )
}

/// Computes dq, dk and dv. One task per sequence and key-value head, so that the sums over its
/// query heads have a fixed order.
pub(super) fn vjp<T: Multiply>(
    inputs: &Inputs<T>,
    saved: &Saved<T>,
    dy: &[T],
    dq: &mut [T],
    dk: &mut [T],
    dv: &mut [T],
) {
    let (shape, d) = (inputs.shape, inputs.shape.head_dim);
    let group = shape.heads / shape.kv_heads;
    let plan = &Plan::<T>::new(shape);
    let (kernel, n, stride, scores) = (
        &plan.kernel,
        plan.keys,
        plan.stride,
        plan.step * plan.stride,
    );
    let (across, along, block) = (
        packed_length(kernel, d, n),
        packed_length(kernel, n, d),
        packed_length(kernel, plan.step, d),
    );
    dk.fill(T::ZERO);
    dv.fill(T::ZERO);
    let (dq, dk, dv) = (Output::new(dq), Output::new(dk), Output::new(dv));
    (0..shape.batch * shape.kv_heads)
        .into_par_iter()
        .for_each(|task| {
            let head = |g: usize| Head {
                inputs,
                sequence: task / shape.kv_heads,
                head: task % shape.kv_heads * group + g,
            };
            T::with_head(|buffer| {
                let [rows, v_across, k_across, k_along, right, p, ds] = cut(
                    buffer,
                    [n * d, across, across, along, block, scores, scores],
                );
                head(0).gather(inputs.v, inputs.prefix.map(|p| p.1), rows);
                let v_across =
                    Panels::pack(kernel, Operand::rows(rows, d).transposed(), d, n, v_across);
                head(0).gather(inputs.k, inputs.prefix.map(|p| p.0), rows);
                let k_across =
                    Panels::pack(kernel, Operand::rows(rows, d).transposed(), d, n, k_across);
                let k_along = Panels::pack(kernel, Operand::rows(rows, d), n, d, k_along);
                for (head, (first, count, seen)) in
                    (0..group).flat_map(|g| plan.blocks(shape).map(move |b| (head(g), b)))
                {
                    let (q, dy_left) = (head.left(inputs.q, first), head.left(dy, first));
                    // SAFETY: a block of scores is whole tiles; these rows of this head in dq, and
                    // this sequence's rows of this key-value head in dk and dv, belong to this task
                    // alone.
                    unsafe {
                        k_across.multiply(kernel, (count, seen, d), q, &plan.scores(p));
                        v_across.multiply(kernel, (count, seen, d), dy_left, &plan.scores(ds));
                        for (r, (p, ds)) in p
                            .chunks_exact_mut(stride)
                            .zip(ds.chunks_exact_mut(stride))
                            .take(count)
                            .enumerate()
                        {
                            let at = head.row(first + r);
                            let (o, dy) = (&saved.out[at..at + d], &dy[at..at + d]);
                            let lse = saved.lse[head.lse(first + r)];
                            let row = ScoreRow {
                                p,
                                ds,
                                visible: shape.seen(first + r),
                                seen,
                            };
                            scores_vjp(row, lse, o, dy, plan.scale);
                        }
                        let left = Strided {
                            values: ds,
                            row: stride,
                            column: 1,
                        };
                        k_along.multiply(
                            kernel,
                            (count, d, seen),
                            left,
                            &target(&dq, head.row(first), head.width(), false),
                        );
                        let own = seen - shape.prefix.min(seen);
                        if own == 0 {
                            continue;
                        }
                        for (left, right_rows, out) in [(&*ds, q, dk), (&*p, dy_left, dv)] {
                            let rows = Operand::rows(right_rows.values, right_rows.row);
                            let right = &mut right[..packed_length(kernel, count, d)];
                            let right = Panels::pack(kernel, rows, count, d, right);
                            let left = Strided {
                                values: &left[shape.prefix..],
                                row: 1,
                                column: stride,
                            };
                            right.multiply(
                                kernel,
                                (own, d, count),
                                left,
                                &target(&out, head.keys(), head.kv_width(), true),
                            );
                        }
                    }
                }
            });
        });
}

/// One query's row of the scores and of their gradients.
struct ScoreRow<'a, T> {
    p: &'a mut [T],
    ds: &'a mut [T],
    /// Keys that the query attends to.
    visible: usize,
    /// Keys that any query of the tile attends to.
    seen: usize,
}

/// With P = exp(scale * scores - lse), dP in `ds` and D = o . dy: replaces p with P and ds with
/// scale * P * (dP - D), both zero from `visible` to `seen`.
fn scores_vjp<T: Multiply>(row: ScoreRow<T>, lse: T, o: &[T], dy: &[T], scale: T) {
    let ScoreRow {
        p,
        ds,
        visible,
        seen,
    } = row;
    vectorize(
        #[inline(always)]
        || {
            let d = dot(o, dy, |a, b| a * b);
            // Rounds up to a whole number of vectors: rows have room, and values past `visible` are
            // overwritten below.
            let padded = visible.next_multiple_of(PARTS);
            for (p, ds) in p[..padded].iter_mut().zip(&mut ds[..padded]) {
                *p = (*p * scale - lse).exp();
                *ds = *p * (*ds - d) * scale;
            }
            if visible < seen {
                p[visible..seen].fill(T::ZERO);
                ds[visible..seen].fill(T::ZERO);
            }
        },
    );
}

impl<T: CpuReal> Attention for Cpu<T> {
    fn attention_impl(
        &self,
        shape: &AttentionShape,
        inputs: AttentionInputs<CpuMatrix<T>>,
    ) -> Result<(CpuMatrix<T>, CpuMatrix<T>)> {
        let q = inputs.q;
        let inputs = Inputs::new(shape, inputs);
        let mut out = self.matrix(q.rows(), q.columns());
        let mut lse = self.matrix(q.rows(), shape.heads);
        let forward = if shape.is_window() {
            window::forward
        } else {
            forward
        };
        self.run(|| forward(&inputs, &mut out.values, &mut lse.values));
        Ok((out, lse))
    }

    fn attention_vjp_impl(
        &self,
        shape: &AttentionShape,
        inputs: AttentionInputs<CpuMatrix<T>>,
        saved: &AttentionSaved<CpuMatrix<T>, CpuMatrix<T>>,
    ) -> Result<(CpuMatrix<T>, CpuMatrix<T>, CpuMatrix<T>)> {
        let AttentionInputs { q, k, v, .. } = inputs;
        let inputs = Inputs::new(shape, inputs);
        let (mut dq, mut dk, mut dv) = (
            self.matrix(q.rows(), q.columns()),
            self.matrix(k.rows(), k.columns()),
            self.matrix(v.rows(), v.columns()),
        );
        let dy = &saved.dy.values;
        let saved = Saved {
            out: &saved.out.values,
            lse: &saved.lse.values,
        };
        let vjp = if shape.is_window() { window::vjp } else { vjp };
        self.run(|| {
            vjp(
                &inputs,
                &saved,
                dy,
                &mut dq.values,
                &mut dk.values,
                &mut dv.values,
            )
        });
        Ok((dq, dk, dv))
    }
}
