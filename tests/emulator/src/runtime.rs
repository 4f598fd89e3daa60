//! The interface to the C++ runtime: device memory and the execution of kernels.
//! `cpp/runtime/worker.h` declares the same structures.

use std::ffi::{CStr, c_char, c_void};

/// The order in which a block's threads run.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Order {
    /// Warps by random priorities, drawn again at each barrier.
    Priorities = 0,
    Sequential = 1,
    Random = 2,
}

#[repr(C)]
pub struct Options {
    pub seed: u64,
    pub order: Order,
    pub check: u32,
    pub threads: u32,
}

/// A kernel compiled for the host.
#[repr(C)]
pub struct Kernel {
    name: *const c_char,
    thunk: *const c_void,
    arguments: u32,
    sizes: *const u32,
    is_pointer: *const u8,
    /// The largest number of threads of a block.
    pub bound: u32,
    next: *const Kernel,
}

// SAFETY: kernels are static and never change after the library is loaded.
unsafe impl Sync for Kernel {}

impl Kernel {
    /// Returns the kernel of this name.
    pub fn find(name: &CStr) -> Option<&'static Self> {
        // SAFETY: the name ends in a zero byte, and the result lives as long as the library.
        unsafe { emulated_find(name.as_ptr()).as_ref() }
    }

    /// Returns the name in the source.
    pub fn name(&self) -> String {
        // SAFETY: a string literal of the generated code.
        unsafe { CStr::from_ptr(self.name) }
            .to_string_lossy()
            .into_owned()
    }

    /// Returns the size in bytes of each argument.
    pub fn sizes(&self) -> &[u32] {
        // SAFETY: the generated table has as many entries, and one more.
        unsafe { std::slice::from_raw_parts(self.sizes, self.arguments as usize) }
    }
}

#[repr(C)]
pub struct Launch {
    pub kernel: *const Kernel,
    pub arguments: *mut *mut c_void,
    pub grid: [u32; 3],
    pub block: [u32; 3],
    pub dynamic_bytes: u32,
    pub shared_limit: u32,
}

#[repr(C)]
pub struct Fault {
    pub code: u32,
    pub block: [u32; 3],
    pub thread: [u32; 3],
    pub pc: *const c_void,
    pub what: [u8; 512],
}

unsafe extern "C" {
    fn emulated_find(name: *const c_char) -> *const Kernel;
    /// Allocates device memory filled with 0xFF; returns null on failure.
    pub fn emulated_allocate(bytes: usize) -> *mut c_void;
    /// Releases an allocation; returns whether the pointer was the start of one.
    pub fn emulated_release(pointer: *mut c_void) -> bool;
    /// Returns whether the bytes lie inside one allocation.
    pub fn emulated_inside(pointer: *const c_void, bytes: usize) -> bool;
    /// Runs a whole launch; returns 0 or the fault's code.
    pub fn emulated_run(launch: *const Launch, options: *const Options, fault: *mut Fault) -> u32;
    /// Restarts the count of launches that determines the schedules.
    pub fn emulated_restart();
}

/// Returns whether the bytes lie inside one live device allocation.
pub fn inside(pointer: usize, bytes: usize) -> bool {
    // SAFETY: only searches for the address; the driver's lock is held.
    unsafe { emulated_inside(pointer as *const c_void, bytes) }
}
