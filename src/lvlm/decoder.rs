//! The Llama decoder: a prefix computed once, a batch of sequences behind it, and log-probabilities at chosen places.

use super::Result;
use super::load::Loader;
use crate::checkpoint::{LlamaConfig, LlavaConfig, RopeScaling};
use crate::device::{Device, Matrix, RowMap};
use crate::nn::{
    Attention, Block, Keep, Kept, KeyValues, Mlp, Norm, Queries, Sequence, Stack, require_finite,
};

/// Token embeddings, blocks, last norm and vocabulary projection.
pub(super) struct Decoder<D: Device> {
    embedding: D::Weight,
    pub stack: Stack<D>,
    norm: Norm<D>,
    head: D::Weight,
    pub vocabulary: usize,
    pub max_positions: usize,
}

/// Keys and values of the tokens before the picture, layer by layer.
pub(super) type Prefix<D> = Vec<KeyValues<D>>;

/// What the forward pass kept.
pub(super) struct DecoderKept<D: Device> {
    stack: Kept<D>,
    last: D::Matrix,
    statistics: D::Matrix,
    logits: D::Logits,
}

/// The rows of a batch: `length` per sequence, and those whose output is wanted.
pub(super) struct Rows<'a, D: Device> {
    pub batch: usize,
    pub length: usize,
    pub prefix: &'a Prefix<D>,
    pub queries: &'a Queries,
}

impl<D: Device> Decoder<D> {
    /// Loads every layer.
    pub fn load(loader: &Loader<D>, config: &LlavaConfig) -> Result<Decoder<D>> {
        let (llama, names) = (&config.text, &loader.checkpoint.names);
        let (prefix, hidden, eps) = (&names.decoder, llama.hidden, llama.rms_norm_eps);
        let (queries, keys) = (
            llama.heads * llama.head_dim,
            llama.kv_heads * llama.head_dim,
        );
        let frequencies = frequencies(llama);
        let blocks = (0..llama.layers)
            .map(|i| {
                let name = format!("{prefix}layers.{i}");
                let attention = |part: &str, out, inside| {
                    loader.linear(
                        &format!("{name}.self_attn.{part}"),
                        out,
                        inside,
                        llama.attention_bias,
                    )
                };
                let mlp = |part: &str, out, inside| {
                    loader.linear(&format!("{name}.mlp.{part}"), out, inside, llama.mlp_bias)
                };
                Ok(Block {
                    attention_norm: loader.rms_norm(
                        &format!("{name}.input_layernorm"),
                        hidden,
                        eps,
                    )?,
                    attention: Attention {
                        query: attention("q_proj", queries, hidden)?,
                        key: attention("k_proj", keys, hidden)?,
                        value: attention("v_proj", keys, hidden)?,
                        output: attention("o_proj", hidden, queries)?,
                        heads: llama.heads,
                        kv_heads: llama.kv_heads,
                        head_dim: llama.head_dim,
                        rope: Some(frequencies.clone()),
                    },
                    mlp_norm: loader.rms_norm(
                        &format!("{name}.post_attention_layernorm"),
                        hidden,
                        eps,
                    )?,
                    mlp: Mlp::Gated {
                        gate: mlp("gate_proj", llama.intermediate, hidden)?,
                        up: mlp("up_proj", llama.intermediate, hidden)?,
                        down: mlp("down_proj", hidden, llama.intermediate)?,
                        activation: llama.activation,
                    },
                })
            })
            .collect::<Result<_>>()?;
        let table = format!("{prefix}embed_tokens.weight");
        let head = if llama.tied_embeddings {
            &table
        } else {
            names.head_or_default()
        };
        Ok(Decoder {
            embedding: loader.weight(&table, &[llama.vocab, hidden])?,
            stack: Stack {
                name: "decoder",
                blocks,
            },
            norm: loader.rms_norm(&format!("{prefix}norm"), hidden, eps)?,
            head: loader.weight(head, &[llama.vocab, hidden])?,
            vocabulary: llama.vocab,
            max_positions: llama.max_positions,
        })
    }

    /// Embeddings `[ids, hidden]`.
    pub fn embed(&self, device: &D, ids: &[u32]) -> Result<D::Matrix> {
        Ok(device.gather(&self.embedding, ids)?)
    }

    /// Keys and values of `ids` standing at the start, with room for none behind.
    pub fn prefix(&self, device: &D, ids: &[u32]) -> Result<Prefix<D>> {
        let mut cache = self.cache(device, ids.len())?;
        self.extend(device, self.embed(device, ids)?, &mut cache, false)?;
        Ok(cache)
    }

    /// Empty keys and values with room for `rows`.
    fn cache(&self, device: &D, rows: usize) -> Result<Prefix<D>> {
        let matrix = |block: &Block<D>| {
            let columns = block.attention.kv_heads * block.attention.head_dim;
            device.zeros(rows, columns)
        };
        let entry = |block| {
            Ok(KeyValues {
                key: matrix(block)?,
                value: matrix(block)?,
                length: 0,
            })
        };
        self.stack.blocks.iter().map(entry).collect()
    }

    /// A copy of `prefix` with room for `rows` more.
    pub fn grow(&self, device: &D, prefix: &Prefix<D>, rows: usize) -> Result<Prefix<D>> {
        let mut cache = self.cache(device, prefix.first().map_or(0, |p| p.length) + rows)?;
        for (cache, prefix) in cache.iter_mut().zip(prefix) {
            device.write_rows(&mut cache.key, 0, &prefix.key)?;
            device.write_rows(&mut cache.value, 0, &prefix.value)?;
            cache.length = prefix.length;
        }
        Ok(cache)
    }

    /// Runs one sequence of rows x behind the cache and adds its keys and values to it. Returns the last block's output.
    /// With `check`, the first block whose output is not finite is an error that names it.
    pub fn extend(
        &self,
        device: &D,
        mut x: D::Matrix,
        cache: &mut Prefix<D>,
        check: bool,
    ) -> Result<D::Matrix> {
        let length = x.rows();
        if length == 0 {
            return Ok(x);
        }
        for (i, (block, cache)) in self.stack.blocks.iter().zip(cache).enumerate() {
            let prefix = (cache.length > 0).then_some(&*cache);
            let (y, saved) = block.forward(
                device,
                &x,
                &Sequence {
                    batch: 1,
                    length,
                    causal: true,
                    prefix,
                    queries: None,
                },
            )?;
            device.write_rows(&mut cache.key, cache.length, &saved.attention.key)?;
            device.write_rows(&mut cache.value, cache.length, &saved.attention.value)?;
            cache.length += length;
            if check {
                require_finite(device, &y, || self.stack.layer(i))?;
            }
            x = y;
        }
        Ok(x)
    }

    /// Logits of the last row of a block output.
    pub fn last_logits(&self, device: &D, x: &D::Matrix) -> Result<Vec<D::Host>> {
        let last = device.mix_rows(x, &RowMap::select(x.rows(), [Some(x.rows() - 1)]), None)?;
        let (h, _) = self.norm.forward(device, &last)?;
        Ok(device.logits(&h, &self.head)?)
    }

    fn sequence<'a>(&'a self, rows: &Rows<'a, D>, layer: usize) -> Sequence<'a, D> {
        // Only the last block may leave rows out: the others' are the last one's keys and values.
        let queries = (layer + 1 == self.stack.blocks.len()).then_some(rows.queries);
        let prefix = rows.prefix.get(layer).filter(|p| p.length > 0);
        Sequence {
            batch: rows.batch,
            length: rows.length,
            causal: true,
            prefix,
            queries,
        }
    }

    /// Log-probabilities of `targets`, one per wanted row, sequence by sequence. x `[batch * length, hidden]`.
    pub fn forward(
        &self,
        device: &D,
        x: D::Matrix,
        rows: &Rows<D>,
        targets: &[u32],
        keep: Keep,
    ) -> Result<(D::Values, DecoderKept<D>)> {
        let (last, stack) =
            self.stack
                .forward(device, x, |i| self.sequence(rows, i), keep, false)?;
        let (h, statistics) = self.norm.forward(device, &last)?;
        let (values, logits) = device.log_probability(&h, &self.head, targets)?;
        Ok((
            values,
            DecoderKept {
                stack,
                last,
                statistics,
                logits,
            },
        ))
    }

    /// Gradient of x for `sum of weights * log-probability`.
    pub fn vjp(
        &self,
        device: &D,
        kept: DecoderKept<D>,
        rows: &Rows<D>,
        targets: &[u32],
        weights: &D::Weights,
    ) -> Result<D::Matrix> {
        let dh = device.log_probability_vjp(kept.logits, &self.head, targets, weights)?;
        let dx = self
            .norm
            .vjp(device, &kept.last, &kept.statistics, &dh, None)?;
        Ok(self
            .stack
            .vjp(device, kept.stack, dx, |i| self.sequence(rows, i))?)
    }
}

/// Rotary frequencies in radians per position: `theta^(-2 i / d)`, scaled as the config says.
///
/// Llama 3's scaling is that of Meta's release (`apply_scaling`): wavelengths longer than the trained context over
/// `low_freq_factor` are stretched by `factor`, those shorter than it over `high_freq_factor` are kept.
fn frequencies(llama: &LlamaConfig) -> Vec<f64> {
    let d = llama.head_dim as f64;
    (0..llama.head_dim / 2)
        .map(|i| {
            let f = llama.rope_theta.powf(-2.0 * i as f64 / d);
            match llama.rope_scaling {
                RopeScaling::None => f,
                RopeScaling::Linear { factor } => f / factor,
                RopeScaling::Llama3 {
                    factor,
                    low_freq_factor,
                    high_freq_factor,
                    original_max_position_embeddings,
                } => {
                    let turns = original_max_position_embeddings as f64 * f / std::f64::consts::TAU;
                    let smooth = (turns - low_freq_factor) / (high_freq_factor - low_freq_factor);
                    let smooth = smooth.clamp(0.0, 1.0);
                    (1.0 - smooth) * f / factor + smooth * f
                }
            }
        })
        .collect()
}
