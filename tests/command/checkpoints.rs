//! Checkpoints at fault, and what `inspect` says.

use super::*;

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
