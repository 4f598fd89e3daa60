//! The emulator inside a test's own process.

use std::ffi::CString;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};

/// Returns the path of the emulator's library, beside the tests.
pub fn library() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.with_file_name("libfoveate_emulator.so")
}

/// The emulator, loaded where the driver will be searched for, and its counters, which are per
/// process: only one test at a time uses them.
pub struct Emulator(
    Library,
    #[expect(dead_code, reason = "held")] MutexGuard<'static, ()>,
);

impl Emulator {
    /// Loads the library beside this test, when no other test uses it.
    pub fn load() -> Emulator {
        static TURN: Mutex<()> = Mutex::new(());
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: the library's initialisers only register kernels.
        let library = unsafe { Library::open(Some(library()), RTLD_NOW | RTLD_GLOBAL) }.unwrap();
        Emulator(library, turn)
    }

    /// Returns the calls of a driver function.
    pub fn calls(&self, name: &str) -> u64 {
        self.count(b"foveate_emulator_calls", name)
    }

    /// Returns the runs of a kernel, or of an algorithm of cuBLASLt.
    pub fn runs(&self, name: &str) -> u64 {
        self.count(b"foveate_emulator_runs", name)
    }

    fn count(&self, what: &[u8], name: &str) -> u64 {
        let name = CString::new(name).unwrap();
        // SAFETY: the functions have the type in the emulator's README.
        unsafe {
            let f = self
                .0
                .get::<unsafe extern "C" fn(*const std::ffi::c_char) -> u64>(what);
            f.unwrap()(name.as_ptr())
        }
    }

    /// Returns the bytes copied: 0 to the device, 1 to the host.
    pub fn bytes(&self, path: u32) -> u64 {
        // SAFETY: as above.
        unsafe {
            let f = self
                .0
                .get::<unsafe extern "C" fn(u32) -> u64>(b"foveate_emulator_bytes");
            f.unwrap()(path)
        }
    }

    /// Resets the counts.
    pub fn reset(&self) {
        // SAFETY: as above.
        unsafe {
            let f = self
                .0
                .get::<unsafe extern "C" fn()>(b"foveate_emulator_reset");
            f.unwrap()();
        }
    }
}
