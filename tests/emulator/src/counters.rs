//! Counts of calls, copied bytes and kernel runs, injected failures, and the functions by which
//! tests access them.

use std::collections::BTreeMap;
use std::ffi::{CStr, c_char};

use crate::driver::lock;
use crate::settings::{NAMES, Settings};
use crate::status::Status;

/// The direction of a copy.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    HostToDevice = 0,
    DeviceToHost = 1,
    DeviceToDevice = 2,
}

/// An injected failure: the `nth` call of a function, from 1, fails with a status.
#[derive(Clone)]
pub struct Failure {
    call: String,
    nth: u64,
    status: Status,
}

impl Failure {
    /// Parses a comma-separated list of `call:k:code`.
    pub fn list(text: &str) -> Option<Vec<Self>> {
        text.split(',').map(Self::one).collect()
    }

    fn one(text: &str) -> Option<Self> {
        let mut parts = text.trim().split(':');
        let failure = Self {
            call: parts.next()?.to_owned(),
            nth: parts.next()?.parse().ok()?,
            status: Status::known(parts.next()?.parse().ok()?)?,
        };
        parts.next().is_none().then_some(failure)
    }
}

/// Counts since the last reset.
pub struct Counters {
    calls: BTreeMap<&'static str, u64>,
    bytes: [u64; 3],
    runs: BTreeMap<String, u64>,
    failures: Vec<Failure>,
}

impl Counters {
    /// Returns zero counts, with the pending failures of the settings.
    pub fn new(settings: &Settings) -> Self {
        Self {
            calls: BTreeMap::new(),
            bytes: [0; 3],
            runs: BTreeMap::new(),
            failures: settings.failures.clone(),
        }
    }

    /// Counts a call; returns the status that it is to fail with, if any.
    pub fn count(&mut self, name: &'static str) -> Option<Status> {
        let calls = self.calls.entry(name).or_default();
        *calls += 1;
        self.failures
            .iter()
            .find(|failure| failure.call == name && failure.nth == *calls)
            .map(|failure| failure.status)
    }

    /// Counts copied bytes.
    pub fn copied(&mut self, direction: Direction, bytes: usize) {
        self.bytes[direction as usize] += bytes as u64;
    }

    /// Counts a kernel's run, by a launch or by a graph.
    pub fn ran(&mut self, kernel: String) {
        *self.runs.entry(kernel).or_default() += 1;
    }
}

/// Returns the text at a pointer from a test; `None` for null.
fn text(pointer: *const c_char) -> Option<String> {
    if pointer.is_null() {
        return None;
    }
    // SAFETY: the contract of the functions below: a C string or null.
    Some(
        unsafe { CStr::from_ptr(pointer) }
            .to_string_lossy()
            .into_owned(),
    )
}

/// Returns the number of calls of a driver function (a C string; null for all functions) since the
/// last reset.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn foveate_emulator_calls(name: *const c_char) -> u64 {
    let driver = lock();
    match text(name) {
        Some(name) => driver
            .counters
            .calls
            .get(name.as_str())
            .copied()
            .unwrap_or(0),
        None => driver.counters.calls.values().sum(),
    }
}

/// Returns the bytes copied since the last reset: 0 host to device, 1 device to host, 2 device to
/// device; those of graphs count at each replay.
#[unsafe(no_mangle)]
pub extern "C" fn foveate_emulator_bytes(direction: u32) -> u64 {
    lock()
        .counters
        .bytes
        .get(direction as usize)
        .copied()
        .unwrap_or(0)
}

/// Returns the finished runs of a kernel (a C string; null for all kernels) since the last reset,
/// launched or in graphs.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn foveate_emulator_runs(kernel: *const c_char) -> u64 {
    let driver = lock();
    match text(kernel) {
        Some(name) => driver.counters.runs.get(&name).copied().unwrap_or(0),
        None => driver.counters.runs.values().sum(),
    }
}

/// Returns the bytes of device memory that are currently allocated.
#[unsafe(no_mangle)]
pub extern "C" fn foveate_emulator_allocated() -> u64 {
    lock().memory.allocated()
}

/// Returns the last kernel fault since the last reset, as printed; empty if none. Valid until the
/// next fault or reset.
#[unsafe(no_mangle)]
pub extern "C" fn foveate_emulator_last_fault() -> *const c_char {
    lock().last_fault.as_ptr()
}

/// Sets a setting (its environment name without `FOVEATE_EMULATOR_`), which overrides the
/// environment from the next reset on. Both are C strings; a null value restores the environment's.
/// Returns 0 on success, 1 for a name that is not a setting.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn foveate_emulator_set(name: *const c_char, value: *const c_char) -> u32 {
    let Some(name) = text(name).filter(|name| NAMES.contains(&name.as_str())) else {
        return 1;
    };
    let mut driver = lock();
    match text(value) {
        Some(value) => driver.given.insert(name, value),
        None => driver.given.remove(&name),
    };
    0
}

/// Resets counts, injected failures, a sticky error and the schedules; drops pending work; reads
/// the settings again.
#[unsafe(no_mangle)]
pub extern "C" fn foveate_emulator_reset() {
    lock().reset();
}
