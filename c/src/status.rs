//! What a call returns.

use std::ffi::c_char;

use engine::cli::{Fault, FaultKind};

use crate::boundary;

/// Says whether a call succeeded, or why not. foveate_last_error() has the message.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FoveateStatus {
    /// The call succeeded.
    Ok = 0,
    /// An argument is NULL, misaligned, not UTF-8, or of the wrong size.
    Argument = 1,
    /// A handle is of no object: it was freed, or it is not of this library.
    Handle = 2,
    /// A buffer is too small; the call has written what size it needs.
    Buffer = 3,
    /// The explanation does not have it: without a key token there is no mask, and there are no
    /// curves where the settings leave them out.
    Absent = 4,
    /// A setting does not exist, is out of range, or does not go with others.
    Setting = 5,
    /// A checkpoint is missing, incomplete or not supported.
    Checkpoint = 6,
    /// A device is not available, or failed.
    Device = 7,
    /// A picture is missing, does not decode, or cannot be processed.
    Picture = 8,
    /// The question is empty, or longer than the model's context.
    Question = 9,
    /// The model has no answer, or the given answer or keys do not fit.
    Answer = 10,
    /// One evaluation does not fit the memory budget, or the device's memory.
    Memory = 11,
    /// The model's output has infinities or NaN.
    NotFinite = 12,
    /// A folder or file cannot be written.
    Output = 13,
    /// The progress function stopped the work.
    Cancelled = 14,
    /// Any other error.
    Other = 15,
    /// The library failed in a way that is a defect of its own.
    Internal = 16,
}

/// Returns the message of this thread's last call that failed, or the empty string. It is valid
/// until the next call of this thread that fails, and until the thread ends.
#[unsafe(no_mangle)]
pub extern "C" fn foveate_last_error() -> *const c_char {
    boundary::last_error()
}

/// The failure of a call.
#[derive(Debug)]
pub struct Failure {
    pub status: FoveateStatus,
    pub message: String,
}

/// Result of a call.
pub type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    pub fn new(status: FoveateStatus, message: impl ToString) -> Failure {
        Failure {
            status,
            message: message.to_string(),
        }
    }

    /// Returns the failure for an argument that is not as `expected`.
    pub fn argument(name: &str, expected: &str, found: impl std::fmt::Display) -> Failure {
        let message = format!("{name}: expected {expected}, found {found}");
        Failure::new(FoveateStatus::Argument, message)
    }
}

impl<E: Into<Fault>> From<E> for Failure {
    fn from(error: E) -> Failure {
        let fault = error.into();
        let status = match fault.kind {
            FaultKind::Answer => FoveateStatus::Answer,
            FaultKind::Cancelled => FoveateStatus::Cancelled,
            FaultKind::Checkpoint => FoveateStatus::Checkpoint,
            FaultKind::Device => FoveateStatus::Device,
            FaultKind::Memory => FoveateStatus::Memory,
            FaultKind::NotFinite => FoveateStatus::NotFinite,
            FaultKind::Other => FoveateStatus::Other,
            FaultKind::Output => FoveateStatus::Output,
            FaultKind::Picture => FoveateStatus::Picture,
            FaultKind::Question => FoveateStatus::Question,
            FaultKind::Setting => FoveateStatus::Setting,
        };
        Failure::new(status, fault.message)
    }
}
