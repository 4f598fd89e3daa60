//! A CPU device that counts its operations, from the operands themselves, with a GPU's sizes of
//! elements.
//!
//! The file is long because all operation families stand in it, each with a few lines per
//! operation.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use crate::blend::{Blend, Masks, Score, ViewPair};
use crate::checkpoint::Tensor;
use crate::device::cpu::Cpu;
use crate::device::ops::{AttentionInputs, AttentionSaved};
use crate::device::prelude::*;
use crate::device::{Activation, AttentionShape, DepthwiseShape, DeviceError, Result, RowMap};
use crate::lvlm::Parts;

type On = Cpu<f32>;
type M = <On as Memory>::Matrix;

/// The counts.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    pub operations: Parts<f64>,
    pub bytes: f64,
    /// Numbers of every weight and upload; a weight that was loaded twice counts once.
    pub loaded: usize,
    weights: BTreeSet<String>,
}

impl Counts {
    fn part(&mut self, name: &str) -> &mut f64 {
        match name {
            "vision" => &mut self.operations.vision,
            "projector" => &mut self.operations.projector,
            "decoder" => &mut self.operations.decoder,
            _ => &mut self.operations.vocabulary,
        }
    }
}

/// The device.
pub struct Counting {
    pub on: On,
    pub counts: Arc<Mutex<Counts>>,
}

/// A weight, its shape, and whose it is.
pub struct Weight {
    on: <On as Memory>::Weight,
    out: usize,
    inside: usize,
    part: &'static str,
}

impl Counting {
    /// Whole matrices of two bytes per element, read or written.
    fn moved(&self, matrices: &[&M]) {
        self.elements(matrices.iter().map(|x| x.rows() * x.columns()).sum());
    }

    fn optional(&self, matrix: Option<&M>) {
        self.moved(matrix.as_slice());
    }

    fn elements(&self, count: usize) {
        self.counts.lock().unwrap().bytes += 2.0 * count as f64;
    }

    /// Numbers of four bytes.
    fn numbers(&self, count: usize) {
        self.counts.lock().unwrap().bytes += 4.0 * count as f64;
    }

    fn product(&self, rows: usize, weight: &Weight, part: &str) {
        *self.counts.lock().unwrap().part(part) += (2 * rows * weight.out * weight.inside) as f64;
        self.elements(weight.out * weight.inside);
    }

    /// Multiplies `times` products of a head's size per pair of query and key that share a tile of
    /// which anything is seen, the prefix's keys left out without `prefix`.
    fn pairs(&self, shape: &AttentionShape, prefix: bool, times: usize) {
        let mut pairs = 0;
        for r in 0..shape.queries {
            let first = r / 32 * 32;
            let tile = first..(first + 32).min(shape.queries);
            if prefix {
                pairs += shape.prefix;
            }
            for k in 0..shape.keys {
                let start = k / 32 * 32;
                if tile.clone().any(|q| shape.seen(q) > shape.prefix + start) {
                    pairs += 1;
                }
            }
        }
        let part = match shape.visible {
            crate::device::Visible::All | crate::device::Visible::Masked(_) => "vision",
            crate::device::Visible::Causal(_) => "decoder",
        };
        let operations = 2 * times * shape.batch * shape.heads * shape.head_dim * pairs;
        *self.counts.lock().unwrap().part(part) += operations as f64;
    }

    fn prefix(&self, shape: &AttentionShape, prefix: Option<(&M, &M)>) {
        if let Some((k, v)) = prefix {
            self.elements(shape.prefix * (k.columns() + v.columns()));
        }
    }
}

/// The rows that the terms of a map read, per sequence.
fn terms(rows: &[Vec<(usize, f64)>]) -> usize {
    rows.iter().map(Vec::len).sum()
}

impl Matrix for Weight {
    fn rows(&self) -> usize {
        self.out
    }
    fn columns(&self) -> usize {
        self.inside
    }
}

impl Device for Counting {
    type Recording<T: Send + Sync> = <On as Device>::Recording<T>;

    fn name(&self) -> String {
        self.on.name()
    }
    fn dtype(&self) -> &'static str {
        self.on.dtype()
    }
    fn useful_rows(&self) -> usize {
        1 << 16
    }
    fn replay<T, R, E>(
        &self,
        recording: &mut Self::Recording<T>,
        work: impl FnMut() -> std::result::Result<T, E>,
        read: impl FnOnce(&T) -> std::result::Result<R, E>,
    ) -> std::result::Result<R, E>
    where
        T: Send + Sync,
        E: From<DeviceError>,
    {
        self.on.replay(recording, work, read)
    }
}

impl Memory for Counting {
    type Host = f32;
    type Matrix = M;
    type Statistics = M;
    type Weight = Weight;

    fn element_bytes(&self) -> usize {
        2
    }
    fn scratch_bytes(&self, _: usize, _: usize) -> usize {
        8 << 20
    }
    fn memory_budget(&self) -> usize {
        self.on.memory_budget()
    }
    fn limit_memory(&self, bytes: usize) {
        self.on.limit_memory(bytes);
    }
    fn upload_impl(&self, rows: usize, columns: usize, values: &[f32]) -> Result<M> {
        self.counts.lock().unwrap().loaded += values.len();
        self.on.upload(rows, columns, values)
    }
    fn download(&self, x: &M) -> Result<Vec<f32>> {
        self.on.download(x)
    }
    fn download_statistics(&self, x: &M) -> Result<Vec<f32>> {
        self.on.download_statistics(x)
    }
    fn weight_impl(&self, tensor: &Tensor, out: usize, inside: usize) -> Result<Weight> {
        let mut counts = self.counts.lock().unwrap();
        if counts.weights.insert(tensor.name.clone()) {
            counts.loaded += out * inside;
        }
        let part = match &tensor.name {
            name if name.contains("vision_tower") => "vision",
            name if name.contains("projector") => "projector",
            _ => "decoder",
        };
        let on = self.on.weight(tensor)?;
        Ok(Weight {
            on,
            out,
            inside,
            part,
        })
    }
}

impl Blending for Counting {
    type Pictures = <On as Blending>::Pictures;
    type Batch = <On as Blending>::Batch;
    type Gradients = <On as Blending>::Gradients;

    fn pictures_impl(
        &self,
        views: &[ViewPair],
        size: (usize, usize),
        patch: usize,
        mask_size: usize,
    ) -> Result<Self::Pictures> {
        self.on.pictures_impl(views, size, patch, mask_size)
    }
    fn stage_impl(&self, masks: Masks, blends: &[Blend]) -> Result<Self::Batch> {
        self.on.stage_impl(masks, blends)
    }
    fn restage_impl(&self, batch: &mut Self::Batch, masks: Masks, blends: &[Blend]) -> Result<()> {
        self.on.restage_impl(batch, masks, blends)
    }
    fn blend_impl(&self, pictures: &Self::Pictures, batch: &Self::Batch) -> Result<M> {
        let y = self.on.blend(pictures, batch)?;
        self.moved(&[&y]);
        // Picture and baseline.
        self.numbers(2 * y.rows() * y.columns());
        Ok(y)
    }
    fn gradients(&self, pictures: &Self::Pictures, masks: usize) -> Result<Self::Gradients> {
        self.on.gradients(pictures, masks)
    }
    fn clear(&self, gradients: &mut Self::Gradients) -> Result<()> {
        self.on.clear(gradients)
    }
    fn blend_vjp_impl(
        &self,
        pictures: &Self::Pictures,
        batch: &Self::Batch,
        dy: &M,
        gradients: &mut Self::Gradients,
    ) -> Result<()> {
        self.moved(&[dy]);
        // The difference of the pictures.
        self.numbers(dy.rows() * dy.columns());
        self.on.blend_vjp(pictures, batch, dy, gradients)
    }
    fn read_gradients(&self, gradients: &Self::Gradients) -> Result<Vec<Vec<f64>>> {
        self.on.read_gradients(gradients)
    }
}

impl Gemm for Counting {
    fn linear_impl(
        &self,
        x: &M,
        weight: &Weight,
        bias: Option<&M>,
        residual: Option<&M>,
    ) -> Result<M> {
        let y = self.on.linear(x, &weight.on, bias, residual)?;
        self.product(x.rows(), weight, weight.part);
        self.moved(&[x, &y]);
        self.optional(bias);
        self.optional(residual);
        Ok(y)
    }
    fn linear_vjp_impl(&self, dy: &M, weight: &Weight, onto: Option<&M>) -> Result<M> {
        let dx = self.on.linear_vjp(dy, &weight.on, onto)?;
        self.product(dy.rows(), weight, weight.part);
        self.moved(&[dy, &dx]);
        self.optional(onto);
        Ok(dx)
    }
    fn linear_activation_impl(
        &self,
        kind: Activation,
        x: &M,
        weight: &Weight,
        bias: Option<&M>,
    ) -> Result<(M, M)> {
        let (h, y) = self.on.linear_activation(kind, x, &weight.on, bias)?;
        self.product(x.rows(), weight, weight.part);
        self.moved(&[x, &h, &y]);
        self.optional(bias);
        Ok((h, y))
    }
    fn linear_vjp_activation_impl(
        &self,
        kind: Activation,
        dy: &M,
        weight: &Weight,
        h: &M,
    ) -> Result<M> {
        let dh = self.on.linear_vjp_activation(kind, dy, &weight.on, h)?;
        self.product(dy.rows(), weight, weight.part);
        self.moved(&[dy, h, &dh]);
        Ok(dh)
    }
    fn linear_gate_impl(
        &self,
        kind: Activation,
        gate: &M,
        x: &M,
        weight: &Weight,
        bias: Option<&M>,
    ) -> Result<(M, M)> {
        let (up, y) = self.on.linear_gate(kind, gate, x, &weight.on, bias)?;
        self.product(x.rows(), weight, weight.part);
        self.moved(&[gate, x, &up, &y]);
        self.optional(bias);
        Ok((up, y))
    }
    fn linear_vjp_gate_impl(
        &self,
        kind: Activation,
        dy: &M,
        weight: &Weight,
        gate: &M,
        up: &M,
    ) -> Result<(M, M)> {
        let (dg, du) = self.on.linear_vjp_gate(kind, dy, &weight.on, gate, up)?;
        self.product(dy.rows(), weight, weight.part);
        self.moved(&[dy, gate, up, &dg, &du]);
        Ok((dg, du))
    }
    fn linear_rope_impl(
        &self,
        x: &M,
        weight: &Weight,
        bias: Option<&M>,
        head_dim: usize,
        frequencies: &[f64],
        positions: &[usize],
    ) -> Result<M> {
        let y = self
            .on
            .linear_rope(x, &weight.on, bias, head_dim, frequencies, positions)?;
        self.product(x.rows(), weight, weight.part);
        self.moved(&[x, &y]);
        self.optional(bias);
        Ok(y)
    }
}

impl Attention for Counting {
    fn attention_impl(&self, shape: &AttentionShape, inputs: AttentionInputs<M>) -> Result<(M, M)> {
        let AttentionInputs { q, k, v, prefix } = inputs;
        let (out, lse) = self.on.attention_impl(shape, inputs)?;
        self.pairs(shape, true, 2);
        self.moved(&[q, k, v, &out]);
        self.prefix(shape, prefix);
        self.numbers(lse.rows() * lse.columns());
        Ok((out, lse))
    }
    fn attention_vjp_impl(
        &self,
        shape: &AttentionShape,
        inputs: AttentionInputs<M>,
        saved: &AttentionSaved<M, M>,
    ) -> Result<(M, M, M)> {
        let AttentionInputs { q, k, v, prefix } = inputs;
        let AttentionSaved { out, lse, dy } = *saved;
        let (dq, dk, dv) = self.on.attention_vjp_impl(shape, inputs, saved)?;
        let statistics = lse.rows() * lse.columns();
        if shape.is_window() {
            // S, dP, dQ, dK, dV.
            self.pairs(shape, false, 5);
            self.moved(&[q, out, dy, &dq, k, v, &dk, &dv]);
            self.numbers(statistics);
            return Ok((dq, dk, dv));
        }
        // delta: the rows' sums of dy * out.
        self.moved(&[dy, out]);
        self.numbers(statistics);
        // dk and dv: S, dP, dV, dK.
        self.pairs(shape, false, 4);
        self.moved(&[q, dy, k, v, &dk, &dv]);
        self.numbers(2 * statistics);
        // dq: S, dP, dQ.
        self.pairs(shape, true, 3);
        self.moved(&[q, dy, k, v, &dq]);
        self.prefix(shape, prefix);
        self.numbers(2 * statistics);
        Ok((dq, dk, dv))
    }
}

impl Norm for Counting {
    fn layer_norm_impl(&self, x: &M, gain: &M, bias: &M, eps: f64) -> Result<(M, M)> {
        let (y, statistics) = self.on.layer_norm(x, gain, bias, eps)?;
        self.moved(&[x, gain, bias, &y]);
        self.numbers(statistics.rows() * statistics.columns());
        Ok((y, statistics))
    }
    fn layer_norm_vjp_impl(
        &self,
        x: &M,
        statistics: &M,
        gain: &M,
        dy: &M,
        onto: Option<&M>,
    ) -> Result<M> {
        let dx = self.on.layer_norm_vjp(x, statistics, gain, dy, onto)?;
        self.moved(&[x, gain, dy, &dx]);
        self.optional(onto);
        self.numbers(statistics.rows() * statistics.columns());
        Ok(dx)
    }
    fn rms_norm_impl(&self, x: &M, gain: &M, eps: f64) -> Result<(M, M)> {
        let (y, statistics) = self.on.rms_norm(x, gain, eps)?;
        self.moved(&[x, gain, &y]);
        self.numbers(statistics.rows() * statistics.columns());
        Ok((y, statistics))
    }
    fn rms_norm_vjp_impl(
        &self,
        x: &M,
        statistics: &M,
        gain: &M,
        dy: &M,
        onto: Option<&M>,
    ) -> Result<M> {
        let dx = self.on.rms_norm_vjp(x, statistics, gain, dy, onto)?;
        self.moved(&[x, gain, dy, &dx]);
        self.optional(onto);
        self.numbers(statistics.rows() * statistics.columns());
        Ok(dx)
    }
}

impl Activations for Counting {
    fn activation_impl(&self, kind: Activation, x: &M) -> Result<M> {
        let y = self.on.activation(kind, x)?;
        self.moved(&[x, &y]);
        Ok(y)
    }
    fn activation_vjp_impl(&self, kind: Activation, x: &M, dy: M) -> Result<M> {
        self.moved(&[x, &dy, &dy]);
        self.on.activation_vjp(kind, x, dy)
    }
    fn gate_impl(&self, kind: Activation, gate: &M, up: &M) -> Result<M> {
        let y = self.on.gate(kind, gate, up)?;
        self.moved(&[gate, up, &y]);
        Ok(y)
    }
    fn gate_vjp_impl(&self, kind: Activation, gate: &M, up: &M, dy: M) -> Result<(M, M)> {
        self.moved(&[gate, up, &dy, &dy, &dy]);
        self.on.gate_vjp(kind, gate, up, dy)
    }
}

impl Rows for Counting {
    fn is_finite(&self, x: &M) -> Result<bool> {
        self.on.is_finite(x)
    }

    fn gather_impl(&self, weight: &Weight, ids: &[u32]) -> Result<M> {
        let y = self.on.gather(&weight.on, ids)?;
        self.moved(&[&y, &y]);
        Ok(y)
    }
    fn write_rows_impl(&self, target: &mut M, at: usize, x: &M) -> Result<()> {
        self.moved(&[x, x]);
        self.on.write_rows(target, at, x)
    }
    fn mix_rows_impl(&self, x: &M, map: &RowMap, constant: Option<&M>, batch: usize) -> Result<M> {
        let y = self.on.mix_rows(x, map, constant)?;
        self.elements(batch * terms(map.forward()) * x.columns());
        self.moved(&[&y]);
        self.optional(constant);
        Ok(y)
    }
    fn mix_rows_vjp_impl(&self, dy: &M, map: &RowMap, onto: Option<&M>, batch: usize) -> Result<M> {
        let dx = self.on.mix_rows_vjp(dy, map, onto)?;
        self.elements(batch * terms(map.backward()) * dy.columns());
        self.moved(&[&dx]);
        self.optional(onto);
        Ok(dx)
    }
    fn rope_impl(
        &self,
        x: &mut M,
        head_dim: usize,
        frequencies: &[f64],
        positions: &[usize],
        inverse: bool,
    ) -> Result<()> {
        self.moved(&[x, x]);
        self.on.rope(x, head_dim, frequencies, positions, inverse)
    }
}

impl Columns for Counting {
    fn reshape_impl(&self, x: M, _: usize, columns: usize) -> Result<M> {
        self.on.reshape(x, columns)
    }
    fn add_impl(&self, a: &M, b: &M) -> Result<M> {
        self.moved(&[a, a, b]);
        self.on.add(a, b)
    }
    fn scale_columns_impl(&self, x: &M, gain: &M, onto: Option<&M>) -> Result<M> {
        self.moved(&[x, x, gain]);
        self.optional(onto);
        self.on.scale_columns(x, gain, onto)
    }
    fn join_columns_impl(&self, parts: &[&M], _: usize, _: usize) -> Result<M> {
        let y = self.on.join_columns(parts)?;
        self.moved(&[&y, &y]);
        Ok(y)
    }
    fn take_columns_impl(&self, x: &M, from: usize, count: usize) -> Result<M> {
        let y = self.on.take_columns(x, from, count)?;
        self.moved(&[&y, &y]);
        Ok(y)
    }
}

impl Depthwise for Counting {
    fn depthwise_impl(&self, x: &M, kernel: &M, bias: &M, shape: DepthwiseShape) -> Result<M> {
        self.moved(&[x, x, kernel, bias]);
        self.on.depthwise(x, kernel, bias, shape)
    }
    fn depthwise_vjp_impl(
        &self,
        dy: &M,
        kernel: &M,
        shape: DepthwiseShape,
        onto: Option<&M>,
    ) -> Result<M> {
        self.moved(&[dy, dy, kernel]);
        self.optional(onto);
        self.on.depthwise_vjp(dy, kernel, shape, onto)
    }
}

impl LogProb for Counting {
    type Weights = <On as LogProb>::Weights;
    type Values = <On as LogProb>::Values;
    type Logits = <On as LogProb>::Logits;

    fn weigh(&self, weights: &[f64], score: Score) -> Result<Self::Weights> {
        self.on.weigh(weights, score)
    }
    fn weight_count(&self, weights: &Self::Weights) -> usize {
        self.on.weight_count(weights)
    }
    fn reweigh_impl(&self, place: &mut Self::Weights, weights: &[f64]) -> Result<()> {
        self.on.reweigh(place, weights)
    }
    fn log_probability_impl(
        &self,
        x: &M,
        head: &Weight,
        targets: &[u32],
    ) -> Result<(Self::Values, Self::Logits)> {
        self.product(x.rows(), head, "vocabulary");
        self.moved(&[x]);
        // Logits, written and read; one value per row.
        self.numbers(x.rows() * (2 * head.out + 1));
        self.on.log_probability(x, &head.on, targets)
    }
    fn values(&self, values: &Self::Values) -> Result<Vec<f64>> {
        self.on.values(values)
    }
    fn log_probability_vjp_impl(
        &self,
        logits: Self::Logits,
        head: &Weight,
        targets: &[u32],
        weights: &Self::Weights,
    ) -> Result<M> {
        let dx = self
            .on
            .log_probability_vjp(logits, &head.on, targets, weights)?;
        // The logits once more, from x; then their gradient, written and read, and the product
        // back.
        self.product(dx.rows(), head, "vocabulary");
        self.product(dx.rows(), head, "vocabulary");
        self.moved(&[&dx, &dx]);
        self.numbers(2 * dx.rows() * head.out);
        self.elements(2 * dx.rows() * head.out);
        Ok(dx)
    }
    fn logits_impl(&self, x: &M, head: &Weight) -> Result<Vec<f32>> {
        self.product(x.rows(), head, "vocabulary");
        self.moved(&[x]);
        self.numbers(x.rows() * head.out);
        self.on.logits(x, &head.on)
    }
}
