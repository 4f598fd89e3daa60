//! Streams. Work waits in one queue, in the order of submission, until a synchronisation: a missing
//! synchronisation on the host is then detected, as are pinned buffers that are reused too early.
//! Missing ordering between streams is not detected.

use std::collections::HashMap;
use std::ffi::{c_int, c_uint, c_void};
use std::sync::Arc;
use std::time::Instant;

use crate::calls::driver_calls;
use crate::capture::Capture;
use crate::copy::{Copy, Fill};
use crate::cublaslt::Product;
use crate::driver::{Driver, Out};
use crate::launch::Prepared;
use crate::status::{Outcome, Status};

/// One stream.
#[derive(Default)]
pub struct Stream {
    pub capture: Option<Capture>,
}

/// The legacy default stream, by its two handles.
const LEGACY: [usize; 2] = [0, 1];
const PER_THREAD: usize = 2;

impl Stream {
    /// Returns the streams that always exist.
    pub fn defaults() -> HashMap<usize, Self> {
        [LEGACY[0], LEGACY[1], PER_THREAD]
            .map(|handle| (handle, Self::default()))
            .into()
    }
}

/// A unit of work.
#[derive(Clone)]
pub enum Operation {
    Copy(Copy),
    Fill(Fill),
    Launch(Arc<Prepared>),
    /// A product of cuBLASLt.
    Product(Arc<Product>),
    /// The record of an event, by its handle.
    Record(usize),
    /// The release of device memory.
    Release(usize),
    Graph(Arc<Vec<Operation>>),
    Call(HostCall),
}

/// A function of the host with its argument.
#[derive(Clone, Copy)]
pub struct HostCall {
    function: unsafe extern "C" fn(*mut c_void),
    /// A pointer from the caller.
    argument: usize,
}

impl Driver {
    /// Returns the stream of a handle.
    pub fn stream(&mut self, stream: usize) -> Result<&mut Stream, Status> {
        self.streams.get_mut(&stream).ok_or(Status::INVALID_HANDLE)
    }

    /// Returns whether the stream is being captured.
    pub fn is_capturing(&mut self, stream: usize) -> Result<bool, Status> {
        Ok(self.stream(stream)?.capture.is_some())
    }

    /// Checks calls that are not allowed while this stream is captured; they invalidate the
    /// capture.
    pub fn not_capturing(&mut self, stream: usize) -> Outcome {
        match &mut self.stream(stream)?.capture {
            Some(capture) => {
                capture.invalidate();
                Err(Status::STREAM_CAPTURE_UNSUPPORTED)
            }
            None => Ok(()),
        }
    }

    /// Submits work to a stream or to its capture.
    pub fn submit(&mut self, stream: usize, operation: Operation) -> Outcome {
        if LEGACY.contains(&stream)
            && self.invalidate_captures(|capture| capture.forbids_unsafe_calls())
        {
            return Err(Status::STREAM_CAPTURE_IMPLICIT);
        }
        if let Some(capture) = &mut self.stream(stream)?.capture {
            return capture.push(operation);
        }
        self.queue.push_back(operation);
        if self.settings.blocking {
            self.flush()
        } else {
            Ok(())
        }
    }

    /// Runs all pending work, up to the first error.
    pub fn flush(&mut self) -> Outcome {
        while let Some(operation) = self.queue.pop_front() {
            if let Err(status) = self.execute(&operation) {
                self.drop_queue();
                return Err(status);
            }
        }
        Ok(())
    }

    /// Drops all pending work.
    pub fn drop_queue(&mut self) {
        for operation in std::mem::take(&mut self.queue) {
            if let Operation::Release(pointer) = operation {
                self.release(pointer);
            }
        }
        self.events.values_mut().for_each(|event| event.pending = 0);
    }

    fn execute(&mut self, operation: &Operation) -> Outcome {
        match operation {
            Operation::Copy(copy) if !copy.is_valid() => return Err(Status::ILLEGAL_ADDRESS),
            Operation::Copy(copy) => {
                copy.run();
                self.counters.copied(copy.direction, copy.bytes);
            }
            Operation::Fill(fill) if !fill.is_valid() => return Err(Status::ILLEGAL_ADDRESS),
            Operation::Fill(fill) => fill.run(),
            Operation::Launch(prepared) => return self.run(prepared),
            Operation::Product(product) => {
                product.run()?;
                self.counters.ran(product.name().to_owned());
            }
            Operation::Record(event) => {
                if let Some(event) = self.events.get_mut(event) {
                    event.pending = event.pending.saturating_sub(1);
                    event.time = Some(Instant::now());
                }
            }
            Operation::Release(pointer) => self.release(*pointer),
            Operation::Graph(operations) => operations
                .iter()
                .try_for_each(|operation| self.execute(operation))?,
            // SAFETY: guaranteed by the caller of cuLaunchHostFunc.
            Operation::Call(call) => unsafe { (call.function)(call.argument as *mut c_void) },
        }
        Ok(())
    }

    fn create_stream(&mut self, stream: Out<usize>) -> Outcome {
        let handle = self.handle();
        self.streams.insert(handle, Stream::default());
        stream.put(handle)
    }

    fn wait_for_stream(&mut self, stream: usize) -> Outcome {
        self.not_capturing(stream)?;
        if LEGACY.contains(&stream)
            && self.invalidate_captures(|capture| capture.forbids_unsafe_calls())
        {
            return Err(Status::STREAM_CAPTURE_IMPLICIT);
        }
        self.flush()
    }
}

driver_calls! {
    /// Creates a stream.
    Context fn cuStreamCreate(driver, stream: Out<usize>, _flags: c_uint) {
        driver.create_stream(stream)
    }
    /// Creates a stream; the priority has no effect.
    Context fn cuStreamCreateWithPriority(
        driver, stream: Out<usize>, _flags: c_uint, _priority: c_int,
    ) {
        driver.create_stream(stream)
    }
    /// Destroys a stream; its work still runs.
    Context fn cuStreamDestroy_v2(driver, stream: usize) {
        if LEGACY.contains(&stream) || stream == PER_THREAD {
            return Err(Status::INVALID_HANDLE);
        }
        driver.streams.remove(&stream).map(drop).ok_or(Status::INVALID_HANDLE)
    }
    /// Waits for a stream's work.
    Context fn cuStreamSynchronize(driver, stream: usize) { driver.wait_for_stream(stream) }
    /// Returns whether a stream's work is done, after running it.
    Context fn cuStreamQuery(driver, stream: usize) { driver.wait_for_stream(stream) }
    /// Calls a host function in stream order. It may not call driver functions.
    Context fn cuLaunchHostFunc(
        driver, stream: usize, function: Option<unsafe extern "C" fn(*mut c_void)>,
        argument: *mut c_void,
    ) {
        let function = function.ok_or(Status::INVALID_VALUE)?;
        driver.submit(stream, Operation::Call(HostCall { function, argument: argument as usize }))
    }
}
