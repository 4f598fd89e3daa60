//! An output matrix that several tasks write, each to its own elements.

/// A pointer to an output matrix, for tasks that each write their own part of it.
#[derive(Clone, Copy)]
pub(super) struct Output<T>(*mut T);

// SAFETY: the callers of `at` and `slice` guarantee that no element belongs to two tasks.
unsafe impl<T: Send> Sync for Output<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Send for Output<T> {}

impl<T> Output<T> {
    /// Wraps a matrix whose elements are divided among tasks.
    pub fn new(values: &mut [T]) -> Self {
        Output(values.as_mut_ptr())
    }

    /// Returns the address of element `at`.
    ///
    /// # Safety
    /// `at` must lie inside the matrix; the elements written there must belong to this task alone.
    pub unsafe fn at(&self, at: usize) -> *mut T {
        // SAFETY: guaranteed by the caller.
        unsafe { self.0.add(at) }
    }

    /// Returns `length` elements from `at`.
    ///
    /// # Safety
    /// They must lie inside the matrix and belong to this task alone.
    #[expect(clippy::mut_from_ref, reason = "disjoint by the caller's promise")]
    pub unsafe fn slice(&self, at: usize, length: usize) -> &mut [T] {
        // SAFETY: guaranteed by the caller.
        unsafe { std::slice::from_raw_parts_mut(self.0.add(at), length) }
    }
}
