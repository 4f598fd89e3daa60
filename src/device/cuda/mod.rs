//! The CUDA device: every operation as hand-written kernels (`kernels/`) on one NVIDIA GPU.
//!
//! Activations and weights are stored as bf16 or f16, sums are f32. Results are the same bits for the same inputs on the same
//! GPU, whatever the batch: no operation uses floating-point atomics or splits a sum by the number of rows.

mod activation;
mod attention;
mod blend;
mod columns;
mod constants;
mod cublaslt;
mod depthwise;
mod error;
mod gemm;
mod gpu;
mod kernels;
mod logprob;
mod matrix;
mod memory;
mod norm;
mod probe;
#[cfg(feature = "cli")]
mod rates;
mod recording;
mod route;
mod rows;
mod staging;
mod window;

use std::sync::{Arc, Mutex};

use cudarc::driver::{DeviceRepr, sys};

use super::error::expect;
use super::{
    Activation, AttentionShape, Blend, DepthwiseShape, Device, DeviceError, Masks, Result, RowMap,
    ViewPair,
};
use crate::checkpoint::Tensor;

pub use blend::{CudaBatch, CudaGradients, CudaPictures};
pub use cublaslt::version as cublaslt_version;
use error::During;
use gpu::Gpu;
pub use logprob::{CudaLogits, CudaValues, CudaWeights};
pub use matrix::{CudaMatrix, CudaWeight, Storage};
use matrix::{Element, Weights};
use norm::VjpInputs;
pub use probe::{GpuInfo, gpus, has_machine_code};
#[cfg(feature = "cli")]
pub(crate) use rates::{Copies, Products};
pub use recording::CudaRecording;
pub use route::Gemm;
use route::Routes;
use rows::Start;

/// Rows of activations beyond which a larger batch is no faster.
pub(crate) const USEFUL_ROWS: usize = 1 << 16;
/// Bytes of tables, staged batches, and f32 logits of a chunk of the vocabulary.
pub(crate) const SCRATCH: usize = 8 << 20;

/// The budget for activations where `free` bytes are: four fifths, for tables, the driver, and sizes that are rounded up.
pub(crate) fn budget(free: usize) -> usize {
    free / 5 * 4
}

/// One GPU as a device.
pub struct Cuda {
    gpu: Arc<Gpu>,
    ordinal: usize,
    storage: Storage,
    multiprocessors: usize,
    weights: Mutex<Weights>,
    graphs: bool,
    routes: Routes,
}

impl Cuda {
    /// GPU `ordinal`, with activations and weights stored as `storage`.
    ///
    /// # Errors
    /// [`DeviceError::Unavailable`] when there is no such GPU or it cannot be used; what the driver reports.
    pub fn new(ordinal: usize, storage: Storage) -> Result<Cuda> {
        let gpu = Arc::new(Gpu::open(ordinal)?);
        let attribute = sys::CUdevice_attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT;
        let multiprocessors = gpu
            .context
            .attribute(attribute)
            .during(|| "asking for the number of multiprocessors".into())?;
        Ok(Cuda {
            gpu,
            ordinal,
            storage,
            multiprocessors: usize::try_from(multiprocessors).unwrap_or(1),
            weights: Mutex::default(),
            graphs: true,
            routes: Routes::default(),
        })
    }

    /// Whether repeated work is recorded as CUDA graphs, as it is by default. The bits of the results are the same.
    #[must_use]
    pub fn with_graphs(mut self, graphs: bool) -> Cuda {
        self.graphs = graphs;
        self
    }

    /// How activations and weights are stored.
    pub fn storage(&self) -> Storage {
        self.storage
    }

    /// The most bytes of device memory held at once, weights included.
    pub fn peak_bytes(&self) -> usize {
        self.gpu.pool.peak()
    }

    /// Bytes of memory free on the GPU, and in all.
    ///
    /// # Errors
    /// What the driver reports.
    pub fn memory(&self) -> Result<(usize, usize)> {
        self.gpu
            .context
            .mem_get_info()
            .during(|| "asking for the free memory".into())
    }

    /// Waits until all submitted work is done.
    ///
    /// # Errors
    /// What the driver reports, also of work submitted earlier.
    pub fn synchronize(&self) -> Result<()> {
        self.gpu.synchronize(|| "waiting for the GPU".into())
    }

    /// Launches kernel `name` of `file` for the device's storage type.
    ///
    /// # Safety
    /// As of [`Gpu::launch`].
    unsafe fn launch<A: DeviceRepr>(
        &self,
        file: &'static str,
        name: &str,
        grid: (usize, usize, usize),
        threads: u32,
        shared: usize,
        arguments: &A,
    ) -> Result<()> {
        let name = format!("{name}_{}", self.storage);
        // SAFETY: the caller's.
        unsafe {
            self.gpu
                .launch((file, &name), grid, threads, shared, arguments)
        }
    }

    /// A size as the kernels' 32-bit number.
    fn number(&self, size: usize) -> Result<i32> {
        i32::try_from(size).map_err(|_| DeviceError::Unsupported {
            operation: "kernels",
            expected: "sizes below 2^31".into(),
            found: size.to_string(),
        })
    }
}

/// A matrix of that shape, in the storage type.
fn same_shape(operation: &'static str, expected: (usize, usize), found: &CudaMatrix) -> Result<()> {
    same(operation, expected, Element::Stored, found)
}

/// A matrix of that shape, in that type.
fn same(
    operation: &'static str,
    shape: (usize, usize),
    element: Element,
    found: &CudaMatrix,
) -> Result<()> {
    expect(
        found.shape() == shape && found.element == element,
        operation,
        || format!("{shape:?} {element:?}"),
        || format!("{:?} {:?}", found.shape(), found.element),
    )
}

impl Device for Cuda {
    type Host = f32;
    type Matrix = CudaMatrix;
    type Weight = CudaWeight;
    type Pictures = CudaPictures;
    type Batch = CudaBatch;
    type Gradients = CudaGradients;
    type Weights = CudaWeights;
    type Values = CudaValues;
    type Logits = CudaLogits;
    type Recording<T: Send + Sync> = CudaRecording<T>;

    fn name(&self) -> String {
        format!("cuda:{}", self.ordinal)
    }

    fn dtype(&self) -> &'static str {
        self.storage.name()
    }

    fn element_bytes(&self) -> usize {
        2
    }

    fn useful_rows(&self) -> usize {
        USEFUL_ROWS
    }

    fn scratch_bytes(&self, _rows: usize, _columns: usize) -> usize {
        SCRATCH
    }

    fn memory_budget(&self) -> usize {
        let idle = self.gpu.pool.idle();
        self.memory()
            .map_or(4 << 30, |(free, _)| budget(free + idle))
    }

    fn limit_memory(&self, bytes: usize) {
        self.gpu.pool.limit(bytes);
    }

    fn upload(&self, rows: usize, columns: usize, values: &[f32]) -> Result<CudaMatrix> {
        self.gpu.upload(self.storage, rows, columns, values)
    }

    fn zeros(&self, rows: usize, columns: usize) -> Result<CudaMatrix> {
        let x = self.gpu.matrix(rows, columns, Element::Stored)?;
        self.gpu
            .zero(&x.buffer, x.count() * Element::Stored.bytes())?;
        Ok(x)
    }

    fn download(&self, x: &CudaMatrix) -> Result<Vec<f32>> {
        self.gpu.download(self.storage, x)
    }

    fn weight(&self, tensor: &Tensor) -> Result<CudaWeight> {
        self.gpu.weight(self.storage, &self.weights, tensor)
    }

    fn is_finite(&self, x: &CudaMatrix) -> Result<bool> {
        self.finite(x)
    }

    /// f16 loses gradients below 6e-8; 2^10 keeps them far from both of its ends.
    fn gradient_scale(&self) -> f64 {
        match self.storage {
            Storage::Bf16 => 1.0,
            Storage::F16 => 1024.0,
        }
    }

    fn prefers_one_shape(&self) -> bool {
        true
    }

    fn choices(&self) -> Vec<String> {
        self.ways()
    }

    fn replay<T, R, E>(
        &self,
        recording: &mut CudaRecording<T>,
        work: impl FnMut() -> std::result::Result<T, E>,
        read: impl FnOnce(&T) -> std::result::Result<R, E>,
    ) -> std::result::Result<R, E>
    where
        T: Send + Sync,
        E: From<DeviceError>,
    {
        self.gpu.replay(self.graphs, recording, work, read)
    }

    fn pictures(&self, views: &[ViewPair], patch: usize, mask_size: usize) -> Result<CudaPictures> {
        self.prepare(views, patch, mask_size)
    }

    fn stage(&self, pictures: &CudaPictures, masks: Masks, blends: &[Blend]) -> Result<CudaBatch> {
        self.stage_batch(pictures, masks, blends)
    }

    fn restage(
        &self,
        pictures: &CudaPictures,
        batch: &mut CudaBatch,
        masks: Masks,
        blends: &[Blend],
    ) -> Result<()> {
        self.restage_batch(pictures, batch, masks, blends)
    }

    fn blend(&self, pictures: &CudaPictures, batch: &CudaBatch) -> Result<CudaMatrix> {
        self.blend_patches(pictures, batch)
    }

    fn gradients(&self, pictures: &CudaPictures, masks: usize) -> Result<CudaGradients> {
        self.zero_gradients(pictures, masks)
    }

    fn clear(&self, gradients: &mut CudaGradients) -> Result<()> {
        self.clear_gradients(gradients)
    }

    fn blend_vjp(
        &self,
        pictures: &CudaPictures,
        batch: &CudaBatch,
        dy: &CudaMatrix,
        gradients: &mut CudaGradients,
    ) -> Result<()> {
        self.blend_gradient(pictures, batch, dy, gradients)
    }

    fn read_gradients(&self, gradients: &CudaGradients) -> Result<Vec<Vec<f64>>> {
        self.download_gradients(gradients)
    }

    fn linear(
        &self,
        x: &CudaMatrix,
        weight: &CudaWeight,
        bias: Option<&CudaMatrix>,
        residual: Option<&CudaMatrix>,
    ) -> Result<CudaMatrix> {
        self.affine(x, weight, bias, residual)
    }

    fn linear_vjp(
        &self,
        dy: &CudaMatrix,
        weight: &CudaWeight,
        onto: Option<&CudaMatrix>,
    ) -> Result<CudaMatrix> {
        self.affine_vjp(dy, weight, onto)
    }

    fn linear_activation(
        &self,
        kind: Activation,
        x: &CudaMatrix,
        weight: &CudaWeight,
        bias: Option<&CudaMatrix>,
    ) -> Result<(CudaMatrix, CudaMatrix)> {
        self.affine_activation(kind, x, weight, bias)
    }

    fn linear_vjp_activation(
        &self,
        kind: Activation,
        dy: &CudaMatrix,
        weight: &CudaWeight,
        h: &CudaMatrix,
    ) -> Result<CudaMatrix> {
        self.affine_vjp_activation(kind, dy, weight, h)
    }

    fn linear_gate(
        &self,
        kind: Activation,
        gate: &CudaMatrix,
        x: &CudaMatrix,
        weight: &CudaWeight,
        bias: Option<&CudaMatrix>,
    ) -> Result<(CudaMatrix, CudaMatrix)> {
        self.affine_gate(kind, gate, x, weight, bias)
    }

    fn linear_vjp_gate(
        &self,
        kind: Activation,
        dy: &CudaMatrix,
        weight: &CudaWeight,
        gate: &CudaMatrix,
        up: &CudaMatrix,
    ) -> Result<(CudaMatrix, CudaMatrix)> {
        self.affine_vjp_gate(kind, dy, weight, gate, up)
    }

    fn linear_rope(
        &self,
        x: &CudaMatrix,
        weight: &CudaWeight,
        bias: Option<&CudaMatrix>,
        head_dim: usize,
        frequencies: &[f64],
        positions: &[usize],
    ) -> Result<CudaMatrix> {
        self.affine_rope(x, weight, bias, head_dim, frequencies, positions)
    }

    fn rope(
        &self,
        x: &mut CudaMatrix,
        head_dim: usize,
        frequencies: &[f64],
        positions: &[usize],
        inverse: bool,
    ) -> Result<()> {
        self.turn(x, head_dim, frequencies, positions, inverse)
    }

    fn attention(
        &self,
        shape: &AttentionShape,
        q: &CudaMatrix,
        k: &CudaMatrix,
        v: &CudaMatrix,
        prefix: Option<(&CudaMatrix, &CudaMatrix)>,
    ) -> Result<(CudaMatrix, CudaMatrix)> {
        self.attend(shape, (q, k, v), prefix)
    }

    fn attention_vjp(
        &self,
        shape: &AttentionShape,
        q: &CudaMatrix,
        k: &CudaMatrix,
        v: &CudaMatrix,
        prefix: Option<(&CudaMatrix, &CudaMatrix)>,
        out: &CudaMatrix,
        lse: &CudaMatrix,
        dy: &CudaMatrix,
    ) -> Result<(CudaMatrix, CudaMatrix, CudaMatrix)> {
        self.attend_vjp(shape, (q, k, v), prefix, (out, lse, dy))
    }

    fn layer_norm(
        &self,
        x: &CudaMatrix,
        gain: &CudaMatrix,
        bias: &CudaMatrix,
        eps: f64,
    ) -> Result<(CudaMatrix, CudaMatrix)> {
        self.norm("layer_norm", x, gain, Some(bias), eps)
    }

    fn layer_norm_vjp(
        &self,
        x: &CudaMatrix,
        statistics: &CudaMatrix,
        gain: &CudaMatrix,
        dy: &CudaMatrix,
        onto: Option<&CudaMatrix>,
    ) -> Result<CudaMatrix> {
        let inputs = VjpInputs {
            x,
            statistics,
            gain,
            dy,
            onto,
        };
        self.norm_vjp("layer_norm_vjp", 2, &inputs)
    }

    fn rms_norm(
        &self,
        x: &CudaMatrix,
        gain: &CudaMatrix,
        eps: f64,
    ) -> Result<(CudaMatrix, CudaMatrix)> {
        self.norm("rms_norm", x, gain, None, eps)
    }

    fn rms_norm_vjp(
        &self,
        x: &CudaMatrix,
        statistics: &CudaMatrix,
        gain: &CudaMatrix,
        dy: &CudaMatrix,
        onto: Option<&CudaMatrix>,
    ) -> Result<CudaMatrix> {
        let inputs = VjpInputs {
            x,
            statistics,
            gain,
            dy,
            onto,
        };
        self.norm_vjp("rms_norm_vjp", 1, &inputs)
    }

    fn activation(&self, kind: Activation, x: &CudaMatrix) -> Result<CudaMatrix> {
        self.activate(kind, x)
    }

    fn activation_vjp(
        &self,
        kind: Activation,
        x: &CudaMatrix,
        dy: CudaMatrix,
    ) -> Result<CudaMatrix> {
        self.activate_vjp(kind, x, dy)
    }

    fn gate(&self, kind: Activation, gate: &CudaMatrix, up: &CudaMatrix) -> Result<CudaMatrix> {
        self.multiply_gate(kind, gate, up)
    }

    fn gate_vjp(
        &self,
        kind: Activation,
        gate: &CudaMatrix,
        up: &CudaMatrix,
        dy: CudaMatrix,
    ) -> Result<(CudaMatrix, CudaMatrix)> {
        self.multiply_gate_vjp(kind, gate, up, dy)
    }

    fn gather(&self, weight: &CudaWeight, ids: &[u32]) -> Result<CudaMatrix> {
        self.gather_rows(weight, ids)
    }

    fn write_rows(&self, target: &mut CudaMatrix, at: usize, x: &CudaMatrix) -> Result<()> {
        self.write_at(target, at, x)
    }

    fn mix_rows(
        &self,
        x: &CudaMatrix,
        map: &RowMap,
        constant: Option<&CudaMatrix>,
    ) -> Result<CudaMatrix> {
        let start = Start::Repeated(constant);
        self.mix("mix_rows", x, map.inputs(), map.forward(), start)
    }

    fn mix_rows_vjp(
        &self,
        dy: &CudaMatrix,
        map: &RowMap,
        onto: Option<&CudaMatrix>,
    ) -> Result<CudaMatrix> {
        let start = Start::Whole(onto);
        self.mix("mix_rows_vjp", dy, map.outputs(), map.backward(), start)
    }

    fn reshape(&self, x: CudaMatrix, columns: usize) -> Result<CudaMatrix> {
        self.reshaped(x, columns)
    }

    fn add(&self, a: &CudaMatrix, b: &CudaMatrix) -> Result<CudaMatrix> {
        self.scale("add", a, None, Some(b))
    }

    fn scale_columns(
        &self,
        x: &CudaMatrix,
        gain: &CudaMatrix,
        onto: Option<&CudaMatrix>,
    ) -> Result<CudaMatrix> {
        self.scale("scale_columns", x, Some(gain), onto)
    }

    fn join_columns(&self, parts: &[&CudaMatrix]) -> Result<CudaMatrix> {
        self.join(parts)
    }

    fn take_columns(&self, x: &CudaMatrix, from: usize, count: usize) -> Result<CudaMatrix> {
        self.take(x, from, count)
    }

    fn depthwise(
        &self,
        x: &CudaMatrix,
        kernel: &CudaMatrix,
        bias: &CudaMatrix,
        shape: DepthwiseShape,
    ) -> Result<CudaMatrix> {
        self.convolve(x, kernel, Some(bias), None, shape, false)
    }

    fn depthwise_vjp(
        &self,
        dy: &CudaMatrix,
        kernel: &CudaMatrix,
        shape: DepthwiseShape,
        onto: Option<&CudaMatrix>,
    ) -> Result<CudaMatrix> {
        self.convolve(dy, kernel, None, onto, shape, true)
    }

    fn weigh(&self, weights: &[f64]) -> Result<CudaWeights> {
        self.stage_weights(weights)
    }

    fn reweigh(&self, place: &mut CudaWeights, weights: &[f64]) -> Result<()> {
        self.restage_weights(place, weights)
    }

    fn log_probability(
        &self,
        x: &CudaMatrix,
        head: &CudaWeight,
        targets: &[u32],
    ) -> Result<(CudaValues, CudaLogits)> {
        self.score(x, head, targets)
    }

    fn values(&self, values: &CudaValues) -> Result<Vec<f64>> {
        self.download_values(values)
    }

    fn log_probability_vjp(
        &self,
        logits: CudaLogits,
        head: &CudaWeight,
        targets: &[u32],
        weights: &CudaWeights,
    ) -> Result<CudaMatrix> {
        self.score_vjp(&logits, head, targets, weights)
    }

    fn logits(&self, x: &CudaMatrix, head: &CudaWeight) -> Result<Vec<f32>> {
        self.all_logits(x, head)
    }
}
