//! The program's results, their reproducibility, and its errors for bad input.

mod program;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use image::RgbImage;
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

/// Returns a copy of the demo model in `run`, with one file changed.
fn changed_demo(run: &Run, name: &str, change: impl FnOnce(Vec<u8>) -> Option<Vec<u8>>) -> String {
    let target = run.path("model");
    std::fs::create_dir(&target).unwrap();
    for entry in std::fs::read_dir(demo()).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, target.join(path.file_name().unwrap())).unwrap();
    }
    let file = target.join(name);
    match change(std::fs::read(&file).unwrap()) {
        Some(bytes) => {
            std::fs::remove_file(&file).unwrap();
            std::fs::write(&file, bytes).unwrap();
        }
        None => std::fs::remove_file(&file).unwrap(),
    }
    "model".to_string()
}

/// Returns the byte range of a tensor in a safetensors file.
fn tensor_range(bytes: &[u8], name: &str) -> std::ops::Range<usize> {
    let (header, metadata) = safetensors::SafeTensors::read_metadata(bytes).unwrap();
    let (start, end) = metadata.info(name).unwrap().data_offsets;
    8 + header + start..8 + header + end
}

#[test]
fn every_file_is_written_and_says_the_same() {
    let run = Run::new();
    let printed = succeeded(&run.explain("out", &["--json"]));
    let record = run.record("out");
    assert_eq!(
        serde_json::from_str::<Value>(&printed).unwrap(),
        record,
        "--json prints the file"
    );
    let mut names: Vec<_> = std::fs::read_dir(run.path("out"))
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let expected = [
        "curves.png",
        "explanation.json",
        "mask.npy",
        "overlay.png",
        "saliency.png",
        "tokens.png",
    ];
    assert_eq!(names, expected);
    let keys = [
        "model",
        "family",
        "device",
        "dtype",
        "device_choices",
        "image",
        "question",
        "prompt",
        "answer",
        "image_dependent",
        "settings",
        "iterations",
        "curves",
        "cost",
        "version",
        "files",
    ];
    assert_eq!(record.as_object().unwrap().keys().collect::<Vec<_>>(), keys);
    assert_eq!(record["image_dependent"], true);
    assert_eq!(record["iterations"].as_array().unwrap().len(), 2);
    // Two whole pictures, 2 iterations of 2 paths of 2 steps, and 64 curve groups of both kinds.
    assert_eq!(record["cost"]["evaluations"], 2 + 2 * 2 * 2 + 2 * 64);
    let mask = run.mask("out");
    assert_eq!(mask.len(), 64);
    assert!(mask.iter().all(|m| (0.0..=1.0).contains(m)) && mask.iter().any(|m| *m < 1.0));
    let saliency = image::open(run.path("out/saliency.png")).unwrap();
    assert_eq!(
        (saliency.width(), saliency.height(), saliency.color()),
        (112, 112, image::ColorType::L8)
    );
    // The corner pixel shows the corner cell.
    let corner = f64::from(saliency.to_luma8().get_pixel(0, 0).0[0]) / 255.0;
    assert!((corner - (1.0 - f64::from(mask[0]))).abs() < 0.003);
}

#[test]
fn same_inputs_give_the_same_bits() {
    let run = Run::new();
    for out in ["a", "b"] {
        succeeded(&run.explain(out, &[]));
    }
    for name in [
        "mask.npy",
        "saliency.png",
        "overlay.png",
        "curves.png",
        "tokens.png",
    ] {
        let read = |out| std::fs::read(run.path(out).join(name)).unwrap();
        assert!(read("a") == read("b"), "{name}");
    }
    let without_cost = |out| {
        let mut record = run.record(out);
        record.as_object_mut().unwrap().remove("cost");
        record
    };
    assert_eq!(without_cost("a"), without_cost("b"));
    succeeded(&run.explain("c", &["--seed", "1"]));
    assert_ne!(run.mask("a"), run.mask("c"), "another seed is other noise");
}

#[test]
fn any_memory_budget_gives_the_same_mask() {
    let run = Run::new();
    succeeded(&run.explain("whole", &["--no-curves"]));
    let refusal = run.explain("out", &["--no-curves", "--memory-budget", "1kB"]);
    run.refused(&refusal, 2, &["memory budget", "for one blend"]);
    let text = String::from_utf8_lossy(&refusal.stderr).into_owned();
    let least: usize = text
        .split("at least ")
        .nth(1)
        .unwrap()
        .split(' ')
        .next()
        .unwrap()
        .parse()
        .expect("the bytes that are needed");
    // The smallest budget for one answer token; later key tokens need a little more, and smaller
    // budgets are refused.
    for budget in [least + least / 4, 2 * least, 5 * least] {
        succeeded(&run.explain(
            "cut",
            &["--no-curves", "--memory-budget", &budget.to_string()],
        ));
        let largest = run
            .mask("whole")
            .iter()
            .zip(run.mask("cut"))
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f32::max);
        assert!(largest <= 1e-5, "{budget} bytes: {largest}");
    }
}

#[test]
fn an_answer_that_needs_no_picture_is_a_result() {
    let run = Run::new();
    let text = succeeded(&run.explain("out", &["--threshold", "1000"]));
    assert!(text.contains("does not depend on the picture"), "{text}");
    let record = run.record("out");
    assert_eq!(
        (&record["image_dependent"], &record["curves"]),
        (&Value::Bool(false), &Value::Null)
    );
    assert!(!run.path("out/mask.npy").exists() && run.path("out/tokens.png").exists());
    // A mask of an earlier run would contradict the record.
    succeeded(&run.explain("out", &[]));
    assert!(run.path("out/mask.npy").exists());
    succeeded(&run.explain("out", &["--threshold", "1000"]));
    assert!(!run.path("out/mask.npy").exists());
}

#[test]
fn answers_keys_methods_and_baselines_can_be_chosen() {
    let run = Run::new();
    for more in [
        &["--answer", " The ring is red.", "--keys", "2,4"][..],
        &["--method", "igos++"],
        &["--optimizer", "ls"],
        &["--baseline", "zero"],
        &["--baseline", "noise", "--noise", "0"],
    ] {
        succeeded(&run.explain("out", more));
        let record = run.record("out");
        if more[0] == "--answer" {
            assert_eq!(record["answer"]["text"], " The ring is red.");
            let keys: Vec<bool> = record["answer"]["tokens"]
                .as_array()
                .unwrap()
                .iter()
                .map(|t| t["key"].as_bool().unwrap())
                .collect();
            let chosen: Vec<usize> = (0..keys.len()).filter(|&t| keys[t]).collect();
            assert_eq!(chosen, [2, 4]);
        } else {
            assert_eq!(record["settings"][&more[0][2..]], more[1]);
        }
        assert!(run.mask("out").iter().any(|m| *m < 1.0), "{more:?}");
    }
}

#[test]
fn settings_out_of_range_are_refused() {
    let run = Run::new();
    for (option, value) in [
        ("--steps", "0"),
        ("--mask-size", "0"),
        ("--mask-size", "4096"),
        ("--iterations", "0"),
        ("--lr", "0"),
        ("--momentum", "0"),
        ("--noise=-1", ""),
        ("--l1", "nan"),
    ] {
        let more = if value.is_empty() {
            vec![option]
        } else {
            vec![option, value]
        };
        let name = option.trim_start_matches('-').split('=').next().unwrap();
        run.refused(&run.explain("out", &more), 2, &[name, "expected"]);
    }
    run.refused(&run.explain("out", &["--keys", "99"]), 2, &["keys", "99"]);
    run.refused(&run.explain("out", &["--keys", "a"]), 2, &["keys"]);
    run.refused(
        &run.explain("out", &["--memory-budget", "much"]),
        2,
        &["memory-budget"],
    );
    run.refused(&run.explain("out", &["--answer", ""]), 2, &["answer"]);
    succeeded(&run.explain("out", &["--mask-size", "1"]));
    assert_eq!(run.mask("out").len(), 1);
}

#[test]
fn questions() {
    let run = Run::new();
    let (picture, _) = scene();
    run.refused(
        &run.explain_picture(&picture, " \n", "out", &[]),
        2,
        &["question"],
    );
    let long = "what ".repeat(2000);
    run.refused(
        &run.explain_picture(&picture, &long, "out", &[]),
        2,
        &["512", "tokens"],
    );
    // Special tokens in a question are text: one picture stays one picture.
    let question = "What is <image> or </s> or <s>?";
    succeeded(&run.explain_picture(
        &picture,
        question,
        "out",
        &["--answer", " A ring.", "--keys", "1"],
    ));
    assert!(
        run.record("out")["prompt"]
            .as_str()
            .unwrap()
            .contains(question)
    );
}

#[test]
fn pictures_of_every_kind() {
    let run = Run::new();
    let save = |name: &str, picture: image::DynamicImage| picture.save(run.path(name)).unwrap();
    let colours = RgbImage::from_fn(90, 60, |x, y| {
        image::Rgb([(x * 2) as u8, (y * 4) as u8, 99])
    });
    save(
        "one.png",
        RgbImage::from_pixel(1, 1, image::Rgb([200, 10, 10])).into(),
    );
    save(
        "narrow.png",
        RgbImage::from_pixel(3, 4000, image::Rgb([10, 200, 10])).into(),
    );
    save(
        "deep.png",
        image::DynamicImage::from(colours.clone()).to_rgb16().into(),
    );
    save(
        "grey.png",
        image::DynamicImage::from(colours.clone()).to_luma8().into(),
    );
    save(
        "alpha.png",
        image::DynamicImage::from(colours.clone()).to_rgba8().into(),
    );
    save("photo.jpg", colours.clone().into());
    for name in [
        "one.png",
        "narrow.png",
        "deep.png",
        "grey.png",
        "alpha.png",
        "photo.jpg",
    ] {
        let answer = ["--answer", " It is red.", "--keys", "2"];
        succeeded(&run.explain_picture(&run.path(name), "What color is it?", "out", &answer));
        let size = image::image_dimensions(run.path(name)).unwrap();
        assert_eq!(
            image::image_dimensions(run.path("out/saliency.png")).unwrap(),
            size,
            "{name}"
        );
        std::fs::remove_dir_all(run.path("out")).unwrap();
    }
    let mut bytes = std::fs::read(run.path("photo.jpg")).unwrap();
    bytes.truncate(40);
    std::fs::write(run.path("broken.jpg"), &bytes).unwrap();
    std::fs::write(run.path("text.png"), "not a picture").unwrap();
    for name in ["broken.jpg", "text.png", "absent.png"] {
        run.refused(
            &run.explain_picture(&run.path(name), "What color is it?", "out", &[]),
            2,
            &[name],
        );
    }
}

#[test]
fn output_folders() {
    let run = Run::new();
    std::fs::write(run.path("file"), "here first").unwrap();
    let output = run.explain("file/out", &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("file/out"));
    assert_eq!(
        std::fs::read_to_string(run.path("file")).unwrap(),
        "here first"
    );
    // Folders created for a failed run are removed, including the outer ones.
    let output = run.explain("new/deep/out", &["--keys", "99"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(!run.path("new").exists());
    // Existing results remain when a later run fails.
    succeeded(&run.explain("out", &[]));
    let before = run.record("out");
    assert_eq!(run.explain("out", &["--keys", "99"]).status.code(), Some(2));
    assert_eq!(run.record("out"), before);
}

/// A limit on the size of files simulates a full disk: writing fails in the middle of a file.
#[cfg(unix)]
#[test]
fn a_full_disk() {
    let run = Run::new();
    let (picture, question) = scene();
    let script = format!(
        "trap '' XFSZ; ulimit -f 8; exec {} explain --image {} --question \
         '{question}' --out out {}",
        env!("CARGO_BIN_EXE_foveate"),
        picture.display(),
        QUICK.join(" ")
    );
    let output = Command::new("bash")
        .args(["-c", &script])
        .current_dir(run.folder.path())
        .output()
        .unwrap();
    run.refused(&output, 1, &["could not be written", "out/"]);
}

/// New bytes for a file, or its removal.
type Change = fn(Vec<u8>) -> Option<Vec<u8>>;

#[test]
fn checkpoints_at_fault_are_named() {
    let cases: [(&str, Change, &[&str]); 6] = [
        ("model.safetensors", |_| None, &["model.safetensors"]),
        (
            "model.safetensors",
            |b| Some(b[..b.len() / 2].to_vec()),
            &["model.safetensors"],
        ),
        ("tokenizer.json", |_| None, &["tokenizer.json"]),
        (
            "preprocessor_config.json",
            |_| None,
            &["preprocessor_config.json"],
        ),
        (
            "config.json",
            |b| {
                Some(
                    String::from_utf8(b)
                        .unwrap()
                        .replace("\"llava\"", "\"mystery\"")
                        .into_bytes(),
                )
            },
            &["mystery", "llava"],
        ),
        (
            "config.json",
            |b| {
                Some(
                    String::from_utf8(b)
                        .unwrap()
                        .replace("\"vocab_size\": 429", "\"vocab_size\": 430")
                        .into_bytes(),
                )
            },
            &["embed_tokens", "430", "429"],
        ),
    ];
    for (file, change, words) in cases {
        let run = Run::new();
        let model = changed_demo(&run, file, change);
        run.refused(&run.explain("out", &["--model", &model]), 2, words);
    }
    let run = Run::new();
    run.refused(
        &run.explain("out", &["--model", "nowhere"]),
        2,
        &["nowhere"],
    );
}

#[test]
fn weights_that_are_not_numbers_are_named_by_layer() {
    for (tensor, layer) in [
        (
            "vision_tower.encoder.layers.2.mlp.fc1.weight",
            "vision encoder layer 2",
        ),
        ("multi_modal_projector.linear_2.weight", "projector"),
        (
            "language_model.model.layers.1.self_attn.v_proj.weight",
            "decoder layer 1",
        ),
        ("language_model.lm_head.weight", "vocabulary projection"),
    ] {
        let run = Run::new();
        let model = changed_demo(&run, "model.safetensors", |mut bytes| {
            let range = tensor_range(&bytes, tensor);
            let nan = half::f16::NAN.to_le_bytes();
            bytes[range]
                .chunks_exact_mut(2)
                .for_each(|b| b.copy_from_slice(&nan));
            Some(bytes)
        });
        run.refused(&run.explain("out", &["--model", &model]), 2, &[layer]);
        run.refused(
            &run.explain("out", &["--model", &model, "--answer", " The ring is red."]),
            2,
            &[layer],
        );
    }
}

/// The embedding of a word that only the answer contains.
#[test]
fn an_answers_embedding_that_is_not_a_number_is_named() {
    let run = Run::new();
    let words = succeeded(&run.explain(
        "first",
        &["--answer", " purple purple", "--keys", "0", "--json"],
    ));
    let record: Value = serde_json::from_str(&words).unwrap();
    let id = record["answer"]["tokens"][0]["id"].as_u64().unwrap() as usize;
    let model = changed_demo(&run, "model.safetensors", |mut bytes| {
        let start =
            tensor_range(&bytes, "language_model.model.embed_tokens.weight").start + id * 128 * 2;
        let nan = half::f16::NAN.to_le_bytes();
        bytes[start..start + 256]
            .chunks_exact_mut(2)
            .for_each(|b| b.copy_from_slice(&nan));
        Some(bytes)
    });
    let output = run.explain(
        "out",
        &[
            "--model",
            &model,
            "--answer",
            " purple purple",
            "--keys",
            "1",
        ],
    );
    run.refused(&output, 2, &["token embeddings"]);
}

#[test]
fn inspect_says_what_a_checkpoint_is() {
    let run = Run::new();
    let text = succeeded(&run.foveate(&["inspect", demo().to_str().unwrap()]));
    for word in ["llava", "f16", "chat_template.jinja"] {
        assert!(text.contains(word), "{word:?} is not in: {text}");
    }
    let model = changed_demo(&run, "model.safetensors", |bytes| {
        let text = String::from_utf8_lossy(&bytes[8..])
            .find("linear_2.bias")
            .unwrap();
        let mut bytes = bytes;
        bytes[8 + text..][..13].copy_from_slice(b"linear_9.bias");
        Some(bytes)
    });
    let output = run.foveate(&["inspect", &model]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        String::from_utf8_lossy(&output.stdout).contains("multi_modal_projector.linear_2.bias")
    );
}

#[test]
fn help_states_every_default() {
    let run = Run::new();
    let text = succeeded(&run.foveate(&["explain", "--help"]));
    for option in [
        "--method",
        "--optimizer",
        "--baseline",
        "--mask-size",
        "--steps",
        "--iterations",
        "--l1",
        "--l2",
        "--l3",
        "--gamma",
        "--momentum",
        "--lr",
        "--noise",
        "--seed",
        "--threshold",
        "--max-new-tokens",
        "--device",
        "--dtype",
        "--memory-budget",
        "--threads",
        "--model",
    ] {
        let at = text
            .find(&format!("{option} <"))
            .unwrap_or_else(|| panic!("{option} in {text}"));
        let own = text[at + 2..].split("\n      --").next().unwrap();
        assert!(own.contains("[default: "), "{option}: {own}");
    }
}

#[test]
fn a_gpu_that_is_not_there_is_refused_in_one_line() {
    let run = Run::new();
    let devices = succeeded(&run.foveate(&["devices"]));
    assert!(devices.starts_with("cpu: "), "{devices}");
    for name in ["gpu", "cuda:", "cuda:x", "cuda:-1"] {
        let refused = run.explain("out", &["--device", name]);
        run.refused(&refused, 2, &["--device", "expected auto, cpu, or cuda:N"]);
    }
    // No machine has that many; without any GPU, the reason is the one that `devices` prints.
    let refused = run.explain("out", &["--device", "cuda:4096"]);
    run.refused(&refused, 2, &["foveate: cuda:4096: "]);
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(text.lines().count(), 1, "{text}");
    if let Some(reason) = devices.lines().find_map(|l| l.strip_prefix("no GPU: ")) {
        assert!(text.contains(reason), "{text}");
    }
}

#[test]
fn auto_without_a_gpu_is_the_processor() {
    let run = Run::new();
    if succeeded(&run.foveate(&["devices"])).contains("cuda:") {
        return;
    }
    let output = run.explain("out", &["--device", "auto", "--verbose"]);
    succeeded(&output);
    assert_eq!(run.record("out")["device"], "cpu");
    assert_eq!(run.record("out")["dtype"], "f32");
    let notes = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(notes.contains("no GPU: "), "{notes}");
}

#[test]
fn a_selftest_of_no_gpu_or_of_nothing_is_refused() {
    let run = Run::new();
    for device in ["cpu", "auto"] {
        let refused = run.foveate(&["selftest", "--device", device]);
        run.refused(&refused, 2, &["--device: expected a GPU, cuda:N"]);
    }
    let refused = run.foveate(&["selftest", "--only", "gemm,convolution"]);
    run.refused(
        &refused,
        2,
        &["--only: expected some of blend, gemm, ", "convolution"],
    );
}
