//! CUresult: the codes that the emulator may return, all of which exist in every CUDA 12 and 13
//! header.

use std::ffi::{CStr, c_char};

use crate::driver::Out;

/// A driver function's result other than success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status(u32);

/// The result of a driver function's body.
pub type Outcome = Result<(), Status>;

macro_rules! statuses {
    ($($name:ident = $code:literal, $text:literal;)*) => {
        #[expect(dead_code, reason = "some come only from ordered failures")]
        impl Status {
            $(pub const $name: Status = Status($code);)*
        }
        const NAMES: &[(u32, &CStr, &CStr)] = &[$((
            $code,
            as_c(concat!("CUDA_ERROR_", stringify!($name), "\0")),
            as_c(concat!($text, "\0")),
        )),*];
    };
}

const fn as_c(text: &'static str) -> &'static CStr {
    match CStr::from_bytes_with_nul(text.as_bytes()) {
        Ok(text) => text,
        Err(_) => panic!("a name with a zero byte inside"),
    }
}

statuses! {
    INVALID_VALUE = 1, "invalid argument";
    OUT_OF_MEMORY = 2, "out of memory";
    NOT_INITIALIZED = 3, "initialization error";
    DEVICE_UNAVAILABLE = 46, "CUDA-capable device(s) is/are busy or unavailable";
    NO_DEVICE = 100, "no CUDA-capable device is detected";
    INVALID_DEVICE = 101, "invalid device ordinal";
    INVALID_IMAGE = 200, "device kernel image is invalid";
    INVALID_CONTEXT = 201, "invalid device context";
    NO_BINARY_FOR_GPU = 209, "no kernel image is available for execution on the device";
    ECC_UNCORRECTABLE = 214, "uncorrectable ECC error encountered";
    UNSUPPORTED_PTX_VERSION = 222, "the provided PTX was compiled with an unsupported toolchain.";
    FILE_NOT_FOUND = 301, "file not found";
    INVALID_HANDLE = 400, "invalid resource handle";
    NOT_FOUND = 500, "named symbol not found";
    NOT_READY = 600, "device not ready";
    ILLEGAL_ADDRESS = 700, "an illegal memory access was encountered";
    LAUNCH_OUT_OF_RESOURCES = 701, "too many resources requested for launch";
    LAUNCH_TIMEOUT = 702, "the launch timed out and was terminated";
    HARDWARE_STACK_ERROR = 714, "hardware stack error";
    ILLEGAL_INSTRUCTION = 715, "an illegal instruction was encountered";
    MISALIGNED_ADDRESS = 716, "misaligned address";
    INVALID_ADDRESS_SPACE = 717, "operation not supported on global/shared address space";
    INVALID_PC = 718, "invalid program counter";
    LAUNCH_FAILED = 719, "unspecified launch failure";
    NOT_SUPPORTED = 801, "operation not supported";
    STREAM_CAPTURE_UNSUPPORTED = 900, "operation not permitted when stream is capturing";
    STREAM_CAPTURE_INVALIDATED = 901, "operation failed due to a previous error during capture";
    STREAM_CAPTURE_UNJOINED = 904, "capturing stream has unjoined work";
    STREAM_CAPTURE_ISOLATION = 905, "dependency created on uncaptured work in another stream";
    STREAM_CAPTURE_IMPLICIT = 906,
        "operation would make the legacy stream depend on a capturing blocking stream";
    CAPTURED_EVENT = 907, "operation not permitted on an event last recorded in a capturing stream";
    STREAM_CAPTURE_WRONG_THREAD = 908,
        "attempt to terminate a thread-local capture sequence from another thread";
    UNKNOWN = 999, "unknown error";
}

impl Status {
    /// Returns the status of this code; `None` if it is not an error of CUresult that the emulator
    /// supports.
    pub fn known(code: u32) -> Option<Self> {
        NAMES
            .iter()
            .any(|(known, ..)| *known == code)
            .then_some(Self(code))
    }

    /// Returns the CUresult.
    pub fn code(self) -> u32 {
        self.0
    }

    /// Returns whether every later call also fails with it: the device or the context is lost.
    pub fn is_sticky(self) -> bool {
        matches!(self.0, 46 | 214 | 700 | 702 | 714..=719 | 999)
    }
}

fn describe(
    code: u32,
    found: fn(&(u32, &'static CStr, &'static CStr)) -> &'static CStr,
    success: &'static CStr,
    text: Out<*const c_char>,
) -> u32 {
    let description = if code == 0 {
        Some(success)
    } else {
        NAMES.iter().find(|(known, ..)| *known == code).map(found)
    };
    let Some(description) = description else {
        return Status::INVALID_VALUE.code();
    };
    match text.put(description.as_ptr()) {
        Ok(()) => 0,
        Err(status) => status.code(),
    }
}

/// Returns the code's name, such as `CUDA_ERROR_OUT_OF_MEMORY`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGetErrorName(code: u32, text: Out<*const c_char>) -> u32 {
    describe(code, |entry| entry.1, c"CUDA_SUCCESS", text)
}

/// Returns the description of the code.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGetErrorString(code: u32, text: Out<*const c_char>) -> u32 {
    describe(code, |entry| entry.2, c"no error", text)
}
