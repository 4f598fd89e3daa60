//! The shapes of whole models, so that every operation is timed at the sizes at which it is used.

use crate::device::{Activation, AttentionShape, Visible};

/// The layers of an encoder or a decoder.
pub struct Layers {
    /// Number of layers that run.
    pub layers: usize,
    /// Rows per sequence.
    pub rows: usize,
    /// Columns between the layers.
    pub columns: usize,
    /// Query heads.
    pub heads: usize,
    /// Key-value heads.
    pub kv_heads: usize,
    /// Columns of a head.
    pub head_dim: usize,
    /// Columns inside the perceptron.
    pub inside: usize,
    /// The perceptron's activation, or its gate's.
    pub activation: Activation,
}

/// The shapes of a model and of a batch through it.
pub struct Shapes {
    /// The name in tables and benches.
    pub name: &'static str,
    /// A description of the whole model with these sizes and random weights.
    pub whole: &'static str,
    /// Blends per batch.
    pub batch: usize,
    /// Pixels per side of the view.
    pub side: usize,
    /// Pixels per side of a patch.
    pub patch: usize,
    /// Cells per side of a mask.
    pub mask: usize,
    /// The vision encoder.
    pub encoder: Layers,
    /// The decoder; its rows are those after the shared prefix: visual tokens, then text.
    pub decoder: Layers,
    /// Tokens of the shared prefix.
    pub prefix: usize,
    /// Visual tokens among the decoder's rows.
    pub visual: usize,
    /// Key tokens per blend.
    pub keys: usize,
    /// Tokens of the vocabulary.
    pub vocabulary: usize,
    /// Whether the vocabulary projection is the embedding.
    pub tied: bool,
}

/// A CLIP of 384 columns and a Llama of SmolLM2-135M's shape, five blends at a time.
pub static SMALL: Shapes = Shapes {
    name: "small LLaVA",
    whole: "a small LLaVA-1.5, random weights",
    batch: 5,
    side: 224,
    patch: 16,
    mask: 16,
    encoder: Layers {
        layers: 11,
        rows: 197,
        columns: 384,
        heads: 6,
        kv_heads: 6,
        head_dim: 64,
        inside: 1536,
        activation: Activation::QuickGelu,
    },
    decoder: Layers {
        layers: 30,
        rows: 221,
        columns: 576,
        heads: 9,
        kv_heads: 3,
        head_dim: 64,
        inside: 1536,
        activation: Activation::Silu,
    },
    prefix: 9,
    visual: 196,
    keys: 2,
    vocabulary: 49152,
    tied: true,
};

/// LLaVA-1.5-7B: CLIP-L/14 at 336 pixels, and Vicuna-7B.
pub static LLAVA_1_5_7B: Shapes = Shapes {
    name: "LLaVA-1.5-7B",
    whole: "LLaVA-1.5-7B, random weights",
    batch: 20,
    side: 336,
    patch: 14,
    mask: 32,
    encoder: Layers {
        layers: 23,
        rows: 577,
        columns: 1024,
        heads: 16,
        kv_heads: 16,
        head_dim: 64,
        inside: 4096,
        activation: Activation::QuickGelu,
    },
    decoder: Layers {
        layers: 32,
        rows: 624,
        columns: 4096,
        heads: 32,
        kv_heads: 32,
        head_dim: 128,
        inside: 11008,
        activation: Activation::Silu,
    },
    prefix: 35,
    visual: 576,
    keys: 4,
    vocabulary: 32064,
    tied: false,
};

/// LLaVA-OneVision-0.5B with one view: SigLIP-so400m/14, whose patches cover 378 of its 384 pixels,
/// and Qwen2-0.5B.
pub static LLAVA_ONEVISION_0_5B: Shapes = Shapes {
    name: "LLaVA-OneVision-0.5B",
    whole: "LLaVA-1.5 of LLaVA-OneVision-0.5B's sizes, random weights",
    batch: 20,
    side: 378,
    patch: 14,
    mask: 32,
    encoder: Layers {
        layers: 26,
        rows: 729,
        columns: 1152,
        heads: 16,
        kv_heads: 16,
        head_dim: 72,
        inside: 4304,
        activation: Activation::GeluTanh,
    },
    decoder: Layers {
        layers: 24,
        rows: 777,
        columns: 896,
        heads: 14,
        kv_heads: 2,
        head_dim: 64,
        inside: 4864,
        activation: Activation::Silu,
    },
    prefix: 14,
    visual: 729,
    keys: 4,
    vocabulary: 151_646,
    tied: true,
};

/// Shapes small enough for a test on any machine; the vocabulary has room for the demo model's
/// tokens.
pub static TINY: Shapes = Shapes {
    name: "tiny",
    whole: "a tiny LLaVA-1.5, random weights",
    batch: 2,
    side: 12,
    patch: 4,
    mask: 3,
    encoder: Layers {
        layers: 1,
        rows: 10,
        columns: 24,
        heads: 2,
        kv_heads: 2,
        head_dim: 12,
        inside: 40,
        activation: Activation::Gelu,
    },
    decoder: Layers {
        layers: 2,
        rows: 13,
        columns: 32,
        heads: 2,
        kv_heads: 1,
        head_dim: 16,
        inside: 56,
        activation: Activation::Silu,
    },
    prefix: 3,
    visual: 9,
    keys: 2,
    vocabulary: 431,
    tied: false,
};

impl Layers {
    /// Returns the number of columns of all query heads.
    pub fn query_columns(&self) -> usize {
        self.heads * self.head_dim
    }

    /// Returns the number of columns of all key-value heads.
    pub fn key_columns(&self) -> usize {
        self.kv_heads * self.head_dim
    }

    fn attention(&self, batch: usize, prefix: usize, visible: Visible) -> AttentionShape {
        AttentionShape {
            batch,
            queries: match &visible {
                Visible::All | Visible::Masked(_) => self.rows,
                Visible::Causal(places) => places.len(),
            },
            keys: self.rows,
            prefix,
            heads: self.heads,
            kv_heads: self.kv_heads,
            head_dim: self.head_dim,
            visible,
        }
    }
}

impl Shapes {
    /// Returns the number of patches of a view.
    pub fn patches(&self) -> usize {
        (self.side / self.patch).pow(2)
    }

    /// Returns the number of values of a patch.
    pub fn patch_values(&self) -> usize {
        3 * self.patch * self.patch
    }

    /// Returns the number of values of a view.
    pub fn pixel_values(&self) -> usize {
        3 * self.side * self.side
    }

    /// Returns the number of positions along each side of a ConvNeXt's first grid over the view.
    pub fn grid(&self) -> usize {
        self.side / 4
    }

    /// Returns the shape of attention with every patch as a query over a window of 19 keys, in the
    /// encoder's heads, as in Cambrian-1.
    pub fn window(&self) -> AttentionShape {
        AttentionShape {
            batch: self.batch * self.patches(),
            queries: 1,
            keys: 19,
            ..self.encoder.attention(1, 0, Visible::All)
        }
    }

    /// Returns the attentions of a model, by name: the encoder's, the decoder's, its last layer's,
    /// for the rows before key tokens only, and one generated token's, after the whole sequence.
    pub fn attentions(&self) -> [(&'static str, AttentionShape); 4] {
        let (decoder, rows) = (&self.decoder, self.decoder.rows);
        let causal = |places| decoder.attention(self.batch, self.prefix, Visible::Causal(places));
        let one = AttentionShape {
            batch: 1,
            keys: 1,
            prefix: self.prefix + rows,
            ..causal(vec![0])
        };
        [
            (
                "encoder",
                self.encoder.attention(self.batch, 0, Visible::All),
            ),
            ("decoder", causal((0..rows).collect())),
            ("last layer", causal((rows - self.keys..rows).collect())),
            ("one token", one),
        ]
    }

    /// Returns the positions of the decoder's rows.
    pub fn positions(&self) -> Vec<usize> {
        (self.prefix..self.prefix + self.decoder.rows).collect()
    }

    /// Returns the decoder's rotary frequencies, in radians per position.
    pub fn frequencies(&self) -> Vec<f64> {
        let half = self.decoder.head_dim / 2;
        (0..half)
            .map(|i| 10_000f64.powf(-(i as f64) / half as f64))
            .collect()
    }
}
