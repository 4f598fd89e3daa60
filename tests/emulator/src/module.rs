//! Modules and functions. Only the format of an image is checked: the kernels are those compiled
//! into this library.

use std::ffi::{CStr, c_char, c_int, c_void};

use crate::calls::driver_calls;
use crate::driver::{Driver, Out};
use crate::runtime::Kernel;
use crate::status::{Outcome, Status};

/// The functions of a loaded image.
pub struct Module {
    functions: Vec<(String, usize)>,
}

/// A kernel and its attributes.
pub struct Function {
    pub kernel: &'static Kernel,
    /// Bytes of dynamic shared memory that a launch may ask for.
    pub most_dynamic: u32,
    /// Whether it was raised above the 48 KiB that every block may use.
    pub opted_in: bool,
}

/// Shared memory that a block may use without opting in.
pub const SHARED_BYTES: u32 = 48 << 10;

const FATBIN: u32 = 0xBA55_ED50;
const ELF: u32 = u32::from_le_bytes(*b"\x7fELF");

impl Driver {
    fn load(&mut self, image: *const c_void, module: Out<usize>) -> Outcome {
        if image.is_null() {
            return Err(Status::INVALID_VALUE);
        }
        // SAFETY: the caller's image has at least its magic number.
        let magic = unsafe { image.cast::<u32>().read_unaligned() };
        if magic != FATBIN && magic != ELF {
            return Err(Status::INVALID_IMAGE);
        }
        let handle = self.handle();
        self.modules.insert(
            handle,
            Module {
                functions: Vec::new(),
            },
        );
        module.put(handle)
    }

    fn find(&mut self, module: usize, name: &CStr) -> Result<usize, Status> {
        let text = name.to_string_lossy().into_owned();
        let known = self.modules.get(&module).ok_or(Status::INVALID_HANDLE)?;
        if let Some((_, handle)) = known.functions.iter().find(|(known, _)| *known == text) {
            return Ok(*handle);
        }
        let kernel = Kernel::find(name).ok_or(Status::NOT_FOUND)?;
        let handle = self.handle();
        self.functions.insert(
            handle,
            Function {
                kernel,
                most_dynamic: SHARED_BYTES,
                opted_in: false,
            },
        );
        if let Some(module) = self.modules.get_mut(&module) {
            module.functions.push((text, handle));
        }
        Ok(handle)
    }

    fn unload(&mut self, module: usize) -> Outcome {
        let Some(module) = self.modules.remove(&module) else {
            return Err(Status::INVALID_HANDLE);
        };
        for (_, function) in module.functions {
            self.functions.remove(&function);
        }
        Ok(())
    }
}

driver_calls! {
    /// Loads a fatbin, compressed or not, or a cubin.
    Context fn cuModuleLoadData(driver, module: Out<usize>, image: *const c_void) {
        driver.load(image, module)
    }
    /// Loads an image; the options have no effect.
    Context fn cuModuleLoadDataEx(
        driver, module: Out<usize>, image: *const c_void, _count: u32, _options: *mut c_int,
        _values: *mut *mut c_void,
    ) {
        driver.load(image, module)
    }
    /// Loads an image.
    Context fn cuModuleLoadFatBinary(driver, module: Out<usize>, image: *const c_void) {
        driver.load(image, module)
    }
    /// Unloads the module and its functions.
    Context fn cuModuleUnload(driver, module: usize) {
        driver.flush()?;
        driver.unload(module)
    }
    /// Returns the kernel of a name, if `kernels/*.cu` has one.
    Context fn cuModuleGetFunction(
        driver, function: Out<usize>, module: usize, name: *const c_char,
    ) {
        if name.is_null() {
            return Err(Status::INVALID_VALUE);
        }
        // SAFETY: the caller provides a C string.
        let handle = driver.find(module, unsafe { CStr::from_ptr(name) })?;
        function.put(handle)
    }
    /// Raises the dynamic shared memory that launches may use; other attributes have no effect.
    Context fn cuFuncSetAttribute(driver, function: usize, attribute: c_int, value: c_int) {
        let limit = driver.most_shared_bytes();
        let function = driver.functions.get_mut(&function).ok_or(Status::INVALID_HANDLE)?;
        if attribute == 8 {
            let bytes = u32::try_from(value).ok().filter(|bytes| *bytes <= limit);
            let bytes = bytes.ok_or(Status::INVALID_VALUE)?;
            function.most_dynamic = bytes;
            function.opted_in = bytes > SHARED_BYTES;
        }
        Ok(())
    }
    /// Returns attributes; registers are an estimate, static shared memory is unknown.
    Context fn cuFuncGetAttribute(driver, value: Out<c_int>, attribute: c_int, function: usize) {
        let (major, minor) = driver.settings.capability;
        let function = driver.functions.get(&function).ok_or(Status::INVALID_HANDLE)?;
        value.put(match attribute {
            0 => function.kernel.bound as c_int,
            4 => 64,
            5 | 6 => major * 10 + minor,
            8 => function.most_dynamic as c_int,
            _ => 0,
        })
    }
    /// Has no effect.
    Context fn cuFuncSetCacheConfig(driver, function: usize, _config: c_int) {
        driver.functions.get(&function).map(drop).ok_or(Status::INVALID_HANDLE)
    }
    /// Returns the occupancy by threads and shared memory alone.
    Context fn cuOccupancyMaxActiveBlocksPerMultiprocessor(
        driver, blocks: Out<c_int>, function: usize, threads: c_int, dynamic: usize,
    ) {
        driver.functions.get(&function).ok_or(Status::INVALID_HANDLE)?;
        let by_shared = (driver.most_shared_bytes() as usize + 1024) / (dynamic + 1024);
        let by_threads = driver.threads_per_multiprocessor() / threads.max(1);
        blocks.put(by_threads.min(by_shared as c_int).min(32))
    }
}
