//! The program's results, their reproducibility, and its errors for bad input.

mod checkpoints;
mod devices;
mod each;
mod help;
mod inputs;
mod methods;
mod outputs;
#[path = "../program/mod.rs"]
mod program;
mod results;
mod several;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use program::{ended, succeeded};
use serde_json::Value;
use tempfile::TempDir;

const QUICK: [&str; 6] = ["--mask-size", "8", "--steps", "2", "--iterations", "2"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn demo() -> PathBuf {
    root().join("assets/demo/model")
}

/// Returns a scene of the demo with a question about it.
fn scene() -> (PathBuf, String) {
    let folder = root().join("assets/demo/scenes");
    let text = std::fs::read_to_string(folder.join("scenes.json")).unwrap();
    let scenes: Value = serde_json::from_str(&text).unwrap();
    let question = scenes[0]["questions"][0]["question"]
        .as_str()
        .unwrap()
        .to_string();
    (
        folder.join(scenes[0]["picture"].as_str().unwrap()),
        question,
    )
}

/// A folder for one test, and the program run in it.
struct Run {
    folder: TempDir,
}

impl Run {
    fn new() -> Run {
        Run {
            folder: TempDir::new().unwrap(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn foveate(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_foveate"))
            .args(arguments)
            .current_dir(self.folder.path())
            .output()
            .unwrap()
    }

    /// Runs `explain` on the demo's scene with quick settings; later options override them.
    fn explain(&self, out: &str, more: &[&str]) -> Output {
        let (picture, question) = scene();
        self.explain_picture(&picture, &question, out, more)
    }

    fn explain_picture(&self, picture: &Path, question: &str, out: &str, more: &[&str]) -> Output {
        let picture = picture.to_str().unwrap();
        let mut arguments = vec![
            "explain",
            "--image",
            picture,
            "--question",
            question,
            "--out",
            out,
            "--threads",
            "2",
        ];
        if !more.contains(&"--device") {
            arguments.extend(["--device", "cpu"]);
        }
        for pair in QUICK.chunks(2).filter(|pair| !more.contains(&pair[0])) {
            arguments.extend(pair);
        }
        arguments.extend(more);
        self.foveate(&arguments)
    }

    fn record(&self, out: &str) -> Value {
        serde_json::from_str(
            &std::fs::read_to_string(self.path(out).join("explanation.json")).unwrap(),
        )
        .unwrap()
    }

    fn mask(&self, out: &str) -> Vec<f32> {
        let bytes = std::fs::read(self.path(out).join("mask.npy")).unwrap();
        npyz::NpyFile::new(&bytes[..]).unwrap().into_vec().unwrap()
    }

    /// Checks that the run failed with that exit code, printed all of `words`, and left no files.
    fn refused(&self, output: &Output, code: i32, words: &[&str]) {
        ended(output, code, words);
        assert!(!self.path("out").exists(), "a failed run leaves nothing");
    }
}
