//! The CUDA device: every operation as hand-written kernels (`kernels/`) on one NVIDIA GPU.
//!
//! Activations and weights are stored as bf16 or f16, sums are f32. The same inputs give the same
//! bits on the same GPU, whatever the batch: no operation uses floating-point atomics or splits a
//! sum by the number of rows.

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
mod interface;
mod kernels;
mod logprob;
mod memory;
mod norm;
mod pool;
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

use super::{Device, DeviceError, DeviceProfile, Result};

pub use blend::{CudaBatch, CudaGradients, CudaPictures};
pub use cublaslt::{CublasLtInfo, info as cublaslt};
use error::During;
use gpu::Gpu;
pub use logprob::{CudaLogits, CudaValues, CudaWeights};
use memory::Weights;
pub use memory::{CudaMatrix, CudaStatistics, CudaWeight, Storage};
pub use probe::{GpuInfo, gpus, has_machine_code};
#[cfg(feature = "cli")]
pub(crate) use rates::{Copies, Products};
pub use recording::CudaRecording;
pub use route::GemmBackend;
use route::Routes;

/// Returns the budget for activations if `free` bytes are free: four fifths, the rest being for
/// tables, the driver, and sizes that are rounded up.
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
    /// Opens GPU `ordinal`, with activations and weights stored as `storage`.
    ///
    /// # Errors
    /// [`DeviceError::Unavailable`] if the GPU does not exist or cannot be used, and errors of the
    /// driver.
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

    /// Sets whether repeated work is recorded as CUDA graphs; the default is true. The bits of the
    /// results are the same.
    #[must_use]
    pub fn with_graphs(mut self, graphs: bool) -> Cuda {
        self.graphs = graphs;
        self
    }

    /// Returns the storage type of activations.
    pub fn storage(&self) -> Storage {
        self.storage
    }

    /// Returns the peak of the bytes of device memory held, weights included.
    pub fn peak_bytes(&self) -> usize {
        self.gpu.pool.peak()
    }

    /// Returns the GPU's free and total memory in bytes.
    ///
    /// # Errors
    /// The error that the driver reports.
    pub fn memory(&self) -> Result<(usize, usize)> {
        self.gpu
            .context
            .mem_get_info()
            .during(|| "asking for the free memory".into())
    }

    /// Waits until all submitted work is done.
    ///
    /// # Errors
    /// The error that the driver reports, including errors of work submitted earlier.
    pub fn synchronize(&self) -> Result<()> {
        self.gpu.synchronize(|| "waiting for the GPU".into())
    }

    /// Launches kernel `name` of `file` for the device's storage type.
    ///
    /// # Safety
    /// As for [`Gpu::launch`].
    unsafe fn launch<A: DeviceRepr>(
        &self,
        file: &'static str,
        name: &str,
        grid: (usize, usize, usize),
        threads: usize,
        shared: usize,
        arguments: &A,
    ) -> Result<()> {
        let name = format!("{name}_{}", self.storage);
        // SAFETY: guaranteed by the caller.
        unsafe {
            self.gpu
                .launch((file, &name), grid, threads, shared, arguments)
        }
    }

    /// Converts a size to the kernels' 32-bit number.
    fn number(&self, size: usize) -> Result<i32> {
        i32::try_from(size).map_err(|_| DeviceError::Unsupported {
            operation: "kernels",
            expected: "sizes below 2^31".into(),
            found: size.to_string(),
        })
    }
}

impl Device for Cuda {
    type Recording<T: Send + Sync> = CudaRecording<T>;

    fn name(&self) -> String {
        format!("cuda:{}", self.ordinal)
    }

    fn dtype(&self) -> &'static str {
        self.storage.name()
    }

    fn useful_rows(&self) -> usize {
        DeviceProfile::CUDA.useful_rows
    }

    /// Returns 2^10 for f16, which loses gradients below 6e-8: this keeps them far from both ends
    /// of its range.
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
}
