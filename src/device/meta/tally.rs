//! Operations and bytes of single operations, from the sizes of their operands.

use std::iter::Sum;
use std::ops::{Add, AddAssign, Mul};

use serde::Serialize;

use crate::device::{AttentionShape, Part, Visible};

/// Bytes of an element of activations or weights.
const BYTES: usize = 2;
/// Queries and keys of an attention tile.
const TILE: usize = 32;

/// A cost. Whole numbers, exact below 2^53.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Tally {
    /// Operations of matrix products, two per multiplication and addition.
    pub operations: f64,
    /// Bytes read and written.
    pub bytes: f64,
}

impl Add for Tally {
    type Output = Tally;

    fn add(self, other: Tally) -> Tally {
        Tally {
            operations: self.operations + other.operations,
            bytes: self.bytes + other.bytes,
        }
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Tally) {
        *self = *self + other;
    }
}

impl Mul<usize> for Tally {
    type Output = Tally;

    fn mul(self, times: usize) -> Tally {
        Tally {
            operations: self.operations * times as f64,
            bytes: self.bytes * times as f64,
        }
    }
}

impl Sum for Tally {
    fn sum<I: Iterator<Item = Tally>>(all: I) -> Tally {
        all.fold(Tally::default(), Add::add)
    }
}

/// One value per part of a model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Parts<T> {
    /// Blending the two pictures, and the gradient back to the masks.
    pub blend: T,
    /// The vision encoder.
    pub vision: T,
    /// The projector.
    pub projector: T,
    /// The decoder with its token embeddings.
    pub decoder: T,
    /// The vocabulary projection.
    pub vocabulary: T,
}

impl<T> Parts<T> {
    pub(super) fn of(&mut self, part: Part) -> &mut T {
        match part {
            Part::Blend => &mut self.blend,
            Part::Vision => &mut self.vision,
            Part::Projector => &mut self.projector,
            Part::Decoder => &mut self.decoder,
            Part::Vocabulary => &mut self.vocabulary,
        }
    }
}

impl<T: Copy + Sum> Parts<T> {
    /// Returns the sum of all parts.
    pub fn total(&self) -> T {
        [
            self.blend,
            self.vision,
            self.projector,
            self.decoder,
            self.vocabulary,
        ]
        .into_iter()
        .sum()
    }
}

impl<T: Add<Output = T>> Add for Parts<T> {
    type Output = Parts<T>;

    fn add(self, other: Parts<T>) -> Parts<T> {
        Parts {
            blend: self.blend + other.blend,
            vision: self.vision + other.vision,
            projector: self.projector + other.projector,
            decoder: self.decoder + other.decoder,
            vocabulary: self.vocabulary + other.vocabulary,
        }
    }
}

/// Returns the cost of reading or writing a matrix of activations.
pub(crate) fn moved(rows: usize, columns: usize) -> Tally {
    Tally {
        operations: 0.0,
        bytes: BYTES as f64 * rows as f64 * columns as f64,
    }
}

/// Returns the cost of reading or writing f32 numbers.
pub(crate) fn numbers(count: usize) -> Tally {
    Tally {
        operations: 0.0,
        bytes: 4.0 * count as f64,
    }
}

/// Returns the cost of rearranging rows: those that are read, and those that are written.
pub(crate) fn mix(read: usize, written: usize, columns: usize) -> Tally {
    moved(read + written, columns)
}

/// Returns the cost of a blend of two f32 pictures into the patches of `rows` rows in all, each of
/// `pixels` values.
pub(crate) fn blend(rows: usize, pixels: usize) -> Tally {
    numbers(2 * rows * pixels) + moved(rows, pixels)
}

/// Returns the cost of a blend's vjp: the patches' gradient, and the difference of the pictures.
pub(crate) fn blend_vjp(rows: usize, pixels: usize) -> Tally {
    moved(rows, pixels) + numbers(rows * pixels)
}

/// Returns the cost of a norm: y and the statistics.
pub(crate) fn norm(rows: usize, columns: usize, layer: bool) -> Tally {
    let per_row = if layer { 2 } else { 1 };
    moved(2 * rows + per_row, columns) + numbers(rows * per_row)
}

/// Returns the cost of a norm's vjp, with or without adding another matrix.
pub(crate) fn norm_vjp(rows: usize, columns: usize, layer: bool, onto: bool) -> Tally {
    let per_row = if layer { 2 } else { 1 };
    moved((3 + usize::from(onto)) * rows + 1, columns) + numbers(rows * per_row)
}

/// Returns the cost of a product with a weight matrix: of its operands only the weight is counted.
fn product(rows: usize, inside: usize, out: usize) -> Tally {
    let operations = 2.0 * rows as f64 * inside as f64 * out as f64;
    Tally {
        operations,
        ..moved(out, inside)
    }
}

/// An affine layer.
#[derive(Clone, Copy)]
pub(crate) struct Linear {
    inside: usize,
    out: usize,
    bias: bool,
}

impl Linear {
    pub fn new(inside: usize, out: usize, bias: bool) -> Linear {
        Linear { inside, out, bias }
    }

    /// Returns the cost of the forward pass for `rows` rows. `beside`: number of additional
    /// matrices of the output's size that are read or written, such as a residual.
    pub fn forward(self, rows: usize, beside: usize) -> Tally {
        product(rows, self.inside, self.out)
            + moved(rows, self.inside + (1 + beside) * self.out)
            + moved(usize::from(self.bias), self.out)
    }

    /// Returns the cost of the vjp for `rows` rows. `beside`: number of additional matrices of the
    /// input's size that are read or written.
    pub fn vjp(self, rows: usize, beside: usize) -> Tally {
        product(rows, self.inside, self.out) + moved(rows, self.out + (1 + beside) * self.inside)
    }
}

/// Returns the number of query-key pairs that are multiplied, per sequence and head: with keys of
/// the prefix, and with the sequence's own keys.
fn pairs(shape: &AttentionShape) -> (f64, f64) {
    let own = match &shape.visible {
        Visible::All | Visible::Masked(_) => shape.queries as f64 * shape.keys as f64,
        Visible::Causal(places) => places
            .chunks(TILE)
            .map(|tile| {
                let seen = tile.iter().max().map_or(0, |last| last + 1);
                tile.len() as f64 * seen.next_multiple_of(TILE).min(shape.keys) as f64
            })
            .sum(),
    };
    (shape.queries as f64 * shape.prefix as f64, own)
}

/// Returns the operations of `prefix` and `own` products over the pairs of a shape.
fn products(shape: &AttentionShape, prefix: f64, own: f64) -> Tally {
    let (with_prefix, with_own) = pairs(shape);
    let each = 2.0 * shape.head_dim as f64 * (shape.batch * shape.heads) as f64;
    Tally {
        operations: each * (prefix * with_prefix + own * with_own),
        bytes: 0.0,
    }
}

/// Returns the cost of reading keys and values, those of the prefix once per batch.
fn keys_and_values(shape: &AttentionShape, prefix: bool) -> Tally {
    let rows = shape.batch * shape.keys + if prefix { shape.prefix } else { 0 };
    moved(2 * rows, shape.kv_heads * shape.head_dim)
}

/// Returns the cost of attention: S and its product with V.
pub(crate) fn attention(shape: &AttentionShape) -> Tally {
    let rows = shape.batch * shape.queries;
    products(shape, 2.0, 2.0)
        + moved(2 * rows, shape.heads * shape.head_dim)
        + keys_and_values(shape, true)
        + numbers(rows * shape.heads)
}

/// Returns the cost of the vjp of attention, by three kernels.
pub(crate) fn attention_vjp(shape: &AttentionShape) -> Tally {
    let rows = shape.batch * shape.queries;
    let queries = moved(rows, shape.heads * shape.head_dim);
    let statistics = numbers(rows * shape.heads);
    // Reads dy and the output; writes one number per row and head.
    let delta = queries * 2 + statistics;
    // Reads q, dy, k, v and both statistics.
    let keys = queries * 2 + statistics * 2 + keys_and_values(shape, false) * 2;
    let own = queries * 3 + statistics * 2 + keys_and_values(shape, true);
    products(shape, 3.0, 7.0) + delta + keys + own
}

/// Returns the cost of the vjp of attention with one query per sequence over few keys, by one
/// kernel: dq from q, dy and the output, dk and dv from k and v.
pub(crate) fn window_vjp(shape: &AttentionShape) -> Tally {
    products(shape, 0.0, 5.0)
        + moved(4 * shape.batch, shape.heads * shape.head_dim)
        + keys_and_values(shape, false) * 2
        + numbers(shape.batch * shape.heads)
}

/// Returns the cost of a depthwise convolution of `taps` taps, or of its vjp.
pub(crate) fn depthwise(rows: usize, columns: usize, taps: usize) -> Tally {
    moved(2 * rows + taps, columns)
}

/// Returns the cost of log-probabilities of one token per row: logits in f32, written and read
/// once, and one number per row.
pub(crate) fn log_probability(rows: usize, hidden: usize, vocabulary: usize) -> Tally {
    product(rows, hidden, vocabulary) + moved(rows, hidden) + numbers(2 * rows * vocabulary + rows)
}

/// Returns the cost of the vjp of log-probabilities: logits again, their gradient in the storage
/// type, written and read once, and the product with the weight.
pub(crate) fn log_probability_vjp(rows: usize, hidden: usize, vocabulary: usize) -> Tally {
    product(rows, hidden, vocabulary) * 2
        + moved(2 * rows, hidden)
        + numbers(2 * rows * vocabulary)
        + moved(2 * rows, vocabulary)
}

/// Returns the cost of all logits of some rows.
pub(crate) fn logits(rows: usize, hidden: usize, vocabulary: usize) -> Tally {
    product(rows, hidden, vocabulary) + moved(rows, hidden) + numbers(rows * vocabulary)
}
