//! Activations in host memory, and the pool that their memory comes from and returns to.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::device::{Matrix, Real};

/// Freed buffers by length. A path evaluates the same shapes again and again; reusing their memory saves the system's
/// zeroing of fresh pages.
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
    /// Gives the memory of free buffers back to the system.
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
    /// A matrix whose elements are whatever the buffer held before.
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

    /// Gives the memory of free buffers back to the system.
    pub fn clear(&self) {
        self.state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    /// Free buffers are given back before more than `elements` are held.
    pub fn limit(&self, elements: usize) {
        self.state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .limit = Some(elements);
    }

    /// The most elements ever held, free ones included.
    pub fn peak(&self) -> usize {
        self.state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .peak
    }

    /// Starts measuring the peak anew.
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
    /// The same elements as `rows` rows of `columns`, of which there are as many.
    pub(crate) fn reshaped(mut self, rows: usize, columns: usize) -> Self {
        (self.rows, self.columns) = (rows, columns);
        self
    }

    /// Rows and columns.
    pub(crate) fn shape(&self) -> (usize, usize) {
        (self.rows, self.columns)
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
