//! Scaled dot-product attention on the CPU, forward and vjp, by blocks of queries.
//!
//! A block of queries holds its scores against all keys that it sees, so its softmax is plain; the whole matrix of
//! scores never exists. The vjp makes a block's probabilities anew from the saved log-sum-exp.

use rayon::prelude::*;

use super::gemm::{Operand, Serial};
use super::microkernel::Multiply;
use super::norm::{dot, sum};
use super::simd::vectorize;
use crate::device::error::expect;
use crate::device::{AttentionShape, DeviceError, Result, Visible};

/// Elements of a block of scores: a block stays in the second-level cache.
const BLOCK: usize = 1 << 16;

/// The operands, by name.
pub(super) struct Inputs<'a, T> {
    pub shape: &'a AttentionShape,
    pub q: &'a [T],
    pub k: &'a [T],
    pub v: &'a [T],
    pub prefix: Option<(&'a [T], &'a [T])>,
}

/// What the forward pass left.
pub(super) struct Saved<'a, T> {
    pub out: &'a [T],
    pub lse: &'a [T],
}

/// Operand sizes against the shape.
pub(super) fn check(
    s: &AttentionShape,
    q: (usize, usize),
    k: (usize, usize),
    v: (usize, usize),
    prefix: Option<((usize, usize), (usize, usize))>,
) -> Result<()> {
    let size = |rows: (usize, usize), columns: usize| {
        Some((
            rows.0.checked_mul(rows.1)?,
            columns.checked_mul(s.head_dim)?,
        ))
    };
    let own = size((s.batch, s.keys), s.kv_heads);
    let sizes = size((s.batch, s.queries), s.heads) == Some(q) && own == Some(k) && own == Some(v);
    let heads = s.kv_heads > 0 && s.heads.is_multiple_of(s.kv_heads) && s.head_dim > 0;
    let keys = s.queries == 0 || s.keys > 0 || s.prefix > 0;
    let expected = || format!("sizes of {s:?}, with a key for every query");
    expect(sizes && heads && keys, "attention", expected, || {
        format!("q {q:?}, k {k:?}, v {v:?}")
    })?;
    let kv_width = k.1;
    let prefix_fits = match prefix {
        None => s.prefix == 0,
        Some((k, v)) => k.0 >= s.prefix && v.0 >= s.prefix && k.1 == kv_width && v.1 == kv_width,
    };
    expect(
        prefix_fits,
        "attention: prefix",
        || format!("{} x {kv_width}", s.prefix),
        || format!("{prefix:?}"),
    )?;
    if let Visible::Causal(places) = &s.visible {
        expect(
            places.len() == s.queries,
            "attention",
            || format!("{} places", s.queries),
            || places.len().to_string(),
        )?;
        if let Some(&place) = places.iter().find(|&&p| p >= s.keys) {
            return Err(DeviceError::Index {
                operation: "attention",
                index: place,
                limit: s.keys,
            });
        }
    }
    Ok(())
}

/// A column block of an output matrix that several tasks write, each its own rows and columns.
#[derive(Clone, Copy)]
struct Columns<T>(*mut T);

// SAFETY: `forward` and `vjp` give every task its own (sequence, head), so no element is written twice.
unsafe impl<T: Send> Sync for Columns<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Send for Columns<T> {}

impl<T> Columns<T> {
    /// `length` elements from `start`.
    ///
    /// # Safety
    /// They must lie inside the matrix, and no other task may touch the elements of this one's head meanwhile.
    #[expect(clippy::mut_from_ref, reason = "disjoint by the caller's promise")]
    unsafe fn slice(&self, start: usize, length: usize) -> &mut [T] {
        // SAFETY: the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.0.add(start), length) }
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
    /// Where row `r` of this head starts in a matrix of q's shape.
    fn row(&self, r: usize) -> usize {
        (self.sequence * self.inputs.shape.queries + r) * self.width()
            + self.head * self.inputs.shape.head_dim
    }
    /// Where this head's keys start in k or v.
    fn keys(&self) -> usize {
        self.sequence * self.inputs.shape.keys * self.kv_width()
            + self.kv_head() * self.inputs.shape.head_dim
    }
    fn q_rows(&self, values: &'a [T], r: usize) -> Operand<'a, T> {
        Operand::rows(&values[self.row(r)..], self.width())
    }
    fn kv_rows(&self, values: &'a [T]) -> Operand<'a, T> {
        Operand::rows(&values[self.keys()..], self.kv_width())
    }
    fn prefix_rows(&self, values: &'a [T]) -> Operand<'a, T> {
        Operand::rows(
            &values[self.kv_head() * self.inputs.shape.head_dim..],
            self.kv_width(),
        )
    }

    /// `left k^T` (or `left v^T`) for `rows` rows over prefix and own keys, `seen` columns of `out`.
    fn against_keys(
        &self,
        left: Operand<T>,
        own: &'a [T],
        prefix: Option<&'a [T]>,
        rows: usize,
        seen: usize,
        out: &mut [T],
    ) {
        let s = self.inputs.shape;
        let from_prefix = s.prefix.min(seen);
        let run = |n: usize, right: Operand<T>, out: &mut [T]| {
            let product = Serial {
                m: rows,
                n,
                k: s.head_dim,
                stride: seen,
                add: false,
            };
            product.run(left, right.transposed(), out);
        };
        if let (Some(prefix), true) = (prefix, from_prefix > 0) {
            run(from_prefix, self.prefix_rows(prefix), out);
        }
        if seen > from_prefix {
            run(
                seen - from_prefix,
                self.kv_rows(own),
                &mut out[from_prefix..],
            );
        }
    }

    /// `weights k` (or `weights v`): rows of `seen` weights times prefix and own rows, into rows of q's stride.
    fn times_keys(
        &self,
        weights: &[T],
        own: &'a [T],
        prefix: Option<&'a [T]>,
        rows: usize,
        seen: usize,
        out: &mut [T],
    ) {
        let s = self.inputs.shape;
        let from_prefix = s.prefix.min(seen);
        let product = Serial {
            m: rows,
            n: s.head_dim,
            k: from_prefix,
            stride: self.width(),
            add: false,
        };
        match prefix {
            Some(prefix) if from_prefix > 0 => {
                product.run(Operand::rows(weights, seen), self.prefix_rows(prefix), out);
                if seen > from_prefix {
                    let product = Serial {
                        k: seen - from_prefix,
                        add: true,
                        ..product
                    };
                    product.run(
                        Operand::rows(&weights[from_prefix..], seen),
                        self.kv_rows(own),
                        out,
                    );
                }
            }
            _ => Serial { k: seen, ..product }.run(
                Operand::rows(weights, seen),
                self.kv_rows(own),
                out,
            ),
        }
    }
}

/// Query rows per block.
fn block_rows(shape: &AttentionShape) -> usize {
    (BLOCK / (shape.prefix + shape.keys).max(1)).clamp(16, 128)
}

/// The most keys that any query of `rows` sees.
fn most_seen(shape: &AttentionShape, rows: std::ops::Range<usize>) -> usize {
    rows.map(|r| shape.seen(r)).max().unwrap_or(0)
}

/// out and lse.
pub(super) fn forward<T: Multiply>(inputs: &Inputs<T>, out: &mut [T], lse: &mut [T]) {
    let shape = inputs.shape;
    let scale = T::of(shape.scale());
    let step = block_rows(shape);
    let (out, lse) = (Columns(out.as_mut_ptr()), Columns(lse.as_mut_ptr()));
    (0..shape.batch * shape.heads)
        .into_par_iter()
        .for_each(|task| {
            let head = Head {
                inputs,
                sequence: task / shape.heads,
                head: task % shape.heads,
            };
            let mut scores = Vec::new();
            for r0 in (0..shape.queries).step_by(step) {
                let rows = step.min(shape.queries - r0);
                let seen = most_seen(shape, r0..r0 + rows);
                scores.clear();
                scores.resize(rows * seen, T::ZERO);
                let q = head.q_rows(inputs.q, r0);
                head.against_keys(
                    q,
                    inputs.k,
                    inputs.prefix.map(|p| p.0),
                    rows,
                    seen,
                    &mut scores,
                );
                for (r, row) in scores.chunks_mut(seen).enumerate() {
                    let total = softmax(row, shape.seen(r0 + r), scale);
                    // SAFETY: this task's own row and head.
                    unsafe {
                        lse.slice(
                            (head.sequence * shape.queries + r0 + r) * shape.heads + head.head,
                            1,
                        )[0] = total
                    };
                }
                // SAFETY: the rows of this task's head; the slice ends with the last row's head.
                let out =
                    unsafe { out.slice(head.row(r0), (rows - 1) * head.width() + shape.head_dim) };
                head.times_keys(
                    &scores,
                    inputs.v,
                    inputs.prefix.map(|p| p.1),
                    rows,
                    seen,
                    out,
                );
            }
        });
}

/// A row of unscaled scores becomes probabilities, zero past `seen`; returns log(sum exp) of the scaled scores.
fn softmax<T: Multiply>(row: &mut [T], seen: usize, scale: T) -> T {
    vectorize(
        #[inline(always)]
        || {
            let (row, hidden) = row.split_at_mut(seen);
            hidden.fill(T::ZERO);
            let largest = row.iter().fold(T::MINUS_INFINITY, |m, &v| m.max(v));
            for v in row.iter_mut() {
                *v = ((*v - largest) * scale).exp();
            }
            let total = sum(row, |v| v);
            let inverse = T::ONE / total;
            for v in row.iter_mut() {
                *v *= inverse;
            }
            largest * scale + T::of(total.to_f64().ln())
        },
    )
}

/// dq, dk and dv. One task per sequence and key-value head, so that the sums over its query heads have one order.
pub(super) fn vjp<T: Multiply>(
    inputs: &Inputs<T>,
    saved: &Saved<T>,
    dy: &[T],
    dq: &mut [T],
    dk: &mut [T],
    dv: &mut [T],
) {
    let shape = inputs.shape;
    let group = shape.heads / shape.kv_heads;
    let step = block_rows(shape);
    let scale = T::of(shape.scale());
    dk.fill(T::ZERO);
    dv.fill(T::ZERO);
    let (dq, dk, dv) = (
        Columns(dq.as_mut_ptr()),
        Columns(dk.as_mut_ptr()),
        Columns(dv.as_mut_ptr()),
    );
    (0..shape.batch * shape.kv_heads)
        .into_par_iter()
        .for_each(|task| {
            let (mut p, mut ds) = (Vec::new(), Vec::new());
            for g in 0..group {
                let head = Head {
                    inputs,
                    sequence: task / shape.kv_heads,
                    head: task % shape.kv_heads * group + g,
                };
                for r0 in (0..shape.queries).step_by(step) {
                    let rows = step.min(shape.queries - r0);
                    let seen = most_seen(shape, r0..r0 + rows);
                    p.clear();
                    p.resize(rows * seen, T::ZERO);
                    ds.clear();
                    ds.resize(rows * seen, T::ZERO);
                    let (q, dy_rows) = (head.q_rows(inputs.q, r0), head.q_rows(dy, r0));
                    head.against_keys(q, inputs.k, inputs.prefix.map(|p| p.0), rows, seen, &mut p);
                    head.against_keys(
                        dy_rows,
                        inputs.v,
                        inputs.prefix.map(|p| p.1),
                        rows,
                        seen,
                        &mut ds,
                    );
                    for r in 0..rows {
                        let at = head.row(r0 + r);
                        let (o, dy) = (
                            &saved.out[at..at + shape.head_dim],
                            &dy[at..at + shape.head_dim],
                        );
                        let lse = saved.lse
                            [(head.sequence * shape.queries + r0 + r) * shape.heads + head.head];
                        let (p, ds) = (&mut p[r * seen..][..seen], &mut ds[r * seen..][..seen]);
                        scores_vjp(p, ds, shape.seen(r0 + r), lse, o, dy, scale);
                    }
                    // SAFETY: the rows of this task's own heads; the slice ends with the last row's head.
                    let dq = unsafe {
                        dq.slice(head.row(r0), (rows - 1) * head.width() + shape.head_dim)
                    };
                    head.times_keys(&ds, inputs.k, inputs.prefix.map(|p| p.0), rows, seen, dq);
                    let own = seen - shape.prefix.min(seen);
                    if own == 0 {
                        continue;
                    }
                    let length = (own - 1) * head.kv_width() + shape.head_dim;
                    // SAFETY: this task's own sequence and key-value head, in two different matrices.
                    let (dk, dv) =
                        unsafe { (dk.slice(head.keys(), length), dv.slice(head.keys(), length)) };
                    let product = Serial {
                        m: own,
                        n: shape.head_dim,
                        k: rows,
                        stride: head.kv_width(),
                        add: true,
                    };
                    product.run(Operand::rows(&ds[shape.prefix..], seen).transposed(), q, dk);
                    product.run(
                        Operand::rows(&p[shape.prefix..], seen).transposed(),
                        dy_rows,
                        dv,
                    );
                }
            }
        });
}

/// With P = exp(scale * scores - lse), dP in `ds` and D = o . dy: p becomes P, ds becomes scale * P * (dP - D).
fn scores_vjp<T: Multiply>(
    p: &mut [T],
    ds: &mut [T],
    seen: usize,
    lse: T,
    o: &[T],
    dy: &[T],
    scale: T,
) {
    vectorize(
        #[inline(always)]
        || {
            let d = dot(o, dy, |a, b| a * b);
            for (p, ds) in p[..seen].iter_mut().zip(&mut ds[..seen]) {
                *p = (*p * scale - lse).exp();
                *ds = *p * (*ds - d) * scale;
            }
            p[seen..].fill(T::ZERO);
            ds[seen..].fill(T::ZERO);
        },
    );
}
