//! What an explanation with a LLaVA costs on a GPU, from sizes alone: operations, bytes moved, memory, batches.
//!
//! Operations are those of matrix products and attention, two per multiplication and addition. Attention is counted by tiles
//! of 32 queries and 32 keys, cut at the edges: a causal tile counts whole when any of its queries sees any of its keys. The
//! vjp of attention multiplies S, dP, dV and dK once for the keys, and S, dP and dQ once for the queries; the prefix has no
//! gradient and is part of the latter only. The vjp of the vocabulary projection makes its logits anew. Everything else
//! (norms, activations, softmax, blends) counts as bytes only.
//!
//! Bytes are what operations read and write, each operand once per operation: weights once per batch, activations of two
//! bytes per element, statistics, logits and pictures of four. What stays on the chip inside a fused operation is not
//! counted; nor are masks, weights of scores, and tables, which are small.

mod block;
pub(crate) mod tally;
#[cfg(test)]
mod tests;

use block::{Block, Sequence};
use tally::{
    BYTES, Linear, blend, blend_vjp, log_probability, log_probability_vjp, logits, mix, norm,
    norm_vjp,
};
pub use tally::{Parts, Tally};

use super::plan::{Plan, Sizes, prefix_bytes, text_block, vision_block};
use super::{LvlmError, Result};
use crate::checkpoint::LlavaConfig;
use crate::device::cuda::{SCRATCH, USEFUL_ROWS};
use crate::nn::Keep;

/// The lengths of a prompt and an answer, in tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Lengths {
    /// Text before the picture.
    pub before: usize,
    /// Text between the picture and the answer, at least 1.
    pub behind: usize,
    /// The answer.
    pub answer: usize,
}

/// Counts what an explanation costs. Tokens are places in the answer, ascending.
#[derive(Clone, Copy, Debug)]
pub struct Estimator<'a> {
    config: &'a LlavaConfig,
    lengths: Lengths,
}

impl<'a> Estimator<'a> {
    /// For a model and lengths.
    ///
    /// # Errors
    /// [`LvlmError::TooLong`] when prompt and answer do not fit the model's context.
    pub fn new(config: &'a LlavaConfig, lengths: Lengths) -> Result<Estimator<'a>> {
        let found = [lengths.before, lengths.behind, lengths.answer]
            .iter()
            .fold(config.image_tokens(), |sum, n| sum.saturating_add(*n));
        let limit = config.text.max_positions;
        if found > limit {
            return Err(LvlmError::TooLong { limit, found });
        }
        Ok(Estimator { config, lengths })
    }

    /// Bytes of the weights that are loaded, each as one number of two bytes: the encoder's layers as far as they are used,
    /// the class token and the positions as one matrix, a projection that is the embedding once.
    pub fn weights(&self) -> Parts<usize> {
        let (clip, text) = (&self.config.vision, &self.config.text);
        let (hidden, table) = (text.hidden, text.vocab * text.hidden);
        let projector: usize = self.projector().iter().map(Linear::parameters).sum();
        let vision = self.patches().parameters()
            + (clip.patches() + 1) * clip.hidden
            + 2 * clip.hidden
            + self.config.vision_layers_used() * self.vision().parameters();
        let head = if text.tied_embeddings { 0 } else { table };
        Parts {
            blend: 0,
            vision: BYTES * vision,
            projector: BYTES * projector,
            decoder: BYTES * (table + text.layers * self.text().parameters() + hidden),
            vocabulary: BYTES * head,
        }
    }

    /// Bytes of the keys and values of the text before the picture.
    pub fn prefix_bytes(&self) -> usize {
        prefix_bytes(self.config, self.lengths.before, BYTES)
    }

    /// Bytes of activations whatever the batch: pictures, prefix, text rows, and what operations need for themselves.
    pub fn fixed_bytes(&self, tokens: &[usize]) -> usize {
        self.sizes(tokens).fixed
    }

    /// Bytes of activations per blend for scores of `tokens`.
    pub fn bytes_per_blend(&self, tokens: &[usize], keep: Keep) -> usize {
        let sizes = self.sizes(tokens);
        match keep {
            Keep::Nothing => sizes.nothing,
            Keep::Inputs => sizes.inputs,
            Keep::Everything => sizes.everything,
        }
    }

    /// How `blends` blends are cut, with a gradient or without, for scores of `tokens` within `budget` bytes.
    ///
    /// # Errors
    /// [`LvlmError::Memory`].
    pub fn plan(
        &self,
        blends: usize,
        tokens: &[usize],
        gradient: bool,
        budget: usize,
    ) -> Result<Plan> {
        Plan::decide(&self.sizes(tokens), blends, gradient, USEFUL_ROWS, budget)
    }

    /// One batch: the scores of `tokens` for `blends` blends, and unless nothing is kept the gradient of the masks.
    pub fn batch(&self, blends: usize, tokens: &[usize], keep: Keep) -> Parts<Tally> {
        let forward = self.forward(blends, tokens);
        match keep {
            Keep::Nothing => forward,
            Keep::Inputs => forward + self.vjp(blends, tokens) + self.again(blends, tokens),
            Keep::Everything => forward + self.vjp(blends, tokens),
        }
    }

    /// Keys and values of the text before the picture, made once per prompt.
    pub fn prefix(&self) -> Parts<Tally> {
        Parts {
            decoder: self.extend(self.lengths.before, 0),
            ..Parts::default()
        }
    }

    /// What the greedy answer costs before its first token: the picture and the text behind it.
    pub fn read_prompt(&self) -> Parts<Tally> {
        let Lengths { before, behind, .. } = self.lengths;
        let (hidden, images) = (self.config.text.hidden, self.config.image_tokens());
        let rows = images + behind;
        // The text's rows go to their places, then the picture's.
        let place = mix(behind, behind, hidden)
            + mix(behind, rows, hidden)
            + mix(images + rows, rows, hidden);
        let copy = mix(before, before, 2 * self.text().kv_columns()) * self.config.text.layers;
        Parts {
            decoder: place + copy + self.stack_once(rows, before),
            ..self.see(1)
        }
    }

    /// What choosing the next token costs, once per token of the answer and once for the end.
    pub fn choose_token(&self) -> Parts<Tally> {
        let text = &self.config.text;
        Parts {
            decoder: mix(1, 1, text.hidden) + norm(1, text.hidden, false),
            vocabulary: logits(1, text.hidden, text.vocab),
            ..Parts::default()
        }
    }

    /// What reading the answer's token `index` costs.
    pub fn read_token(&self, index: usize) -> Parts<Tally> {
        let Lengths { before, behind, .. } = self.lengths;
        let position = before + self.config.image_tokens() + behind + index;
        Parts {
            decoder: self.extend(1, position),
            ..Parts::default()
        }
    }

    fn sizes(&self, tokens: &[usize]) -> Sizes {
        let lengths = (self.lengths.before, self.lengths.behind);
        Sizes::of(self.config, lengths, tokens, BYTES, SCRATCH)
    }

    fn vision(&self) -> Block {
        Block {
            size: vision_block(self.config),
            attention_bias: true,
            mlp_bias: true,
            layer_norm: true,
            rotary: false,
        }
    }

    fn text(&self) -> Block {
        Block {
            size: text_block(self.config),
            attention_bias: self.config.text.attention_bias,
            mlp_bias: self.config.text.mlp_bias,
            layer_norm: false,
            rotary: true,
        }
    }

    fn patches(&self) -> Linear {
        let clip = &self.config.vision;
        Linear::new(clip.channels * clip.patch_size.pow(2), clip.hidden, false)
    }

    fn projector(&self) -> [Linear; 2] {
        let (inside, out) = (self.config.vision.hidden, self.config.text.hidden);
        [inside, out].map(|columns| Linear::new(columns, out, self.config.projector_bias))
    }

    fn vision_sequence(&self, blends: usize) -> Sequence {
        Sequence {
            batch: blends,
            length: self.config.vision.patches() + 1,
            prefix: 0,
            causal: false,
            queries: None,
        }
    }

    /// Rows per blend behind the prefix.
    fn length(&self, tokens: &[usize]) -> usize {
        let last = tokens.iter().copied().max().unwrap_or(0);
        self.config.image_tokens() + self.lengths.behind + last
    }

    /// The decoder's layers in their order; the last has the rows that predict `tokens` only.
    fn text_sequences(&self, blends: usize, tokens: &[usize]) -> impl Iterator<Item = Sequence> {
        let first = self.config.image_tokens() + self.lengths.behind - 1;
        let places: Vec<usize> = tokens.iter().map(|t| first + t).collect();
        let (length, prefix) = (self.length(tokens), self.lengths.before);
        let layers = self.config.text.layers;
        (1..=layers).map(move |layer| Sequence {
            batch: blends,
            length,
            prefix,
            causal: true,
            queries: (layer == layers).then(|| places.clone()),
        })
    }

    /// Blends to the decoder's image rows.
    fn see(&self, blends: usize) -> Parts<Tally> {
        let clip = &self.config.vision;
        let (patches, tokens) = (blends * clip.patches(), blends * (clip.patches() + 1));
        let (pixels, features) = (self.patches().inside, blends * self.config.image_tokens());
        let [first, second] = self.projector();
        // Class token and positions are added while patches go to their places.
        let embedded = self.patches().forward(patches, 0)
            + mix(patches + clip.patches() + 1, tokens, clip.hidden)
            + norm(tokens, clip.hidden, true);
        let blocks =
            self.vision().forward(&self.vision_sequence(blends)) * self.config.vision_layers_used();
        Parts {
            blend: blend(patches, pixels),
            vision: embedded + blocks + mix(features, features, clip.hidden),
            projector: first.forward(features, 1) + second.forward(features, 0),
            ..Parts::default()
        }
    }

    fn forward(&self, blends: usize, tokens: &[usize]) -> Parts<Tally> {
        let text = &self.config.text;
        let (images, length) = (blends * self.config.image_tokens(), self.length(tokens));
        let (rows, wanted) = (blends * length, blends * tokens.len());
        let block = self.text();
        let blocks: Tally = self
            .text_sequences(blends, tokens)
            .map(|s| block.forward(&s))
            .sum();
        Parts {
            decoder: mix(images + length, rows, text.hidden)
                + blocks
                + norm(wanted, text.hidden, false),
            vocabulary: log_probability(wanted, text.hidden, text.vocab),
            ..self.see(blends)
        }
    }

    fn vjp(&self, blends: usize, tokens: &[usize]) -> Parts<Tally> {
        let (clip, text) = (&self.config.vision, &self.config.text);
        let (images, wanted) = (blends * self.config.image_tokens(), blends * tokens.len());
        let (patches, inside) = (blends * clip.patches(), blends * (clip.patches() + 1));
        let pixels = self.patches().inside;
        let block = self.text();
        let blocks: Tally = self
            .text_sequences(blends, tokens)
            .map(|s| block.vjp(&s))
            .sum();
        let [first, second] = self.projector();
        let encoder =
            self.vision().vjp(&self.vision_sequence(blends)) * self.config.vision_layers_used();
        Parts {
            blend: blend_vjp(patches, pixels),
            vision: mix(images, inside, clip.hidden)
                + encoder
                + norm_vjp(inside, clip.hidden, true, false)
                + mix(patches, patches, clip.hidden)
                + self.patches().vjp(patches, 0),
            projector: second.vjp(images, 1) + first.vjp(images, 0),
            decoder: norm_vjp(wanted, text.hidden, false, false)
                + blocks
                + mix(images, images, text.hidden),
            vocabulary: log_probability_vjp(wanted, text.hidden, text.vocab),
        }
    }

    /// Every block's forward pass once more, from its input.
    fn again(&self, blends: usize, tokens: &[usize]) -> Parts<Tally> {
        let block = self.text();
        Parts {
            vision: self.vision().forward(&self.vision_sequence(blends))
                * self.config.vision_layers_used(),
            decoder: self
                .text_sequences(blends, tokens)
                .map(|s| block.forward(&s))
                .sum(),
            ..Parts::default()
        }
    }

    /// `rows` tokens of text behind `prefix` others: embedded, sent through the decoder, their keys and values kept.
    fn extend(&self, rows: usize, prefix: usize) -> Tally {
        mix(rows, rows, self.config.text.hidden) + self.stack_once(rows, prefix)
    }

    /// `rows` rows of one sequence behind `prefix` others through the decoder, their keys and values kept.
    fn stack_once(&self, rows: usize, prefix: usize) -> Tally {
        if rows == 0 {
            return Tally::default();
        }
        let block = self.text();
        let sequence = Sequence {
            batch: 1,
            length: rows,
            prefix,
            causal: true,
            queries: None,
        };
        let kept = mix(rows, rows, 2 * block.kv_columns());
        (block.forward(&sequence) + kept) * self.config.text.layers
    }
}
