//! The location of CUDA's headers: `cuda_fp16.h` and similar ones, which also compile for the host.

use std::env;
use std::path::{Path, PathBuf};

/// Returns the include folder of the first toolkit among `CUDA_HOME`, `CUDA_PATH`, `NVCC`, nvcc on
/// `PATH` and `/usr/local/cuda`.
pub fn find() -> Result<PathBuf, String> {
    for name in ["CUDA_HOME", "CUDA_PATH", "NVCC", "PATH"] {
        println!("cargo::rerun-if-env-changed={name}");
    }
    let mut candidates: Vec<PathBuf> = ["CUDA_HOME", "CUDA_PATH"]
        .iter()
        .filter_map(env::var_os)
        .map(|root| Path::new(&root).join("include"))
        .collect();
    candidates.extend(env::var_os("NVCC").and_then(|nvcc| beside(Path::new(&nvcc))));
    let path = env::var_os("PATH").unwrap_or_default();
    candidates.extend(env::split_paths(&path).filter_map(|folder| beside(&folder.join("nvcc"))));
    candidates.push(PathBuf::from("/usr/local/cuda/include"));
    let complete = |folder: &&PathBuf| {
        ["vector_types.h", "cuda_fp16.h", "cuda_bf16.h"]
            .iter()
            .all(|header| folder.join(header).is_file())
    };
    candidates.iter().find(complete).cloned().ok_or_else(|| {
        let tried: Vec<String> = candidates
            .iter()
            .map(|folder| folder.display().to_string())
            .collect();
        format!(
            "CUDA's headers (cuda_fp16.h and others) are in none of {}: set CUDA_HOME to a toolkit",
            tried.join(", ")
        )
    })
}

/// Returns the include folder that belongs to an nvcc, following links.
fn beside(nvcc: &Path) -> Option<PathBuf> {
    let nvcc = nvcc.canonicalize().ok()?;
    Some(nvcc.parent()?.parent()?.join("include"))
}
