//! Errors of devices.

/// Errors of device operations.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// Operands whose sizes do not fit together.
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
    /// A device that is not there or cannot be used.
    #[error("{device}: {reason}")]
    Unavailable {
        /// The device, as a user would type it.
        device: String,
        /// Why not.
        reason: String,
    },
    /// The driver of a GPU reported an error.
    #[error("{operation}: {reason}")]
    Driver {
        /// The operation that failed.
        operation: String,
        /// The driver's words.
        reason: String,
    },
    /// The memory of a GPU is exhausted.
    #[error(
        "GPU memory: expected room for {bytes} bytes more, found none beside the {held} bytes that foveate holds"
    )]
    OutOfMemory {
        /// Bytes asked for.
        bytes: usize,
        /// Bytes that foveate holds already.
        held: usize,
    },
    /// Something that the CPU device can do and this one cannot.
    #[error("{operation}: expected {expected}, found {found}; use --device cpu")]
    Unsupported {
        /// The operation.
        operation: &'static str,
        /// The values or sizes that the device's kernels support.
        expected: String,
        /// The value or size that was requested.
        found: String,
    },
    /// Memory or a table was missing while operations were recorded; they are done without
    /// recording then.
    #[error("operations could not be recorded: memory or a table was missing")]
    Starved,
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
