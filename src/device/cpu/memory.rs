//! Activations in host memory, the pool that their memory is reused from, and weights in the memory
//! of their checkpoint.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::microkernel::Multiply;
use super::packing::{Elements, Operand};
use super::{Cpu, CpuReal};
use crate::checkpoint::{Dtype, Tensor};
use crate::device::{Matrix, Memory, Real, Result};

/// Freed buffers by length. A path evaluates the same shapes repeatedly; reusing their memory saves
/// the system's zeroing of fresh pages.
#[derive(Debug, Default)]
pub(crate) struct Pool<T> {
    state: Mutex<State<T>>,
}

#[derive(Debug, Default)]
struct State<T> {
    free: HashMap<usize, Vec<Vec<T>>>,
    held: usize,
    peak: usize,
    limit: Option<usize>,
}

impl<T> State<T> {
    /// Returns the memory of free buffers to the system.
    fn clear(&mut self) {
        let freed: usize = self
            .free
            .iter()
            .map(|(length, buffers)| length * buffers.len())
            .sum();
        self.free.clear();
        self.held -= freed;
    }
}

impl<T: Real> Pool<T> {
    /// Creates a matrix whose elements are undefined: the buffer's previous contents.
    pub fn matrix(self: &Arc<Self>, rows: usize, columns: usize) -> CpuMatrix<T> {
        let length = rows * columns;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let reused = state.free.get_mut(&length).and_then(Vec::pop);
        if reused.is_none() {
            if state.limit.is_some_and(|limit| state.held + length > limit) {
                state.clear();
            }
            state.held += length;
            state.peak = state.peak.max(state.held);
        }
        drop(state);
        let values = reused.unwrap_or_else(|| vec![T::ZERO; length]);
        CpuMatrix {
            rows,
            columns,
            values,
            pool: Arc::clone(self),
        }
    }

    /// Returns the memory of free buffers to the system.
    pub fn clear(&self) {
        self.state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    /// Limits memory: free buffers are released before more than `elements` are held.
    pub fn limit(&self, elements: usize) {
        self.state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .limit = Some(elements);
    }

    /// Returns the peak of the number of elements held, free ones included.
    pub fn peak(&self) -> usize {
        self.state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .peak
    }

    /// Restarts the measurement of the peak.
    pub fn reset_peak(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.peak = state.held;
    }
}

/// A row-major matrix in host memory.
#[derive(Debug)]
pub struct CpuMatrix<T: Real> {
    rows: usize,
    columns: usize,
    pub(crate) values: Vec<T>,
    pool: Arc<Pool<T>>,
}

impl<T: Real> Matrix for CpuMatrix<T> {
    fn rows(&self) -> usize {
        self.rows
    }
    fn columns(&self) -> usize {
        self.columns
    }
}

impl<T: Real> CpuMatrix<T> {
    /// Reshapes to `rows` rows of `columns`; the number of elements must be the same.
    pub(crate) fn reshaped(mut self, rows: usize, columns: usize) -> Self {
        (self.rows, self.columns) = (rows, columns);
        self
    }
}

impl<T: Real> Drop for CpuMatrix<T> {
    fn drop(&mut self) {
        let values = std::mem::take(&mut self.values);
        let mut state = self
            .pool
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        state.free.entry(values.len()).or_default().push(values);
    }
}

/// A weight matrix in its checkpoint's own dtype, not copied.
#[derive(Clone, Debug)]
pub struct CpuWeight {
    tensor: Tensor,
    pub(super) rows: usize,
    pub(super) columns: usize,
}

impl CpuWeight {
    /// Returns the weight as an `[out, in]` operand.
    pub(super) fn operand<T: Multiply>(&self) -> Operand<'_, T> {
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

impl Matrix for CpuWeight {
    fn rows(&self) -> usize {
        self.rows
    }
    fn columns(&self) -> usize {
        self.columns
    }
}

impl<T: CpuReal> Memory for Cpu<T> {
    type Host = T;
    type Matrix = CpuMatrix<T>;
    type Statistics = CpuMatrix<T>;
    type Weight = CpuWeight;

    fn element_bytes(&self) -> usize {
        size_of::<T>()
    }

    fn scratch_bytes(&self, rows: usize, columns: usize) -> usize {
        // The packed left operand of a product, and each thread's buffers for blocks and for
        // attention.
        (rows.next_multiple_of(16) * columns + self.threads() * (1 << 20)) * size_of::<T>()
    }

    fn memory_budget(&self) -> usize {
        4 << 30
    }

    fn limit_memory(&self, bytes: usize) {
        self.pool.limit(bytes / size_of::<T>());
    }

    fn upload_impl(&self, rows: usize, columns: usize, values: &[T]) -> Result<CpuMatrix<T>> {
        let mut x = self.matrix(rows, columns);
        x.values.copy_from_slice(values);
        Ok(x)
    }

    fn download(&self, x: &CpuMatrix<T>) -> Result<Vec<T>> {
        Ok(x.values.clone())
    }

    fn download_statistics(&self, x: &CpuMatrix<T>) -> Result<Vec<T>> {
        self.download(x)
    }

    fn weight_impl(&self, tensor: &Tensor, out: usize, inside: usize) -> Result<CpuWeight> {
        Ok(CpuWeight {
            tensor: tensor.clone(),
            rows: out,
            columns: inside,
        })
    }
}
