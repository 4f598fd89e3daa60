//! Support for the tests: the library, opened by path before cudarc searches for a driver, and
//! launches through cudarc.

use std::env;
use std::error::Error;
use std::ffi::{CStr, CString, c_char};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cudarc::driver::{
    CudaContext, CudaFunction, CudaModule, CudaSlice, CudaStream, DeviceRepr, DriverError,
    LaunchConfig, sys::CUresult,
};
use cudarc::nvrtc::Ptx;
use libloading::Library;

/// Number of schedules under which each planted bug and its twin are tested.
pub const SEEDS: u32 = 25;

pub type Outcome = Result<(), Box<dyn Error>>;

/// The emulator with the settings of one test; tests of one process take turns.
pub struct Emulator {
    library: Library,
    _turn: MutexGuard<'static, ()>,
}

static TURN: Mutex<()> = Mutex::new(());

impl Emulator {
    /// Opens the library and resets it with these settings.
    pub fn start(settings: &[(&str, &str)]) -> Result<Self, Box<dyn Error>> {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let program = env::current_exe()?;
        // Beside the test: `cargo test` updates this copy, not the one above it, which belongs to
        // `cargo build`.
        let path = program.with_file_name("libfoveate_emulator.so");
        // SAFETY: its initialisers only register kernels.
        let library = unsafe { Library::new(&path) }
            .map_err(|error| format!("{}: {error}", path.display()))?;
        let emulator = Self {
            library,
            _turn: turn,
        };
        for name in [
            "CAPABILITY",
            "DEVICES",
            "SEED",
            "ORDER",
            "CHECK",
            "THREADS",
            "MEMORY",
            "FAIL",
        ] {
            emulator.set(name, None)?;
        }
        for (name, value) in settings {
            emulator.set(name, Some(value))?;
        }
        emulator.reset()?;
        Ok(emulator)
    }

    /// Sets a setting, or restores the environment's value, from the next reset on.
    pub fn set(&self, name: &str, value: Option<&str>) -> Outcome {
        let name = CString::new(name)?;
        let value = value.map(CString::new).transpose()?;
        let pointer = value
            .as_ref()
            .map_or(std::ptr::null(), |value| value.as_ptr());
        // SAFETY: the type is the library's, and both pointers live.
        let code = unsafe {
            let set = self
                .library
                .get::<unsafe extern "C" fn(*const c_char, *const c_char) -> u32>(
                    b"foveate_emulator_set",
                )?;
            set(name.as_ptr(), pointer)
        };
        if code == 0 {
            Ok(())
        } else {
            Err(format!("no setting {name:?}").into())
        }
    }

    /// Resets the emulator with the current settings.
    pub fn reset(&self) -> Outcome {
        // SAFETY: the type is the library's.
        unsafe {
            self.library
                .get::<extern "C" fn()>(b"foveate_emulator_reset")?()
        };
        Ok(())
    }

    /// Sets another seed, and resets.
    pub fn seed(&self, seed: u32) -> Outcome {
        self.set("SEED", Some(&seed.to_string()))?;
        self.reset()
    }

    /// Returns the last fault's line.
    pub fn last_fault(&self) -> Result<String, Box<dyn Error>> {
        // SAFETY: the type is the library's; the text is copied before anything else happens.
        unsafe {
            let fault = self
                .library
                .get::<extern "C" fn() -> *const c_char>(b"foveate_emulator_last_fault")?;
            Ok(CStr::from_ptr(fault()).to_string_lossy().into_owned())
        }
    }

    /// Returns the calls of a driver function since the reset.
    pub fn calls(&self, name: &str) -> Result<u64, Box<dyn Error>> {
        self.count(b"foveate_emulator_calls", name)
    }

    /// Returns the finished runs of a kernel since the reset.
    pub fn runs(&self, kernel: &str) -> Result<u64, Box<dyn Error>> {
        self.count(b"foveate_emulator_runs", kernel)
    }

    fn count(&self, symbol: &[u8], name: &str) -> Result<u64, Box<dyn Error>> {
        let name = CString::new(name)?;
        // SAFETY: the type is the library's.
        unsafe {
            Ok(self
                .library
                .get::<unsafe extern "C" fn(*const c_char) -> u64>(
                    symbol,
                )?(name.as_ptr()))
        }
    }

    /// Returns the bytes copied since the reset: 0 to the device, 1 to the host, 2 on the device.
    pub fn bytes(&self, path: u32) -> Result<u64, Box<dyn Error>> {
        // SAFETY: the type is the library's.
        unsafe {
            Ok(self.library.get::<extern "C" fn(u32) -> u64>(
                b"foveate_emulator_bytes",
            )?(path))
        }
    }
}

/// A device's context, stream and planted kernels.
pub struct Device {
    pub context: Arc<CudaContext>,
    pub stream: Arc<CudaStream>,
    module: Arc<CudaModule>,
}

impl Device {
    /// Opens device 0 as foveate does: a single stream, no event tracking.
    pub fn open() -> Result<Self, Box<dyn Error>> {
        let context = CudaContext::new(0)?;
        // SAFETY: there is one stream only.
        unsafe { context.disable_event_tracking() };
        let stream = context.new_stream()?;
        let module = context.load_module(Ptx::from_binary(fatbin().to_vec()))?;
        Ok(Self {
            context,
            stream,
            module,
        })
    }

    /// Returns a kernel by name.
    pub fn kernel(&self, name: &str) -> Result<CudaFunction, Box<dyn Error>> {
        self.module
            .load_function(name)
            .map_err(|error| format!("{name}: {error}").into())
    }

    /// Uploads host values to the device.
    pub fn upload<T: DeviceRepr>(&self, values: &[T]) -> Result<CudaSlice<T>, Box<dyn Error>> {
        Ok(self.stream.clone_htod(values)?)
    }

    /// Downloads device values after all work is done.
    pub fn download<T: DeviceRepr>(&self, values: &CudaSlice<T>) -> Result<Vec<T>, Box<dyn Error>> {
        let host = self.stream.clone_dtoh(values)?;
        self.stream.synchronize()?;
        Ok(host)
    }
}

/// Returns a fatbin's header without contents, which is all that the emulator reads.
pub fn fatbin() -> [u8; 16] {
    let mut header = [0; 16];
    header[..4].copy_from_slice(&0xBA55_ED50_u32.to_le_bytes());
    header[4..6].copy_from_slice(&1u16.to_le_bytes());
    header[6..8].copy_from_slice(&16u16.to_le_bytes());
    header
}

/// Returns a grid of `blocks` with `threads` each and that much dynamic shared memory.
pub fn shape(blocks: (u32, u32), threads: u32, dynamic_bytes: u32) -> LaunchConfig {
    LaunchConfig {
        grid_dim: (blocks.0, blocks.1, 1),
        block_dim: (threads, 1, 1),
        shared_mem_bytes: dynamic_bytes,
    }
}

/// Asserts a failure with `code` and a fault line containing `why`, and that the error is sticky.
pub fn fails<T>(
    emulator: &Emulator,
    what: &str,
    found: Result<T, Box<dyn Error>>,
    code: CUresult,
    why: &str,
) -> Outcome {
    let Err(error) = found else {
        panic!("{what}: not found")
    };
    let status = error.downcast_ref::<DriverError>().map(|error| error.0);
    assert_eq!(status, Some(code), "{what}: {error}");
    let fault = emulator.last_fault()?;
    assert!(fault.contains(why), "{what}: {fault}");
    Ok(())
}
