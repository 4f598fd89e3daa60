//! An output matrix that several tasks write, each its own elements.

/// A pointer to an output matrix, for tasks that each write their own part of it.
#[derive(Clone, Copy)]
pub(super) struct Output<T>(*mut T);

// SAFETY: `at` and `slice` leave it to their callers that no element belongs to two tasks.
unsafe impl<T: Send> Sync for Output<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Send for Output<T> {}

impl<T> Output<T> {
    /// A matrix whose elements are shared out among tasks.
    pub fn new(values: &mut [T]) -> Self {
        Output(values.as_mut_ptr())
    }

    /// The address of element `at`.
    ///
    /// # Safety
    /// `at` must lie inside the matrix; what is written there must belong to this task alone.
    pub unsafe fn at(&self, at: usize) -> *mut T {
        // SAFETY: the caller's promise.
        unsafe { self.0.add(at) }
    }

    /// `length` elements from `at`.
    ///
    /// # Safety
    /// They must lie inside the matrix and belong to this task alone.
    #[expect(clippy::mut_from_ref, reason = "disjoint by the caller's promise")]
    pub unsafe fn slice(&self, at: usize, length: usize) -> &mut [T] {
        // SAFETY: the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.0.add(at), length) }
    }
}
