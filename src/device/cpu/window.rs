//! Attention with one query per sequence, over the few keys of its window, and its vjp: sequence by
//! sequence, without packing.

use rayon::prelude::*;

use super::attention::{Inputs, Saved};
use super::microkernel::Multiply;
use super::norm::dot;
use super::simd::vectorize;

/// The heads of one sequence.
struct Sequence<'a, T> {
    inputs: &'a Inputs<'a, T>,
    number: usize,
    scale: T,
}

impl<'a, T: Multiply> Sequence<'a, T> {
    fn new(inputs: &'a Inputs<'a, T>, number: usize) -> Self {
        let scale = T::of(inputs.shape.scale());
        Sequence {
            inputs,
            number,
            scale,
        }
    }

    /// Returns the start of the row of head `head` in a matrix of q's shape.
    fn row(&self, head: usize) -> usize {
        let s = self.inputs.shape;
        (self.number * s.heads + head) * s.head_dim
    }

    /// Returns the start, among the sequence's own rows, of key `key` of the key-value head that
    /// query head `head` reads.
    fn key(&self, head: usize, key: usize) -> usize {
        let s = self.inputs.shape;
        (key * s.kv_heads + head / (s.heads / s.kv_heads)) * s.head_dim
    }

    /// Returns the sequence's own rows of k or v.
    fn own(&self, values: &'a [T]) -> &'a [T] {
        let s = self.inputs.shape;
        let length = s.keys * s.kv_heads * s.head_dim;
        &values[self.number * length..][..length]
    }

    /// Returns the keys that the query sees.
    fn keys(&self) -> impl Iterator<Item = usize> {
        let (shape, number) = (self.inputs.shape, self.number);
        (0..shape.keys).filter(move |&key| shape.sees(number, 0, key))
    }

    /// Returns the scaled score of a key.
    #[inline(always)]
    fn score(&self, head: usize, key: usize) -> T {
        let d = self.inputs.shape.head_dim;
        let q = &self.inputs.q[self.row(head)..][..d];
        let k = &self.own(self.inputs.k)[self.key(head, key)..][..d];
        dot(q, k, |a, b| a * b) * self.scale
    }

    /// Computes the output and returns the log-sum-exp of one head; `scores` has room for all keys.
    #[inline(always)]
    fn forward(&self, head: usize, scores: &mut [T], out: &mut [T]) -> T {
        let d = self.inputs.shape.head_dim;
        let mut top = T::MINUS_INFINITY;
        for key in self.keys() {
            scores[key] = self.score(head, key);
            top = top.max(scores[key]);
        }
        let mut total = T::ZERO;
        out.fill(T::ZERO);
        for key in self.keys() {
            let p = (scores[key] - top).exp();
            total += p;
            let v = &self.own(self.inputs.v)[self.key(head, key)..][..d];
            add(out, p, v);
        }
        let inverse = T::ONE / total;
        for out in out {
            *out *= inverse;
        }
        top + T::of(total.to_f64().ln())
    }

    /// Adds one head's contribution to dk and dv, and computes its dq.
    #[inline(always)]
    fn vjp(
        &self,
        head: usize,
        saved: &Saved<T>,
        dy: &[T],
        dq: &mut [T],
        dk: &mut [T],
        dv: &mut [T],
    ) {
        let (d, row) = (self.inputs.shape.head_dim, self.row(head));
        let (q, dy) = (&self.inputs.q[row..][..d], &dy[row..][..d]);
        let delta = dot(&saved.out[row..][..d], dy, |a, b| a * b);
        let lse = saved.lse[self.number * self.inputs.shape.heads + head];
        dq.fill(T::ZERO);
        for key in self.keys() {
            let at = self.key(head, key);
            let (k, v) = (
                &self.own(self.inputs.k)[at..][..d],
                &self.own(self.inputs.v)[at..][..d],
            );
            let p = (self.score(head, key) - lse).exp();
            let ds = p * (dot(dy, v, |a, b| a * b) - delta) * self.scale;
            add(dq, ds, k);
            add(&mut dk[at..][..d], ds, q);
            add(&mut dv[at..][..d], p, dy);
        }
    }
}

/// Adds a multiple of one row to another.
#[inline(always)]
fn add<T: Multiply>(to: &mut [T], factor: T, from: &[T]) {
    for (to, &from) in to.iter_mut().zip(from) {
        *to += factor * from;
    }
}

/// Computes out and lse.
pub(super) fn forward<T: Multiply>(inputs: &Inputs<T>, out: &mut [T], lse: &mut [T]) {
    let s = inputs.shape;
    out.par_chunks_mut((s.heads * s.head_dim).max(1))
        .zip(lse.par_chunks_mut(s.heads.max(1)))
        .enumerate()
        .for_each_init(
            || vec![T::ZERO; s.keys],
            |scores, (number, (out, lse))| {
                let sequence = Sequence::new(inputs, number);
                vectorize(
                    #[inline(always)]
                    || {
                        let heads = out.chunks_mut(s.head_dim).zip(&mut *lse);
                        for (head, (out, lse)) in heads.enumerate() {
                            *lse = sequence.forward(head, scores, out);
                        }
                    },
                );
            },
        );
}

/// Computes dq, dk and dv.
pub(super) fn vjp<T: Multiply>(
    inputs: &Inputs<T>,
    saved: &Saved<T>,
    dy: &[T],
    dq: &mut [T],
    dk: &mut [T],
    dv: &mut [T],
) {
    let s = inputs.shape;
    let own = (s.keys * s.kv_heads * s.head_dim).max(1);
    dq.par_chunks_mut((s.heads * s.head_dim).max(1))
        .zip(dk.par_chunks_mut(own).zip(dv.par_chunks_mut(own)))
        .enumerate()
        .for_each(|(number, (dq, (dk, dv)))| {
            let sequence = Sequence::new(inputs, number);
            dk.fill(T::ZERO);
            dv.fill(T::ZERO);
            vectorize(
                #[inline(always)]
                || {
                    for (head, dq) in dq.chunks_mut(s.head_dim).enumerate() {
                        sequence.vjp(head, saved, dy, dq, dk, dv);
                    }
                },
            );
        });
}
