//! A decoder's layers: a prefix computed once, a batch of sequences after it, and log-probabilities
//! at chosen places.

use std::ops::Range;

use super::config::{DecoderConfig, DecoderNames};
use super::frequencies::{frequencies, order};
use super::kind::ScaledRows;
use crate::checkpoint::{Dtype, RopeParameters};
use crate::device::{Device, Matrix, Part, RowMap};
use crate::lvlm::error::Result;
use crate::lvlm::loader::{Loader, each};
use crate::nn::{
    Attention, AttentionValues, Block, BlockHook, Checkpointing, KeyValues, Mlp, NoHook, Norm,
    Positions, Queries, QueryKeyNorms, Rope, Sequence, Stack, StackSaved, Watch, require_finite,
};

/// Token embeddings, blocks, last norm and vocabulary projection.
pub(in crate::lvlm) struct Decoder<D: Device> {
    embedding: D::Weight,
    /// A factor of rows of text that enter.
    embedding_scale: Option<f64>,
    /// A factor of the picture's rows that enter.
    pub picture_scale: f64,
    /// Whether the rows of a picture see each other in both directions.
    mutual_picture: bool,
    pub stack: Stack<D>,
    norm: Norm<D>,
    head: D::Weight,
    pub vocabulary: usize,
    pub max_positions: usize,
    pub window: Option<usize>,
}

/// Keys and values of the tokens before the picture, layer by layer.
pub(in crate::lvlm) type Prefix<D> = Vec<KeyValues<D>>;

/// Activations that [`Decoder::forward`] saved.
pub(in crate::lvlm) struct DecoderSaved<D: Device, B: BlockHook<D> + ?Sized> {
    stack: StackSaved<D, B>,
    last: D::Matrix,
    statistics: D::Statistics,
    logits: D::Logits,
}

/// The rows of a batch: `length` per sequence, and those whose output is wanted.
pub(in crate::lvlm) struct Rows<'a, D: Device> {
    pub batch: usize,
    pub length: usize,
    pub prefix: &'a Prefix<D>,
    pub queries: &'a Queries,
    /// The rotary positions of rows, the prefix's too, where these are not their numbers.
    pub positions: Option<&'a Positions>,
    /// The runs of pictures' rows.
    pub pictures: &'a [Range<usize>],
}

/// What norms of the decoder's kind add to their weight.
fn offset(config: &DecoderConfig) -> f32 {
    if config.kind.norm_offset { 1.0 } else { 0.0 }
}

/// A norm of the decoder's kind and width.
fn norm<D: Device>(loader: &Loader<D>, config: &DecoderConfig, name: &str) -> Result<Norm<D>> {
    loader.rms_norm(name, config.hidden, config.rms_norm_eps, offset(config))
}

/// The factor of rows of text, and that of the picture's rows.
fn scales<D: Device>(
    loader: &Loader<D>,
    config: &DecoderConfig,
    names: &DecoderNames,
) -> (Option<f64>, f64) {
    let scale = (config.hidden as f64).sqrt();
    match config.kind.scaled_rows {
        ScaledRows::Without if config.row_scale == 1.0 => (None, 1.0),
        ScaledRows::Without => (Some(config.row_scale), config.row_scale),
        ScaledRows::All => (Some(scale), scale),
        ScaledRows::Text => {
            let embedding = loader.tensors.get(&names.embedding());
            let dtype = embedding.map_or(Dtype::F32, |tensor| tensor.dtype);
            (Some(dtype.round(scale)), 1.0)
        }
    }
}

/// The rotary parameters of layer `i`.
fn rope(config: &DecoderConfig, i: usize) -> &RopeParameters {
    let sliding = config.sliding.as_ref();
    let own = sliding.filter(|own| own.layers.get(i) == Some(&true));
    own.map_or(&config.rope, |own| &own.rope)
}

/// The factors of the queries' columns, of which those that are turned have another one beside the
/// decoder's; `None` if they are 1.
fn query_gain<D: Device>(
    loader: &Loader<D>,
    config: &DecoderConfig,
    rope: &RopeParameters,
    of_rotated: f64,
) -> Result<Option<D::Matrix>> {
    if config.query_scale == 1.0 && of_rotated == 1.0 {
        return Ok(None);
    }
    let (half, turned) = (config.head_dim / 2, rope.columns / 2);
    let gain = |column: usize| {
        let rotated = column % half < turned;
        let factor = if rotated { of_rotated } else { 1.0 };
        (config.query_scale * factor) as f32
    };
    let columns = config.heads * config.head_dim;
    let gains: Vec<f32> = (0..columns).map(|c| gain(c % config.head_dim)).collect();
    loader.upload(1, columns, &gains).map(Some)
}

/// Layer `i`.
fn block<D: Device>(
    loader: &Loader<D>,
    config: &DecoderConfig,
    names: &DecoderNames,
    i: usize,
) -> Result<Block<D>> {
    let name = format!("{}layers.{i}", names.prefix);
    let (hidden, inside) = (config.hidden, config.intermediate);
    let queries = config.heads * config.head_dim;
    let keys = config.kv_heads * config.head_dim;
    let (attention, mlp) = (format!("{name}.self_attn"), format!("{name}.mlp"));
    let name_of = |part: &str, layer: &str| format!("{part}.{layer}");
    let (sizes, bias) = ([queries, keys, keys], config.qkv_bias);
    let rope = rope(config, i);
    let [query, key, value] = if config.kind.fused {
        let name = name_of(&attention, "qkv_proj");
        let order = order(rope.columns, config.head_dim, [queries + keys, keys]);
        loader.ordered_linears(&name, &sizes, hidden, bias, order.as_deref())?
    } else {
        let layers = [("q_proj", queries), ("k_proj", keys), ("v_proj", keys)];
        let layer = |&(n, out): &(_, _)| loader.linear(&name_of(&attention, n), out, hidden, bias);
        each(&layers, layer)?
    };
    // The factor of rotated queries and keys is one of their products.
    let of_rotated = rope.scaling.attention_factor().powi(2);
    let head_norm = |part: &str, scale: f64| {
        let (name, offset) = (name_of(&attention, part), offset(config));
        let (columns, eps) = (config.head_dim, config.rms_norm_eps);
        loader.scaled_rms_norm(&name, columns, eps, (offset, scale as f32))
    };
    let norms = match config.kind.head_norms {
        true => Some(QueryKeyNorms {
            query: head_norm("q_norm", config.query_scale * of_rotated)?,
            key: head_norm("k_norm", 1.0)?,
            columns: config.head_dim,
        }),
        false => None,
    };
    let query_gain = match norms {
        None => query_gain(loader, config, rope, of_rotated)?,
        Some(_) => None,
    };
    let own_norm = |part: &str| norm(loader, config, &format!("{name}.{part}"));
    // The second norm's name is that of the norm before the perceptron where there is none after
    // attention.
    let second = "post_attention_layernorm";
    let (before_mlp, after) = match config.kind.norms_after {
        false => (second, None),
        true => (
            "pre_feedforward_layernorm",
            Some([second, "post_feedforward_layernorm"]),
        ),
    };
    let bias = config.mlp_bias;
    let [gate, up] = if config.kind.fused {
        loader.linears(&name_of(&mlp, "gate_up_proj"), &[inside; 2], hidden, bias)?
    } else {
        let layer = |n: &&str| loader.linear(&name_of(&mlp, n), inside, hidden, bias);
        each(&["gate_proj", "up_proj"], layer)?
    };
    Ok(Block {
        attention_norm: own_norm("input_layernorm")?,
        attention: Attention {
            query,
            key,
            value,
            output: loader.linear(
                &format!("{attention}.o_proj"),
                hidden,
                queries,
                config.output_bias,
            )?,
            heads: config.heads,
            kv_heads: config.kv_heads,
            head_dim: config.head_dim,
            norms,
            query_gain,
            rope: Some(Rope {
                frequencies: frequencies(rope, config.head_dim),
                axes: config.rope_axes.clone(),
            }),
        },
        mlp_norm: own_norm(before_mlp)?,
        mlp: Mlp::Gated {
            gate,
            up,
            down: loader.linear(&format!("{mlp}.down_proj"), hidden, inside, config.mlp_bias)?,
            activation: config.activation,
        },
        norms_after: after
            .map(|names| each(&names, |name| own_norm(name)))
            .transpose()?,
    })
}

impl<D: Device> Decoder<D> {
    /// Loads every layer.
    pub fn load(
        loader: &Loader<D>,
        config: &DecoderConfig,
        names: &DecoderNames,
    ) -> Result<Decoder<D>> {
        loader.device.part(Part::Decoder);
        let blocks = (0..config.layers).map(|i| {
            let randomize = loader.randomize.decoder_layer(i, config.layers);
            block(&loader.layer(randomize), config, names, i)
        });
        let blocks = blocks.collect::<Result<_>>()?;
        let shape = [config.vocab, config.hidden];
        let embedding = loader.weight(&names.embedding(), &shape)?;
        let norm = norm(loader, config, &format!("{}norm", names.prefix))?;
        let head = if config.tied_embeddings {
            loader.weight(&names.embedding(), &shape)?
        } else {
            loader.device.part(Part::Vocabulary);
            loader.weight(&names.head, &shape)?
        };
        let (embedding_scale, picture_scale) = scales(loader, config, names);
        Ok(Decoder {
            embedding,
            embedding_scale,
            picture_scale,
            mutual_picture: config.kind.mutual_picture,
            stack: Stack {
                name: "decoder",
                blocks,
            },
            norm,
            head,
            vocabulary: config.vocab,
            max_positions: config.max_positions,
            window: config.window,
        })
    }

    /// Embeds `ids` to `[ids, hidden]`, as the first layer takes them.
    pub fn embed(&self, device: &D, ids: &[u32]) -> Result<D::Matrix> {
        let rows = device.gather(&self.embedding, ids)?;
        let Some(scale) = self.embedding_scale else {
            return Ok(rows);
        };
        let terms = (0..ids.len()).map(|r| vec![(r, scale)]).collect();
        Ok(device.mix_rows(&rows, &RowMap::new(ids.len(), terms), None)?)
    }

    /// Computes the keys and values of `ids` at the start, without room for more.
    pub fn prefix(&self, device: &D, ids: &[u32]) -> Result<Prefix<D>> {
        let mut cache = self.cache(device, ids.len())?;
        let x = self.embed(device, ids)?;
        self.extend(device, x, &mut cache, (None, &[]), &NoHook, false)?;
        Ok(cache)
    }

    /// Makes empty keys and values with room for `rows`.
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

    /// Copies `prefix` with room for `rows` more.
    pub fn grow(&self, device: &D, prefix: &Prefix<D>, rows: usize) -> Result<Prefix<D>> {
        let mut cache = self.cache(device, prefix.first().map_or(0, |p| p.length) + rows)?;
        for (cache, prefix) in cache.iter_mut().zip(prefix) {
            device.write_rows(&mut cache.key, 0, &prefix.key)?;
            device.write_rows(&mut cache.value, 0, &prefix.value)?;
            cache.length = prefix.length;
        }
        Ok(cache)
    }

    /// Runs one sequence of rows x after the cache and adds its keys and values to it; `positions`
    /// are those of rows from the cache's first on, where they are not their numbers, and `pictures`
    /// are the runs of pictures' rows. Returns the last block's output. With `check`, the first
    /// block whose output is not finite is an error that names it.
    pub fn extend<B: BlockHook<D> + ?Sized>(
        &self,
        device: &D,
        mut x: D::Matrix,
        cache: &mut Prefix<D>,
        (positions, pictures): (Option<&Positions>, &[Range<usize>]),
        hook: &B,
        check: bool,
    ) -> Result<D::Matrix> {
        let length = x.rows();
        if length == 0 {
            return Ok(x);
        }
        device.part(Part::Decoder);
        for (i, cache) in cache.iter_mut().enumerate() {
            let sequence = Sequence {
                batch: 1,
                length,
                causal: true,
                mutual: self.mutual(pictures),
                prefix: (cache.length > 0).then_some(&*cache),
                queries: None,
                positions,
                windows: None,
            };
            let (y, saved) = self.stack.step(device, i, &x, &sequence, hook)?;
            device.write_rows(&mut cache.key, cache.length, &saved.block.attention.key)?;
            device.write_rows(&mut cache.value, cache.length, &saved.block.attention.value)?;
            cache.length += length;
            if check {
                require_finite(device, &y, || self.stack.layer(i))?;
            }
            x = y;
        }
        Ok(x)
    }

    /// Computes the logits of the last row of a block's output.
    pub fn last_logits(&self, device: &D, x: &D::Matrix) -> Result<Vec<D::Host>> {
        self.logits(device, x, x.rows() - 1..x.rows())
    }

    /// Computes the logits of some rows of a block's output, `[rows, vocabulary]`.
    pub fn logits(&self, device: &D, x: &D::Matrix, rows: Range<usize>) -> Result<Vec<D::Host>> {
        let chosen = device.mix_rows(x, &RowMap::select(x.rows(), rows.map(Some)), None)?;
        let (h, _) = self.norm.forward(device, &chosen)?;
        device.part(Part::Vocabulary);
        Ok(device.logits(&h, &self.head)?)
    }

    /// Returns the rows of a sequence that see each other, if `pictures` are the pictures'.
    fn mutual<'a>(&self, pictures: &'a [Range<usize>]) -> &'a [Range<usize>] {
        if self.mutual_picture { pictures } else { &[] }
    }

    fn sequence<'a>(&'a self, rows: &Rows<'a, D>, layer: usize) -> Sequence<'a, D> {
        // Only the last block may leave rows out: the others' are the last one's keys and values.
        let queries = (layer + 1 == self.stack.blocks.len()).then_some(rows.queries);
        let prefix = rows.prefix.get(layer).filter(|p| p.length > 0);
        Sequence {
            batch: rows.batch,
            length: rows.length,
            causal: true,
            mutual: self.mutual(rows.pictures),
            prefix,
            queries,
            positions: rows.positions,
            windows: None,
        }
    }

    /// Computes the log-probabilities of `targets`, one per wanted row, sequence by sequence. x
    /// `[batch * length, hidden]`.
    pub fn forward<B: BlockHook<D> + ?Sized>(
        &self,
        device: &D,
        x: D::Matrix,
        rows: &Rows<D>,
        targets: &[u32],
        hook: &B,
        checkpointing: Checkpointing,
    ) -> Result<(D::Values, DecoderSaved<D, B>)> {
        device.part(Part::Decoder);
        let sequence = |i| self.sequence(rows, i);
        let (last, stack) = self
            .stack
            .forward(device, x, sequence, hook, checkpointing, false)?;
        let (h, statistics) = self.norm.forward(device, &last)?;
        device.part(Part::Vocabulary);
        let (values, logits) = device.log_probability(&h, &self.head, targets)?;
        Ok((
            values,
            DecoderSaved {
                stack,
                last,
                statistics,
                logits,
            },
        ))
    }

    /// Gradient of x for `sum of weights * log-probability`, and the gradients of what `hook`
    /// reads. `watch` reads the blocks.
    pub fn vjp<B: BlockHook<D> + ?Sized>(
        &self,
        device: &D,
        saved: DecoderSaved<D, B>,
        rows: &Rows<D>,
        targets: &[u32],
        weights: &D::Weights,
        (hook, watch): (&B, &mut dyn Watch<D>),
    ) -> Result<(D::Matrix, B::Gradients)> {
        device.part(Part::Vocabulary);
        let dh = device.log_probability_vjp(saved.logits, &self.head, targets, weights)?;
        device.part(Part::Decoder);
        let dx = self
            .norm
            .vjp(device, &saved.last, &saved.statistics, &dh, None)?;
        let mut gradients = B::Gradients::default();
        let sequence = |i| self.sequence(rows, i);
        let hook = (hook, &mut gradients);
        let dx = self
            .stack
            .watched_vjp(device, saved.stack, dx, sequence, hook, watch)?;
        Ok((dx, gradients))
    }

    /// Calls `each` with the number and the attention of every layer of a batch of one sequence,
    /// the last first.
    pub fn attentions<B: BlockHook<D> + ?Sized>(
        &self,
        device: &D,
        saved: DecoderSaved<D, B>,
        rows: &Rows<D>,
        hook: &B,
        each: &mut dyn FnMut(usize, AttentionValues),
    ) -> Result<()> {
        let sequence = |i| self.sequence(rows, i);
        Ok(self
            .stack
            .attentions(device, saved.stack, sequence, hook, each)?)
    }
}
