//! Scaled dot-product attention.

use super::{Matrix, Memory, Size, below, same_shape};
use crate::device::Result;
use crate::device::error::expect;

/// The keys that each query of an attention sees.
#[derive(Clone, Debug)]
pub enum Visible {
    /// Every key of the query's sequence.
    All,
    /// The prefix and the sequence's keys up to and including key `places[r]` for query r: the
    /// query's own position, or a later one where rows see some that follow them.
    Causal(Vec<usize>),
    /// A subset of the sequence's keys: sequence s sees key j if element `(s % period) * keys + j`
    /// is true. The period, the number of elements divided by `keys`, divides the batch. Requires
    /// one query per sequence and no prefix; every query must see a key.
    Masked(Vec<bool>),
}

/// The shape of an attention.
#[derive(Clone, Debug)]
pub struct AttentionShape {
    /// Number of sequences.
    pub batch: usize,
    /// Number of queries per sequence.
    pub queries: usize,
    /// Number of keys per sequence, without the prefix.
    pub keys: usize,
    /// Number of keys before every sequence's own, shared by all.
    pub prefix: usize,
    /// Number of query heads.
    pub heads: usize,
    /// Number of key-value heads; divides `heads`. Query head h reads key-value head
    /// `h / (heads / kv_heads)`.
    pub kv_heads: usize,
    /// Columns of a head.
    pub head_dim: usize,
    /// The keys that each query sees.
    pub visible: Visible,
}

impl AttentionShape {
    /// Returns the factor on the scores, `1 / sqrt(head_dim)`.
    pub fn scale(&self) -> f64 {
        1.0 / (self.head_dim as f64).sqrt()
    }

    /// Returns the number of keys, prefix included, that query `r` of a sequence sees; keys hidden
    /// by a mask are counted.
    pub fn seen(&self, r: usize) -> usize {
        match &self.visible {
            Visible::All | Visible::Masked(_) => self.prefix + self.keys,
            Visible::Causal(places) => self.prefix + places[r] + 1,
        }
    }

    /// Checks whether query `r` of a sequence sees key `j`, counted from the first of the prefix
    /// on.
    pub fn sees(&self, sequence: usize, r: usize, j: usize) -> bool {
        match &self.visible {
            Visible::Masked(seen) => {
                let period = seen.len() / self.keys;
                seen[sequence % period * self.keys + j]
            }
            _ => j < self.seen(r),
        }
    }

    /// Checks whether each sequence has one query that sees only its own few keys, all or some:
    /// such attentions are computed sequence by sequence, without tiles of queries.
    pub(crate) fn is_window(&self) -> bool {
        let causal = matches!(self.visible, Visible::Causal(_));
        self.queries == 1 && self.prefix == 0 && !causal
    }
}

/// Queries, keys and values.
#[derive(Debug)]
pub struct AttentionInputs<'a, M> {
    /// `[batch * queries, heads * d]`.
    pub q: &'a M,
    /// `[batch * keys, kv_heads * d]`.
    pub k: &'a M,
    /// `[batch * keys, kv_heads * d]`.
    pub v: &'a M,
    /// Keys and values that every sequence sees before its own: at least `shape.prefix` rows of
    /// `kv_heads * d`.
    pub prefix: Option<(&'a M, &'a M)>,
}

// Derived implementations would require the traits of `M`, which is only borrowed.
impl<M> Clone for AttentionInputs<'_, M> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<M> Copy for AttentionInputs<'_, M> {}

/// The output of an attention, its log-sum-exp, and the gradient of the output.
#[derive(Debug)]
pub struct AttentionSaved<'a, M, S> {
    /// `[batch * queries, heads * d]`.
    pub out: &'a M,
    /// `[batch * queries, heads]`.
    pub lse: &'a S,
    /// `[batch * queries, heads * d]`.
    pub dy: &'a M,
}

/// Scaled dot-product attention with grouped heads, causal or masked, after a shared prefix.
pub trait Attention: Memory {
    /// Computes scaled dot-product attention; [`AttentionShape`] defines the sizes and the visible
    /// keys.
    ///
    /// q `[batch * queries, heads * d]`; k, v `[batch * keys, kv_heads * d]`; `prefix` holds keys
    /// and values (at least `shape.prefix` rows of `kv_heads * d`) that every sequence sees before
    /// its own. Returns the output, of q's shape, and the log-sum-exp of the scores per row and
    /// head `[batch * queries, heads]`.
    ///
    /// # Errors
    /// [`DeviceError::Shape`](crate::device::DeviceError::Shape) for operands of other sizes, a
    /// query without a key, or an invalid position or mask.
    fn attention(
        &self,
        shape: &AttentionShape,
        q: &Self::Matrix,
        k: &Self::Matrix,
        v: &Self::Matrix,
        prefix: Option<(&Self::Matrix, &Self::Matrix)>,
    ) -> Result<(Self::Matrix, Self::Statistics)> {
        let inputs = AttentionInputs { q, k, v, prefix };
        check_inputs(shape, inputs)?;
        self.attention_impl(shape, inputs)
    }
    /// Implements [`Attention::attention`].
    fn attention_impl(
        &self,
        shape: &AttentionShape,
        inputs: AttentionInputs<Self::Matrix>,
    ) -> Result<(Self::Matrix, Self::Statistics)>;

    /// Returns the gradients with respect to q, k and v; the prefix is constant. `out` and `lse`
    /// are the results of `attention`.
    ///
    /// # Errors
    /// As [`Attention::attention`].
    #[expect(
        clippy::too_many_arguments,
        reason = "the operands of one fused operation"
    )]
    fn attention_vjp(
        &self,
        shape: &AttentionShape,
        q: &Self::Matrix,
        k: &Self::Matrix,
        v: &Self::Matrix,
        prefix: Option<(&Self::Matrix, &Self::Matrix)>,
        out: &Self::Matrix,
        lse: &Self::Statistics,
        dy: &Self::Matrix,
    ) -> Result<(Self::Matrix, Self::Matrix, Self::Matrix)> {
        let inputs = AttentionInputs { q, k, v, prefix };
        check_inputs(shape, inputs)?;
        same_shape("attention_vjp: out", q.shape(), out)?;
        same_shape("attention_vjp: dy", q.shape(), dy)?;
        same_shape("attention_vjp: lse", (q.rows(), shape.heads), lse)?;
        self.attention_vjp_impl(shape, inputs, &AttentionSaved { out, lse, dy })
    }
    /// Implements [`Attention::attention_vjp`].
    fn attention_vjp_impl(
        &self,
        shape: &AttentionShape,
        inputs: AttentionInputs<Self::Matrix>,
        saved: &AttentionSaved<Self::Matrix, Self::Statistics>,
    ) -> Result<(Self::Matrix, Self::Matrix, Self::Matrix)>;
}

fn check_inputs<M: Matrix>(shape: &AttentionShape, inputs: AttentionInputs<M>) -> Result<()> {
    let AttentionInputs { q, k, v, prefix } = inputs;
    let prefix = prefix.map(|(k, v)| (k.shape(), v.shape()));
    check(shape, q.shape(), k.shape(), v.shape(), prefix)
}

/// Checks the operands of an attention against its shape.
fn check(
    s: &AttentionShape,
    q: Size,
    k: Size,
    v: Size,
    prefix: Option<(Size, Size)>,
) -> Result<()> {
    let size = |rows: Size, columns: usize| {
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
    match &s.visible {
        Visible::All => Ok(()),
        Visible::Causal(places) => {
            let expected = || format!("{} places", s.queries);
            let fits = places.len() == s.queries;
            expect(fits, "attention", expected, || places.len().to_string())?;
            below("attention", places.iter().copied(), s.keys)
        }
        Visible::Masked(seen) => mask(s, seen),
    }
}

/// Checks a mask: one query per sequence, a whole number of rows that divides the batch, and a
/// visible key in each row.
fn mask(s: &AttentionShape, seen: &[bool]) -> Result<()> {
    let whole = s.keys > 0 && !seen.is_empty() && seen.len().is_multiple_of(s.keys);
    let repeats = whole && s.batch.is_multiple_of(seen.len() / s.keys);
    let sighted = whole && seen.chunks(s.keys).all(|row| row.contains(&true));
    let expected = || {
        let (keys, batch) = (s.keys, s.batch);
        format!(
            "one query, no prefix, and a mask of {keys} keys, one of them seen, for sequences \
             whose number divides {batch}"
        )
    };
    expect(
        s.is_window() && repeats && sighted,
        "attention: mask",
        expected,
        || {
            format!(
                "{} queries, a prefix of {}, {} elements",
                s.queries,
                s.prefix,
                seen.len()
            )
        },
    )
}
