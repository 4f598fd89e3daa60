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

    /// Waits for all work; not while anything is captured.
    fn synchronise_context(&mut self) -> Outcome {
        if self.invalidate_captures(|_| true) {
            return Err(Status::STREAM_CAPTURE_UNSUPPORTED);
        }
        self.flush()
    }
}

driver_calls! {
    /// The device's context.
    Init fn cuDevicePrimaryCtxRetain(driver, context: Out<usize>, device: c_int) { context.put(driver.context_of(device)?) }
    /// Gives it back. What was made in it stays, as does an error that made it unusable: a process
    /// does not recover from those.
    Init fn cuDevicePrimaryCtxRelease_v2(driver, device: c_int) { driver.context_of(device).map(drop) }
    /// Whether it is in use.
    Init fn cuDevicePrimaryCtxGetState(driver, device: c_int, flags: Out<c_uint>, active: Out<c_int>) {
        driver.context_of(device)?;
        flags.put(0)?;
        active.put(1)
    }
    /// Scheduling of waits; without effect.
    Init fn cuDevicePrimaryCtxSetFlags_v2(driver, device: c_int, _flags: c_uint) { driver.context_of(device).map(drop) }
    /// The calling thread's context.
    Init fn cuCtxGetCurrent(_driver, context: Out<usize>) { context.put(current_context()) }
    /// Changes it; 0 for none.
    Init fn cuCtxSetCurrent(driver, context: usize) {
        if context != 0 && !(CONTEXT..CONTEXT + driver.settings.devices).contains(&context) {
            return Err(Status::INVALID_CONTEXT);
        }
        set_current_context(context);
        Ok(())
    }
    /// The current context's device.
    Context fn cuCtxGetDevice(_driver, device: Out<c_int>) { device.put(current_device() as c_int) }
    /// Waits for everything.
    Context fn cuCtxSynchronize(driver) { driver.synchronise_context() }
    /// Scheduling of waits; without effect.
    Context fn cuCtxSetFlags(_driver, _flags: c_uint) { Ok(()) }
    /// From the least to the greatest.
    Context fn cuCtxGetStreamPriorityRange(_driver, least: Out<c_int>, greatest: Out<c_int>) {
        least.put_if_wanted(0);
        greatest.put_if_wanted(-5);
        Ok(())
    }
    /// A limit; without effect.
    Context fn cuCtxSetLimit(_driver, _limit: c_int, _value: usize) { Ok(()) }
    /// A limit: always as much as a kernel's thread has for its stack.
    Context fn cuCtxGetLimit(_driver, value: Out<usize>, _limit: c_int) { value.put(1024) }
}
