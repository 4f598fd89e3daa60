//! A pool of device memory.
//!
//! All work runs on one stream, in order, so a buffer may be reused as soon as the work that uses
//! it has been submitted.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use cudarc::driver::{CudaSlice, CudaStream, DevicePtr};

use super::error::{During, is_out_of_memory};
use crate::device::{DeviceError, Result};

/// Sizes and addresses of buffers are multiples of this.
pub(super) const GRAIN: usize = 512;

/// The groups in which buffers are reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arena {
    /// Buffers of work that runs once.
    Single,
    /// Buffers of recorded work: no other work uses them, since a replay writes to all of them.
    Recorded,
}

/// A piece of device memory, which returns to its pool when dropped.
pub struct Buffer {
    slice: Option<CudaSlice<u8>>,
    address: u64,
    arena: Arena,
    pool: Arc<Pool>,
}

impl Buffer {
    /// Returns its address on the device.
    pub fn address(&self) -> u64 {
        self.address
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Some(slice) = self.slice.take() {
            self.pool.give_back(slice, self.arena);
        }
    }
}

/// Unused buffers by size, and limits.
pub(super) struct Pool {
    stream: Arc<CudaStream>,
    state: Mutex<State>,
}

struct State {
    single: HashMap<usize, Vec<CudaSlice<u8>>>,
    recorded: HashMap<usize, Vec<CudaSlice<u8>>>,
    arena: Arena,
    /// Whether work is being captured: nothing can be allocated then.
    capturing: bool,
    /// Whether a buffer was refused during a capture.
    starved: bool,
    held: usize,
    weights: usize,
    peak: usize,
    limit: usize,
}

impl State {
    fn free(&mut self, arena: Arena) -> &mut HashMap<usize, Vec<CudaSlice<u8>>> {
        match arena {
            Arena::Single => &mut self.single,
            Arena::Recorded => &mut self.recorded,
        }
    }

    /// Frees unused buffers of single work.
    fn clear(&mut self) {
        for (bytes, slices) in self.single.drain() {
            self.held -= bytes * slices.len();
        }
    }
}

impl Pool {
    pub fn new(stream: Arc<CudaStream>) -> Arc<Pool> {
        Arc::new(Pool {
            stream,
            state: Mutex::new(State {
                single: HashMap::new(),
                recorded: HashMap::new(),
                arena: Arena::Single,
                capturing: false,
                starved: false,
                held: 0,
                weights: 0,
                peak: 0,
                limit: usize::MAX,
            }),
        })
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Limits the bytes held in addition to the weights; unused buffers are freed before the limit
    /// is exceeded.
    pub fn limit(&self, bytes: usize) {
        let mut state = self.state();
        state.limit = bytes.saturating_add(state.weights);
    }

    /// Marks a buffer as a weight, which lives as long as the model.
    pub fn is_weight(&self, buffer: &Buffer) {
        let bytes = buffer.slice.as_ref().map_or(0, CudaSlice::num_bytes);
        self.state().weights += bytes;
    }

    /// Returns the bytes of unused buffers.
    pub fn idle(&self) -> usize {
        let state = self.state();
        let arenas = [&state.single, &state.recorded];
        let sizes = arenas.into_iter().flatten();
        sizes.map(|(bytes, slices)| bytes * slices.len()).sum()
    }

    /// Returns the peak of the bytes held.
    pub fn peak(&self) -> usize {
        self.state().peak
    }

    /// Starts allocating from the recordings' arena; while work is being captured, no new buffers
    /// can be allocated.
    pub fn enter(&self, capturing: bool) {
        let mut state = self.state();
        (state.arena, state.capturing, state.starved) = (Arena::Recorded, capturing, false);
    }

    /// Returns to single work, and returns whether a buffer was refused during a capture.
    pub fn leave(&self) -> bool {
        let mut state = self.state();
        (state.arena, state.capturing) = (Arena::Single, false);
        std::mem::take(&mut state.starved)
    }

    /// Returns an error if work is being captured, for operations that are impossible during a
    /// capture.
    ///
    /// # Errors
    /// [`DeviceError::Starved`] during a capture.
    pub fn not_while_capturing(&self) -> Result<()> {
        let mut state = self.state();
        if state.capturing {
            state.starved = true;
            return Err(DeviceError::Starved);
        }
        Ok(())
    }

    /// Releases the recordings' buffers for other work, once no recording is left.
    pub fn release_recorded(&self) {
        let mut state = self.state();
        let recorded = std::mem::take(&mut state.recorded);
        for (bytes, slices) in recorded {
            state.single.entry(bytes).or_default().extend(slices);
        }
    }

    /// Allocates a buffer of at least `bytes` whose contents are undefined.
    pub fn buffer(self: &Arc<Self>, bytes: usize) -> Result<Buffer> {
        let arena = self.state().arena;
        self.buffer_of(arena, bytes)
    }

    /// Allocates like [`Pool::buffer`], from one arena.
    pub fn buffer_of(self: &Arc<Self>, arena: Arena, bytes: usize) -> Result<Buffer> {
        let size = bytes.max(1).next_multiple_of(GRAIN);
        let mut state = self.state();
        let reused = state.free(arena).get_mut(&size).and_then(Vec::pop);
        let slice = match reused {
            Some(slice) => slice,
            None if state.capturing => {
                state.starved = true;
                return Err(DeviceError::Starved);
            }
            None => {
                if state.held.saturating_add(size) > state.limit {
                    state.clear();
                }
                let slice = self.allocate(size, &mut state)?;
                state.held += size;
                state.peak = state.peak.max(state.held);
                slice
            }
        };
        drop(state);
        let address = slice.device_ptr(&self.stream).0;
        Ok(Buffer {
            address,
            arena,
            pool: self.clone(),
            slice: Some(slice),
        })
    }

    /// Allocates memory of undefined contents that is freed when dropped, and is not counted;
    /// unused buffers make room.
    ///
    /// # Errors
    /// [`DeviceError::OutOfMemory`] if there is not enough memory.
    pub fn passing(&self, bytes: usize) -> Result<CudaSlice<u8>> {
        self.allocate(bytes, &mut self.state())
    }

    fn allocate(&self, size: usize, state: &mut State) -> Result<CudaSlice<u8>> {
        // SAFETY: a buffer's contents are written before they are read, by the contract of
        // `buffer`.
        let ask = || unsafe { self.stream.alloc::<u8>(size) };
        match ask() {
            Err(error) if is_out_of_memory(error) => {
                state.clear();
                // Memory is freed in the stream's order, so it is available only once the stream
                // has reached that point.
                self.stream
                    .synchronize()
                    .during(|| "waiting for memory".into())?;
                match ask() {
                    Err(error) if is_out_of_memory(error) => Err(DeviceError::OutOfMemory {
                        bytes: size,
                        held: state.held,
                    }),
                    other => other.during(|| format!("allocating {size} bytes")),
                }
            }
            other => other.during(|| format!("allocating {size} bytes")),
        }
    }

    fn give_back(&self, slice: CudaSlice<u8>, arena: Arena) {
        let mut state = self.state();
        let bytes = slice.num_bytes();
        // A capture must not free what it did not allocate.
        if arena == Arena::Single && state.held > state.limit && !state.capturing {
            state.held -= bytes;
            return;
        }
        state.free(arena).entry(bytes).or_default().push(slice);
    }
}
