//! The places where cuBLASLt's library may be.
//!
//! Active environments come first, so that torch in the same Python process shares the library
//! with foveate: a process that loaded the system's `libcublasLt.so.13` before it imports torch
//! would link torch's cuBLAS to that one. The system's loader comes next, then toolkits.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Names of the library for the system's loader.
const NAMES: [&str; 3] = ["libcublasLt.so", "libcublasLt.so.13", "libcublasLt.so.12"];

/// Names of the library's file, the newest first. No other file is loaded.
const FILES: [&str; 2] = ["libcublasLt.so.13", "libcublasLt.so.12"];

/// Environment variables that name the root of an active environment.
const ENVIRONMENTS: [&str; 2] = ["VIRTUAL_ENV", "CONDA_PREFIX"];

/// Environment variables that name the root of a toolkit.
const TOOLKITS: [&str; 2] = ["CUDA_HOME", "CUDA_PATH"];

/// Folders of `site-packages`: of the packages `nvidia-cublas` (CUDA 13) and `nvidia-cublas-cu12`,
/// and of versions of torch that bring the library themselves.
const PACKAGES: [&str; 4] = [
    "nvidia/cu13/lib",
    "nvidia/cu12/lib",
    "nvidia/cublas/lib",
    "torch/lib",
];

/// Folders of libraries in conda environments and toolkits.
const LIBRARIES: [&str; 4] = [
    "lib",
    "lib64",
    "targets/x86_64-linux/lib",
    "targets/sbsa-linux/lib",
];

/// What is tried, in order.
#[derive(Default)]
pub struct Places {
    /// Names for the system's loader, and absolute paths of regular files, each file once.
    pub candidates: Vec<OsString>,
    /// Where they were searched, such as `VIRTUAL_ENV=/home/me/env` and `/usr/local/cuda*`.
    pub searched: Vec<String>,
    /// The files among the candidates, without links.
    files: Vec<PathBuf>,
}

impl Places {
    /// Searches the environments that variables name, the system's loader, the toolkits that
    /// variables name, then `cuda` and `cuda-*` in the folder `local`, the newest first. Values
    /// that are no absolute path are ignored: what is loaded must not depend on the working
    /// directory.
    pub fn new(variable: impl Fn(&str) -> Option<OsString>, local: &Path) -> Places {
        let mut places = Places::default();
        places.search_variables(ENVIRONMENTS, &variable);
        places.candidates.extend(NAMES.map(OsString::from));
        places.searched.push("the loader's paths".into());
        places.search_variables(TOOLKITS, &variable);
        places.search(&local.join("cuda"));
        for toolkit in newest_first(local, "cuda-") {
            places.search(&toolkit);
        }
        let toolkits = local.join("cuda*").display().to_string();
        places.searched.push(toolkits);
        places
    }

    /// Searches the roots that variables name.
    fn search_variables(&mut self, names: [&str; 2], variable: &impl Fn(&str) -> Option<OsString>) {
        for name in names {
            let root = variable(name).map(PathBuf::from);
            if let Some(root) = root.filter(|root| root.is_absolute()) {
                self.search(&root);
                self.searched.push(format!("{name}={}", root.display()));
            }
        }
    }

    /// Adds the library's files below a root.
    fn search(&mut self, root: &Path) {
        for folder in folders(root) {
            for path in FILES.map(|name| folder.join(name)) {
                let Ok(file) = path.canonicalize() else {
                    continue;
                };
                if file.is_file() && !self.files.contains(&file) {
                    self.files.push(file);
                    self.candidates.push(path.into());
                }
            }
        }
    }
}

/// Returns the folders below a root that may have the library, in order.
fn folders(root: &Path) -> Vec<PathBuf> {
    let packages = newest_first(&root.join("lib"), "python3")
        .into_iter()
        .flat_map(|python| PACKAGES.map(|package| python.join("site-packages").join(package)));
    let libraries = LIBRARIES.iter().map(|folder| root.join(folder));
    packages.chain(libraries).collect()
}

/// Returns the entries of a folder whose names are `prefix` and a version such as `12.4`, the
/// newest first; none if the folder cannot be read.
fn newest_first(folder: &Path, prefix: &str) -> Vec<PathBuf> {
    let version = |entry: std::io::Result<std::fs::DirEntry>| {
        let path = entry.ok()?.path();
        let rest = path.file_name()?.to_str()?.strip_prefix(prefix)?;
        let numbers = rest.trim_start_matches('.').split('.').map(str::parse);
        let numbers: Vec<u32> = numbers.collect::<Result<_, _>>().ok()?;
        Some((numbers, path))
    };
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    let mut found: Vec<_> = entries.filter_map(version).collect();
    found.sort();
    found.into_iter().rev().map(|(_, path)| path).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A folder with files at paths, each with its path as content.
    struct Made(tempfile::TempDir);

    impl Made {
        fn new(files: &[&str]) -> Made {
            let made = Made(tempfile::tempdir().unwrap());
            for file in files {
                let path = made.path(file);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, file).unwrap();
            }
            made
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        fn places(&self, variables: &[(&str, &str)]) -> Places {
            let value = |name: &str| {
                let found = variables.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| self.path(value).into_os_string())
            };
            Places::new(value, &self.path("local"))
        }

        /// Returns the candidates, files below the folder without its path.
        fn found(&self, variables: &[(&str, &str)]) -> Vec<String> {
            let below = |place: &OsString| {
                let path = Path::new(place);
                let below = path.strip_prefix(self.0.path()).unwrap_or(path);
                below.to_str().unwrap().to_string()
            };
            let candidates = self.places(variables).candidates;
            candidates.iter().map(below).collect()
        }
    }

    #[test]
    fn environments_come_first_then_the_loader_then_toolkits_from_the_newest() {
        let environments = [
            "env/lib/python3.13/site-packages/nvidia/cublas/lib/libcublasLt.so.12",
            "env/lib/python3.9/site-packages/nvidia/cu13/lib/libcublasLt.so.13",
            "env/lib/python3.9/site-packages/torch/lib/libcublasLt.so.12",
            "conda/lib/libcublasLt.so.13",
            "conda/lib/libcublasLt.so.12",
        ];
        let named = [
            "home/lib64/libcublasLt.so.12",
            "path/targets/x86_64-linux/lib/libcublasLt.so.12",
        ];
        let local = [
            "local/cuda/lib64/libcublasLt.so.12",
            "local/cuda-13.0/lib64/libcublasLt.so.13",
            "local/cuda-12.10/lib64/libcublasLt.so.12",
            "local/cuda-12.9/lib64/libcublasLt.so.12",
        ];
        let made = Made::new(&[&local[..], &named, &environments].concat());
        let variables = [
            ("CUDA_PATH", "path"),
            ("CUDA_HOME", "home"),
            ("CONDA_PREFIX", "conda"),
            ("VIRTUAL_ENV", "env"),
        ];
        let all = [&environments[..], &NAMES, &named, &local].concat();
        assert_eq!(made.found(&variables), all);
        assert_eq!(made.found(&[]), [&NAMES[..], &local].concat());
        let path = |name| made.path(name).display().to_string();
        assert_eq!(
            made.places(&[("CUDA_HOME", "home"), ("VIRTUAL_ENV", "env")])
                .searched,
            [
                format!("VIRTUAL_ENV={}", path("env")),
                "the loader's paths".into(),
                format!("CUDA_HOME={}", path("home")),
                path("local/cuda*"),
            ]
        );
    }

    #[test]
    fn other_names_and_what_is_no_file_are_left_out() {
        let made = Made::new(&[
            "env/lib/libcublasLt.so",
            "env/lib/libcublasLt.so.11",
            "env/lib/libcublas.so.12",
            "env/lib/libcublasLt.so.12.backup",
            "env/lib/libcublasLt.so.13/libcublasLt.so.12",
            "env/lib/pythonic/site-packages/torch/lib/libcublasLt.so.12",
            "local/cuda-old/lib64/libcublasLt.so.12",
            "local/cuda-12.4/lib64/libcublasLt_static.a",
        ]);
        assert_eq!(made.found(&[("VIRTUAL_ENV", "env")]), NAMES);
        assert_eq!(made.found(&[("VIRTUAL_ENV", "nowhere")]), NAMES);
    }

    #[test]
    fn relative_values_are_ignored() {
        for value in ["", ".", "lib", "../lib"] {
            let places = Places::new(|_| Some(value.into()), Path::new("/nowhere"));
            assert_eq!(places.candidates, NAMES, "{value}");
            assert_eq!(places.searched.len(), 2, "{value}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_and_a_file_is_tried_once() {
        use std::os::unix::fs::symlink;
        let made = Made::new(&["local/cuda-12.8/targets/x86_64-linux/lib/libcublasLt.so.12.8.4"]);
        let lib = made.path("local/cuda-12.8/targets/x86_64-linux/lib");
        symlink("libcublasLt.so.12.8.4", lib.join("libcublasLt.so.12")).unwrap();
        symlink("libcublasLt.so.13", lib.join("libcublasLt.so.13")).unwrap();
        symlink(&lib, made.path("local/cuda-12.8/lib64")).unwrap();
        symlink("cuda-12.8", made.path("local/cuda")).unwrap();
        let file = ["local/cuda/lib64/libcublasLt.so.12"];
        let expected = [&NAMES[..], &file].concat();
        assert_eq!(made.found(&[]), expected);
        assert_eq!(made.found(&[("CUDA_HOME", "local/cuda")]), expected);
    }
}
