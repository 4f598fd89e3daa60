//! Opening a model on the requested device.

use std::path::Path;

use super::error::CliError;
use super::options::{DeviceName, DtypeName, MachineOptions};
use crate::checkpoint::{Dtype, RandomizedLayers};
use crate::device::cpu::{self, Cpu};
use crate::device::cuda::{self, Cuda, Storage};
use crate::lvlm::{self, Lvlm, OpenOptions};

/// An opened model.
pub struct Opened {
    pub model: Box<dyn Lvlm>,
    /// Number of CPU threads that compute; 0 on a GPU.
    pub threads: usize,
    /// The reason why `auto` chose no GPU.
    pub no_gpu: Option<String>,
    /// Why less is computed at once than could be: fewer threads than requested, or a GPU without
    /// cuBLASLt.
    pub notes: Vec<String>,
    /// The kind of device: `cpu`, or a GPU's name.
    pub kind: String,
}

/// Opens the model in a folder, or the demo model, with the options `models`, and random weights in
/// the layers `randomized`. `place` is this process's number among those of the machine; `auto`
/// distributes the GPUs by it.
pub(super) fn open(
    options: &MachineOptions,
    models: &OpenOptions,
    folder: Option<&Path>,
    randomized: Option<RandomizedLayers>,
    place: usize,
) -> Result<Opened, CliError> {
    let mut checkpoint = lvlm::checkpoint(folder, models)?;
    checkpoint.randomized = randomized;
    let (ordinal, no_gpu) = match options.device {
        DeviceName::Cpu => (None, None),
        DeviceName::Cuda(ordinal) => (Some(ordinal), None),
        DeviceName::Auto => match usable_gpu(place) {
            Ok(ordinal) => (Some(ordinal), None),
            Err(reason) => (None, Some(reason)),
        },
    };
    if options.threads > 0 {
        limit_threads(options.threads);
    }
    let mut notes = Vec::new();
    let (model, threads) = match ordinal {
        Some(ordinal) => {
            let storage = storage(options.dtype, checkpoint.dtype());
            let device = Cuda::new(ordinal, storage)?.with_gemm(options.gemm.into())?;
            notes.extend(device.lacks_cublaslt().map(|reason| {
                format!("matrix products use foveate's own kernels; no cuBLASLt: {reason}")
            }));
            (lvlm::load(checkpoint, device)?, 0)
        }
        None => {
            let device = Cpu::<f32>::new(options.threads)?;
            let threads = device.threads();
            if options.threads > threads {
                notes.push(format!(
                    "--threads {}: {threads} threads compute, the most there may be on this machine",
                    options.threads
                ));
            }
            (lvlm::load(checkpoint, device)?, threads)
        }
    };
    Ok(Opened {
        model,
        threads,
        no_gpu,
        notes,
        kind: ordinal.map_or("cpu".to_string(), gpu_name),
    })
}

/// Limits the threads of work outside of a device: resizing pictures, and methods that read a
/// model's attention. The first limit of a process stays.
fn limit_threads(threads: usize) {
    let threads = threads.min(cpu::most_threads());
    // Fails where there are such threads already.
    let _ = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build_global();
}

/// Returns the name of a GPU.
fn gpu_name(ordinal: usize) -> String {
    let gpus = cuda::gpus().unwrap_or_default();
    let found = gpus.into_iter().find(|gpu| gpu.ordinal == ordinal);
    found.map_or_else(|| format!("cuda:{ordinal}"), |gpu| gpu.name)
}

/// Returns the usable GPU number `place`, modulo their count, or the reason why there is none.
fn usable_gpu(place: usize) -> Result<usize, String> {
    let gpus = cuda::gpus()?;
    let all: Vec<_> = gpus.iter().filter(|gpu| gpu.unusable.is_none()).collect();
    let usable = all.get(place % all.len().max(1));
    usable.map(|gpu| gpu.ordinal).ok_or_else(|| {
        let reasons = gpus
            .iter()
            .filter_map(|gpu| Some(format!("{}: {}", gpu.name, gpu.unusable.as_ref()?)));
        reasons.collect::<Vec<_>>().join("; ")
    })
}

/// Returns the storage type of activations and weights for a checkpoint of this dtype.
fn storage(asked: DtypeName, checkpoint: Dtype) -> Storage {
    match (asked, checkpoint) {
        (DtypeName::F16, _) | (DtypeName::Auto, Dtype::F16) => Storage::F16,
        (DtypeName::Bf16, _) | (DtypeName::Auto, Dtype::Bf16 | Dtype::F32) => Storage::Bf16,
    }
}
