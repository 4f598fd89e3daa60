//! Events.

use std::ffi::c_uint;
use std::time::Instant;

use crate::calls::driver_calls;
use crate::driver::{Driver, Out};
use crate::status::{Outcome, Status};
use crate::stream::Operation;

/// One event.
pub struct Event {
    timing: bool,
    /// Number of pending records in the queue.
    pub pending: u32,
    /// The time at which the last record ran.
    pub time: Option<Instant>,
    /// Whether the last record was in a capture.
    captured: bool,
}

const DISABLE_TIMING: c_uint = 2;

impl Driver {
    fn event(&mut self, event: usize) -> Result<&mut Event, Status> {
        self.events.get_mut(&event).ok_or(Status::INVALID_HANDLE)
    }

    fn record(&mut self, event: usize, stream: usize) -> Outcome {
        let captured = self.is_capturing(stream)?;
        let known = self.event(event)?;
        known.captured = captured;
        if captured {
            return Ok(());
        }
        known.pending += 1;
        self.submit(stream, Operation::Record(event))
    }

    fn wait_for_event(&mut self, event: usize) -> Outcome {
        if self.event(event)?.captured {
            return Err(Status::CAPTURED_EVENT);
        }
        // An event that was never recorded, or whose record is done, is complete: there is nothing
        // to wait for.
        if self.event(event)?.pending == 0 {
            return Ok(());
        }
        self.flush()
    }

    /// Makes a stream wait for an event. A single queue keeps the order, so waiting needs no work;
    /// but a capture must not depend on work outside itself.
    fn stream_waits(&mut self, stream: usize, event: usize) -> Outcome {
        let captured = self.event(event)?.captured;
        let recorded = self.event(event)?.pending > 0 || self.event(event)?.time.is_some();
        match &mut self.stream(stream)?.capture {
            Some(capture) if recorded && !captured => {
                capture.invalidate();
                Err(Status::STREAM_CAPTURE_ISOLATION)
            }
            None if captured => Err(Status::NOT_SUPPORTED), // a capture over several streams
            _ => Ok(()),
        }
    }

    fn elapsed(&mut self, start: usize, end: usize) -> Result<f32, Status> {
        let mut times = [Instant::now(); 2];
        for (time, event) in times.iter_mut().zip([start, end]) {
            let event = self.event(event)?;
            if event.captured {
                return Err(Status::CAPTURED_EVENT);
            }
            if !event.timing {
                return Err(Status::INVALID_HANDLE);
            }
            if event.pending > 0 {
                return Err(Status::NOT_READY);
            }
            *time = event.time.ok_or(Status::INVALID_HANDLE)?;
        }
        let [start, end] = times;
        Ok(end.saturating_duration_since(start).as_secs_f32() * 1e3)
    }
}

driver_calls! {
    /// Creates an event.
    Context fn cuEventCreate(driver, event: Out<usize>, flags: c_uint) {
        let handle = driver.handle();
        let timing = flags & DISABLE_TIMING == 0;
        driver.events.insert(handle, Event { timing, pending: 0, time: None, captured: false });
        event.put(handle)
    }
    /// Destroys an event.
    Context fn cuEventDestroy_v2(driver, event: usize) {
        driver.events.remove(&event).map(drop).ok_or(Status::INVALID_HANDLE)
    }
    /// Records an event in a stream's work.
    Context fn cuEventRecord(driver, event: usize, stream: usize) { driver.record(event, stream) }
    /// Waits for the event.
    Context fn cuEventSynchronize(driver, event: usize) { driver.wait_for_event(event) }
    /// Returns whether the event has completed, after completing it.
    Context fn cuEventQuery(driver, event: usize) { driver.wait_for_event(event) }
    /// Makes a stream wait for an event.
    Context fn cuStreamWaitEvent(driver, stream: usize, event: usize, _flags: c_uint) {
        driver.stream_waits(stream, event)
    }
    /// Returns the milliseconds between two events; NOT_READY before both are known to have
    /// completed.
    Context fn cuEventElapsedTime(driver, milliseconds: Out<f32>, start: usize, end: usize) {
        milliseconds.put(driver.elapsed(start, end)?)
    }
    /// The same under its name in CUDA 13.
    Context fn cuEventElapsedTime_v2(driver, milliseconds: Out<f32>, start: usize, end: usize) {
        milliseconds.put(driver.elapsed(start, end)?)
    }
}
