//! Patch information mining (Li et al., "Mini-Gemini", arXiv 2403.18814): each of CLIP's patches
//! attends to ConvNeXt's positions under it, with one head, and what it finds is added to it.
//!
//! With one query per block of positions, keys and values need not be made: a score is `q . Wk z =
//! (Wk^T q) . z`, and a mixture of values is Wv times a mixture of z. So queries go to the width of
//! the positions and back, not positions to that of queries. Both norms of the positions z are one
//! norm without gain and bias; their gains scale the query and the mixture, the key norm's bias
//! adds the same to all scores of a query, and the value norm's bias is part of the last layer's.

use super::blocks::Blocks;
use crate::device::{AttentionShape, Device, Matrix, Visible};
use crate::lvlm::error::Result;
use crate::lvlm::loader::Loader;
use crate::nn::{Linear, Norm};

/// Added to the variance in the three norms.
const EPS: f64 = 1e-5;

/// The layers.
pub(super) struct Mining<D: Device> {
    query_norm: Norm<D>,
    /// `[c, c]`, c CLIP's width.
    query: Linear<D>,
    /// `[c, a]`, a the positions' width; from queries to positions it is its vjp.
    key: D::Weight,
    /// `[1, a]`: the gain of the key's norm, times `sqrt(a / c)`, since attention divides by the
    /// root of its head's size.
    key_gain: D::Matrix,
    /// `[1, a]`.
    value_gain: D::Matrix,
    /// `[c, a]`, its bias with what the value norm's bias adds.
    value: Linear<D>,
    /// Without gain and bias.
    norm: Norm<D>,
    /// Positions' widths by stage.
    widths: Vec<usize>,
}

/// Activations that [`Mining::forward`] saved.
pub(super) struct MiningSaved<D: Device> {
    query_statistics: D::Statistics,
    joined: D::Matrix,
    statistics: D::Statistics,
    normed: D::Matrix,
    scaled: D::Matrix,
    mixed: D::Matrix,
    lse: D::Statistics,
}

impl<D: Device> Mining<D> {
    /// Loads the layers for features of CLIP of `columns`, and stages of `widths`.
    pub fn load(loader: &Loader<D>, columns: usize, widths: &[usize]) -> Result<Mining<D>> {
        let all = widths.iter().sum();
        let name = |layer: &str, part: &str| format!("model.vlm_uni_{layer}_projector.{part}");
        let key = loader.weight(&name("aux", "1.weight"), &[columns, all])?;
        // They add the same to all scores of a query.
        for (part, size) in [("0.bias", all), ("1.bias", columns)] {
            loader.tensor(&name("aux", part), &[size])?;
        }
        let factor = (all as f32 / columns as f32).sqrt();
        let mut gain = loader.values(&name("aux", "0.weight"), &[all])?;
        gain.iter_mut().for_each(|v| *v *= factor);
        let value_gain = loader.matrix(&name("val", "0.weight"), &[all], 1, all)?;
        let offset = loader.values(&name("val", "0.bias"), &[all])?;
        let mut bias = loader.values(&name("val", "1.bias"), &[columns])?;
        let weight = loader.values(&name("val", "1.weight"), &[columns, all])?;
        for (bias, row) in bias.iter_mut().zip(weight.chunks(all.max(1))) {
            let products = row
                .iter()
                .zip(&offset)
                .map(|(w, o)| f64::from(*w) * f64::from(*o));
            *bias += products.sum::<f64>() as f32;
        }
        Ok(Mining {
            query_norm: loader.layer_norm(&name("query", "0"), columns, EPS)?,
            query: loader.linear(&name("query", "1"), columns, columns, true)?,
            key,
            key_gain: loader.upload(1, all, &gain)?,
            value_gain,
            value: Linear {
                weight: loader.weight(&name("val", "1.weight"), &[columns, all])?,
                bias: Some(loader.upload(1, columns, &bias)?),
            },
            norm: Norm::Layer {
                gain: loader.upload(1, all, &vec![1.0; all])?,
                bias: loader.upload(1, all, &vec![0.0; all])?,
                eps: EPS,
            },
            widths: widths.to_vec(),
        })
    }

    fn shape(&self, queries: usize, blocks: &Blocks) -> AttentionShape {
        AttentionShape {
            batch: queries,
            queries: 1,
            keys: blocks.keys,
            prefix: 0,
            heads: 1,
            kv_heads: 1,
            head_dim: self.widths.iter().sum(),
            visible: Visible::All,
        }
    }

    /// Returns `x` plus the mixture that its patches find: x `[patches, c]`, `stages` ConvNeXt's
    /// features, `[batch * side^2, width]`.
    pub fn forward(
        &self,
        device: &D,
        x: &D::Matrix,
        stages: &[D::Matrix],
        blocks: &Blocks,
    ) -> Result<(D::Matrix, MiningSaved<D>)> {
        let placed = stages.iter().zip(&blocks.stages);
        let placed = placed.map(|(stage, map)| Ok(device.mix_rows(stage, map, None)?));
        let placed: Vec<D::Matrix> = placed.collect::<Result<_>>()?;
        let joined = device.join_columns(&placed.iter().collect::<Vec<_>>())?;
        drop(placed);
        let (normed, statistics) = self.norm.forward(device, &joined)?;
        let (h, query_statistics) = self.query_norm.forward(device, x)?;
        let query = self.query.forward(device, &h)?;
        let wide = device.linear_vjp(&query, &self.key, None)?;
        let scaled = device.scale_columns(&wide, &self.key_gain, None)?;
        drop((h, query, wide));
        let shape = self.shape(x.rows(), blocks);
        let (mixed, lse) = device.attention(&shape, &scaled, &normed, &normed, None)?;
        let found = device.scale_columns(&mixed, &self.value_gain, None)?;
        let y = self.value.forward_onto(device, &found, x)?;
        let saved = MiningSaved {
            query_statistics,
            joined,
            statistics,
            normed,
            scaled,
            mixed,
            lse,
        };
        Ok((y, saved))
    }

    /// Returns dx, and the gradients of the stages' features.
    pub fn vjp(
        &self,
        device: &D,
        saved: MiningSaved<D>,
        x: &D::Matrix,
        dy: &D::Matrix,
        blocks: &Blocks,
    ) -> Result<(D::Matrix, Vec<D::Matrix>)> {
        let d_found = self.value.vjp(device, dy, None)?;
        let d_mixed = device.scale_columns(&d_found, &self.value_gain, None)?;
        drop(d_found);
        let MiningSaved {
            query_statistics,
            joined,
            statistics,
            normed,
            scaled,
            mixed,
            lse,
        } = saved;
        let shape = self.shape(x.rows(), blocks);
        let (d_scaled, d_keys, d_values) = device.attention_vjp(
            &shape, &scaled, &normed, &normed, None, &mixed, &lse, &d_mixed,
        )?;
        drop((scaled, normed, mixed, lse, d_mixed));
        let d_normed = device.add(&d_keys, &d_values)?;
        drop((d_keys, d_values));
        let d_joined = self
            .norm
            .vjp(device, &joined, &statistics, &d_normed, None)?;
        drop((joined, d_normed));
        let mut from = 0;
        let mut d_stages = Vec::with_capacity(self.widths.len());
        for (&width, map) in self.widths.iter().zip(&blocks.stages) {
            let d_placed = device.take_columns(&d_joined, from, width)?;
            d_stages.push(device.mix_rows_vjp(&d_placed, map, None)?);
            from += width;
        }
        let d_wide = device.scale_columns(&d_scaled, &self.key_gain, None)?;
        let d_query = device.linear(&d_wide, &self.key, None, None)?;
        let dh = self.query.vjp(device, &d_query, None)?;
        let dx = self
            .query_norm
            .vjp(device, x, &query_statistics, &dh, Some(dy))?;
        Ok((dx, d_stages))
    }
}
