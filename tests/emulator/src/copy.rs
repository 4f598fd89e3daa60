//! Copies and fills. A copy from or to pinned memory happens when the queue runs, so that using the
//! host's side without waiting has an effect; ordinary host memory is read and written before the
//! call returns, as by the driver through its staging buffers.

use crate::calls::driver_calls;
use crate::counters::Direction;
use crate::driver::Driver;
use crate::runtime::inside;
use crate::status::{Outcome, Status};
use crate::stream::Operation;

/// A copy of bytes.
#[derive(Clone, Copy)]
pub struct Copy {
    pub to: usize,
    pub from: usize,
    pub bytes: usize,
    pub direction: Direction,
}

/// A repeated value of 1, 2 or 4 bytes.
#[derive(Clone, Copy)]
pub struct Fill {
    pub to: usize,
    pub value: u32,
    pub width: usize,
    pub count: usize,
}

impl Copy {
    /// Returns whether its device sides are inside live allocations and its host side is not null.
    pub fn is_valid(&self) -> bool {
        let Self {
            to,
            from,
            bytes,
            direction,
        } = *self;
        bytes == 0
            || match direction {
                Direction::HostToDevice => from != 0 && inside(to, bytes),
                Direction::DeviceToHost => to != 0 && inside(from, bytes),
                Direction::DeviceToDevice => inside(to, bytes) && inside(from, bytes),
            }
    }

    /// Performs the copy.
    pub fn run(&self) {
        // SAFETY: the copy is valid, and the driver's caller guarantees its host side, as with the
        // real driver.
        unsafe { std::ptr::copy(self.from as *const u8, self.to as *mut u8, self.bytes) };
    }
}

impl Fill {
    /// Returns whether it stays inside one live allocation.
    pub fn is_valid(&self) -> bool {
        self.count == 0
            || self
                .count
                .checked_mul(self.width)
                .is_some_and(|bytes| inside(self.to, bytes))
    }

    /// Performs the fill.
    pub fn run(&self) {
        let value = self.value.to_le_bytes();
        // SAFETY: the fill is valid: all of it is live device memory.
        let target =
            unsafe { std::slice::from_raw_parts_mut(self.to as *mut u8, self.count * self.width) };
        target
            .chunks_exact_mut(self.width)
            .for_each(|element| element.copy_from_slice(&value[..self.width]));
    }
}

impl Driver {
    fn copy_async(&mut self, copy: Copy, stream: usize) -> Outcome {
        if !copy.is_valid() {
            return Err(Status::INVALID_VALUE);
        }
        let host = match copy.direction {
            Direction::HostToDevice => Some(copy.from),
            Direction::DeviceToHost => Some(copy.to),
            Direction::DeviceToDevice => None,
        };
        let at_once = host.is_some_and(|host| !self.memory.is_pinned(host, copy.bytes))
            && !self.is_capturing(stream)?;
        self.submit(stream, Operation::Copy(copy))?;
        if at_once { self.flush() } else { Ok(()) }
    }

    fn copy_now(&mut self, copy: Copy) -> Outcome {
        self.copy_async(copy, 0)?;
        self.flush()
    }

    fn fill(&mut self, fill: Fill, stream: usize) -> Outcome {
        if !fill.is_valid() || !fill.to.is_multiple_of(fill.width) {
            return Err(Status::INVALID_VALUE);
        }
        self.submit(stream, Operation::Fill(fill))
    }
}

driver_calls! {
    /// Copies from host to device, and waits.
    Context fn cuMemcpyHtoD_v2(driver, to: usize, from: usize, bytes: usize) {
        driver.copy_now(Copy { to, from, bytes, direction: Direction::HostToDevice })
    }
    /// Copies from device to host, and waits.
    Context fn cuMemcpyDtoH_v2(driver, to: usize, from: usize, bytes: usize) {
        driver.copy_now(Copy { to, from, bytes, direction: Direction::DeviceToHost })
    }
    /// Copies from device to device, and waits.
    Context fn cuMemcpyDtoD_v2(driver, to: usize, from: usize, bytes: usize) {
        driver.copy_now(Copy { to, from, bytes, direction: Direction::DeviceToDevice })
    }
    /// Copies from host to device in stream order.
    Context fn cuMemcpyHtoDAsync_v2(driver, to: usize, from: usize, bytes: usize, stream: usize) {
        driver.copy_async(Copy { to, from, bytes, direction: Direction::HostToDevice }, stream)
    }
    /// Copies from device to host in stream order.
    Context fn cuMemcpyDtoHAsync_v2(driver, to: usize, from: usize, bytes: usize, stream: usize) {
        driver.copy_async(Copy { to, from, bytes, direction: Direction::DeviceToHost }, stream)
    }
    /// Copies from device to device in stream order.
    Context fn cuMemcpyDtoDAsync_v2(driver, to: usize, from: usize, bytes: usize, stream: usize) {
        driver.copy_async(Copy { to, from, bytes, direction: Direction::DeviceToDevice }, stream)
    }
    /// Fills bytes.
    Context fn cuMemsetD8_v2(driver, to: usize, value: u8, count: usize) {
        driver.fill(Fill { to, value: value.into(), width: 1, count }, 0)
    }
    /// Fills bytes in stream order.
    Context fn cuMemsetD8Async(driver, to: usize, value: u8, count: usize, stream: usize) {
        driver.fill(Fill { to, value: value.into(), width: 1, count }, stream)
    }
    /// Fills 16-bit words in stream order.
    Context fn cuMemsetD16Async(driver, to: usize, value: u16, count: usize, stream: usize) {
        driver.fill(Fill { to, value: value.into(), width: 2, count }, stream)
    }
    /// Fills 32-bit words in stream order.
    Context fn cuMemsetD32Async(driver, to: usize, value: u32, count: usize, stream: usize) {
        driver.fill(Fill { to, value, width: 4, count }, stream)
    }
}
