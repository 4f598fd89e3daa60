//! One GPU: its context, its stream, its memory and kernels, and copies to and from it.

use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cudarc::driver::{CudaContext, CudaStream, DeviceRepr, LaunchConfig, PushKernelArg, result};
use parking_lot::{ReentrantMutex, ReentrantMutexGuard};

use super::constants::Constants;
use super::error::During;
use super::kernels::Kernels;
use super::pool::{Arena, Buffer, Pool};
use super::probe;
use crate::device::Result;

/// A GPU and its resources. All work is submitted to one stream, in order.
pub(super) struct Gpu {
    pub context: Arc<CudaContext>,
    pub stream: Arc<CudaStream>,
    pub pool: Arc<Pool>,
    pub constants: Mutex<Constants>,
    /// Number of live recordings.
    pub recordings: AtomicUsize,
    turns: ReentrantMutex<()>,
    kernels: Kernels,
}

impl Gpu {
    /// Opens GPU `ordinal`.
    pub fn open(ordinal: usize) -> Result<Gpu> {
        probe::usable(ordinal)?;
        let opening = || format!("opening cuda:{ordinal}");
        let context = CudaContext::new(ordinal).during(opening)?;
        // SAFETY: every buffer is used only on the one stream created below, so no event is needed
        // to order its uses.
        unsafe { context.disable_event_tracking() };
        let stream = context.new_stream().during(opening)?;
        Ok(Gpu {
            pool: Pool::new(stream.clone()),
            kernels: Kernels::new(context.clone()),
            constants: Mutex::default(),
            recordings: AtomicUsize::new(0),
            turns: ReentrantMutex::default(),
            context,
            stream,
        })
    }

    /// Waits for other threads and locks them out: operations of several threads must not mix while
    /// some are recorded. The lock is reentrant.
    pub fn turn(&self) -> ReentrantMutexGuard<'_, ()> {
        self.turns.lock()
    }

    /// Allocates device memory of at least `bytes`, with undefined contents.
    pub fn buffer(&self, bytes: usize) -> Result<Buffer> {
        let _turn = self.turn();
        self.pool.buffer(bytes)
    }

    /// Allocates like [`Gpu::buffer`], but never from a recording's arena.
    pub fn single_buffer(&self, bytes: usize) -> Result<Buffer> {
        let _turn = self.turn();
        self.pool.buffer_of(Arena::Single, bytes)
    }

    /// Launches kernel `name` of `file` on `grid` blocks of `threads` threads with `shared` bytes
    /// of dynamic shared memory. Nothing is launched for an empty grid.
    ///
    /// # Safety
    /// `arguments` must be the struct that the kernel takes, and every address in it must be valid
    /// for the kernel's accesses.
    pub unsafe fn launch<A: DeviceRepr>(
        &self,
        (file, name): (&'static str, &str),
        grid: (usize, usize, usize),
        threads: usize,
        shared: usize,
        arguments: &A,
    ) -> Result<()> {
        if grid.0 == 0 || grid.1 == 0 || grid.2 == 0 {
            return Ok(());
        }
        let _turn = self.turn();
        // Looking up a function and requesting shared memory need a current context too.
        self.context
            .bind_to_thread()
            .during(|| format!("launching {name}"))?;
        let shared = u32::try_from(shared).unwrap_or(u32::MAX);
        let function = self.kernels.function(file, name, shared)?;
        // The driver rejects too large a grid, instead of a wrapped number being used.
        let dimension = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let config = LaunchConfig {
            grid_dim: (dimension(grid.0), dimension(grid.1), dimension(grid.2)),
            block_dim: (dimension(threads), 1, 1),
            shared_mem_bytes: shared,
        };
        let mut launch = self.stream.launch_builder(&function);
        launch.arg(arguments);
        // SAFETY: guaranteed by the caller.
        unsafe { launch.launch(config) }
            .during(|| format!("launching {name} on {grid:?} blocks of {threads}"))?;
        Ok(())
    }

    /// Copies `bytes` to a buffer's start, and waits until `bytes` may be changed.
    pub fn write(&self, to: &Buffer, bytes: &[u8]) -> Result<()> {
        let _turn = self.turn();
        let copying = || format!("copying {} bytes to the GPU", bytes.len());
        self.context.bind_to_thread().during(copying)?;
        // SAFETY: the buffer is at least as long as the slice, which outlives the copy because of
        // the wait.
        unsafe {
            result::memcpy_htod_async(to.address(), bytes, self.stream.cu_stream())
                .during(copying)?;
        }
        self.synchronize(copying)
    }

    /// Fills `bytes` from a buffer's start.
    pub fn read(&self, from: &Buffer, bytes: &mut [u8]) -> Result<()> {
        // SAFETY: the buffer is at least as long as the slice.
        unsafe { self.read_at(from.address(), bytes) }
    }

    /// Fills `bytes` from an address.
    ///
    /// # Safety
    /// The address must be valid for that many bytes.
    pub unsafe fn read_at(&self, from: u64, bytes: &mut [u8]) -> Result<()> {
        let _turn = self.turn();
        let length = bytes.len();
        let copying = || format!("copying {length} bytes from the GPU");
        self.context.bind_to_thread().during(copying)?;
        // SAFETY: guaranteed by the caller; the slice outlives the copy because of the wait.
        unsafe {
            result::memcpy_dtoh_async(bytes, from, self.stream.cu_stream()).during(copying)?;
        }
        self.synchronize(copying)
    }

    /// Returns the first `count` f32 values of a buffer.
    pub fn floats(&self, from: &Buffer, count: usize) -> Result<Vec<f32>> {
        let mut bytes = vec![0; count * 4];
        self.read(from, &mut bytes)?;
        let words = bytes.chunks_exact(4);
        Ok(words
            .map(|b| f32::from_ne_bytes([b[0], b[1], b[2], b[3]]))
            .collect())
    }

    /// Copies `bytes` bytes from one address on the GPU to another.
    ///
    /// # Safety
    /// Both must be valid for that many bytes and must not overlap.
    pub unsafe fn copy(&self, to: u64, from: u64, bytes: usize) -> Result<()> {
        if bytes == 0 {
            return Ok(());
        }
        let _turn = self.turn();
        let copying = || format!("copying {bytes} bytes on the GPU");
        self.context.bind_to_thread().during(copying)?;
        // SAFETY: guaranteed by the caller.
        unsafe { result::memcpy_dtod_async(to, from, bytes, self.stream.cu_stream()) }
            .during(copying)
    }

    /// Sets `bytes` bytes at a buffer's start to zero.
    pub fn zero(&self, buffer: &Buffer, bytes: usize) -> Result<()> {
        let _turn = self.turn();
        let clearing = || format!("clearing {bytes} bytes on the GPU");
        self.context.bind_to_thread().during(clearing)?;
        // SAFETY: the buffer is at least that long.
        unsafe { result::memset_d8_async(buffer.address(), 0, bytes, self.stream.cu_stream()) }
            .during(clearing)
    }

    /// Waits for all submitted work, and reports its errors.
    pub fn synchronize(&self, doing: impl Fn() -> String) -> Result<()> {
        let _turn = self.turn();
        self.stream.synchronize().during(&doing)?;
        self.context.check_err().during(&doing)
    }

    /// Returns the cache of constants.
    pub fn constants(&self) -> MutexGuard<'_, Constants> {
        self.constants
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
