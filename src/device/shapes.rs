//! The plain data that describes an operation: shapes, views, paths, row maps.

use crate::picture::View;

/// One view's pixels of picture and baseline, each `3 x height x width`, channel by channel, normalised.
#[derive(Clone, Copy, Debug)]
pub struct ViewPair<'a> {
    /// The view's size, and where it lies in the picture.
    pub view: View,
    /// What the view sees of the picture.
    pub picture: &'a [f32],
    /// What it sees of the baseline.
    pub baseline: &'a [f32],
}

/// The parts of a model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Part {
    /// Blending the two pictures, and the gradient back to the masks.
    Blend,
    /// Vision encoders.
    #[default]
    Vision,
    /// What stands between encoders and decoder.
    Projector,
    /// The decoder with its token embeddings.
    Decoder,
    /// The vocabulary projection.
    Vocabulary,
}

/// What each query of an attention sees.
#[derive(Clone, Debug)]
pub enum Visible {
    /// Every key of its sequence.
    All,
    /// The prefix and its sequence's keys up to and including the query's own place; query r of a sequence stands at
    /// `places[r]` among the sequence's keys.
    Causal(Vec<usize>),
    /// Some of its sequence's keys: sequence s sees key j where element `(s % period) * keys + j` is true; the period, the
    /// number of elements divided by `keys`, divides the batch. For one query per sequence, without a prefix; every query sees a key.
    Masked(Vec<bool>),
}

/// The shape of an attention.
#[derive(Clone, Debug)]
pub struct AttentionShape {
    /// Sequences.
    pub batch: usize,
    /// Queries per sequence.
    pub queries: usize,
    /// Keys per sequence, without the prefix.
    pub keys: usize,
    /// Keys before every sequence's own, shared by all.
    pub prefix: usize,
    /// Query heads.
    pub heads: usize,
    /// Key-value heads; divides `heads`, and query head h reads key-value head `h / (heads / kv_heads)`.
    pub kv_heads: usize,
    /// Size of a head.
    pub head_dim: usize,
    /// What each query sees.
    pub visible: Visible,
}

impl AttentionShape {
    /// The factor on the scores, `1 / sqrt(head_dim)`.
    pub fn scale(&self) -> f64 {
        1.0 / (self.head_dim as f64).sqrt()
    }

    /// How many of prefix and keys query `r` of a sequence sees, those that a mask hides from it counted.
    pub fn seen(&self, r: usize) -> usize {
        match &self.visible {
            Visible::All | Visible::Masked(_) => self.prefix + self.keys,
            Visible::Causal(places) => self.prefix + places[r] + 1,
        }
    }

    /// Whether query `r` of a sequence sees key `j`, counted from the first of the prefix on.
    pub fn sees(&self, sequence: usize, r: usize, j: usize) -> bool {
        match &self.visible {
            Visible::Masked(seen) => {
                let period = seen.len() / self.keys;
                seen[sequence % period * self.keys + j]
            }
            _ => j < self.seen(r),
        }
    }

    /// Whether each sequence has one query that sees its own few keys, all or some: such attentions are done sequence by
    /// sequence, without tiles of queries.
    pub(crate) fn is_window(&self) -> bool {
        let causal = matches!(self.visible, Visible::Causal(_));
        self.queries == 1 && self.prefix == 0 && !causal
    }
}

/// The shape of a depthwise convolution, of stride 1 and with as many zeros around the grid as keep its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DepthwiseShape {
    /// Rows of the grid.
    pub height: usize,
    /// Columns of the grid.
    pub width: usize,
    /// Taps of the kernel along each side, odd.
    pub size: usize,
}

/// Which picture a mask of 1 keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The picture where the mask is 1, the baseline where it is 0.
    Keep,
    /// The baseline where the mask is 1, the picture where it is 0.
    Reveal,
}

/// The mask that a blend looks through, by number in [`Masks`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sampling {
    /// One mask.
    One(usize),
    /// The product of two masks, each sampled first.
    Product(usize, usize),
}

/// Gaussian noise added to a blend, from a counter-based generator: the same seed and stream give the same noise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Noise {
    /// Standard deviation in the processor's normalised space.
    pub deviation: f64,
    /// The run's seed.
    pub seed: u64,
    /// Distinct for every blend of a run.
    pub stream: u64,
}

/// One picture on the path between picture and baseline.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Blend {
    /// The mask.
    pub sampling: Sampling,
    /// Which picture the mask keeps.
    pub direction: Direction,
    /// The step along the path, in [0, 1].
    pub alpha: f64,
    /// Noise, if any.
    pub noise: Option<Noise>,
}

impl Blend {
    /// The end of a path through one mask, without noise.
    pub const fn whole(mask: usize, direction: Direction) -> Blend {
        Blend {
            sampling: Sampling::One(mask),
            direction,
            alpha: 1.0,
            noise: None,
        }
    }
}

/// Masks in the plane of the original picture: each `size * size` values in [0, 1], row by row.
#[derive(Clone, Copy, Debug)]
pub struct Masks<'a> {
    /// Cells per side.
    pub size: usize,
    /// The masks.
    pub values: &'a [Vec<f64>],
}

/// A fixed sparse matrix over the rows of a sequence: dropping, placing, pooling or reordering rows.
#[derive(Clone, Debug)]
pub struct RowMap {
    inputs: usize,
    /// Per output row, the input rows and their weights.
    forward: Vec<Vec<(usize, f64)>>,
    /// Per input row, the output rows and their weights.
    backward: Vec<Vec<(usize, f64)>>,
}

impl RowMap {
    /// From the terms of each output row: `(input row, weight)`.
    ///
    /// # Panics
    /// When an input row is not below `inputs`: maps are made by model code, never from a user's data.
    pub(crate) fn new(inputs: usize, forward: Vec<Vec<(usize, f64)>>) -> RowMap {
        let mut backward = vec![Vec::new(); inputs];
        for (o, terms) in forward.iter().enumerate() {
            for &(i, w) in terms {
                backward[i].push((o, w));
            }
        }
        RowMap {
            inputs,
            forward,
            backward,
        }
    }

    /// Output row r is input row `rows[r]`, or nothing (zero) where that is `None`.
    ///
    /// # Panics
    /// As [`RowMap::new`].
    pub(crate) fn select(inputs: usize, rows: impl IntoIterator<Item = Option<usize>>) -> RowMap {
        RowMap::new(
            inputs,
            rows.into_iter()
                .map(|r| r.map(|i| (i, 1.0)).into_iter().collect())
                .collect(),
        )
    }

    /// Rows per sequence before.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Rows per sequence after.
    pub fn outputs(&self) -> usize {
        self.forward.len()
    }

    /// The terms of each output row.
    pub fn forward(&self) -> &[Vec<(usize, f64)>] {
        &self.forward
    }

    /// The terms of each input row in the transpose.
    pub fn backward(&self) -> &[Vec<(usize, f64)>] {
        &self.backward
    }
}
