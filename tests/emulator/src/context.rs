//! Primary contexts, one per device.

use std::ffi::{c_int, c_uint};

use crate::calls::driver_calls;
use crate::driver::{CONTEXT, Driver, Out, current_context, current_device, set_current_context};
use crate::status::{Outcome, Status};

impl Driver {
    fn context_of(&self, device: c_int) -> Result<usize, Status> {
        let device = usize::try_from(device)
            .ok()
            .filter(|device| *device < self.settings.devices);
        device
            .map(|device| CONTEXT + device)
            .ok_or(Status::INVALID_DEVICE)
    }

    /// Waits for all work; an error during a capture.
    fn synchronise_context(&mut self) -> Outcome {
        if self.invalidate_captures(|_| true) {
            return Err(Status::STREAM_CAPTURE_UNSUPPORTED);
        }
        self.flush()
    }
}

driver_calls! {
    /// Returns the device's context.
    Init fn cuDevicePrimaryCtxRetain(driver, context: Out<usize>, device: c_int) {
        context.put(driver.context_of(device)?)
    }
    /// Releases the context. Objects created in it remain, as does an error that made it unusable:
    /// a process cannot recover from such errors.
    Init fn cuDevicePrimaryCtxRelease_v2(driver, device: c_int) {
        driver.context_of(device).map(drop)
    }
    /// Returns whether the context is in use.
    Init fn cuDevicePrimaryCtxGetState(
        driver, device: c_int, flags: Out<c_uint>, active: Out<c_int>,
    ) {
        driver.context_of(device)?;
        flags.put(0)?;
        active.put(1)
    }
    /// Sets the scheduling of waits; has no effect.
    Init fn cuDevicePrimaryCtxSetFlags_v2(driver, device: c_int, _flags: c_uint) {
        driver.context_of(device).map(drop)
    }
    /// Returns the calling thread's context.
    Init fn cuCtxGetCurrent(_driver, context: Out<usize>) { context.put(current_context()) }
    /// Sets the calling thread's context; 0 for none.
    Init fn cuCtxSetCurrent(driver, context: usize) {
        if context != 0 && !(CONTEXT..CONTEXT + driver.settings.devices).contains(&context) {
            return Err(Status::INVALID_CONTEXT);
        }
        set_current_context(context);
        Ok(())
    }
    /// Returns the current context's device.
    Context fn cuCtxGetDevice(_driver, device: Out<c_int>) { device.put(current_device() as c_int) }
    /// Waits for all work.
    Context fn cuCtxSynchronize(driver) { driver.synchronise_context() }
    /// Sets the scheduling of waits; has no effect.
    Context fn cuCtxSetFlags(_driver, _flags: c_uint) { Ok(()) }
    /// Returns the least and the greatest priority.
    Context fn cuCtxGetStreamPriorityRange(_driver, least: Out<c_int>, greatest: Out<c_int>) {
        least.put_if_wanted(0);
        greatest.put_if_wanted(-5);
        Ok(())
    }
    /// Sets a limit; has no effect.
    Context fn cuCtxSetLimit(_driver, _limit: c_int, _value: usize) { Ok(()) }
    /// Returns a limit: always the size of the stack of a kernel's thread.
    Context fn cuCtxGetLimit(_driver, value: Out<usize>, _limit: c_int) { value.put(1024) }
}
