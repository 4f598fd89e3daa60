//! The CPU device: every operation in plain Rust on all cores, in `f32` for normal use or `f64` as
//! a reference.

mod activation;
mod attention;
mod blend;
mod columns;
mod depthwise;
mod gemm;
mod logprob;
mod memory;
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

use std::sync::{Arc, Mutex};

use super::{Device, DeviceError, Result};

pub use blend::{CpuBatch, CpuPictures};
pub use logprob::CpuWeights;
use memory::Pool;
pub use memory::{CpuMatrix, CpuWeight};
use microkernel::Multiply;

/// The types that the CPU device computes in: `f32` and `f64`.
pub trait CpuReal: sealed::Sealed {}
impl CpuReal for f32 {}
impl CpuReal for f64 {}

mod sealed {
    /// The internal trait behind the public bound.
    #[expect(
        private_bounds,
        reason = "the two types are closed; their kernels are nobody else's business"
    )]
    pub trait Sealed: super::Multiply {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
}

/// The CPU as a device. The same inputs give the same bits, whatever the number of threads.
#[derive(Debug)]
pub struct Cpu<T: CpuReal> {
    threads: rayon::ThreadPool,
    pool: Arc<Pool<T>>,
    packed: Mutex<Vec<T>>,
}

/// Returns the largest number of threads of a device. More than one per core only wait for each
/// other.
pub fn most_threads() -> usize {
    4 * std::thread::available_parallelism().map_or(1, usize::from)
}

impl<T: CpuReal> Cpu<T> {
    /// Creates a device with its own threads, at most four per core; 0 means one per core.
    ///
    /// # Errors
    /// [`DeviceError::Threads`] if the system refuses to start them.
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

    /// Returns the number of threads.
    pub fn threads(&self) -> usize {
        self.threads.current_num_threads()
    }

    /// Returns the peak of the bytes of activations held since [`Cpu::reset_peak`].
    pub fn peak_bytes(&self) -> usize {
        self.pool.peak() * size_of::<T>()
    }

    /// Frees unused buffers and restarts the measurement of the peak.
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
}

impl<T: CpuReal> Device for Cpu<T> {
    type Recording<R: Send + Sync> = Option<R>;

    fn name(&self) -> String {
        "cpu".to_string()
    }

    fn dtype(&self) -> &'static str {
        if size_of::<T>() == 4 { "f32" } else { "f64" }
    }

    fn useful_rows(&self) -> usize {
        1024
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
        // Drops the previous results first, so that their memory is reused.
        *recording = None;
        read(recording.insert(work()?))
    }
}
