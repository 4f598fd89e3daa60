//! Checks that a device computes what the CPU device computes: every operation on random inputs
//! compared with f64, and complete recorded explanations. One table of checks serves every device
//! and the emulator. [`throughput`] measures the speed.

mod activation;
mod attention;
mod blend;
mod columns;
mod depthwise;
mod gemm;
mod logprob;
mod norm;
mod numbers;
#[cfg(test)]
mod pixels;
mod recorded;
mod rows;
pub mod throughput;
mod window;

use crate::device::Result;
use crate::device::cuda::Storage;
use crate::device::prelude::*;

use numbers::Bench;
pub use numbers::{Check, Extent};
pub use recorded::{CASES, Outcome, Part, Recorded, Results, recorded};

/// The families of operations, by the names of their kernel files.
pub const FAMILIES: [&str; 10] = [
    "blend",
    "gemm",
    "attention",
    "window",
    "norm",
    "activation",
    "rows",
    "columns",
    "depthwise",
    "logprob",
];

/// The family `gemm` on a device whose products go through cuBLASLt, which rounds them before the
/// following operation.
pub const CUBLASLT: &str = "cublaslt";

/// Checks one family of operations of a device that stores `storage`, on inputs drawn from `seed`.
/// An unknown family has no checks.
///
/// # Errors
/// Returns the device's errors.
pub fn family<D: Device<Host = f32>>(
    name: &str,
    device: &D,
    storage: Storage,
    extent: Extent,
    seed: u64,
) -> Result<Vec<Check>> {
    let mut bench = Bench::new(device, storage, extent, seed)?;
    match name {
        "blend" => blend::checks(&mut bench)?,
        "gemm" => gemm::checks(&mut bench)?,
        CUBLASLT => {
            bench.fuses = false;
            gemm::checks(&mut bench)?;
        }
        "attention" => attention::checks(&mut bench)?,
        "window" => window::checks(&mut bench)?,
        "norm" => norm::checks(&mut bench)?,
        "activation" => activation::checks(&mut bench)?,
        "rows" => rows::checks(&mut bench)?,
        "columns" => columns::checks(&mut bench)?,
        "depthwise" => depthwise::checks(&mut bench)?,
        "logprob" => logprob::checks(&mut bench)?,
        _ => {}
    }
    Ok(bench.checks)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::cpu::Cpu;

    /// The f32 CPU device is more precise than either storage type: any failure here is a fault of
    /// the table itself.
    #[test]
    fn the_cpu_device_passes_every_check() {
        let cpu = Cpu::<f32>::new(2).unwrap();
        for (name, storage) in FAMILIES
            .into_iter()
            .flat_map(|n| [(n, Storage::Bf16), (n, Storage::F16)])
        {
            let seed = 1;
            println!("seed {seed}");
            let checks = family(name, &cpu, storage, Extent::Small, seed).unwrap();
            assert!(!checks.is_empty(), "{name} is checked");
            for check in checks {
                assert!(check.passed(), "{check:?}");
            }
        }
    }

    #[test]
    fn the_cpu_device_makes_the_recorded_cases() {
        for case in &CASES {
            let outcome =
                recorded(case, Cpu::<f32>::new(2).unwrap(), None, Part::Everything).unwrap();
            for check in outcome.checks {
                assert!(check.passed(), "{check:?}");
            }
        }
    }
}
