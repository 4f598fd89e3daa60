//! Compiles `kernels/*.cu` and the planted bugs for the host, with a check at every access, and the
//! runtime that runs them.

mod headers;
mod scan;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() -> Result<(), Box<dyn Error>> {
    let package = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let output = PathBuf::from(env::var("OUT_DIR")?);
    let compiler = Compiler {
        package: package.clone(),
        cuda: headers::find()?,
    };
    for watched in ["build", "cpp", "tests/planted", "../../kernels"] {
        println!("cargo::rerun-if-changed={watched}");
    }
    // cudarc opens `libcuda.so` by name: the loader then finds this library where a test has opened
    // it by path. Fibers and the pool's threads are never torn down, so the library must stay.
    println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libcuda.so");
    println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");

    let mut names = Vec::new();
    let mut shipped = String::new();
    let mut kernels = compiler.base();
    kernels
        .flag("-fsanitize=thread")
        .flag("-g1")
        .warnings(false);
    if kernels.get_compiler().is_like_gnu() {
        kernels.flag("--param=tsan-instrument-func-entry-exit=0");
    }
    for folder in [
        package.join("../../kernels").canonicalize()?,
        package.join("tests/planted"),
    ] {
        for source in sources(&folder)? {
            let found = compiler.kernels_of(&source, &output)?;
            if folder.ends_with("planted")
                && let Some(odd) = found
                    .iter()
                    .find(|kernel| !kernel.name.starts_with("planted_"))
            {
                return Err(format!(
                    "{}: the name of {} must start with planted_",
                    source.display(),
                    odd.name
                )
                .into());
            }
            if !folder.ends_with("planted") {
                for kernel in &found {
                    shipped += &format!("{} {}\n", stem(&source), kernel.name);
                }
            }
            let unit = output.join(format!("{}_emulated.cpp", stem(&source)));
            fs::write(&unit, scan::translation_unit(&source, &found))?;
            kernels.include(&folder).file(unit);
            names.extend(
                found
                    .into_iter()
                    .map(|kernel| (kernel.name, source.clone())),
            );
        }
    }
    // For the tests: the kernels that the program carries, by file.
    fs::write(output.join("kernels.txt"), shipped)?;
    names.sort();
    if let Some(pair) = names.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        return Err(format!(
            "two kernels are named {}: in {} and {}",
            pair[0].0,
            pair[0].1.display(),
            pair[1].1.display()
        )
        .into());
    }
    kernels
        .link_lib_modifier("+whole-archive")
        .try_compile("emulated_kernels")?;

    let mut runtime = compiler.base();
    for file in fs::read_dir(package.join("cpp/runtime"))? {
        let path = file?.path();
        if path.extension().is_some_and(|extension| extension == "cpp") {
            runtime.file(path);
        }
    }
    runtime
        .link_lib_modifier("+whole-archive")
        .try_compile("emulator_runtime")?;
    Ok(())
}

struct Compiler {
    package: PathBuf,
    cuda: PathBuf,
}

impl Compiler {
    /// Returns the settings for every C++ file: optimised in every profile, since whole models run
    /// on it.
    fn base(&self) -> cc::Build {
        let mut build = cc::Build::new();
        build
            .cpp(true)
            .std("c++17")
            .opt_level(2)
            .pic(true)
            .debug(false);
        for flag in [
            "-march=x86-64-v3",
            "-fvisibility=hidden",
            "-fno-exceptions",
            "-fno-threadsafe-statics",
            "-fno-math-errno",
        ] {
            build.flag(flag);
        }
        build
            .flag("-fno-stack-protector")
            .include(self.package.join("cpp/include"))
            .flag("-isystem")
            .flag(&self.cuda);
        build
    }

    /// Returns the kernels that a file defines, including those made by macros: preprocesses it
    /// with `__global__` as a marker.
    fn kernels_of(
        &self,
        source: &Path,
        output: &Path,
    ) -> Result<Vec<scan::Kernel>, Box<dyn Error>> {
        let unit = output.join(format!("{}_scanned.cpp", stem(source)));
        fs::write(&unit, scan::translation_unit(source, &[]))?;
        let mut build = self.base();
        if let Some(folder) = source.parent() {
            build.include(folder);
        }
        let text = build
            .define("FOVEATE_EMULATED_SCAN", None)
            .flag("-P")
            .warnings(false)
            .file(unit)
            .try_expand()?;
        let kernels = scan::kernels(&String::from_utf8_lossy(&text));
        if kernels.is_empty() {
            return Err(format!("{}: no kernel found", source.display()).into());
        }
        Ok(kernels)
    }
}

/// Returns the `.cu` files of a folder, by name.
fn sources(folder: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut found = Vec::new();
    for file in fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))? {
        let path = file?.path();
        if path.extension().is_some_and(|extension| extension == "cu") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn stem(path: &Path) -> String {
    path.file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}
