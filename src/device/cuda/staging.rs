//! Values that change between evaluations: bytes at a fixed address on the GPU, written through
//! page-locked memory.

use cudarc::driver::{CudaEvent, DriverError, PinnedHostSlice, result};

use super::error::During;
use super::gpu::Gpu;
use super::pool::Buffer;
use crate::device::Result;

/// Page-locked memory of the host, and the end of the last copy from it.
///
/// The event is separate, since cudarc records its own events only while it tracks several streams,
/// which is off here.
pub(super) struct Pinned {
    slice: PinnedHostSlice<u8>,
    copied: CudaEvent,
}

impl Pinned {
    /// Returns its bytes, once the last copy from them has completed.
    pub fn bytes(&mut self) -> std::result::Result<&mut [u8], DriverError> {
        self.copied.synchronize()?;
        self.slice.as_mut_slice()
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // The memory must not be freed while it is copied; an error appears at the next call of the
        // driver.
        let _ = self.copied.synchronize();
    }
}

/// Bytes at a fixed address on the GPU.
pub(super) struct Staged {
    pinned: Pinned,
    buffer: Buffer,
}

impl Staged {
    /// Returns their address on the device.
    pub fn address(&self) -> u64 {
        self.buffer.address()
    }
}

impl Gpu {
    /// Allocates page-locked memory of `bytes` bytes, at least one.
    pub fn pin(&self, bytes: usize) -> Result<Pinned> {
        let pinning = || format!("page-locking {bytes} bytes");
        // SAFETY: bytes are written before they are copied from.
        let slice = unsafe { self.context.alloc_pinned_with_flags(bytes.max(1), 0) };
        Ok(Pinned {
            slice: slice.during(pinning)?,
            copied: self.context.new_event(None).during(pinning)?,
        })
    }

    /// Submits a copy of the first `length` page-locked bytes to `address`.
    ///
    /// # Safety
    /// `address` must be valid for at least `length` bytes of a buffer.
    pub unsafe fn send(
        &self,
        pinned: &mut Pinned,
        length: usize,
        address: u64,
    ) -> std::result::Result<(), DriverError> {
        self.context.bind_to_thread()?;
        let bytes = &pinned.slice.as_slice()?[..length];
        // SAFETY: the caller guarantees the destination; the source is written or freed only after
        // `copied`, recorded after the copy.
        unsafe { result::memcpy_htod_async(address, bytes, self.stream.cu_stream()) }?;
        pinned.copied.record(&self.stream)
    }

    /// Allocates a buffer and copies `bytes` to it.
    pub fn stage(&self, bytes: &[u8]) -> Result<Staged> {
        let mut staged = Staged {
            pinned: self.pin(bytes.len())?,
            buffer: self.single_buffer(bytes.len())?,
        };
        self.restage(&mut staged, bytes)?;
        Ok(staged)
    }

    /// Replaces staged bytes with the same number of others. The copy is submitted, not waited for.
    pub fn restage(&self, staged: &mut Staged, bytes: &[u8]) -> Result<()> {
        let _turn = self.turn();
        let copying = || format!("copying {} bytes to the GPU", bytes.len());
        staged.pinned.bytes().during(copying)?[..bytes.len()].copy_from_slice(bytes);
        let address = staged.buffer.address();
        // SAFETY: the buffer was allocated for that many bytes.
        unsafe { self.send(&mut staged.pinned, bytes.len(), address) }.during(copying)
    }
}
