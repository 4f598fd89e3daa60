//! Building the program and running it with the emulator as the driver.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use tempfile::TempDir;

use super::emulator::library;

/// Returns the project's root.
pub fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// Returns the path of the program, built once.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let test = std::env::current_exe().unwrap();
        // target/<profile>/deps/<test>
        let target = test.ancestors().nth(3).unwrap();
        let built = Command::new(env!("CARGO"))
            .args([
                "build",
                "--release",
                "--locked",
                "--package",
                "foveate",
                "--target-dir",
            ])
            .arg(target)
            .current_dir(root())
            .output()
            .unwrap();
        assert!(
            built.status.success(),
            "{}",
            String::from_utf8_lossy(&built.stderr)
        );
        let program = target.join("release/foveate");
        let devices = Command::new(&program).arg("devices").output().unwrap();
        assert!(
            !String::from_utf8_lossy(&devices.stdout).contains("without CUDA kernels"),
            "the program has no kernels; FOVEATE_CUDA=require says where nvcc was looked for"
        );
        program
    })
}

/// A folder for one test's results.
pub struct Run(TempDir);

impl Run {
    pub fn new() -> Run {
        Run(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Runs the program on the emulator with settings of the emulator. CUBLASLT is the path of
    /// cuBLASLt's library; with VIRTUAL_ENV, the active environment, it is searched.
    pub fn foveate(&self, arguments: &[&str], settings: &[(&str, &str)]) -> Output {
        let mut command = Command::new(program());
        command
            .args(arguments)
            .current_dir(self.0.path())
            .env("LD_PRELOAD", library())
            // Neither the choices of another run nor a cuBLASLt of this machine may have an effect.
            .env("XDG_CACHE_HOME", self.path("cache"))
            .env("FOVEATE_CUBLASLT", "");
        for (name, value) in settings {
            match *name {
                "CUBLASLT" => command.env("FOVEATE_CUBLASLT", value),
                "VIRTUAL_ENV" => command.env(name, value).env_remove("FOVEATE_CUBLASLT"),
                _ => command.env(format!("FOVEATE_EMULATOR_{name}"), value),
            };
        }
        command.output().unwrap()
    }
}

/// Returns the output of a run that must have succeeded.
pub fn succeeded(output: &Output) -> String {
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout).into_owned(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    );
    assert!(output.status.success(), "{out}{err}");
    out
}

/// Returns the messages of a run that must have failed with that exit code.
pub fn failed(output: &Output, code: i32) -> String {
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{err}");
    assert!(!err.contains("panicked"), "{err}");
    err
}
