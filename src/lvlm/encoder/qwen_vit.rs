//! The vision transformer of Qwen2-VL and Qwen2.5-VL: patches of a picture of any size, with
//! two-dimensional rotary positions; in Qwen2.5-VL most layers attend inside windows.

mod config;
mod layout;

pub(in crate::lvlm) use self::config::QwenVitConfig;
pub(in crate::lvlm) use self::layout::PatchLayout;
use crate::device::{Device, Matrix};
use crate::lvlm::error::Result;
use crate::lvlm::loader::Loader;
use crate::nn::{
    Attention, Block, Checkpointing, Linear, Mlp, NoHook, Norm, Rope, Sequence, Stack, StackSaved,
    require_finite,
};

/// Added to the variance or the mean square in every norm.
const EPS: f64 = 1e-6;

/// The encoder: patches in, features out.
pub(in crate::lvlm) struct QwenVit<D: Device> {
    patch_embedding: Linear<D>,
    stack: Stack<D>,
    /// The layers without windows.
    whole: Vec<usize>,
}

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
        let blocks = (0..config.layers).map(|i| {
            let randomize = loader.randomize.encoder_layer(i, config.layers);
            block(
                &loader.layer(randomize),
                config,
                &format!("{prefix}blocks.{i}."),
            )
        });
        let windows = config.windows.as_ref();
        Ok(QwenVit {
            patch_embedding: Linear { weight, bias: None },
            stack: Stack {
                name: "vision encoder",
                blocks: blocks.collect::<Result<_>>()?,
            },
            whole: windows.map_or_else(Vec::new, |windows| windows.whole.clone()),
        })
    }

    /// Patches `[pictures * patches, 3 * p * p]`, line by line, to features of as many rows in the
    /// layout's order, `[pictures * patches, hidden]`.
    pub fn forward(
        &self,
        device: &D,
        layout: &PatchLayout,
        patches: D::Matrix,
        checkpointing: Checkpointing,
        check: bool,
    ) -> Result<(D::Matrix, StackSaved<D, NoHook>)> {
        let ordered = device.mix_rows(&patches, &layout.place, None)?;
        drop(patches);
        let x = self.patch_embedding.forward(device, &ordered)?;
        if check {
            require_finite(device, &x, || "vision encoder embeddings".into())?;
        }
        let batch = x.rows() / layout.place.outputs();
        let sequence = |i| self.sequence(layout, batch, i);
        Ok(self
            .stack
            .forward(device, x, sequence, &NoHook, checkpointing, check)?)
    }

    /// Gradient of the patches.
    pub fn vjp(
        &self,
        device: &D,
        layout: &PatchLayout,
        saved: StackSaved<D, NoHook>,
        dy: D::Matrix,
    ) -> Result<D::Matrix> {
        let batch = dy.rows() / layout.place.outputs();
        let sequence = |i| self.sequence(layout, batch, i);
        let dx = self
            .stack
            .vjp(device, saved, dy, sequence, &NoHook, &mut ())?;
        let d_ordered = self.patch_embedding.vjp(device, &dx, None)?;
        Ok(device.mix_rows_vjp(&d_ordered, &layout.place, None)?)
    }

    fn sequence<'a>(&self, layout: &'a PatchLayout, batch: usize, i: usize) -> Sequence<'a, D> {
        let windows = layout.windows.as_ref();
        Sequence {
            batch,
            length: layout.place.outputs(),
            causal: false,
            mutual: 0,
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
        match self.windows {
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
    let mlp = match config.windows {
        Some(_) => Mlp::Gated {
            gate: up("mlp.gate_proj")?,
            up: up("mlp.up_proj")?,
            down: down("mlp.down_proj")?,
            activation: config.activation,
        },
        None => Mlp::Plain {
            first: up("mlp.fc1")?,
            second: down("mlp.fc2")?,
            activation: config.activation,
        },
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
