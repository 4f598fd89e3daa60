//! What can go wrong on a device.

/// Errors of device operations.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// Operands whose sizes do not fit together.
    #[error("{operation}: expected {expected}, found {found}")]
    Shape {
        /// The operation.
        operation: &'static str,
        /// What its contract asks for.
        expected: String,
        /// What it was given.
        found: String,
    },
    /// An index outside its table.
    #[error("{operation}: index {index} is outside 0..{limit}")]
    Index {
        /// The operation.
        operation: &'static str,
        /// The index.
        index: usize,
        /// The table's length.
        limit: usize,
    },
    /// The worker threads could not be started.
    #[error("could not start {threads} worker threads: {reason}")]
    Threads {
        /// How many were asked for.
        threads: usize,
        /// The system's reason.
        reason: String,
    },
}

/// Succeeds when `holds`, else is a [`DeviceError::Shape`].
pub(crate) fn expect(
    holds: bool,
    operation: &'static str,
    expected: impl FnOnce() -> String,
    found: impl FnOnce() -> String,
) -> Result<(), DeviceError> {
    if holds {
        Ok(())
    } else {
        Err(DeviceError::Shape {
            operation,
            expected: expected(),
            found: found(),
        })
    }
}
