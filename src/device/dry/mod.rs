//! A device that computes nothing: it knows the sizes of matrices, and counts what operations on them would cost and hold.
//!
//! A model run on it tells which weights it loads, what an evaluation costs, and how much memory it needs, before anything
//! is computed and without a copy of the model's shapes anywhere else.
//!
//! Operations are those of matrix products and attention, two per multiplication and addition. Attention is counted by tiles
//! of 32 queries and 32 keys, cut at the edges: a causal tile counts whole when any of its queries sees any of its keys. The
//! vjp of attention multiplies S, dP, dV and dK once for the keys, and S, dP and dQ once for the queries; the prefix has no
//! gradient and is part of the latter only; with one query per sequence it multiplies all five once. The vjp of the vocabulary projection makes its logits anew. Everything else
//! (norms, activations, softmax, blends) counts as bytes only.
//!
//! Bytes are what operations read and write, each operand once per operation: weights once per batch, activations of two
//! bytes per element, statistics, logits and pictures of four. What stays on the chip inside a fused operation is not
//! counted; nor are masks, weights of scores, and tables, which are small.

mod meter;
pub(crate) mod tally;

use std::sync::Arc;

use super::contract::{self, CHANNELS};
use super::{
    Activation, AttentionShape, Blend, DepthwiseShape, Device, DeviceError, Masks, Matrix, Part,
    Result, RowMap, ViewPair,
};
use crate::checkpoint::Tensor;
pub(crate) use meter::Measured;
use meter::{Held, Meter};
use tally::Linear;
pub use tally::{Parts, Tally};

/// The device. What is made by one of them is counted by that one.
#[derive(Clone, Debug)]
pub(crate) struct Dry {
    meter: Arc<Meter>,
    /// Bytes of an element of activations.
    element: usize,
}

/// The size of a matrix.
#[derive(Debug)]
pub(crate) struct DryMatrix {
    rows: usize,
    columns: usize,
    _held: Held,
}

/// The size of a weight `[out, in]`.
#[derive(Debug)]
pub(crate) struct DryWeight {
    out: usize,
    inside: usize,
}

/// The sizes of pictures.
#[derive(Debug)]
pub(crate) struct DryPictures {
    /// Of all views together.
    patches: usize,
    columns: usize,
    views: usize,
    cells: usize,
    _held: Held,
}

/// How many blends and masks.
#[derive(Debug)]
pub(crate) struct DryBatch {
    blends: usize,
    masks: usize,
}

impl Matrix for DryMatrix {
    fn rows(&self) -> usize {
        self.rows
    }

    fn columns(&self) -> usize {
        self.columns
    }
}

impl Dry {
    /// A device whose activations have `element` bytes.
    pub fn new(element: usize) -> Dry {
        Dry {
            meter: Arc::default(),
            element,
        }
    }

    /// What was counted.
    pub(crate) fn meter(&self) -> &Meter {
        &self.meter
    }

    /// `count` bytes, held as long as the result lives.
    fn hold(&self, count: usize) -> Held {
        Meter::hold(&self.meter, count)
    }

    fn matrix(&self, rows: usize, columns: usize) -> DryMatrix {
        self.meter.wide(rows);
        DryMatrix {
            rows,
            columns,
            _held: self.hold(self.element * rows * columns),
        }
    }

    /// Numbers that are f32 whatever the activations are.
    fn numbers(&self, rows: usize, columns: usize) -> DryMatrix {
        DryMatrix {
            rows,
            columns,
            _held: self.hold(4 * rows * columns),
        }
    }

    /// A product with a weight: counted, with the operand as a device may pack it held meanwhile.
    fn product(&self, rows: usize, weight: &DryWeight, bias: bool, beside: usize) {
        let layer = Linear::new(weight.inside, weight.out, bias);
        self.meter.count(layer.forward(rows, beside));
        drop(self.hold(self.element * rows * weight.inside));
    }

    fn product_vjp(&self, rows: usize, weight: &DryWeight, beside: usize) {
        let layer = Linear::new(weight.inside, weight.out, false);
        self.meter.count(layer.vjp(rows, beside));
        drop(self.hold(self.element * rows * weight.out));
    }

    /// A norm, with a mean or without: its result and its statistics.
    fn norm(&self, x: &DryMatrix, mean: bool) -> (DryMatrix, DryMatrix) {
        self.meter.count(tally::norm(x.rows, x.columns, mean));
        let statistics = self.numbers(x.rows, 1 + usize::from(mean));
        (self.matrix(x.rows, x.columns), statistics)
    }

    fn norm_vjp(&self, x: &DryMatrix, mean: bool, onto: Option<&DryMatrix>) -> DryMatrix {
        let cost = tally::norm_vjp(x.rows, x.columns, mean, onto.is_some());
        self.meter.count(cost);
        self.matrix(x.rows, x.columns)
    }

    /// Matrices of as many elements as `x` read or written.
    fn moved(&self, times: usize, x: &DryMatrix) {
        self.meter.count(tally::moved(times * x.rows, x.columns));
    }
}

/// Rows that the terms of a map read, per sequence.
fn terms(rows: &[Vec<(usize, f64)>]) -> usize {
    rows.iter().map(Vec::len).sum()
}

impl Device for Dry {
    type Host = f32;
    type Matrix = DryMatrix;
    type Weight = DryWeight;
    type Pictures = DryPictures;
    type Batch = DryBatch;
    type Gradients = Held;
    type Weights = ();
    type Values = usize;
    type Logits = (usize, Held);
    type Recording<T: Send + Sync> = ();

    fn name(&self) -> String {
        "dry".into()
    }
    fn dtype(&self) -> &'static str {
        "none"
    }
    fn element_bytes(&self) -> usize {
        self.element
    }
    fn useful_rows(&self) -> usize {
        usize::MAX
    }
    fn scratch_bytes(&self, _: usize, _: usize) -> usize {
        0
    }
    fn memory_budget(&self) -> usize {
        usize::MAX
    }
    fn limit_memory(&self, _: usize) {}
    fn part(&self, part: Part) {
        self.meter.part(part);
    }
    fn upload(&self, rows: usize, columns: usize, _: &[f32]) -> Result<DryMatrix> {
        self.meter.load(rows * columns);
        Ok(self.matrix(rows, columns))
    }
    fn zeros(&self, rows: usize, columns: usize) -> Result<DryMatrix> {
        Ok(self.matrix(rows, columns))
    }
    fn download(&self, x: &DryMatrix) -> Result<Vec<f32>> {
        Ok(vec![0.0; x.rows * x.columns])
    }
    fn weight(&self, tensor: &Tensor) -> Result<DryWeight> {
        let out = tensor.shape.first().copied().unwrap_or(0);
        let inside = tensor.shape.iter().skip(1).product();
        self.meter.load_once(&tensor.name, out * inside);
        Ok(DryWeight { out, inside })
    }
    fn reads_weights(&self) -> bool {
        false
    }
    fn is_finite(&self, _: &DryMatrix) -> Result<bool> {
        Ok(true)
    }
    fn replay<T, R, E>(
        &self,
        (): &mut (),
        mut work: impl FnMut() -> std::result::Result<T, E>,
        read: impl FnOnce(&T) -> std::result::Result<R, E>,
    ) -> std::result::Result<R, E>
    where
        T: Send + Sync,
        E: From<DeviceError>,
    {
        read(&work()?)
    }
    fn pictures(&self, views: &[ViewPair], patch: usize, mask_size: usize) -> Result<DryPictures> {
        let pixels = |pair: &ViewPair| pair.view.height * pair.view.width;
        let all: usize = views.iter().map(pixels).sum();
        // What is beyond the last whole patch is not seen.
        let patches = |pair: &ViewPair| (pair.view.height / patch) * (pair.view.width / patch);
        Ok(DryPictures {
            patches: views.iter().map(patches).sum(),
            columns: CHANNELS * patch * patch,
            views: views.len(),
            cells: mask_size * mask_size,
            // Picture, baseline and their difference in f32.
            _held: self.hold(3 * 4 * CHANNELS * all),
        })
    }
    fn stage(&self, _: &DryPictures, masks: Masks, blends: &[Blend]) -> Result<DryBatch> {
        Ok(DryBatch {
            blends: blends.len(),
            masks: masks.values.len(),
        })
    }
    fn restage(&self, _: &DryPictures, _: &mut DryBatch, _: Masks, _: &[Blend]) -> Result<()> {
        Ok(())
    }
    fn blend(&self, pictures: &DryPictures, batch: &DryBatch) -> Result<DryMatrix> {
        let rows = batch.blends * pictures.patches;
        let cost = tally::blend(rows, pictures.columns);
        self.meter.count_as(Part::Blend, cost);
        Ok(self.matrix(rows, pictures.columns))
    }
    fn gradients(&self, pictures: &DryPictures, masks: usize) -> Result<Held> {
        Ok(self.hold(4 * masks * pictures.cells))
    }
    fn clear(&self, _: &mut Held) -> Result<()> {
        Ok(())
    }
    fn blend_vjp(
        &self,
        pictures: &DryPictures,
        batch: &DryBatch,
        dy: &DryMatrix,
        _: &mut Held,
    ) -> Result<()> {
        let cost = tally::blend_vjp(dy.rows, dy.columns);
        self.meter.count_as(Part::Blend, cost);
        // Each blend's own sums, in two halves per row of the mask, for both masks of a product.
        let slots = batch.masks.min(2);
        let sums = batch.blends * pictures.views * slots * 2 * pictures.cells;
        drop(self.hold(4 * sums));
        Ok(())
    }
    fn read_gradients(&self, _: &Held) -> Result<Vec<Vec<f64>>> {
        Ok(Vec::new())
    }

    fn linear(
        &self,
        x: &DryMatrix,
        weight: &DryWeight,
        bias: Option<&DryMatrix>,
        residual: Option<&DryMatrix>,
    ) -> Result<DryMatrix> {
        let beside = usize::from(residual.is_some());
        self.product(x.rows, weight, bias.is_some(), beside);
        Ok(self.matrix(x.rows, weight.out))
    }
    fn linear_vjp(
        &self,
        dy: &DryMatrix,
        weight: &DryWeight,
        onto: Option<&DryMatrix>,
    ) -> Result<DryMatrix> {
        self.product_vjp(dy.rows, weight, usize::from(onto.is_some()));
        Ok(self.matrix(dy.rows, weight.inside))
    }
    fn linear_activation(
        &self,
        _: Activation,
        x: &DryMatrix,
        weight: &DryWeight,
        bias: Option<&DryMatrix>,
    ) -> Result<(DryMatrix, DryMatrix)> {
        self.product(x.rows, weight, bias.is_some(), 1);
        let y = || self.matrix(x.rows, weight.out);
        Ok((y(), y()))
    }
    fn linear_vjp_activation(
        &self,
        _: Activation,
        dy: &DryMatrix,
        weight: &DryWeight,
        _: &DryMatrix,
    ) -> Result<DryMatrix> {
        self.product_vjp(dy.rows, weight, 1);
        Ok(self.matrix(dy.rows, weight.inside))
    }
    fn linear_gate(
        &self,
        _: Activation,
        _: &DryMatrix,
        x: &DryMatrix,
        weight: &DryWeight,
        bias: Option<&DryMatrix>,
    ) -> Result<(DryMatrix, DryMatrix)> {
        self.product(x.rows, weight, bias.is_some(), 2);
        let y = || self.matrix(x.rows, weight.out);
        Ok((y(), y()))
    }
    fn linear_vjp_gate(
        &self,
        _: Activation,
        dy: &DryMatrix,
        weight: &DryWeight,
        _: &DryMatrix,
        _: &DryMatrix,
    ) -> Result<(DryMatrix, DryMatrix)> {
        self.product_vjp(dy.rows, weight, 3);
        let dx = || self.matrix(dy.rows, weight.inside);
        Ok((dx(), dx()))
    }
    fn linear_rope(
        &self,
        x: &DryMatrix,
        weight: &DryWeight,
        bias: Option<&DryMatrix>,
        _: usize,
        _: &[f64],
        _: &[usize],
    ) -> Result<DryMatrix> {
        self.linear(x, weight, bias, None)
    }

    fn rope(&self, x: &mut DryMatrix, _: usize, _: &[f64], _: &[usize], _: bool) -> Result<()> {
        self.moved(2, x);
        Ok(())
    }
    fn attention(
        &self,
        shape: &AttentionShape,
        q: &DryMatrix,
        _: &DryMatrix,
        _: &DryMatrix,
        _: Option<(&DryMatrix, &DryMatrix)>,
    ) -> Result<(DryMatrix, DryMatrix)> {
        self.meter.count(tally::attention(shape));
        let out = self.matrix(q.rows, q.columns);
        Ok((out, self.numbers(q.rows, shape.heads)))
    }
    fn attention_vjp(
        &self,
        shape: &AttentionShape,
        q: &DryMatrix,
        k: &DryMatrix,
        v: &DryMatrix,
        _: Option<(&DryMatrix, &DryMatrix)>,
        _: &DryMatrix,
        _: &DryMatrix,
        _: &DryMatrix,
    ) -> Result<(DryMatrix, DryMatrix, DryMatrix)> {
        let like = |x: &DryMatrix| self.matrix(x.rows, x.columns);
        let all = (like(q), like(k), like(v));
        if shape.is_window() {
            self.meter.count(tally::window_vjp(shape));
        } else {
            self.meter.count(tally::attention_vjp(shape));
            drop(self.numbers(q.rows, shape.heads));
        }
        Ok(all)
    }

    fn layer_norm(
        &self,
        x: &DryMatrix,
        _: &DryMatrix,
        _: &DryMatrix,
        _: f64,
    ) -> Result<(DryMatrix, DryMatrix)> {
        Ok(self.norm(x, true))
    }
    fn layer_norm_vjp(
        &self,
        x: &DryMatrix,
        _: &DryMatrix,
        _: &DryMatrix,
        _: &DryMatrix,
        onto: Option<&DryMatrix>,
    ) -> Result<DryMatrix> {
        Ok(self.norm_vjp(x, true, onto))
    }
    fn rms_norm(&self, x: &DryMatrix, _: &DryMatrix, _: f64) -> Result<(DryMatrix, DryMatrix)> {
        Ok(self.norm(x, false))
    }
    fn rms_norm_vjp(
        &self,
        x: &DryMatrix,
        _: &DryMatrix,
        _: &DryMatrix,
        _: &DryMatrix,
        onto: Option<&DryMatrix>,
    ) -> Result<DryMatrix> {
        Ok(self.norm_vjp(x, false, onto))
    }

    fn activation(&self, _: Activation, x: &DryMatrix) -> Result<DryMatrix> {
        self.moved(2, x);
        Ok(self.matrix(x.rows, x.columns))
    }
    fn activation_vjp(&self, _: Activation, x: &DryMatrix, dy: DryMatrix) -> Result<DryMatrix> {
        self.moved(3, x);
        Ok(dy)
    }
    fn gate(&self, _: Activation, gate: &DryMatrix, _: &DryMatrix) -> Result<DryMatrix> {
        self.moved(3, gate);
        Ok(self.matrix(gate.rows, gate.columns))
    }
    fn gate_vjp(
        &self,
        _: Activation,
        gate: &DryMatrix,
        _: &DryMatrix,
        dy: DryMatrix,
    ) -> Result<(DryMatrix, DryMatrix)> {
        self.moved(5, gate);
        Ok((self.matrix(gate.rows, gate.columns), dy))
    }

    fn gather(&self, weight: &DryWeight, ids: &[u32]) -> Result<DryMatrix> {
        let rows = ids.len();
        self.meter.count(tally::mix(rows, rows, weight.inside));
        Ok(self.matrix(rows, weight.inside))
    }
    fn write_rows(&self, _: &mut DryMatrix, _: usize, x: &DryMatrix) -> Result<()> {
        self.moved(2, x);
        Ok(())
    }
    fn mix_rows(
        &self,
        x: &DryMatrix,
        map: &RowMap,
        constant: Option<&DryMatrix>,
    ) -> Result<DryMatrix> {
        let batch = x.rows / map.inputs().max(1);
        let read = batch * terms(map.forward()) + constant.map_or(0, |c| c.rows);
        let rows = batch * map.outputs();
        self.meter.count(tally::mix(read, rows, x.columns));
        Ok(self.matrix(rows, x.columns))
    }
    fn mix_rows_vjp(
        &self,
        dy: &DryMatrix,
        map: &RowMap,
        onto: Option<&DryMatrix>,
    ) -> Result<DryMatrix> {
        let batch = dy.rows / map.outputs().max(1);
        let read = batch * terms(map.backward()) + onto.map_or(0, |x| x.rows);
        let rows = batch * map.inputs();
        self.meter.count(tally::mix(read, rows, dy.columns));
        Ok(self.matrix(rows, dy.columns))
    }

    fn reshape(&self, x: DryMatrix, columns: usize) -> Result<DryMatrix> {
        let rows = contract::reshape((x.rows, x.columns), columns)?;
        self.meter.wide(rows);
        Ok(DryMatrix { rows, columns, ..x })
    }
    fn add(&self, a: &DryMatrix, _: &DryMatrix) -> Result<DryMatrix> {
        self.moved(3, a);
        Ok(self.matrix(a.rows, a.columns))
    }
    fn scale_columns(
        &self,
        x: &DryMatrix,
        _: &DryMatrix,
        onto: Option<&DryMatrix>,
    ) -> Result<DryMatrix> {
        let rows = (2 + usize::from(onto.is_some())) * x.rows;
        self.meter.count(tally::moved(rows + 1, x.columns));
        Ok(self.matrix(x.rows, x.columns))
    }
    fn join_columns(&self, parts: &[&DryMatrix]) -> Result<DryMatrix> {
        let sizes = parts.iter().map(|part| (part.rows, part.columns));
        let (rows, columns) = contract::join_columns(sizes)?;
        self.meter.count(tally::mix(rows, rows, columns));
        Ok(self.matrix(rows, columns))
    }
    fn take_columns(&self, x: &DryMatrix, _: usize, count: usize) -> Result<DryMatrix> {
        self.meter.count(tally::mix(x.rows, x.rows, count));
        Ok(self.matrix(x.rows, count))
    }

    fn depthwise(
        &self,
        x: &DryMatrix,
        kernel: &DryMatrix,
        _: &DryMatrix,
        _: DepthwiseShape,
    ) -> Result<DryMatrix> {
        let cost = tally::depthwise(x.rows, x.columns, kernel.rows);
        self.meter.count(cost + tally::moved(1, x.columns));
        Ok(self.matrix(x.rows, x.columns))
    }
    fn depthwise_vjp(
        &self,
        dy: &DryMatrix,
        kernel: &DryMatrix,
        _: DepthwiseShape,
        onto: Option<&DryMatrix>,
    ) -> Result<DryMatrix> {
        let cost = tally::depthwise(dy.rows, dy.columns, kernel.rows);
        let beside = onto.map_or(0, |onto| onto.rows);
        self.meter.count(cost + tally::moved(beside, dy.columns));
        Ok(self.matrix(dy.rows, dy.columns))
    }

    fn weigh(&self, _: &[f64]) -> Result<()> {
        Ok(())
    }
    fn reweigh(&self, (): &mut (), _: &[f64]) -> Result<()> {
        Ok(())
    }
    fn log_probability(
        &self,
        x: &DryMatrix,
        head: &DryWeight,
        targets: &[u32],
    ) -> Result<(usize, Self::Logits)> {
        let (rows, hidden, vocabulary) = (x.rows, head.inside, head.out);
        let cost = tally::log_probability(rows, hidden, vocabulary);
        self.meter.count(cost);
        // Kept whole where they are not made anew.
        let kept = self.hold(4 * rows * vocabulary + self.element * rows * hidden);
        Ok((targets.len(), (rows, kept)))
    }
    fn values(&self, values: &usize) -> Result<Vec<f64>> {
        Ok(vec![0.0; *values])
    }
    fn log_probability_vjp(
        &self,
        (rows, _kept): Self::Logits,
        head: &DryWeight,
        _: &[u32],
        (): &(),
    ) -> Result<DryMatrix> {
        let cost = tally::log_probability_vjp(rows, head.inside, head.out);
        self.meter.count(cost);
        drop(self.hold(self.element * rows * head.out));
        Ok(self.matrix(rows, head.inside))
    }
    fn logits(&self, x: &DryMatrix, head: &DryWeight) -> Result<Vec<f32>> {
        self.meter
            .count(tally::logits(x.rows, head.inside, head.out));
        Ok(vec![0.0; x.rows * head.out])
    }
}
