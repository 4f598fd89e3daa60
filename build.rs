//! Compiles `kernels/*.cu` with nvcc into fatbins that the program embeds, and translates their
//! interface to Rust.
//!
//! Environment: `FOVEATE_CUDA` is `auto` (default: without nvcc, warn and build for the CPU only),
//! `off` or `require`. `FOVEATE_CUDA_ARCHS` lists architectures to compile for, such as `80,90a`,
//! instead of all that nvcc knows of [`ARCHS`]. nvcc is searched in `NVCC`, `CUDA_HOME`,
//! `CUDA_PATH`, the PATH, /usr/local/cuda, and an active virtual environment.

#[path = "build/interface.rs"]
mod interface;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

/// Architectures with machine code of their own; PTX for the lowest serves all others from it on.
const ARCHS: [&str; 6] = ["80", "86", "89", "90a", "100", "120"];
/// The oldest nvcc that is known to compile the kernels.
const OLDEST: (u32, u32) = (12, 4);

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=build");
    println!("cargo:rerun-if-changed=kernels");
    // Not PATH: every shell has another one, and compiling the kernels anew takes minutes.
    for name in [
        "FOVEATE_CUDA",
        "FOVEATE_CUDA_ARCHS",
        "NVCC",
        "CUDA_HOME",
        "CUDA_PATH",
        "VIRTUAL_ENV",
    ] {
        println!("cargo:rerun-if-env-changed={name}");
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let mode = env::var("FOVEATE_CUDA").unwrap_or_else(|_| "auto".into());
    let built = match mode.as_str() {
        "off" => Ok(None),
        "auto" => compile(&out).map(Some).or_else(|reason| {
            println!("cargo:warning=built without CUDA: {reason}");
            Ok(None)
        }),
        "require" => compile(&out).map(Some),
        other => Err(format!(
            "FOVEATE_CUDA: expected auto, off or require, found {other:?}"
        )),
    };
    let write = |name: &str, source: String| {
        fs::write(out.join(name), source).map_err(|e| format!("{}: {e}", out.display()))
    };
    let written = built
        .and_then(|built| write("fatbins.rs", source(built.as_ref())))
        .and_then(|()| interface::source(Path::new("kernels")))
        .and_then(|source| write("interface.rs", source));
    if let Err(reason) = written {
        eprintln!("error: {reason}");
        std::process::exit(1);
    }
}

/// What was compiled.
struct Built {
    version: (u32, u32),
    archs: Vec<String>,
    fatbins: Vec<(String, PathBuf)>,
}

/// The Rust source that embeds the fatbins.
fn source(built: Option<&Built>) -> String {
    let (version, archs, fatbins) = match built {
        None => ("None".into(), Vec::new(), String::new()),
        Some(built) => {
            let entry = |(name, path): &(String, PathBuf)| {
                format!("({name:?}, include_bytes!({:?}).as_slice()),\n", path)
            };
            let (major, minor) = built.version;
            (
                format!("Some(({major}, {minor}))"),
                built.archs.clone(),
                built.fatbins.iter().map(entry).collect(),
            )
        }
    };
    let ptx = portable(&archs);
    format!(
        "/// The CUDA version of the nvcc that compiled the kernels, where one did.\n\
         pub(super) const CUDA_VERSION: Option<(u32, u32)> = {version};\n\
         /// Architectures with machine code.\n\
         pub(super) const ARCHS: &[&str] = &{archs:?};\n\
         /// The architecture whose PTX serves all later ones, where there is one.\n\
         pub(super) const PTX: Option<u32> = {ptx:?};\n\
         /// Kernel files, compiled.\n\
         pub(super) static FATBINS: &[(&str, &[u8])] = &[{fatbins}];\n"
    )
}

fn compile(out: &Path) -> Result<Built, String> {
    let nvcc = find()?;
    let version = version(&nvcc)?;
    if version < OLDEST {
        let ((major, minor), (old, older)) = (version, OLDEST);
        return Err(format!(
            "{}: expected CUDA {old}.{older} or newer, found {major}.{minor}",
            nvcc.display()
        ));
    }
    let archs = architectures(&nvcc)?;
    let mut kernels: Vec<PathBuf> = fs::read_dir("kernels")
        .map_err(|e| format!("kernels: {e}"))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|e| e == "cu"))
        .collect();
    kernels.sort();
    let queue = Mutex::new(kernels.into_iter());
    let done = Mutex::new(Vec::new());
    let workers = env::var("NUM_JOBS").ok().and_then(|n| n.parse().ok());
    std::thread::scope(|scope| {
        for _ in 0..workers.unwrap_or(1).max(1) {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().map(|mut q| q.next());
                    let Ok(Some(kernel)) = next else { return };
                    let result = fatbin(&nvcc, &kernel, &archs, out);
                    if let Ok(mut done) = done.lock() {
                        done.push(result);
                    }
                }
            });
        }
    });
    let done = done.into_inner().map_err(|e| e.to_string())?;
    let mut fatbins = done.into_iter().collect::<Result<Vec<_>, _>>()?;
    fatbins.sort();
    Ok(Built {
        version,
        archs,
        fatbins,
    })
}

/// One kernel file for every architecture.
fn fatbin(
    nvcc: &Path,
    kernel: &Path,
    archs: &[String],
    out: &Path,
) -> Result<(String, PathBuf), String> {
    let name = kernel
        .file_stem()
        .and_then(|s| s.to_str())
        .ok_or_else(|| format!("{}: a name that is not UTF-8", kernel.display()))?
        .to_string();
    let path = out.join(format!("{name}.fatbin"));
    let mut command = Command::new(nvcc);
    command
        .args(["-std=c++17", "-O3", "-fatbin", "-Xfatbin=-compress-all"])
        // Denormal f32 numbers are far below what either storage type holds; without them exp2 is
        // one instruction.
        .args(["-ftz=true", "-Xptxas=--warn-on-spills"]);
    for arch in archs {
        command.args(["-gencode", &format!("arch=compute_{arch},code=sm_{arch}")]);
    }
    if let Some(lowest) = portable(archs) {
        let ptx = format!("arch=compute_{lowest},code=compute_{lowest}");
        command.args(["-gencode", &ptx]);
    }
    let output = command
        .arg("-o")
        .arg(&path)
        .arg(kernel)
        .output()
        .map_err(|e| format!("{}: {e}", nvcc.display()))?;
    let text = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!(
            "nvcc could not compile {}:\n{text}",
            kernel.display()
        ));
    }
    for line in text.lines().filter(|line| line.contains("pill")) {
        println!("cargo:warning={}: {line}", kernel.display());
    }
    Ok((name, path))
}

/// The lowest architecture whose PTX serves later ones: those with a suffix serve themselves alone.
fn portable(archs: &[String]) -> Option<u32> {
    archs.iter().filter_map(|arch| arch.parse().ok()).min()
}

/// The first nvcc that is there.
fn find() -> Result<PathBuf, String> {
    let mut tried = Vec::new();
    if let Some(nvcc) = env::var_os("NVCC") {
        tried.push(PathBuf::from(nvcc));
    }
    for home in ["CUDA_HOME", "CUDA_PATH"]
        .into_iter()
        .filter_map(env::var_os)
    {
        tried.push(Path::new(&home).join("bin/nvcc"));
    }
    let path = env::var_os("PATH").unwrap_or_default();
    tried.extend(env::split_paths(&path).map(|folder| folder.join("nvcc")));
    tried.push(PathBuf::from("/usr/local/cuda/bin/nvcc"));
    if let Some(environment) = env::var_os("VIRTUAL_ENV") {
        tried.extend(wheels(Path::new(&environment)));
    }
    match tried.iter().find(|path| path.is_file()) {
        Some(nvcc) => Ok(nvcc.clone()),
        None => {
            let tried: Vec<String> = tried.iter().map(|p| p.display().to_string()).collect();
            Err(format!("no nvcc; tried {}", tried.join(", ")))
        }
    }
}

/// Where PyPI's CUDA wheels put nvcc in a virtual environment.
fn wheels(environment: &Path) -> Vec<PathBuf> {
    let Ok(pythons) = fs::read_dir(environment.join("lib")) else {
        return vec![environment.join("lib/python3/site-packages/nvidia/cu13/bin/nvcc")];
    };
    pythons
        .filter_map(|entry| Some(entry.ok()?.path().join("site-packages/nvidia")))
        .flat_map(|nvidia| {
            [
                nvidia.join("cu13/bin/nvcc"),
                nvidia.join("cuda_nvcc/bin/nvcc"),
            ]
        })
        .collect()
}

fn run(nvcc: &Path, argument: &str) -> Result<String, String> {
    let output = Command::new(nvcc)
        .arg(argument)
        .output()
        .map_err(|e| format!("{}: {e}", nvcc.display()))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// "Cuda compilation tools, release 13.0, V13.0.88" as (13, 0).
fn version(nvcc: &Path) -> Result<(u32, u32), String> {
    let text = run(nvcc, "--version")?;
    let parse = || {
        let release = text.split("release ").nth(1)?.split(',').next()?;
        let (major, minor) = release.trim().split_once('.')?;
        Some((major.parse().ok()?, minor.parse().ok()?))
    };
    parse().ok_or_else(|| {
        format!(
            "{} --version: expected a release, found {text:?}",
            nvcc.display()
        )
    })
}

/// Those asked for, or those of [`ARCHS`] that this nvcc knows.
fn architectures(nvcc: &Path) -> Result<Vec<String>, String> {
    let asked = env::var("FOVEATE_CUDA_ARCHS").unwrap_or_default();
    let known = run(nvcc, "--list-gpu-code")?;
    let knows = |arch: &str| {
        let code = format!("sm_{}", arch.trim_end_matches('a'));
        known.lines().any(|line| line.trim() == code)
    };
    if asked.trim().is_empty() {
        return Ok(ARCHS
            .iter()
            .filter(|arch| knows(arch))
            .map(ToString::to_string)
            .collect());
    }
    let archs: Vec<String> = asked.split(',').map(|a| a.trim().to_string()).collect();
    match archs.iter().find(|arch| !knows(arch)) {
        None => Ok(archs),
        Some(arch) => Err(format!(
            "FOVEATE_CUDA_ARCHS: {} does not know {arch:?}; it knows {}",
            nvcc.display(),
            known.split_whitespace().collect::<Vec<_>>().join(" ")
        )),
    }
}
