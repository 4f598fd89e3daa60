//! `foveate devices`: the available devices.

use super::error::CliError;
use super::print;
use crate::device::cuda;

#[derive(clap::Args)]
pub(super) struct Options {}

pub(super) fn run(_options: &Options) -> Result<(), CliError> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut lines = vec![format!("cpu: {threads} threads, f32; runs everything")];
    match cuda::gpus() {
        Err(reason) => lines.push(format!("no GPU: {reason}")),
        Ok(gpus) => {
            lines.extend(gpus.iter().map(line));
            lines.push(match cuda::cublaslt() {
                Ok(found) => format!("cuBLASLt {}: {}", found.version, found.place),
                Err(reason) => format!("no cuBLASLt: {reason}"),
            });
        }
    }
    print(&lines.join("\n"))
}

/// Formats one GPU: its properties, and whether it is supported.
fn line(gpu: &cuda::GpuInfo) -> String {
    let (major, minor) = gpu.capability;
    let what = match &gpu.unusable {
        Some(reason) => format!("cannot be used: {reason}"),
        None if cuda::has_machine_code(gpu.capability) => "bf16 and f16; runs everything".into(),
        None => "bf16 and f16; runs everything, compiled by the driver when first used".into(),
    };
    format!(
        "cuda:{}: {}, compute capability {major}.{minor}, {} multiprocessors, {}; {what}",
        gpu.ordinal,
        gpu.name,
        gpu.multiprocessors,
        bytesize::ByteSize(gpu.memory as u64)
    )
}
