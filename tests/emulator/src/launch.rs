//! Kernel launches.

use std::ffi::{c_uint, c_void};
use std::sync::Arc;

use crate::calls::driver_calls;
use crate::driver::Driver;
use crate::fault;
use crate::module::SHARED_BYTES;
use crate::runtime::{Fault, Kernel, Launch, Options, emulated_run};
use crate::status::{Outcome, Status};
use crate::stream::Operation;

/// A launch with its arguments' values, as stored by a stream or a graph.
pub struct Prepared {
    kernel: &'static Kernel,
    grid: [u32; 3],
    block: [u32; 3],
    dynamic_bytes: u32,
    shared_limit: u32,
    /// Each argument in 16-byte units, so that every type is aligned.
    arguments: Vec<Box<[u128]>>,
}

impl Driver {
    fn prepare(
        &self,
        function: usize,
        grid: [u32; 3],
        block: [u32; 3],
        dynamic_bytes: u32,
        values: *mut *mut c_void,
    ) -> Result<Prepared, Status> {
        let function = self
            .functions
            .get(&function)
            .ok_or(Status::INVALID_HANDLE)?;
        let threads = block.iter().map(|n| u64::from(*n)).product::<u64>();
        let fits =
            grid[0] <= i32::MAX as u32 && grid[1] <= 65535 && grid[2] <= 65535 && block[2] <= 64;
        if !fits
            || grid.contains(&0)
            || threads == 0
            || threads > u64::from(function.kernel.bound.min(1024))
        {
            return Err(Status::INVALID_VALUE);
        }
        if dynamic_bytes > function.most_dynamic {
            return Err(Status::INVALID_VALUE);
        }
        let sizes = function.kernel.sizes();
        if values.is_null() && !sizes.is_empty() {
            return Err(Status::INVALID_VALUE);
        }
        let copied = |(i, size): (usize, &u32)| {
            let mut room = vec![0u128; (*size as usize).div_ceil(16)].into_boxed_slice();
            // SAFETY: the caller provides a pointer to each argument's value.
            unsafe {
                std::ptr::copy_nonoverlapping(
                    (*values.add(i)).cast::<u8>(),
                    room.as_mut_ptr().cast(),
                    *size as usize,
                )
            };
            room
        };
        Ok(Prepared {
            kernel: function.kernel,
            grid,
            block,
            dynamic_bytes,
            shared_limit: if function.opted_in {
                self.most_shared_bytes()
            } else {
                SHARED_BYTES
            },
            arguments: sizes.iter().enumerate().map(copied).collect(),
        })
    }

    /// Runs a launch to its end, or to a fault, which is printed.
    pub fn run(&mut self, prepared: &Prepared) -> Outcome {
        let mut arguments: Vec<*mut c_void> = prepared
            .arguments
            .iter()
            .map(|value| value.as_ptr().cast_mut().cast())
            .collect();
        let launch = Launch {
            kernel: prepared.kernel,
            arguments: arguments.as_mut_ptr(),
            grid: prepared.grid,
            block: prepared.block,
            dynamic_bytes: prepared.dynamic_bytes,
            shared_limit: prepared.shared_limit,
        };
        let settings = &self.settings;
        let options = Options {
            seed: settings.seed,
            order: settings.order,
            check: settings.check.into(),
            threads: settings.threads,
        };
        let mut found = Fault {
            code: 0,
            block: [0; 3],
            thread: [0; 3],
            pc: std::ptr::null(),
            what: [0; 512],
        };
        // SAFETY: the lock is held, so that this is the only launch, and the arguments have the
        // kernel's types.
        let code = unsafe { emulated_run(&launch, &options, &mut found) };
        if code == 0 {
            self.counters.ran(prepared.kernel.name());
            return Ok(());
        }
        self.last_fault = fault::report(&prepared.kernel.name(), &found);
        Err(Status::known(code).unwrap_or(Status::LAUNCH_FAILED))
    }
}

driver_calls! {
    /// Submits a launch to a stream; its faults are reported at the next synchronisation.
    Context fn cuLaunchKernel(
        driver, function: usize, grid_x: c_uint, grid_y: c_uint, grid_z: c_uint, block_x: c_uint,
        block_y: c_uint, block_z: c_uint, dynamic_bytes: c_uint, stream: usize,
        arguments: *mut *mut c_void, extra: *mut *mut c_void,
    ) {
        if !extra.is_null() {
            return Err(Status::INVALID_VALUE);
        }
        let (grid, block) = ([grid_x, grid_y, grid_z], [block_x, block_y, block_z]);
        let prepared = driver.prepare(function, grid, block, dynamic_bytes, arguments)?;
        driver.submit(stream, Operation::Launch(Arc::new(prepared)))
    }
}
