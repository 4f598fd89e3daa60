//! The driver's state behind its lock, and the entry of every driver function.

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use crate::capture::Graph;
use crate::counters::Counters;
use crate::cublaslt;
use crate::event::Event;
use crate::memory::Memory;
use crate::module::{Function, Module};
use crate::settings::Settings;
use crate::status::{Outcome, Status};
use crate::stream::{Operation, Stream};

/// The driver's state. Handles are numbers; contexts are numbered from [`CONTEXT`] by device.
pub struct Driver {
    pub given: BTreeMap<String, String>,
    pub settings: Settings,
    pub initialised: bool,
    /// The error that made the context unusable.
    pub sticky: Option<Status>,
    pub counters: Counters,
    pub last_fault: std::ffi::CString,
    pub memory: Memory,
    pub modules: HashMap<usize, Module>,
    pub functions: HashMap<usize, Function>,
    pub streams: HashMap<usize, Stream>,
    pub events: HashMap<usize, Event>,
    pub graphs: HashMap<usize, Graph>,
    pub executables: HashMap<usize, Graph>,
    pub cublaslt: cublaslt::Objects,
    /// Pending work of all streams in the order of submission, run at the next synchronisation.
    pub queue: VecDeque<Operation>,
    last_handle: usize,
}

/// The first device's context.
pub const CONTEXT: usize = 0xC0DE00;

thread_local! {
    static CURRENT: Cell<usize> = const { Cell::new(0) };
}

static DRIVER: LazyLock<Mutex<Driver>> = LazyLock::new(|| {
    let given = BTreeMap::new();
    let settings = Settings::read(&given);
    Mutex::new(Driver {
        counters: Counters::new(&settings),
        settings,
        given,
        initialised: false,
        sticky: None,
        last_fault: Default::default(),
        memory: Memory::default(),
        modules: HashMap::new(),
        functions: HashMap::new(),
        streams: Stream::defaults(),
        events: HashMap::new(),
        graphs: HashMap::new(),
        executables: HashMap::new(),
        cublaslt: cublaslt::Objects::default(),
        queue: VecDeque::new(),
        last_handle: 0x1000,
    })
});

/// The precondition of a function.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    Nothing,
    Init,
    /// A current context that no error has made unusable.
    Context,
}

/// Locks the state.
pub fn lock() -> MutexGuard<'static, Driver> {
    DRIVER.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs a driver function: counts the call, fails it if the settings say so, and checks its
/// precondition. Returns the CUresult.
pub fn enter(name: &'static str, needs: Needs, body: impl FnOnce(&mut Driver) -> Outcome) -> u32 {
    let mut driver = lock();
    if driver.settings.trace {
        eprintln!("foveate-emulator: {name}");
    }
    let outcome = match driver.counters.count(name) {
        Some(status) => Err(status),
        None => driver.ready(needs).and_then(|()| body(&mut driver)),
    };
    match outcome {
        Ok(()) => 0,
        Err(status) => {
            if status.is_sticky() {
                driver.sticky = Some(status);
            }
            status.code()
        }
    }
}

impl Driver {
    fn ready(&self, needs: Needs) -> Outcome {
        if needs != Needs::Nothing && !self.initialised {
            return Err(Status::NOT_INITIALIZED);
        }
        if needs == Needs::Context {
            if current_context() == 0 {
                return Err(Status::INVALID_CONTEXT);
            }
            return self.sticky.map_or(Ok(()), Err);
        }
        Ok(())
    }

    /// Returns a new unique number.
    pub fn handle(&mut self) -> usize {
        self.last_handle += 16;
        self.last_handle
    }

    /// Resets counts, failures, the sticky error and the schedules, with the current settings.
    pub fn reset(&mut self) {
        self.settings = Settings::read(&self.given);
        self.counters = Counters::new(&self.settings);
        self.sticky = None;
        self.last_fault = Default::default();
        self.drop_queue();
        // SAFETY: no launch runs while the lock is held.
        unsafe { crate::runtime::emulated_restart() };
    }
}

/// Returns the calling thread's context, 0 for none.
pub fn current_context() -> usize {
    CURRENT.get()
}

/// Sets the calling thread's context.
pub fn set_current_context(context: usize) {
    CURRENT.set(context);
}

/// Returns the device of the current context.
pub fn current_device() -> usize {
    current_context().saturating_sub(CONTEXT)
}

/// The destination of a function's result: a pointer from the caller, valid for one `T` or null.
#[repr(transparent)]
#[derive(Clone, Copy)]
pub struct Out<T>(*mut T);

impl<T> Out<T> {
    /// Writes the value; returns INVALID_VALUE for null.
    pub fn put(self, value: T) -> Outcome {
        if self.0.is_null() {
            return Err(Status::INVALID_VALUE);
        }
        // SAFETY: by the driver API's contract the pointer has room for one T.
        unsafe { self.0.write_unaligned(value) };
        Ok(())
    }

    /// Writes the value unless the pointer is null.
    pub fn put_if_wanted(self, value: T) {
        let _ = self.put(value);
    }
}
