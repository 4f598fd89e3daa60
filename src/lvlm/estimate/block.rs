//! Operations and bytes of a transformer block, in the order of [`crate::nn::Block`].

use super::tally::{Linear, Tally, attention, attention_vjp, mix, norm, norm_vjp};
use crate::device::{AttentionShape, Visible};
use crate::nn::BlockSize;

/// What a block is made of.
pub(super) struct Block {
    pub size: BlockSize,
    pub attention_bias: bool,
    pub mlp_bias: bool,
    /// Layer norms, or root-mean-square norms.
    pub layer_norm: bool,
    pub rotary: bool,
}

/// How the rows of a batch attend to each other; as [`crate::nn::Sequence`].
pub(super) struct Sequence {
    pub batch: usize,
    pub length: usize,
    pub prefix: usize,
    pub causal: bool,
    /// The rows whose output is wanted; all when `None`.
    pub queries: Option<Vec<usize>>,
}

impl Sequence {
    /// Rows that go in.
    fn rows(&self) -> usize {
        self.batch * self.length
    }

    /// Rows that come out.
    fn wanted(&self) -> usize {
        self.batch * self.queries.as_ref().map_or(self.length, Vec::len)
    }
}

impl Block {
    fn query_columns(&self) -> usize {
        self.size.heads * self.size.head_dim
    }

    /// Columns of keys, and of values.
    pub fn kv_columns(&self) -> usize {
        self.size.kv_heads * self.size.head_dim
    }

    fn query(&self) -> Linear {
        Linear::new(self.size.columns, self.query_columns(), self.attention_bias)
    }

    /// To keys, and to values.
    fn key(&self) -> Linear {
        Linear::new(self.size.columns, self.kv_columns(), self.attention_bias)
    }

    fn output(&self) -> Linear {
        Linear::new(self.query_columns(), self.size.columns, self.attention_bias)
    }

    /// Into the perceptron: its first layer, or its gate and its value.
    fn up(&self) -> Linear {
        Linear::new(self.size.columns, self.size.intermediate, self.mlp_bias)
    }

    fn down(&self) -> Linear {
        Linear::new(self.size.intermediate, self.size.columns, self.mlp_bias)
    }

    /// Numbers in its weights, biases and norms.
    pub fn parameters(&self) -> usize {
        let norm = if self.layer_norm { 2 } else { 1 } * self.size.columns;
        let ups = if self.size.gated { 2 } else { 1 };
        let attention =
            self.query().parameters() + 2 * self.key().parameters() + self.output().parameters();
        2 * norm + attention + ups * self.up().parameters() + self.down().parameters()
    }

    fn attention(&self, sequence: &Sequence) -> AttentionShape {
        let places = || (0..sequence.length).collect();
        AttentionShape {
            batch: sequence.batch,
            queries: sequence.queries.as_ref().map_or(sequence.length, Vec::len),
            keys: sequence.length,
            prefix: sequence.prefix,
            heads: self.size.heads,
            kv_heads: self.size.kv_heads,
            head_dim: self.size.head_dim,
            visible: if sequence.causal {
                Visible::Causal(sequence.queries.clone().unwrap_or_else(places))
            } else {
                Visible::All
            },
        }
    }

    /// Forward.
    pub fn forward(&self, sequence: &Sequence) -> Tally {
        let (rows, wanted, columns) = (sequence.rows(), sequence.wanted(), self.size.columns);
        let mut all = norm(rows, columns, self.layer_norm);
        if sequence.queries.is_some() {
            // The wanted rows of the residual, and of the norm's output.
            all += mix(wanted, wanted, columns) * 2;
        }
        all += self.query().forward(wanted, 0) + self.key().forward(rows, 0) * 2;
        all += attention(&self.attention(sequence)) + self.output().forward(wanted, 1);
        all += norm(wanted, columns, self.layer_norm);
        all += if self.size.gated {
            // The gate; then the value, multiplied by the gate's activation as it is written.
            self.up().forward(wanted, 0) + self.up().forward(wanted, 2)
        } else {
            self.up().forward(wanted, 1)
        };
        all + self.down().forward(wanted, 1)
    }

    /// The vjp, from what forward saved.
    pub fn vjp(&self, sequence: &Sequence) -> Tally {
        let (rows, wanted, columns) = (sequence.rows(), sequence.wanted(), self.size.columns);
        let mut all = if self.size.gated {
            // Gate and value are read and both their gradients written.
            self.down().vjp(wanted, 3) + self.up().vjp(wanted, 0) + self.up().vjp(wanted, 1)
        } else {
            self.down().vjp(wanted, 1) + self.up().vjp(wanted, 0)
        };
        all += norm_vjp(wanted, columns, self.layer_norm, true);
        all += self.output().vjp(wanted, 0) + attention_vjp(&self.attention(sequence));
        if self.rotary {
            all += mix(wanted, wanted, self.query_columns()) + mix(rows, rows, self.kv_columns());
        }
        all += self.query().vjp(wanted, 0) + self.key().vjp(rows, 1) * 2;
        if sequence.queries.is_some() {
            all += mix(wanted, rows, columns) * 2;
        }
        all + norm_vjp(rows, columns, self.layer_norm, true)
    }
}
