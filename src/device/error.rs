//! Errors of devices.

/// Errors of device operations.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// Operands whose sizes do not match.
    #[error("{operation}: expected {expected}, found {found}")]
    Shape {
        /// The operation.
        operation: &'static str,
        /// The value or shape that the contract requires.
        expected: String,
        /// The value or shape that was given.
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
    /// A device that does not exist or cannot be used.
    #[error("{device}: {reason}")]
    Unavailable {
        /// The device, as a user would type it.
        device: String,
        /// The reason.
        reason: String,
    },
    /// The driver of a GPU reported an error.
    #[error("{operation}: {reason}")]
    Driver {
        /// The operation that failed.
        operation: String,
        /// The driver's message.
        reason: String,
    },
    /// The memory of a GPU is exhausted.
    #[error(
        "GPU memory: expected room for {bytes} bytes more, found none beside the {held} \
         bytes that foveate holds"
    )]
    OutOfMemory {
        /// Bytes requested.
        bytes: usize,
        /// Bytes that foveate holds already.
        held: usize,
    },
    /// An operation that the CPU device supports and this one does not.
    #[error("{operation}: expected {expected}, found {found}; use --device cpu")]
    Unsupported {
        /// The operation.
        operation: &'static str,
        /// The values or sizes that the device's kernels support.
        expected: String,
        /// The value or size that was requested.
        found: String,
    },
    /// Memory or a table was missing while operations were recorded; they are then run without
    /// recording.
    #[error("operations could not be recorded: memory or a table was missing")]
    Starved,
    /// The worker threads could not be started.
    #[error("could not start {threads} worker threads: {reason}")]
    Threads {
        /// The number of threads requested.
        threads: usize,
        /// The system's reason.
        reason: String,
    },
}

/// Returns a [`DeviceError::Shape`] unless `holds`.
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
