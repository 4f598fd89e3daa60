//! The demo's scenes as data sets, and the program run on them.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};
use tempfile::TempDir;

pub use crate::program::{ended, succeeded};

/// A question about a scene.
pub struct Scene {
    pub picture: String,
    pub question: String,
    pub answer: String,
    pub word: String,
    pub rectangle: [f64; 4],
    pub evidence: String,
}

pub fn folder_of_scenes() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/demo/scenes")
}

impl Scene {
    pub fn path(&self) -> String {
        folder_of_scenes().join(&self.picture).display().to_string()
    }
}

/// Returns every question about the demo's scenes, eight in total.
pub fn scenes() -> Vec<Scene> {
    let text = std::fs::read_to_string(folder_of_scenes().join("scenes.json")).unwrap();
    let scenes: Vec<Value> = serde_json::from_str(&text).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_string();
    let of = |scene: &Value| {
        let questions = scene["questions"].as_array().unwrap().iter();
        let all = questions.map(|q| Scene {
            picture: text(&scene["picture"]),
            question: text(&q["question"]),
            answer: text(&q["answer"]),
            word: text(&q["key_words"][0]),
            rectangle: serde_json::from_value(q["box"].clone()).unwrap(),
            evidence: text(&q["evidence"]),
        });
        all.collect::<Vec<_>>()
    };
    scenes.iter().flat_map(of).collect()
}

/// A folder for one test, and the program run in it.
pub struct Folder(TempDir);

impl Folder {
    pub fn new() -> Folder {
        Folder(TempDir::new().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub fn append(&self, name: &str, line: &str) {
        let text = std::fs::read_to_string(self.path(name)).unwrap();
        self.write(name, &format!("{text}{line}\n"));
    }

    /// Writes a table of JSON lines with `count` of the demo's questions.
    pub fn table(&self, name: &str, count: usize) {
        let scenes = scenes();
        let line = |n: usize| {
            let scene = &scenes[n % scenes.len()];
            let cells = json!({
                "id": format!("q{n}"), "image": scene.picture, "question": scene.question,
                "answer": scene.answer,
                "box": scene.rectangle, "evidence": scene.evidence,
            });
            format!("{cells}\n")
        };
        self.write(name, &(0..count).map(line).collect::<String>());
    }

    pub fn command(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_foveate"));
        command.args(arguments).current_dir(self.0.path());
        // The job that runs the tests may itself be an element of an array.
        for name in [
            "SLURM_ARRAY_TASK_ID",
            "SLURM_PROCID",
            "SLURM_NTASKS",
            "SLURM_STEP_NUM_TASKS",
            "OMPI_COMM_WORLD_RANK",
            "MV2_COMM_WORLD_RANK",
            "PMI_RANK",
            "RANK",
            "WORLD_SIZE",
            "JOB_COMPLETION_INDEX",
        ] {
            command.env_remove(name);
        }
        command.envs(variables.iter().copied());
        command
    }

    pub fn foveate(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
        self.command(arguments, variables).output().unwrap()
    }

    /// Runs `run` with quick settings and the demo's pictures; later options override them.
    pub fn run(&self, more: &[&str]) -> Output {
        self.run_as(more, &[])
    }

    pub fn run_as(&self, more: &[&str], variables: &[(&str, &str)]) -> Output {
        let arguments = quick(more);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        self.foveate(&arguments, variables)
    }

    pub fn bytes(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    pub fn lines(&self, name: &str) -> Vec<Value> {
        let text = std::fs::read_to_string(self.path(name)).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// Checks that everything that two runs must share is equal.
    pub fn same(&self, a: &str, b: &str) {
        for name in ["run.json", "records.jsonl", "masks-00000.f32"] {
            let read = |folder: &str| self.bytes(&format!("{folder}/{name}"));
            assert!(read(a) == read(b), "{name} of {a} and {b}");
        }
    }
}

/// Returns the arguments of a quick run.
pub fn quick(more: &[&str]) -> Vec<String> {
    let scenes = folder_of_scenes().display().to_string();
    let usual = [
        ("--images", scenes.as_str()),
        ("--device", "cpu"),
        ("--threads", "2"),
        ("--mask-size", "8"),
        ("--steps", "2"),
        ("--iterations", "2"),
    ];
    let mut arguments = vec!["run".to_string()];
    for (name, value) in usual.iter().filter(|(name, _)| !more.contains(name)) {
        arguments.extend([name.to_string(), value.to_string()]);
    }
    arguments.extend(more.iter().map(|a| a.to_string()));
    arguments
}
