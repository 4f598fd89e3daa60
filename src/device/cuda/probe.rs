//! Finds out which CUDA libraries and GPUs the machine has, without failing.

use cudarc::driver::{result, sys};

use super::error::reason;
use super::kernels::{ARCHS, CUDA_VERSION, FATBINS, PTX};
use crate::device::{DeviceError, Result};

/// The oldest compute capability that the kernels support.
const OLDEST: (i32, i32) = (8, 0);

/// A GPU as the driver describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GpuInfo {
    /// Its number, as in `cuda:0`.
    pub ordinal: usize,
    /// Its name.
    pub name: String,
    /// Compute capability.
    pub capability: (i32, i32),
    /// Bytes of memory.
    pub memory: usize,
    /// Streaming multiprocessors.
    pub multiprocessors: i32,
    /// The reason why foveate cannot use it, if any.
    pub unusable: Option<String>,
}

/// Returns the GPUs of this machine.
///
/// # Errors
/// One line that says why there are none: the program has no kernels, there is no driver, it is too
/// old, or it finds no device.
pub fn gpus() -> std::result::Result<Vec<GpuInfo>, String> {
    if FATBINS.is_empty() {
        return Err("this program was built without CUDA kernels (no nvcc was found)".into());
    }
    // SAFETY: only checks whether the driver's library can be loaded.
    if !unsafe { sys::is_culib_present() } {
        return Err("no CUDA driver (libcuda was not found)".into());
    }
    result::init().map_err(|e| format!("the CUDA driver does not start: {}", reason(e)))?;
    let version = version()
        .map_err(|e| format!("the CUDA driver does not tell its version: {}", reason(e)))?;
    let major = CUDA_VERSION.map_or(12, |v| v.0.cast_signed());
    if version / 1000 < major {
        let (found, minor) = (version / 1000, version % 1000 / 10);
        return Err(format!(
            "the CUDA driver is too old: expected one for CUDA {major}.0 or newer, \
             found one for {found}.{minor}"
        ));
    }
    let count = result::device::get_count()
        .map_err(|e| format!("the CUDA driver finds no device: {}", reason(e)))?;
    let gpus: Vec<GpuInfo> = (0..count)
        .map(|ordinal| describe(ordinal, version).unwrap_or_else(|e| unknown(ordinal, &reason(e))))
        .collect();
    if gpus.is_empty() {
        return Err("the CUDA driver finds no device".into());
    }
    Ok(gpus)
}

/// Returns the CUDA version of the driver, which must be loaded: 1000 * major + 10 * minor.
fn version() -> std::result::Result<i32, cudarc::driver::DriverError> {
    let mut version = 0;
    // SAFETY: writes one number.
    unsafe { sys::cuDriverGetVersion(&mut version) }.result()?;
    Ok(version)
}

/// Returns the CUDA version of the driver, 1000 * major + 10 * minor, if there is a driver.
pub(super) fn driver_version() -> Option<i32> {
    // SAFETY: only checks whether the driver's library can be loaded.
    let present = unsafe { sys::is_culib_present() };
    present.then(version)?.ok()
}

/// Describes a GPU about which the driver reports an error; the others may be used.
fn unknown(ordinal: i32, reason: &str) -> GpuInfo {
    GpuInfo {
        ordinal: ordinal.cast_unsigned() as usize,
        name: "a GPU".into(),
        capability: (0, 0),
        memory: 0,
        multiprocessors: 0,
        unusable: Some(reason.to_string()),
    }
}

fn describe(
    ordinal: i32,
    version: i32,
) -> std::result::Result<GpuInfo, cudarc::driver::DriverError> {
    use sys::CUdevice_attribute as Attribute;
    let device = result::device::get(ordinal)?;
    // SAFETY: `device` was returned by the driver.
    let attribute = |a| unsafe { result::device::get_attribute(device, a) };
    let capability = (
        attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?,
        attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?,
    );
    Ok(GpuInfo {
        ordinal: ordinal.cast_unsigned() as usize,
        name: result::device::get_name(device)?,
        capability,
        // SAFETY: as above.
        memory: unsafe { result::device::total_mem(device) }?,
        multiprocessors: attribute(Attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)?,
        unusable: unusable(capability, version),
    })
}

/// Returns the reason why GPUs of a compute capability cannot be used with a driver of a version
/// (1000 * major + 10 * minor), if any.
fn unusable((major, minor): (i32, i32), driver: i32) -> Option<String> {
    let (old, older) = OLDEST;
    if (major, minor) < OLDEST {
        return Some(format!(
            "expected compute capability {old}.{older} or newer, found {major}.{minor}"
        ));
    }
    if has_machine_code((major, minor)) {
        return None;
    }
    if PTX.is_none_or(|ptx| ptx.cast_signed() > 10 * major + minor) {
        let built = ARCHS.join(", ");
        return Some(format!(
            "expected one of the architectures that this program was built for \
             ({built}), found {major}.{minor}"
        ));
    }
    // Machine code runs with every driver of its major version; PTX requires one as new as the
    // compiler that generated it.
    let (new, newer) = CUDA_VERSION.map_or((0, 0), |(a, b)| (a.cast_signed(), b.cast_signed()));
    let (found, minor) = (driver / 1000, driver % 1000 / 10);
    (driver < 1000 * new + 10 * newer).then(|| {
        format!(
            "expected a driver for CUDA {new}.{newer} or newer, which can compile the kernels \
             for this GPU, found one for {found}.{minor}"
        )
    })
}

/// Checks whether the program has machine code for a GPU; otherwise PTX is compiled on first use.
pub fn has_machine_code(capability: (i32, i32)) -> bool {
    let (major, minor) = capability;
    ARCHS.iter().any(|arch| {
        let number: i32 = arch.trim_end_matches('a').parse().unwrap_or(0);
        // Machine code runs on later minor versions of its major version; with the suffix `a`, only
        // on its own version.
        let exact = (number / 10, number % 10) == (major, minor);
        exact || (!arch.ends_with('a') && number / 10 == major && number % 10 <= minor)
    })
}

/// Checks that GPU `ordinal` can be used.
pub(super) fn usable(ordinal: usize) -> Result<()> {
    let unavailable = |reason| DeviceError::Unavailable {
        device: format!("cuda:{ordinal}"),
        reason,
    };
    let gpus = gpus().map_err(unavailable)?;
    match gpus.get(ordinal) {
        None => Err(unavailable(format!(
            "there {} only",
            match gpus.len() {
                1 => "is cuda:0".to_string(),
                n => format!("are cuda:0 to cuda:{}", n - 1),
            }
        ))),
        Some(gpu) => match &gpu.unusable {
            None => Ok(()),
            Some(reason) => Err(unavailable(format!("{}: {reason}", gpu.name))),
        },
    }
}
