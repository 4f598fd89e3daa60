//! CLIP's vision transformer, up to the layer whose output the decoder reads.

use super::super::load::Loader;
use crate::checkpoint::{LlavaConfig, Select};
use crate::device::{Device, Matrix, RowMap};
use crate::lvlm::Result;
use crate::nn::{Attention, Block, Keep, Kept, Linear, Mlp, Norm, Sequence, Stack, require_finite};

/// The encoder: patches in, features out.
pub(in crate::lvlm) struct Clip<D: Device> {
    patch_embedding: Linear<D>,
    /// Puts the patches behind the class token.
    place: RowMap,
    /// Class token and positions, `[patches + 1, hidden]`.
    constant: D::Matrix,
    norm: Norm<D>,
    pub stack: Stack<D>,
    /// Features wanted of all tokens.
    select: RowMap,
}

/// What the forward pass kept.
pub(in crate::lvlm) struct ClipKept<D: Device> {
    embedded: D::Matrix,
    statistics: D::Matrix,
    stack: Kept<D>,
}

impl<D: Device> Clip<D> {
    /// Loads what the config's feature layer needs.
    pub fn load(loader: &Loader<D>, config: &LlavaConfig) -> Result<Clip<D>> {
        let (clip, prefix) = (&config.vision, &loader.checkpoint.names.vision);
        let (hidden, tokens) = (clip.hidden, clip.patches() + 1);
        let shape = [hidden, clip.channels, clip.patch_size, clip.patch_size];
        let weight = loader.weight(
            &format!("{prefix}embeddings.patch_embedding.weight"),
            &shape,
        )?;
        let class = loader
            .tensor(&format!("{prefix}embeddings.class_embedding"), &[hidden])?
            .to_f32();
        let mut constant = loader
            .tensor(
                &format!("{prefix}embeddings.position_embedding.weight"),
                &[tokens, hidden],
            )?
            .to_f32();
        constant.iter_mut().zip(class).for_each(|(c, v)| *c += v);
        let constant: Vec<D::Host> = constant
            .into_iter()
            .map(|v| crate::device::Real::of(f64::from(v)))
            .collect();
        let blocks = (0..config.vision_layers_used())
            .map(|i| {
                let name = format!("{prefix}encoder.layers.{i}");
                let square = |part: &str| {
                    loader.linear(&format!("{name}.self_attn.{part}"), hidden, hidden, true)
                };
                Ok(Block {
                    attention_norm: loader.layer_norm(
                        &format!("{name}.layer_norm1"),
                        hidden,
                        clip.layer_norm_eps,
                    )?,
                    attention: Attention {
                        query: square("q_proj")?,
                        key: square("k_proj")?,
                        value: square("v_proj")?,
                        output: square("out_proj")?,
                        heads: clip.heads,
                        kv_heads: clip.heads,
                        head_dim: hidden / clip.heads,
                        rope: None,
                    },
                    mlp_norm: loader.layer_norm(
                        &format!("{name}.layer_norm2"),
                        hidden,
                        clip.layer_norm_eps,
                    )?,
                    mlp: Mlp::Plain {
                        first: loader.linear(
                            &format!("{name}.mlp.fc1"),
                            clip.intermediate,
                            hidden,
                            true,
                        )?,
                        second: loader.linear(
                            &format!("{name}.mlp.fc2"),
                            hidden,
                            clip.intermediate,
                            true,
                        )?,
                        activation: clip.activation,
                    },
                })
            })
            .collect::<Result<_>>()?;
        let first = match config.select {
            Select::Default => 1,
            Select::Full => 0,
        };
        Ok(Clip {
            patch_embedding: Linear { weight, bias: None },
            place: RowMap::select(tokens - 1, (0..tokens).map(|t| t.checked_sub(1))),
            constant: loader.device.upload(tokens, hidden, &constant)?,
            norm: loader.layer_norm(
                &format!("{prefix}pre_layrnorm"),
                hidden,
                clip.layer_norm_eps,
            )?,
            stack: Stack {
                name: "vision encoder",
                blocks,
            },
            select: RowMap::select(tokens, (first..tokens).map(Some)),
        })
    }

    /// Tokens inside the encoder per picture.
    pub fn tokens(&self) -> usize {
        self.place.outputs()
    }

    fn sequence(&self, batch: usize) -> Sequence<'_, D> {
        Sequence {
            batch,
            length: self.tokens(),
            causal: false,
            prefix: None,
            queries: None,
        }
    }

    /// Patches `[batch * patches, 3 * p * p]` to features `[batch * features, hidden]`.
    pub fn forward(
        &self,
        device: &D,
        patches: &D::Matrix,
        keep: Keep,
        check: bool,
    ) -> Result<(D::Matrix, ClipKept<D>)> {
        let batch = patches.rows() / self.place.inputs();
        let embedded = self.patch_embedding.forward(device, patches)?;
        let embedded = device.mix_rows(&embedded, &self.place, Some(&self.constant))?;
        if check {
            require_finite(device, &embedded, || "vision encoder embeddings".into())?;
        }
        let (x, statistics) = self.norm.forward(device, &embedded)?;
        let (x, stack) = self
            .stack
            .forward(device, x, |_| self.sequence(batch), keep, check)?;
        let features = device.mix_rows(&x, &self.select, None)?;
        Ok((
            features,
            ClipKept {
                embedded,
                statistics,
                stack,
            },
        ))
    }

    /// Gradient of the patches.
    pub fn vjp(&self, device: &D, kept: ClipKept<D>, dy: &D::Matrix) -> Result<D::Matrix> {
        let batch = dy.rows() / self.select.outputs();
        let dx = device.mix_rows_vjp(dy, &self.select, None)?;
        let dx = self
            .stack
            .vjp(device, kept.stack, dx, |_| self.sequence(batch))?;
        let dx = self
            .norm
            .vjp(device, &kept.embedded, &kept.statistics, &dx, None)?;
        let dx = device.mix_rows_vjp(&dx, &self.place, None)?;
        Ok(self.patch_embedding.vjp(device, &dx, None)?)
    }
}
