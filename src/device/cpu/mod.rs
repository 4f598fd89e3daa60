//! The CPU device: every operation in plain Rust on all cores, in `f32` for work or `f64` as a reference.

mod activation;
mod attention;
mod blend;
mod columns;
mod depthwise;
mod gemm;
mod logprob;
mod matrix;
mod microkernel;
mod norm;
mod output;
mod packing;
mod panels;
mod rows;
mod simd;
mod window;

#[cfg(test)]
pub(crate) mod tests;

use std::sync::{Arc, Mutex, PoisonError};

use super::contract;
use super::error::expect;
use super::{
    Activation, AttentionShape, Blend, DepthwiseShape, Device, DeviceError, Masks, Matrix, Result,
    RowMap, ViewPair,
};
use crate::checkpoint::{Dtype, Tensor};

pub use blend::{CpuBatch, CpuPictures};
use gemm::Epilogue;
pub use matrix::CpuMatrix;
use matrix::Pool;
use microkernel::Multiply;
use packing::{Elements, Operand};

/// The types that the CPU device computes in: `f32` and `f64`.
pub trait CpuReal: sealed::Sealed {}
impl CpuReal for f32 {}
impl CpuReal for f64 {}

mod sealed {
    /// What the public bound stands for inside.
    #[expect(
        private_bounds,
        reason = "the two types are closed; their kernels are nobody else's business"
    )]
    pub trait Sealed: super::Multiply {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
}

/// The CPU as a device. Results are the same bits for the same inputs, whatever the number of threads.
#[derive(Debug)]
pub struct Cpu<T: CpuReal> {
    threads: rayon::ThreadPool,
    pool: Arc<Pool<T>>,
    packed: Mutex<Vec<T>>,
}

/// Threads that a device has at most. More than one per core only wait for each other.
fn most_threads() -> usize {
    4 * std::thread::available_parallelism().map_or(1, usize::from)
}

impl<T: CpuReal> Cpu<T> {
    /// A device of its own threads, at most four per core; 0 means one per core.
    ///
    /// # Errors
    /// [`DeviceError::Threads`] when the system refuses them.
    pub fn new(threads: usize) -> Result<Self> {
        let threads = rayon::ThreadPoolBuilder::new()
            .num_threads(threads.min(most_threads()))
            .build()
            .map_err(|e| DeviceError::Threads {
                threads,
                reason: e.to_string(),
            })?;
        Ok(Cpu {
            threads,
            pool: Arc::default(),
            packed: Mutex::default(),
        })
    }

    /// Number of threads.
    pub fn threads(&self) -> usize {
        self.threads.current_num_threads()
    }

    /// The most bytes of activations held at once since [`Cpu::reset_peak`].
    pub fn peak_bytes(&self) -> usize {
        self.pool.peak() * size_of::<T>()
    }

    /// Frees unused buffers and starts measuring the peak anew.
    pub fn reset_peak(&self) {
        self.pool.clear();
        self.pool.reset_peak();
    }

    fn matrix(&self, rows: usize, columns: usize) -> CpuMatrix<T> {
        self.pool.matrix(rows, columns)
    }

    fn run<R: Send>(&self, f: impl FnOnce() -> R + Send) -> R {
        self.threads.install(f)
    }

    /// `A B + bias + residual` into a new matrix.
    fn product(
        &self,
        m: usize,
        n: usize,
        k: usize,
        a: Operand<T>,
        b: Operand<T>,
        epilogue: Epilogue<T>,
    ) -> CpuMatrix<T> {
        let mut y = self.matrix(m, n);
        // A thread that died while packing left nothing that the next product would read.
        let mut guard = self.packed.lock().unwrap_or_else(PoisonError::into_inner);
        let packed = &mut *guard;
        self.run(|| gemm::product((m, n, k), a, b, &mut y.values, epilogue, packed));
        y
    }
}

/// A weight matrix in its checkpoint's own dtype, not copied.
#[derive(Clone, Debug)]
pub struct CpuWeight {
    tensor: Tensor,
    rows: usize,
    columns: usize,
}

impl CpuWeight {
    /// The weight as an `[out, in]` operand.
    fn operand<T: Multiply>(&self) -> Operand<'_, T> {
        let bytes = self.tensor.bytes();
        let elements = match self.tensor.dtype {
            Dtype::F16 => Elements::F16(bytes),
            Dtype::Bf16 => Elements::Bf16(bytes),
            Dtype::F32 => Elements::F32(bytes),
        };
        Operand {
            elements,
            stride: self.columns,
            transposed: false,
        }
    }
}

fn same_shape<T: CpuReal>(
    operation: &'static str,
    expected: (usize, usize),
    found: &CpuMatrix<T>,
) -> Result<()> {
    expect(
        found.shape() == expected,
        operation,
        || format!("{expected:?}"),
        || format!("{:?}", found.shape()),
    )
}

impl<T: CpuReal> Device for Cpu<T> {
    type Host = T;
    type Matrix = CpuMatrix<T>;
    type Weight = CpuWeight;
    type Pictures = CpuPictures<T>;
    type Batch = CpuBatch;
    type Gradients = Vec<Vec<f64>>;
    type Weights = Vec<f64>;
    type Values = Vec<f64>;
    type Logits = CpuMatrix<T>;
    type Recording<R: Send + Sync> = Option<R>;

    fn name(&self) -> String {
        "cpu".to_string()
    }

    fn dtype(&self) -> &'static str {
        if size_of::<T>() == 4 { "f32" } else { "f64" }
    }

    fn element_bytes(&self) -> usize {
        size_of::<T>()
    }

    fn useful_rows(&self) -> usize {
        1024
    }

    fn scratch_bytes(&self, rows: usize, columns: usize) -> usize {
        // The packed left operand of a product, and what each thread keeps for blocks and for attention.
        (rows.next_multiple_of(16) * columns + self.threads() * (1 << 20)) * size_of::<T>()
    }

    fn memory_budget(&self) -> usize {
        4 << 30
    }

    fn limit_memory(&self, bytes: usize) {
        self.pool.limit(bytes / size_of::<T>());
    }

    fn upload(&self, rows: usize, columns: usize, values: &[T]) -> Result<CpuMatrix<T>> {
        contract::upload(rows, columns, values.len())?;
        let mut x = self.matrix(rows, columns);
        x.values.copy_from_slice(values);
        Ok(x)
    }

    fn download(&self, x: &CpuMatrix<T>) -> Result<Vec<T>> {
        Ok(x.values.clone())
    }

    fn weight(&self, tensor: &Tensor) -> Result<CpuWeight> {
        let (rows, columns) = contract::weight(tensor)?;
        Ok(CpuWeight {
            tensor: tensor.clone(),
            rows,
            columns,
        })
    }

    fn is_finite(&self, x: &CpuMatrix<T>) -> Result<bool> {
        Ok(x.values.iter().all(|v| v.is_finite()))
    }

    fn pictures(
        &self,
        views: &[ViewPair],
        patch: usize,
        mask_size: usize,
    ) -> Result<CpuPictures<T>> {
        CpuPictures::new(views, patch, mask_size)
    }

    fn replay<W, R, E>(
        &self,
        recording: &mut Option<W>,
        mut work: impl FnMut() -> std::result::Result<W, E>,
        read: impl FnOnce(&W) -> std::result::Result<R, E>,
    ) -> std::result::Result<R, E>
    where
        W: Send + Sync,
        E: From<DeviceError>,
    {
        // The results of the last time go first: their memory serves this time.
        *recording = None;
        read(recording.insert(work()?))
    }

    fn stage(&self, pictures: &CpuPictures<T>, masks: Masks, blends: &[Blend]) -> Result<CpuBatch> {
        pictures.check(masks, blends)?;
        Ok(CpuBatch::new(masks, blends))
    }

    fn restage(
        &self,
        pictures: &CpuPictures<T>,
        batch: &mut CpuBatch,
        masks: Masks,
        blends: &[Blend],
    ) -> Result<()> {
        let next = self.stage(pictures, masks, blends)?;
        contract::restage(batch.size(), next.size())?;
        *batch = next;
        Ok(())
    }

    fn blend(&self, pictures: &CpuPictures<T>, batch: &CpuBatch) -> Result<CpuMatrix<T>> {
        let (masks, blends) = batch.parts();
        pictures.check(masks, blends)?;
        let (rows, columns) = (blends.len() * pictures.patches(), pictures.columns());
        let mut y = self.matrix(rows, columns);
        self.run(|| pictures.blend(masks, blends, &mut y.values));
        Ok(y)
    }

    fn gradients(&self, pictures: &CpuPictures<T>, masks: usize) -> Result<Vec<Vec<f64>>> {
        Ok(vec![vec![0.0; pictures.cells()]; masks])
    }

    fn clear(&self, gradients: &mut Vec<Vec<f64>>) -> Result<()> {
        gradients.iter_mut().for_each(|g| g.fill(0.0));
        Ok(())
    }

    fn blend_vjp(
        &self,
        pictures: &CpuPictures<T>,
        batch: &CpuBatch,
        dy: &CpuMatrix<T>,
        gradients: &mut Vec<Vec<f64>>,
    ) -> Result<()> {
        let (masks, blends) = batch.parts();
        pictures.check(masks, blends)?;
        same_shape(
            "blend_vjp",
            (blends.len() * pictures.patches(), pictures.columns()),
            dy,
        )?;
        pictures.check_gradients(masks, gradients)?;
        self.run(|| pictures.blend_vjp(masks, blends, &dy.values, gradients));
        Ok(())
    }

    fn read_gradients(&self, gradients: &Vec<Vec<f64>>) -> Result<Vec<Vec<f64>>> {
        Ok(gradients.clone())
    }

    fn linear(
        &self,
        x: &CpuMatrix<T>,
        weight: &CpuWeight,
        bias: Option<&CpuMatrix<T>>,
        residual: Option<&CpuMatrix<T>>,
    ) -> Result<CpuMatrix<T>> {
        same_shape("linear", (x.rows(), weight.columns), x)?;
        bias.map_or(Ok(()), |b| same_shape("linear: bias", (1, weight.rows), b))?;
        residual.map_or(Ok(()), |r| {
            same_shape("linear: residual", (x.rows(), weight.rows), r)
        })?;
        let epilogue = Epilogue {
            bias: bias.map(|b| &b.values[..]),
            residual: residual.map(|r| &r.values[..]),
        };
        let a = Operand::rows(&x.values, weight.columns);
        Ok(self.product(
            x.rows(),
            weight.rows,
            weight.columns,
            a,
            weight.operand().transposed(),
            epilogue,
        ))
    }

    fn linear_vjp(
        &self,
        dy: &CpuMatrix<T>,
        weight: &CpuWeight,
        onto: Option<&CpuMatrix<T>>,
    ) -> Result<CpuMatrix<T>> {
        same_shape("linear_vjp", (dy.rows(), weight.rows), dy)?;
        onto.map_or(Ok(()), |o| {
            same_shape("linear_vjp: onto", (dy.rows(), weight.columns), o)
        })?;
        let epilogue = Epilogue {
            bias: None,
            residual: onto.map(|o| &o.values[..]),
        };
        let a = Operand::rows(&dy.values, weight.rows);
        Ok(self.product(
            dy.rows(),
            weight.columns,
            weight.rows,
            a,
            weight.operand(),
            epilogue,
        ))
    }

    fn rope(
        &self,
        x: &mut CpuMatrix<T>,
        head_dim: usize,
        frequencies: &[f64],
        positions: &[usize],
        inverse: bool,
    ) -> Result<()> {
        let columns = x.columns();
        contract::rope(x.shape(), head_dim, frequencies, positions)?;
        self.run(|| {
            rows::rope(
                &mut x.values,
                columns,
                head_dim,
                frequencies,
                positions,
                inverse,
            )
        });
        Ok(())
    }

    fn attention(
        &self,
        shape: &AttentionShape,
        q: &CpuMatrix<T>,
        k: &CpuMatrix<T>,
        v: &CpuMatrix<T>,
        prefix: Option<(&CpuMatrix<T>, &CpuMatrix<T>)>,
    ) -> Result<(CpuMatrix<T>, CpuMatrix<T>)> {
        let inputs = attention::Inputs::new(shape, q, k, v, prefix)?;
        let mut out = self.matrix(q.rows(), q.columns());
        let mut lse = self.matrix(q.rows(), shape.heads);
        let forward = if shape.is_window() {
            window::forward
        } else {
            attention::forward
        };
        self.run(|| forward(&inputs, &mut out.values, &mut lse.values));
        Ok((out, lse))
    }

    fn attention_vjp(
        &self,
        shape: &AttentionShape,
        q: &CpuMatrix<T>,
        k: &CpuMatrix<T>,
        v: &CpuMatrix<T>,
        prefix: Option<(&CpuMatrix<T>, &CpuMatrix<T>)>,
        out: &CpuMatrix<T>,
        lse: &CpuMatrix<T>,
        dy: &CpuMatrix<T>,
    ) -> Result<(CpuMatrix<T>, CpuMatrix<T>, CpuMatrix<T>)> {
        let inputs = attention::Inputs::new(shape, q, k, v, prefix)?;
        same_shape("attention_vjp: out", q.shape(), out)?;
        same_shape("attention_vjp: dy", q.shape(), dy)?;
        same_shape("attention_vjp: lse", (q.rows(), shape.heads), lse)?;
        let (mut dq, mut dk, mut dv) = (
            self.matrix(q.rows(), q.columns()),
            self.matrix(k.rows(), k.columns()),
            self.matrix(v.rows(), v.columns()),
        );
        let saved = attention::Saved {
            out: &out.values,
            lse: &lse.values,
        };
        let vjp = if shape.is_window() {
            window::vjp
        } else {
            attention::vjp
        };
        self.run(|| {
            vjp(
                &inputs,
                &saved,
                &dy.values,
                &mut dq.values,
                &mut dk.values,
                &mut dv.values,
            )
        });
        Ok((dq, dk, dv))
    }

    fn layer_norm(
        &self,
        x: &CpuMatrix<T>,
        gain: &CpuMatrix<T>,
        bias: &CpuMatrix<T>,
        eps: f64,
    ) -> Result<(CpuMatrix<T>, CpuMatrix<T>)> {
        same_shape("layer_norm: gain", (1, x.columns()), gain)?;
        same_shape("layer_norm: bias", (1, x.columns()), bias)?;
        let (mut y, mut statistics) =
            (self.matrix(x.rows(), x.columns()), self.matrix(x.rows(), 2));
        self.run(|| {
            norm::layer(
                &x.values,
                &gain.values,
                &bias.values,
                eps,
                &mut y.values,
                &mut statistics.values,
            )
        });
        Ok((y, statistics))
    }

    fn layer_norm_vjp(
        &self,
        x: &CpuMatrix<T>,
        statistics: &CpuMatrix<T>,
        gain: &CpuMatrix<T>,
        dy: &CpuMatrix<T>,
        onto: Option<&CpuMatrix<T>>,
    ) -> Result<CpuMatrix<T>> {
        same_shape("layer_norm_vjp: gain", (1, x.columns()), gain)?;
        same_shape("layer_norm_vjp: statistics", (x.rows(), 2), statistics)?;
        same_shape("layer_norm_vjp: dy", x.shape(), dy)?;
        onto.map_or(Ok(()), |o| same_shape("layer_norm_vjp: onto", x.shape(), o))?;
        let mut dx = self.matrix(x.rows(), x.columns());
        let onto = onto.map(|o| &o.values[..]);
        self.run(|| {
            norm::layer_vjp(
                &x.values,
                &statistics.values,
                &gain.values,
                &dy.values,
                onto,
                &mut dx.values,
            )
        });
        Ok(dx)
    }

    fn rms_norm(
        &self,
        x: &CpuMatrix<T>,
        gain: &CpuMatrix<T>,
        eps: f64,
    ) -> Result<(CpuMatrix<T>, CpuMatrix<T>)> {
        same_shape("rms_norm: gain", (1, x.columns()), gain)?;
        let (mut y, mut statistics) =
            (self.matrix(x.rows(), x.columns()), self.matrix(x.rows(), 1));
        self.run(|| {
            norm::rms(
                &x.values,
                &gain.values,
                eps,
                &mut y.values,
                &mut statistics.values,
            )
        });
        Ok((y, statistics))
    }

    fn rms_norm_vjp(
        &self,
        x: &CpuMatrix<T>,
        statistics: &CpuMatrix<T>,
        gain: &CpuMatrix<T>,
        dy: &CpuMatrix<T>,
        onto: Option<&CpuMatrix<T>>,
    ) -> Result<CpuMatrix<T>> {
        same_shape("rms_norm_vjp: gain", (1, x.columns()), gain)?;
        same_shape("rms_norm_vjp: statistics", (x.rows(), 1), statistics)?;
        same_shape("rms_norm_vjp: dy", x.shape(), dy)?;
        onto.map_or(Ok(()), |o| same_shape("rms_norm_vjp: onto", x.shape(), o))?;
        let mut dx = self.matrix(x.rows(), x.columns());
        let onto = onto.map(|o| &o.values[..]);
        self.run(|| {
            norm::rms_vjp(
                &x.values,
                &statistics.values,
                &gain.values,
                &dy.values,
                onto,
                &mut dx.values,
            )
        });
        Ok(dx)
    }

    fn activation(&self, kind: Activation, x: &CpuMatrix<T>) -> Result<CpuMatrix<T>> {
        let mut y = self.matrix(x.rows(), x.columns());
        self.run(|| activation::forward(kind, &x.values, &mut y.values));
        Ok(y)
    }

    fn activation_vjp(
        &self,
        kind: Activation,
        x: &CpuMatrix<T>,
        mut dy: CpuMatrix<T>,
    ) -> Result<CpuMatrix<T>> {
        same_shape("activation_vjp", x.shape(), &dy)?;
        self.run(|| activation::vjp(kind, &x.values, &mut dy.values));
        Ok(dy)
    }

    fn gate(
        &self,
        kind: Activation,
        gate: &CpuMatrix<T>,
        up: &CpuMatrix<T>,
    ) -> Result<CpuMatrix<T>> {
        same_shape("gate", gate.shape(), up)?;
        let mut y = self.matrix(up.rows(), up.columns());
        self.run(|| activation::gate(kind, &gate.values, &up.values, &mut y.values));
        Ok(y)
    }

    fn gate_vjp(
        &self,
        kind: Activation,
        gate: &CpuMatrix<T>,
        up: &CpuMatrix<T>,
        mut dy: CpuMatrix<T>,
    ) -> Result<(CpuMatrix<T>, CpuMatrix<T>)> {
        same_shape("gate_vjp: up", gate.shape(), up)?;
        same_shape("gate_vjp: dy", gate.shape(), &dy)?;
        let mut d_gate = self.matrix(up.rows(), up.columns());
        self.run(|| {
            activation::gate_vjp(
                kind,
                &gate.values,
                &up.values,
                &mut dy.values,
                &mut d_gate.values,
            )
        });
        Ok((d_gate, dy))
    }

    fn gather(&self, weight: &CpuWeight, ids: &[u32]) -> Result<CpuMatrix<T>> {
        contract::gather(weight.rows, ids)?;
        let mut y = self.matrix(ids.len(), weight.columns);
        for (&id, out) in ids.iter().zip(y.values.chunks_mut(weight.columns.max(1))) {
            weight
                .operand::<T>()
                .read(id as usize * weight.columns, out);
        }
        Ok(y)
    }

    fn write_rows(&self, target: &mut CpuMatrix<T>, at: usize, x: &CpuMatrix<T>) -> Result<()> {
        let columns = target.columns();
        contract::write_rows(target.shape(), at, x.shape())?;
        target.values[at * columns..(at + x.rows()) * columns].copy_from_slice(&x.values);
        Ok(())
    }

    fn mix_rows(
        &self,
        x: &CpuMatrix<T>,
        map: &RowMap,
        constant: Option<&CpuMatrix<T>>,
    ) -> Result<CpuMatrix<T>> {
        let batch = x.rows().checked_div(map.inputs()).unwrap_or(0);
        same_shape("mix_rows", (batch * map.inputs(), x.columns()), x)?;
        constant.map_or(Ok(()), |c| {
            same_shape("mix_rows: constant", (map.outputs(), x.columns()), c)
        })?;
        let mut y = self.matrix(batch * map.outputs(), x.columns());
        let columns = x.columns();
        let start = constant.map_or(rows::Start::Zero, |c| rows::Start::Repeated(&c.values));
        self.run(|| {
            rows::mix(
                &x.values,
                map.inputs(),
                map.forward(),
                columns,
                start,
                &mut y.values,
            )
        });
        Ok(y)
    }

    fn mix_rows_vjp(
        &self,
        dy: &CpuMatrix<T>,
        map: &RowMap,
        onto: Option<&CpuMatrix<T>>,
    ) -> Result<CpuMatrix<T>> {
        let batch = dy.rows().checked_div(map.outputs()).unwrap_or(0);
        same_shape("mix_rows_vjp", (batch * map.outputs(), dy.columns()), dy)?;
        onto.map_or(Ok(()), |o| {
            same_shape(
                "mix_rows_vjp: onto",
                (batch * map.inputs(), dy.columns()),
                o,
            )
        })?;
        let mut dx = self.matrix(batch * map.inputs(), dy.columns());
        let columns = dy.columns();
        let start = onto.map_or(rows::Start::Zero, |o| rows::Start::Whole(&o.values));
        self.run(|| {
            rows::mix(
                &dy.values,
                map.outputs(),
                map.backward(),
                columns,
                start,
                &mut dx.values,
            )
        });
        Ok(dx)
    }

    fn reshape(&self, x: CpuMatrix<T>, columns: usize) -> Result<CpuMatrix<T>> {
        let rows = contract::reshape(x.shape(), columns)?;
        Ok(x.reshaped(rows, columns))
    }

    fn add(&self, a: &CpuMatrix<T>, b: &CpuMatrix<T>) -> Result<CpuMatrix<T>> {
        same_shape("add", a.shape(), b)?;
        let mut y = self.matrix(a.rows(), a.columns());
        self.run(|| columns::scale(&a.values, None, Some(&b.values), a.columns(), &mut y.values));
        Ok(y)
    }

    fn scale_columns(
        &self,
        x: &CpuMatrix<T>,
        gain: &CpuMatrix<T>,
        onto: Option<&CpuMatrix<T>>,
    ) -> Result<CpuMatrix<T>> {
        same_shape("scale_columns: gain", (1, x.columns()), gain)?;
        onto.map_or(Ok(()), |o| same_shape("scale_columns: onto", x.shape(), o))?;
        let mut y = self.matrix(x.rows(), x.columns());
        let (gain, onto) = (Some(&gain.values[..]), onto.map(|o| &o.values[..]));
        self.run(|| columns::scale(&x.values, gain, onto, x.columns(), &mut y.values));
        Ok(y)
    }

    fn join_columns(&self, parts: &[&CpuMatrix<T>]) -> Result<CpuMatrix<T>> {
        let (rows, width) = contract::join_columns(parts.iter().map(|part| part.shape()))?;
        let parts: Vec<(&[T], usize)> = parts
            .iter()
            .map(|part| (&part.values[..], part.columns()))
            .collect();
        let mut y = self.matrix(rows, width);
        self.run(|| columns::join(&parts, width, &mut y.values));
        Ok(y)
    }

    fn take_columns(&self, x: &CpuMatrix<T>, from: usize, count: usize) -> Result<CpuMatrix<T>> {
        contract::take_columns(x.shape(), from, count)?;
        let mut y = self.matrix(x.rows(), count);
        self.run(|| columns::take(&x.values, x.columns(), from, count, &mut y.values));
        Ok(y)
    }

    fn depthwise(
        &self,
        x: &CpuMatrix<T>,
        kernel: &CpuMatrix<T>,
        bias: &CpuMatrix<T>,
        shape: DepthwiseShape,
    ) -> Result<CpuMatrix<T>> {
        contract::depthwise(x.shape(), kernel.shape(), Some(bias.shape()), shape)?;
        let mut y = self.matrix(x.rows(), x.columns());
        let inputs = depthwise::Inputs {
            shape,
            channels: x.columns(),
            x: &x.values,
            kernel: &kernel.values,
            bias: Some(&bias.values),
            onto: None,
            flipped: false,
        };
        self.run(|| depthwise::convolve(&inputs, &mut y.values));
        Ok(y)
    }

    fn depthwise_vjp(
        &self,
        dy: &CpuMatrix<T>,
        kernel: &CpuMatrix<T>,
        shape: DepthwiseShape,
        onto: Option<&CpuMatrix<T>>,
    ) -> Result<CpuMatrix<T>> {
        contract::depthwise(dy.shape(), kernel.shape(), None, shape)?;
        onto.map_or(Ok(()), |o| same_shape("depthwise_vjp: onto", dy.shape(), o))?;
        let mut dx = self.matrix(dy.rows(), dy.columns());
        let inputs = depthwise::Inputs {
            shape,
            channels: dy.columns(),
            x: &dy.values,
            kernel: &kernel.values,
            bias: None,
            onto: onto.map(|o| &o.values[..]),
            flipped: true,
        };
        self.run(|| depthwise::convolve(&inputs, &mut dx.values));
        Ok(dx)
    }

    fn weigh(&self, weights: &[f64]) -> Result<Vec<f64>> {
        Ok(weights.to_vec())
    }

    fn reweigh(&self, place: &mut Vec<f64>, weights: &[f64]) -> Result<()> {
        contract::reweigh(place.len(), weights.len())?;
        place.copy_from_slice(weights);
        Ok(())
    }

    fn values(&self, values: &Vec<f64>) -> Result<Vec<f64>> {
        Ok(values.clone())
    }

    fn log_probability(
        &self,
        x: &CpuMatrix<T>,
        head: &CpuWeight,
        targets: &[u32],
    ) -> Result<(Vec<f64>, CpuMatrix<T>)> {
        contract::targets(x.rows(), head.rows, targets)?;
        let logits = self.linear(x, head, None, None)?;
        let values = self.run(|| logprob::forward(&logits.values, head.rows, targets));
        Ok((values, logits))
    }

    fn log_probability_vjp(
        &self,
        mut logits: CpuMatrix<T>,
        head: &CpuWeight,
        targets: &[u32],
        weights: &Vec<f64>,
    ) -> Result<CpuMatrix<T>> {
        contract::targets(logits.rows(), head.rows, targets)?;
        same_shape("log_probability_vjp", (targets.len(), head.rows), &logits)?;
        contract::weights(targets.len(), weights.len())?;
        self.run(|| logprob::vjp(&mut logits.values, head.rows, targets, weights));
        self.linear_vjp(&logits, head, None)
    }
}
