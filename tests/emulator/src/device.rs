//! The devices and their attributes: for each architecture those of a common card.

use std::ffi::{c_char, c_int, c_uint};

use crate::calls::driver_calls;
use crate::driver::{Driver, Out};
use crate::status::{Outcome, Status};

/// Properties that differ between architectures.
#[derive(Clone, Copy)]
struct Card {
    capability: (i32, i32),
    multiprocessors: i32,
    threads_per_multiprocessor: i32,
    blocks_per_multiprocessor: i32,
    /// Bytes per multiprocessor; one block may use 1024 less.
    shared_bytes: i32,
    l2_bytes: i32,
}

const fn card(
    capability: (i32, i32),
    multiprocessors: i32,
    threads: i32,
    blocks: i32,
    shared_kib: i32,
    l2_mib: i32,
) -> Card {
    Card {
        capability,
        multiprocessors,
        threads_per_multiprocessor: threads,
        blocks_per_multiprocessor: blocks,
        shared_bytes: shared_kib << 10,
        l2_bytes: l2_mib << 20,
    }
}

const CARDS: [Card; 8] = [
    card((7, 0), 80, 2048, 32, 96, 6),
    card((7, 5), 40, 1024, 16, 64, 4),
    card((8, 0), 108, 2048, 32, 164, 40),
    card((8, 6), 84, 1536, 16, 100, 6),
    card((8, 9), 128, 1536, 24, 100, 72),
    card((9, 0), 132, 2048, 32, 228, 50),
    card((10, 0), 148, 2048, 32, 228, 126),
    card((12, 0), 170, 1536, 24, 100, 96),
];

impl Driver {
    /// Returns the newest card that is not newer than the configured capability, with the
    /// configured number of multiprocessors.
    fn card(&self) -> Card {
        let card = CARDS
            .iter()
            .rev()
            .find(|card| card.capability <= self.settings.capability)
            .unwrap_or(&CARDS[0]);
        Card {
            multiprocessors: self
                .settings
                .multiprocessors
                .unwrap_or(card.multiprocessors),
            ..*card
        }
    }

    /// Returns the number of threads that a multiprocessor holds.
    pub fn threads_per_multiprocessor(&self) -> i32 {
        self.card().threads_per_multiprocessor
    }

    /// Returns the bytes of shared memory that a block may use after cuFuncSetAttribute, static and
    /// dynamic.
    pub fn most_shared_bytes(&self) -> u32 {
        let card = self.card();
        let reserved = if card.capability >= (8, 0) { 1024 } else { 0 };
        (card.shared_bytes - reserved) as u32
    }

    fn check_device(&self, device: c_int) -> Outcome {
        let known = usize::try_from(device).is_ok_and(|device| device < self.settings.devices);
        if known {
            Ok(())
        } else {
            Err(Status::INVALID_DEVICE)
        }
    }

    fn attribute(&self, attribute: c_int, device: c_int) -> c_int {
        let card = self.card();
        match attribute {
            1..=3 => 1024,    // threads of a block, its x and y
            4 => 64,          // its z
            5 => c_int::MAX,  // grid x
            6 | 7 => 65535,   // grid y and z
            8 => 49152,       // shared memory of a block without opting in
            9 => 65536,       // constant memory
            10 => 32,         // warp
            11 => c_int::MAX, // pitch
            12 | 82 => 65536, // registers of a block, of a multiprocessor
            13 => 1_980_000,  // kHz
            14 => 512,        // texture alignment
            // Overlap, mapped host memory, concurrent kernels, unified addressing, stream
            // priorities, managed memory, cooperative launch, memory pools.
            15 | 19 | 31 | 41 | 78 | 83 | 95 | 115 => 1,
            16 => card.multiprocessors,
            33 => device,    // PCI bus
            36 => 2_619_000, // memory kHz
            37 => 5120,      // memory bus bits
            38 => card.l2_bytes,
            39 => card.threads_per_multiprocessor,
            40 => 3, // copy engines
            75 => self.settings.capability.0,
            76 => self.settings.capability.1,
            81 => card.shared_bytes,
            97 => self.most_shared_bytes() as c_int,
            106 => card.blocks_per_multiprocessor,
            111 => 1024, // shared memory reserved in each block
            _ => 0,
        }
    }
}

driver_calls! {
    /// Initialises the driver; returns NO_DEVICE if the settings have no devices.
    Nothing fn cuInit(driver, _flags: c_uint) {
        if driver.settings.devices == 0 {
            return Err(Status::NO_DEVICE);
        }
        driver.initialised = true;
        Ok(())
    }
    /// Returns the newest CUDA version that the driver supports.
    Nothing fn cuDriverGetVersion(driver, version: Out<c_int>) {
        version.put(driver.settings.driver)
    }
    /// Returns the number of devices.
    Init fn cuDeviceGetCount(driver, count: Out<c_int>) {
        count.put(driver.settings.devices as c_int)
    }
    /// Returns the device of a number.
    Init fn cuDeviceGet(driver, device: Out<c_int>, ordinal: c_int) {
        driver.check_device(ordinal)?;
        device.put(ordinal)
    }
    /// Returns its name, truncated to `length` bytes including the zero.
    Init fn cuDeviceGetName(driver, name: *mut c_char, length: c_int, device: c_int) {
        driver.check_device(device)?;
        let (major, minor) = driver.settings.capability;
        let text = format!("Emulated GPU {major}.{minor}");
        let room = usize::try_from(length).unwrap_or(0);
        if name.is_null() || room == 0 {
            return Err(Status::INVALID_VALUE);
        }
        let bytes = &text.as_bytes()[..text.len().min(room - 1)];
        // SAFETY: the caller provides room for `length` bytes.
        unsafe {
            std::ptr::copy_nonoverlapping(bytes.as_ptr().cast(), name, bytes.len());
            name.add(bytes.len()).write(0);
        }
        Ok(())
    }
    /// Returns its identity.
    Init fn cuDeviceGetUuid_v2(driver, uuid: Out<[u8; 16]>, device: c_int) {
        driver.check_device(device)?;
        uuid.put(identity(device))
    }
    /// Returns its identity, under the name in older drivers.
    Init fn cuDeviceGetUuid(driver, uuid: Out<[u8; 16]>, device: c_int) {
        driver.check_device(device)?;
        uuid.put(identity(device))
    }
    /// Returns its memory in bytes.
    Init fn cuDeviceTotalMem_v2(driver, bytes: Out<usize>, device: c_int) {
        driver.check_device(device)?;
        bytes.put(driver.settings.memory as usize)
    }
    /// Returns a limit or property by CUdevice_attribute; 0 for those that are not used.
    Init fn cuDeviceGetAttribute(driver, value: Out<c_int>, attribute: c_int, device: c_int) {
        driver.check_device(device)?;
        value.put(driver.attribute(attribute, device))
    }
}

fn identity(device: c_int) -> [u8; 16] {
    let mut uuid = *b"emulated-device0";
    uuid[15] += device as u8;
    uuid
}
