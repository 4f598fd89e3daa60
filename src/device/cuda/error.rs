//! Conversion of errors of the CUDA driver to errors of the device.

use cudarc::driver::{DriverError, sys};

use crate::device::{DeviceError, Result};

/// Adds the failed operation to an error of the driver.
pub(super) trait During<T> {
    fn during(self, operation: impl FnOnce() -> String) -> Result<T>;
}

impl<T> During<T> for std::result::Result<T, DriverError> {
    fn during(self, operation: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| DeviceError::Driver {
            operation: operation(),
            reason: reason(error),
        })
    }
}

/// Returns the driver's message, with its name for the error.
pub(super) fn reason(error: DriverError) -> String {
    let text = |words: std::result::Result<&std::ffi::CStr, DriverError>| {
        words.ok().map(|w| w.to_string_lossy().into_owned())
    };
    match (text(error.error_string()), text(error.error_name())) {
        (Some(string), Some(name)) => format!("{string} ({name})"),
        (Some(words), None) | (None, Some(words)) => words,
        (None, None) => format!("error {:?}", error.0),
    }
}

/// Checks whether the GPU's memory was exhausted.
pub(super) fn is_out_of_memory(error: DriverError) -> bool {
    error.0 == sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY
}
