//! The spatial vision aggregator of Cambrian-1 (Tong et al., arXiv 2406.16860, section 3.2): each
//! query attends to its own window of every encoder's features, and what it finds is added to it.

use std::sync::Arc;

use super::layout::CambrianLayout;
use crate::checkpoint::Activation;
use crate::device::{AttentionShape, Device, Matrix, RowMap};
use crate::lvlm::error::{self, LvlmError};
use crate::lvlm::loader::Loader;
use crate::nn::{Linear, Mlp, MlpSaved, Norm, Result};

/// Added to the variance in every norm.
pub(super) const EPS: f64 = 1e-5;
/// Heads of the attention.
pub(super) const HEADS: usize = 16;

/// The features that queries attend to.
pub(in crate::lvlm) struct Features<D: Device> {
    /// The windows of every encoder, `[batch * queries * keys, h]`.
    pub windows: Vec<D::Matrix>,
    /// The picture as a whole, `[batch, h]`.
    pub context: D::Matrix,
    pub layout: Arc<CambrianLayout>,
}

/// Gradients of [`Features`]; of windows none, or those of all encoders.
pub(in crate::lvlm) struct FeatureGradients<D: Device> {
    pub windows: Vec<D::Matrix>,
    pub context: Option<D::Matrix>,
}

impl<D: Device> Default for FeatureGradients<D> {
    fn default() -> Self {
        FeatureGradients {
            windows: Vec::new(),
            context: None,
        }
    }
}

/// The layer.
pub(in crate::lvlm) struct Aggregator<D: Device> {
    /// `[h, h]`, of the context.
    context: Linear<D>,
    /// The query and the context side by side through one layer: that layer's share of each, `[h,
    /// c]` and `[h, h]`.
    from_query: Linear<D>,
    from_context: Linear<D>,
    query_norm: Norm<D>,
    query: Linear<D>,
    sources: Vec<Source<D>>,
    output: Linear<D>,
    norm: Norm<D>,
    mlp: Mlp<D>,
    width: usize,
}

/// The layers from one encoder's windows to keys and values.
struct Source<D: Device> {
    /// The positions of the keys of a window, `[keys, h]`, where there is more than one.
    positions: Option<D::Matrix>,
    /// Every row of a window where it was.
    same: RowMap,
    key: (Norm<D>, Linear<D>),
    value: (Norm<D>, Linear<D>),
}

/// Activations that [`Aggregator::forward`] saved.
pub(in crate::lvlm) struct AggregatorSaved<D: Device> {
    /// The query norm's input and statistics.
    z: (D::Matrix, D::Statistics),
    query: D::Matrix,
    keys: D::Matrix,
    values: D::Matrix,
    /// Statistics of the key and the value norm, by encoder.
    statistics: Vec<[D::Statistics; 2]>,
    mixed: D::Matrix,
    lse: D::Statistics,
    /// The last norm's input and statistics.
    mid: (D::Matrix, D::Statistics),
    mlp: MlpSaved<D>,
}

impl<D: Device> Source<D> {
    fn load(
        loader: &Loader<D>,
        prefix: &str,
        number: usize,
        keys: usize,
        h: usize,
    ) -> error::Result<Self> {
        let side = |part: &str| {
            let name = format!("{prefix}cross_attn.{part}_proj_{number}");
            let norm = loader.layer_norm(&format!("{name}.0"), h, EPS)?;
            Ok::<_, LvlmError>((norm, loader.linear(&format!("{name}.1"), h, h, false)?))
        };
        let positions = format!("{prefix}pos_embed_{number}");
        let positions = (keys > 1).then(|| loader.matrix(&positions, &[keys, h], keys, h));
        Ok(Source {
            positions: positions.transpose()?,
            same: RowMap::select(keys, (0..keys).map(Some)),
            key: side("k")?,
            value: side("v")?,
        })
    }

    /// Adds the positions to the windows, where there are some.
    fn placed(&self, device: &D, windows: &D::Matrix) -> Result<Option<D::Matrix>> {
        let positions = self.positions.as_ref();
        let placed = positions.map(|p| device.mix_rows(windows, &self.same, Some(p)));
        Ok(placed.transpose()?)
    }
}

impl<D: Device> Aggregator<D> {
    /// Loads the layer whose tensors begin with `prefix`, for queries of `columns`, features of
    /// `width`, and windows of `keys` keys.
    pub fn load(
        loader: &Loader<D>,
        prefix: &str,
        columns: usize,
        width: usize,
        keys: &[usize],
    ) -> error::Result<Aggregator<D>> {
        let name = |part: &str| format!("{prefix}{part}");
        let linear = |part: &str, out, inside| loader.linear(&name(part), out, inside, false);
        // Some columns of the layer that reads query and context side by side.
        let share = |from: usize, count: usize| {
            let (all, shape) = (columns + width, [width, columns + width]);
            let take = |values: Vec<f32>| {
                let rows = values.chunks(all);
                rows.flat_map(|row| &row[from..from + count])
                    .copied()
                    .collect()
            };
            let weight =
                loader.made_weight(&name("proj_in.weight"), &shape, [width, count], take)?;
            Ok::<_, LvlmError>(Linear { weight, bias: None })
        };
        let sources = keys
            .iter()
            .enumerate()
            .map(|(number, &keys)| Source::load(loader, prefix, number, keys, width));
        Ok(Aggregator {
            context: linear("proj_context", width, width)?,
            from_query: share(0, columns)?,
            from_context: share(columns, width)?,
            query_norm: loader.layer_norm(&name("cross_attn.q_proj.0"), width, EPS)?,
            query: linear("cross_attn.q_proj.1", width, width)?,
            sources: sources.collect::<error::Result<_>>()?,
            output: linear("cross_attn.o_proj", width, width)?,
            norm: loader.layer_norm(&name("norm"), width, EPS)?,
            mlp: Mlp::Plain {
                first: linear("proj_out.linear_1", width, width)?,
                second: linear("proj_out.linear_2", columns, width)?,
                activation: Activation::Gelu,
            },
            width,
        })
    }

    fn shape(&self, queries: usize, layout: &CambrianLayout) -> AttentionShape {
        AttentionShape {
            batch: queries,
            queries: 1,
            keys: layout.keys.iter().sum(),
            prefix: 0,
            heads: HEADS,
            kv_heads: HEADS,
            head_dim: self.width / HEADS,
            visible: layout.visible.clone(),
        }
    }

    /// Joins the windows of several encoders to `[queries * keys, h]`, with the keys of a query one
    /// after the other.
    fn join(
        &self,
        device: &D,
        parts: Vec<D::Matrix>,
        layout: &CambrianLayout,
    ) -> Result<D::Matrix> {
        let wide = parts.into_iter().zip(&layout.keys);
        let wide = wide.map(|(part, keys)| Ok(device.reshape(part, keys * self.width)?));
        let wide: Vec<D::Matrix> = wide.collect::<Result<_>>()?;
        let joined = device.join_columns(&wide.iter().collect::<Vec<_>>())?;
        Ok(device.reshape(joined, self.width)?)
    }

    /// Splits a gradient of [`Aggregator::join`] into those of its parts.
    fn part(
        &self,
        device: &D,
        joined: D::Matrix,
        layout: &CambrianLayout,
    ) -> Result<Vec<D::Matrix>> {
        let all: usize = layout.keys.iter().sum();
        let wide = device.reshape(joined, all * self.width)?;
        let mut from = 0;
        let parts = layout.keys.iter().map(|keys| {
            let part = device.take_columns(&wide, from * self.width, keys * self.width)?;
            from += keys;
            Ok(device.reshape(part, self.width)?)
        });
        parts.collect()
    }

    /// Returns the mixture that the queries find, plus `onto`: x and y `[batch * queries, c]`.
    pub fn forward(
        &self,
        device: &D,
        x: &D::Matrix,
        features: &Features<D>,
        onto: Option<&D::Matrix>,
    ) -> Result<(D::Matrix, AggregatorSaved<D>)> {
        let layout = &features.layout;
        let context = self.context.forward(device, &features.context)?;
        let context = self.from_context.forward(device, &context)?;
        let context = device.mix_rows(&context, &layout.spread, None)?;
        let z = self.from_query.forward_onto(device, x, &context)?;
        drop(context);
        let (h, z_statistics) = self.query_norm.forward(device, &z)?;
        let query = self.query.forward(device, &h)?;
        drop(h);
        let (mut keys, mut values, mut statistics) = (Vec::new(), Vec::new(), Vec::new());
        for (source, windows) in self.sources.iter().zip(&features.windows) {
            let placed = source.placed(device, windows)?;
            let windows = placed.as_ref().unwrap_or(windows);
            let (h, key_statistics) = source.key.0.forward(device, windows)?;
            keys.push(source.key.1.forward(device, &h)?);
            let (h, value_statistics) = source.value.0.forward(device, windows)?;
            values.push(source.value.1.forward(device, &h)?);
            statistics.push([key_statistics, value_statistics]);
        }
        let keys = self.join(device, keys, layout)?;
        let values = self.join(device, values, layout)?;
        let shape = self.shape(x.rows(), layout);
        let (mixed, lse) = device.attention(&shape, &query, &keys, &values, None)?;
        let mid = self.output.forward_onto(device, &mixed, &z)?;
        let (h, mid_statistics) = self.norm.forward(device, &mid)?;
        let (y, mlp) = self.mlp.forward(device, &h, onto)?;
        let saved = AggregatorSaved {
            z: (z, z_statistics),
            query,
            keys,
            values,
            statistics,
            mixed,
            lse,
            mid: (mid, mid_statistics),
            mlp,
        };
        Ok((y, saved))
    }

    /// Returns dx plus `onto`, without the gradient of what was added to y; those of the features
    /// are added to `gradients`.
    pub fn vjp(
        &self,
        device: &D,
        saved: AggregatorSaved<D>,
        features: &Features<D>,
        dy: &D::Matrix,
        onto: Option<&D::Matrix>,
        gradients: &mut FeatureGradients<D>,
    ) -> Result<D::Matrix> {
        let AggregatorSaved {
            z: (z, z_statistics),
            query,
            keys,
            values,
            statistics,
            mixed,
            lse,
            mid: (mid, mid_statistics),
            mlp,
        } = saved;
        let layout = &features.layout;
        let dh = self.mlp.vjp(device, mlp, dy)?;
        let d_mid = self.norm.vjp(device, &mid, &mid_statistics, &dh, None)?;
        drop((dh, mid));
        let d_mixed = self.output.vjp(device, &d_mid, None)?;
        let shape = self.shape(z.rows(), layout);
        let (d_query, d_keys, d_values) =
            device.attention_vjp(&shape, &query, &keys, &values, None, &mixed, &lse, &d_mixed)?;
        drop((query, keys, values, mixed, lse, d_mixed));
        let d_keys = self.part(device, d_keys, layout)?;
        let d_values = self.part(device, d_values, layout)?;
        let mut before = std::mem::take(&mut gradients.windows).into_iter();
        let all = self.sources.iter().zip(&features.windows).zip(statistics);
        let all = all.zip(d_keys.iter().zip(&d_values));
        for (((source, windows), [key, value]), (dk, dv)) in all {
            let placed = source.placed(device, windows)?;
            let windows = placed.as_ref().unwrap_or(windows);
            let before = before.next();
            let dh = source.key.1.vjp(device, dk, None)?;
            let by_keys = source
                .key
                .0
                .vjp(device, windows, &key, &dh, before.as_ref())?;
            drop(before);
            let dh = source.value.1.vjp(device, dv, None)?;
            let both = source
                .value
                .0
                .vjp(device, windows, &value, &dh, Some(&by_keys))?;
            gradients.windows.push(both);
        }
        drop((d_keys, d_values));
        let dh = self.query.vjp(device, &d_query, None)?;
        let dz = self
            .query_norm
            .vjp(device, &z, &z_statistics, &dh, Some(&d_mid))?;
        drop((dh, d_mid, z));
        let d_context = device.mix_rows_vjp(&dz, &layout.spread, None)?;
        let d_context = self.from_context.vjp(device, &d_context, None)?;
        let before = gradients.context.take();
        gradients.context = Some(self.context.vjp(device, &d_context, before.as_ref())?);
        self.from_query.vjp(device, &dz, onto)
    }
}
