//! Device memory and pinned host memory.

use std::alloc::{Layout, alloc, dealloc};
use std::collections::BTreeMap;
use std::ffi::{c_uint, c_void};
use std::ptr;

use crate::calls::driver_calls;
use crate::driver::{Driver, Out, current_device};
use crate::runtime::{emulated_allocate, emulated_release};
use crate::status::{Outcome, Status};
use crate::stream::Operation;

/// Allocated memory, without allocations that are about to be released.
#[derive(Default)]
pub struct Memory {
    live: BTreeMap<usize, Block>,
    pinned: BTreeMap<usize, usize>,
}

struct Block {
    bytes: usize,
    device: usize,
}

impl Memory {
    /// Returns the bytes of device memory in use.
    pub fn allocated(&self) -> u64 {
        self.live.values().map(|block| block.bytes as u64).sum()
    }

    fn on_device(&self, device: usize) -> u64 {
        self.live
            .values()
            .filter(|block| block.device == device)
            .map(|block| block.bytes as u64)
            .sum()
    }

    /// Returns whether the bytes are pinned host memory, which copies access only when they run.
    pub fn is_pinned(&self, pointer: usize, bytes: usize) -> bool {
        let block = self.pinned.range(..=pointer).next_back();
        block.is_some_and(|(start, length)| pointer + bytes <= start + length)
    }
}

fn pinned_layout(bytes: usize) -> Result<Layout, Status> {
    Layout::from_size_align(bytes.max(1), 4096).map_err(|_| Status::OUT_OF_MEMORY)
}

impl Driver {
    fn allocate(&mut self, bytes: usize) -> Result<usize, Status> {
        let free = |driver: &Self| {
            driver
                .settings
                .memory
                .saturating_sub(driver.memory.on_device(current_device()))
        };
        if bytes == 0 {
            return Err(Status::INVALID_VALUE);
        }
        if bytes as u64 > free(self) {
            return Err(Status::OUT_OF_MEMORY);
        }
        // SAFETY: the lock is held and no launch runs.
        let pointer = unsafe { emulated_allocate(bytes) } as usize;
        if pointer == 0 {
            return Err(Status::OUT_OF_MEMORY);
        }
        self.memory.live.insert(
            pointer,
            Block {
                bytes,
                device: current_device(),
            },
        );
        Ok(pointer)
    }

    /// Marks an allocation as freed; its memory is released when the queue reaches it.
    fn retire(&mut self, pointer: usize) -> Outcome {
        self.memory
            .live
            .remove(&pointer)
            .map(drop)
            .ok_or(Status::INVALID_VALUE)
    }

    /// Releases freed memory.
    pub fn release(&mut self, pointer: usize) {
        // SAFETY: the lock is held and no launch runs.
        unsafe { emulated_release(pointer as *mut c_void) };
    }

    /// Checks calls that a capture forbids even if they involve no capturing stream.
    pub fn forbid_in_capture(&mut self) -> Outcome {
        if self.invalidate_captures(|capture| capture.forbids_unsafe_calls()) {
            return Err(Status::STREAM_CAPTURE_UNSUPPORTED);
        }
        Ok(())
    }
}

driver_calls! {
    /// Returns free and total bytes.
    Context fn cuMemGetInfo_v2(driver, free: Out<usize>, total: Out<usize>) {
        let used = driver.memory.on_device(current_device());
        free.put(driver.settings.memory.saturating_sub(used) as usize)?;
        total.put(driver.settings.memory as usize)
    }
    /// Allocates memory filled with 0xFF, at least 256-byte aligned.
    Context fn cuMemAlloc_v2(driver, pointer: Out<usize>, bytes: usize) {
        driver.forbid_in_capture()?;
        pointer.put(driver.allocate(bytes)?)
    }
    /// Allocates memory in stream order. Not in a capture: allocations of graphs are not emulated.
    Context fn cuMemAllocAsync(driver, pointer: Out<usize>, bytes: usize, stream: usize) {
        driver.not_capturing(stream)?;
        pointer.put(driver.allocate(bytes)?)
    }
    /// Waits for all work, then frees memory.
    Context fn cuMemFree_v2(driver, pointer: usize) {
        driver.forbid_in_capture()?;
        if pointer == 0 {
            return Ok(());
        }
        driver.flush()?;
        driver.retire(pointer)?;
        driver.release(pointer);
        Ok(())
    }
    /// Frees memory in stream order.
    Context fn cuMemFreeAsync(driver, pointer: usize, stream: usize) {
        driver.not_capturing(stream)?;
        if pointer == 0 {
            return Err(Status::INVALID_VALUE);
        }
        driver.retire(pointer)?;
        driver.submit(stream, Operation::Release(pointer))
    }
    /// Allocates pinned host memory.
    Context fn cuMemHostAlloc(driver, pointer: Out<usize>, bytes: usize, _flags: c_uint) {
        driver.forbid_in_capture()?;
        if bytes == 0 {
            return Err(Status::INVALID_VALUE);
        }
        // SAFETY: the layout is not empty.
        let fresh = unsafe { alloc(pinned_layout(bytes)?) };
        if fresh.is_null() {
            return Err(Status::OUT_OF_MEMORY);
        }
        // SAFETY: just allocated with this size; filled so that reading it before a copy has run
        // has an effect.
        unsafe { ptr::write_bytes(fresh, 0xFF, bytes) };
        driver.memory.pinned.insert(fresh as usize, bytes);
        pointer.put(fresh as usize)
    }
    /// Waits for all work, then frees pinned memory.
    Context fn cuMemFreeHost(driver, pointer: usize) {
        driver.forbid_in_capture()?;
        driver.flush()?;
        let bytes = driver.memory.pinned.remove(&pointer).ok_or(Status::INVALID_VALUE)?;
        // SAFETY: allocated above with the same layout.
        unsafe { dealloc(pointer as *mut u8, pinned_layout(bytes)?) };
        Ok(())
    }
}
