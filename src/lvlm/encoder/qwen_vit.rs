//! The vision transformer of Qwen2-VL, Qwen2.5-VL and Qwen3-VL: patches of a picture of any size,
//! with two-dimensional rotary positions. In Qwen2.5-VL most layers attend inside windows; Qwen3-VL
//! adds learned positions, and some of its layers' features become rows of the decoder too.

mod config;
mod layout;
mod merger;
mod taps;

use std::sync::Arc;

pub(in crate::lvlm) use self::config::QwenVitConfig;
use self::config::Version;
pub(in crate::lvlm) use self::layout::PatchLayout;
pub(in crate::lvlm) use self::merger::{Merger, MergerSaved};
use self::taps::{DeepMergers, Taps};
use crate::device::{Device, Matrix, Memory, Part};
use crate::lvlm::error::Result;
use crate::lvlm::loader::Loader;
use crate::nn::{
    Attention, Block, Checkpointing, Linear, Mlp, Norm, Rope, Sequence, Stack, StackSaved,
    require_finite,
};

/// Added to the variance or the mean square in every norm.
const EPS: f64 = 1e-6;

/// The encoder: patches in, features out.
pub(in crate::lvlm) struct QwenVit<D: Device> {
    patch_embedding: Linear<D>,
    /// Learned positions, `[positions, hidden]`.
    table: Option<D::Matrix>,
    stack: Stack<D>,
    /// The layers without windows.
    whole: Vec<usize>,
    deep: Arc<DeepMergers<D>>,
}

/// Activations that [`QwenVit::forward`] saved.
pub(in crate::lvlm) type QwenVitSaved<D> = StackSaved<D, Taps<D>>;
/// Features, rows of layers between, and what was saved.
type Encoded<D> = (
    <D as Memory>::Matrix,
    Vec<<D as Memory>::Matrix>,
    QwenVitSaved<D>,
);

impl<D: Device> QwenVit<D> {
    /// Loads the encoder whose tensors begin with `prefix`.
    pub fn load(loader: &Loader<D>, config: &QwenVitConfig, prefix: &str) -> Result<Self> {
        let (hidden, patch, frames) = (config.hidden, config.patch_size, config.frames);
        let area = patch.pow(2);
        let shape = [hidden, 3, frames, patch, patch];
        let name = format!("{prefix}patch_embed.proj.weight");
        // All frames are equal: one product with the sum is that with each, summed.
        let weight = loader.made_weight(&name, &shape, [hidden, 3 * area], |values| {
            let channels = values.chunks(frames * area);
            let sums = channels.flat_map(|channel| {
                (0..area).map(move |i| channel[i..].iter().step_by(area).sum::<f32>())
            });
            sums.collect()
        })?;
        let deepstack = config.deepstack();
        let bias = deepstack.map(|_| {
            let name = format!("{prefix}patch_embed.proj.bias");
            loader.matrix(&name, &[hidden], 1, hidden)
        });
        let table = deepstack.map(|deepstack| {
            let shape = [deepstack.positions, hidden];
            let name = format!("{prefix}pos_embed.weight");
            loader.matrix(&name, &shape, shape[0], shape[1])
        });
        let blocks = (0..config.layers).map(|i| {
            let randomize = loader.randomize.encoder_layer(i, config.layers);
            block(
                &loader.layer(randomize),
                config,
                &format!("{prefix}blocks.{i}."),
            )
        });
        let stack = Stack {
            name: "vision encoder",
            blocks: blocks.collect::<Result<_>>()?,
        };
        loader.device.part(Part::Projector);
        let layers = deepstack.map_or(&[][..], |deepstack| &deepstack.layers[..]);
        let deep = layers.iter().enumerate().map(|(n, &layer)| {
            let prefix = format!("{prefix}deepstack_merger_list.{n}.");
            Ok((layer, Merger::load_deep(loader, config, &prefix)?))
        });
        let mut deep: DeepMergers<D> = deep.collect::<Result<_>>()?;
        deep.sort_by_key(|(layer, _)| *layer);
        let windows = config.windows();
        Ok(QwenVit {
            patch_embedding: Linear {
                weight,
                bias: bias.transpose()?,
            },
            table: table.transpose()?,
            stack,
            whole: windows.map_or_else(Vec::new, |windows| windows.whole.clone()),
            deep: Arc::new(deep),
        })
    }

    /// Patches `[pictures * patches, 3 * p * p]`, line by line, to features of as many rows in the
    /// layout's order, `[pictures * patches, hidden]`, and the rows `[pictures * rows, out]` that
    /// mergers make of the features of layers between, the first layer first.
    pub fn forward(
        &self,
        device: &D,
        layout: &PatchLayout,
        patches: D::Matrix,
        checkpointing: Checkpointing,
        check: bool,
    ) -> Result<Encoded<D>> {
        let x = self.patch_embedding.forward(device, &patches)?;
        drop(patches);
        let learned = match (&self.table, &layout.learned) {
            (Some(table), Some(places)) => Some(device.mix_rows(table, places, None)?),
            _ => None,
        };
        let x = device.mix_rows(&x, &layout.place, learned.as_ref())?;
        drop(learned);
        if check {
            require_finite(device, &x, || "vision encoder embeddings".into())?;
        }
        let batch = x.rows() / layout.place.outputs();
        let sequence = |i| self.sequence(layout, batch, i);
        let taps = Taps::collecting(&self.deep);
        let (features, saved) =
            self.stack
                .forward(device, x, sequence, &taps, checkpointing, check)?;
        Ok((features, taps.rows(), saved))
    }

    /// Gradient of the patches, from those of the features and of the rows of layers between, where
    /// these were read.
    pub fn vjp(
        &self,
        device: &D,
        layout: &PatchLayout,
        saved: QwenVitSaved<D>,
        dy: D::Matrix,
        d_deep: Vec<Option<D::Matrix>>,
    ) -> Result<D::Matrix> {
        let batch = dy.rows() / layout.place.outputs();
        let sequence = |i| self.sequence(layout, batch, i);
        let taps = Taps::with_gradients(&self.deep, d_deep);
        let dx = self
            .stack
            .vjp(device, saved, dy, sequence, &taps, &mut ())?;
        let d_embedded = device.mix_rows_vjp(&dx, &layout.place, None)?;
        drop(dx);
        Ok(self.patch_embedding.vjp(device, &d_embedded, None)?)
    }

    fn sequence<'a>(&self, layout: &'a PatchLayout, batch: usize, i: usize) -> Sequence<'a, D> {
        let windows = layout.windows.as_ref();
        Sequence {
            batch,
            length: layout.place.outputs(),
            causal: false,
            mutual: &[],
            prefix: None,
            queries: None,
            positions: Some(&layout.positions),
            windows: windows.filter(|_| !self.whole.contains(&i)),
        }
    }
}

impl QwenVitConfig {
    /// Loads a norm of the encoder's kind.
    pub fn norm<D: Device>(&self, loader: &Loader<D>, name: &str) -> Result<Norm<D>> {
        match self.windows() {
            Some(_) => loader.rms_norm(name, self.hidden, EPS, 0.0),
            None => loader.layer_norm(name, self.hidden, EPS),
        }
    }
}

/// One layer, whose tensors' names begin with `prefix`.
fn block<D: Device>(loader: &Loader<D>, config: &QwenVitConfig, prefix: &str) -> Result<Block<D>> {
    let (hidden, inside) = (config.hidden, config.intermediate);
    let name = |part: &str| format!("{prefix}{part}");
    let [query, key, value] = loader.linears(&name("attn.qkv"), &[hidden; 3], hidden, true)?;
    let up = |part: &str| loader.linear(&name(part), inside, hidden, true);
    let down = |part: &str| loader.linear(&name(part), hidden, inside, true);
    let activation = config.activation;
    let plain = |first: &str, second: &str| -> Result<Mlp<D>> {
        Ok(Mlp::Plain {
            first: up(first)?,
            second: down(second)?,
            activation,
        })
    };
    let mlp = match config.version {
        Version::Qwen2 => plain("mlp.fc1", "mlp.fc2")?,
        Version::Qwen2_5(_) => Mlp::Gated {
            gate: up("mlp.gate_proj")?,
            up: up("mlp.up_proj")?,
            down: down("mlp.down_proj")?,
            activation,
        },
        Version::Qwen3(_) => plain("mlp.linear_fc1", "mlp.linear_fc2")?,
    };
    Ok(Block {
        attention_norm: config.norm(loader, &name("norm1"))?,
        attention: Attention {
            query,
            key,
            value,
            output: loader.linear(&name("attn.proj"), hidden, hidden, true)?,
            heads: config.heads,
            kv_heads: config.heads,
            head_dim: config.head_dim(),
            norms: None,
            query_gain: None,
            rope: Some(rope(config)),
        },
        mlp_norm: config.norm(loader, &name("norm2"))?,
        mlp,
        norms_after: None,
    })
}

/// The first half of a head's pairs is turned by rows, the second by columns, with the same
/// frequencies.
fn rope(config: &QwenVitConfig) -> Rope {
    let half = config.head_dim() / 2;
    let pairs = half / 2;
    let frequency = |i: usize| config.theta.powf(-2.0 * i as f64 / half as f64);
    Rope {
        frequencies: (0..half).map(|i| frequency(i % pairs)).collect(),
        axes: (0..half).map(|i| i / pairs).collect(),
    }
}
