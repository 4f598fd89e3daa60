use super::{checkpoint, parse, small_tensors};
use crate::checkpoint::tests::{Spec, config, set, weights, write};
use crate::checkpoint::{Checkpoint, CheckpointError, Files};
use crate::lvlm::families::llava::hf::Llava;
use crate::lvlm::family::traits::Family;
use crate::lvlm::inspect;
use crate::lvlm::{LvlmError, NamedShape, OpenOptions, open_files};
use serde_json::json;
use tempfile::TempDir;

fn tensors() -> Vec<Spec> {
    small_tensors(&parse(&config()).unwrap())
}

fn open(dir: &TempDir) -> Result<Checkpoint, LvlmError> {
    open_files(Files::folder(dir.path()).unwrap(), &OpenOptions::default())
}

fn checkpoint_error(error: LvlmError) -> CheckpointError {
    match error {
        LvlmError::Checkpoint(error) => error,
        other => panic!("{other}"),
    }
}

fn fails(dir: &TempDir) -> CheckpointError {
    checkpoint_error(open(dir).unwrap_err())
}

/// Whether a checkpoint's projection is its embedding, as its family takes it.
fn tied(dir: &TempDir) -> bool {
    let opened = open(dir).unwrap();
    let mut config = Llava::read(&opened.config).unwrap();
    config.fit(&opened.tensors, Vec::new()).unwrap();
    config.parts.text.tied_embeddings
}

#[test]
fn a_whole_checkpoint() {
    let dir = checkpoint();
    let opened = open(&dir).unwrap();
    assert!(opened.processor.file.ends_with("preprocessor_config.json"));
    assert_eq!(opened.processor.text().unwrap(), "{\"size\": 8}");
    let projector = opened
        .tensors
        .require("multi_modal_projector.linear_1.weight", &[8, 8])
        .unwrap();
    assert_eq!(projector.to_f32(), [0.0; 64]);
    // Its own fields where they mean nothing, and where they do.
    write(&dir, "processor_config.json", "{\"size\": 4}");
    assert_eq!(
        open(&dir).unwrap().processor.text().unwrap(),
        "{\"size\": 8}"
    );
    let nested = "{\"image_processor\": {\"size\": 8}}";
    write(&dir, "processor_config.json", nested);
    std::fs::remove_file(dir.path().join("preprocessor_config.json")).unwrap();
    let opened = open(&dir).unwrap();
    assert!(opened.processor.file.ends_with("processor_config.json"));
    assert_eq!(opened.processor.text().unwrap(), nested);
    write(&dir, "processor_config.json", "{\"size\": 8}");
    assert!(matches!(
        fails(&dir),
        CheckpointError::MissingFile { file, .. } if file.ends_with("preprocessor_config.json")
    ));
}

#[test]
fn embedded_files() {
    static FILES: [(&str, &[u8]); 2] = [
        ("config.json", b"{\"model_type\": \"llava\"}"),
        ("model.safetensors", b"abc"),
    ];
    let error = checkpoint_error(
        open_files(Files::embedded("the demo", &FILES), &OpenOptions::default()).unwrap_err(),
    );
    assert!(
        matches!(
            &error,
            CheckpointError::TooShort { file, .. } if file == "the demo/model.safetensors"
        ),
        "{error}"
    );
}

#[test]
fn an_unsupported_architecture_comes_before_what_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(
        fails(&dir),
        CheckpointError::MissingFile { file, .. } if file.ends_with("config.json")
    ));
    write(
        &dir,
        "config.json",
        json!({"model_type": "llava_other"}).to_string(),
    );
    assert!(matches!(
        fails(&dir),
        CheckpointError::UnsupportedArchitecture { found, .. } if found == "llava_other"
    ));
}

#[test]
fn every_tensor_is_needed() {
    let dir = checkpoint();
    for (name, _, shape) in tensors() {
        let rest: Vec<Spec> = tensors()
            .into_iter()
            .filter(|(other, ..)| *other != name)
            .collect();
        write(&dir, "model.safetensors", weights(&rest));
        let error = fails(&dir);
        assert!(
            matches!(&error, CheckpointError::MissingTensor { tensor, .. } if *tensor == name),
            "{error}"
        );
        let found = inspect(dir.path(), &OpenOptions::default()).unwrap();
        assert_eq!(found.missing, [NamedShape { name, shape }]);
        assert!(!found.is_complete());
    }
}

#[test]
fn a_shape_that_contradicts_the_config() {
    let dir = checkpoint();
    let mut changed = tensors();
    changed[1].2[0] += 1;
    write(&dir, "model.safetensors", weights(&changed));
    assert!(matches!(
        fails(&dir),
        CheckpointError::ShapeMismatch { tensor, .. } if tensor == changed[1].0
    ));
    let found = inspect(dir.path(), &OpenOptions::default()).unwrap();
    assert_eq!(
        (
            found.contradicting[0].name.as_str(),
            &found.contradicting[0].found
        ),
        (changed[1].0.as_str(), &changed[1].2)
    );
}

#[test]
fn tied_embeddings_need_no_projection() {
    let dir = checkpoint();
    let mut changed = config();
    set(&mut changed, "tie_word_embeddings", json!(true));
    write(&dir, "config.json", changed.to_string());
    // A projection equal to the embedding is the embedding.
    assert!(tied(&dir));
    let mut bytes = weights(&tensors());
    *bytes.last_mut().unwrap() = 1;
    write(&dir, "model.safetensors", &bytes);
    assert!(!tied(&dir), "the projection comes last and differs");
    let rest: Vec<Spec> = tensors()
        .into_iter()
        .filter(|(name, ..)| !name.contains("lm_head"))
        .collect();
    write(&dir, "model.safetensors", weights(&rest));
    assert!(tied(&dir));
}

#[test]
fn inspection_of_a_whole_checkpoint() {
    let dir = checkpoint();
    let mut more = tensors();
    let all: usize = more
        .iter()
        .map(|(_, _, shape)| shape.iter().product::<usize>())
        .sum();
    more.push((
        "vision_tower.vision_model.post_layernorm.weight".to_string(),
        "F32",
        vec![8],
    ));
    more.push(("image_newline".to_string(), "BF16", vec![4]));
    write(&dir, "model.safetensors", weights(&more));
    let found = inspect(dir.path(), &OpenOptions::default()).unwrap();
    assert!(found.is_complete(), "{found}");
    assert_eq!((found.parameters, found.bytes), (all + 12, 2 * all + 40));
    assert_eq!(
        found
            .dtypes
            .iter()
            .map(|(name, count)| (name.as_str(), *count))
            .collect::<Vec<_>>(),
        [("bf16", 4), ("f16", all), ("f32", 8)]
    );
    assert_eq!(
        found
            .parts
            .iter()
            .map(|part| part.parameters)
            .sum::<usize>(),
        all + 8
    );
    assert_eq!(
        found.unexpected,
        [NamedShape {
            name: "image_newline".to_string(),
            shape: vec![4]
        }]
    );
    assert_eq!(found.unused.len(), 1);
    assert_eq!((found.image_tokens, found.tokens), (Some(4), Some(340)));
    let text = found.to_string();
    for part in [
        "llava",
        "vision encoder",
        "projector",
        "decoder",
        "chat_template.json",
        "image_newline [4]",
        "missing",
    ] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
    let json = serde_json::to_value(&found).unwrap();
    assert_eq!(json["parts"][0]["sizes"]["width"], 8);
}

#[test]
fn inspection_lists_other_problems() {
    let dir = checkpoint();
    for name in ["tokenizer.json", "preprocessor_config.json"] {
        std::fs::remove_file(dir.path().join(name)).unwrap();
    }
    let found = inspect(dir.path(), &OpenOptions::default()).unwrap();
    assert_eq!(
        (found.problems.len(), found.tokens, found.chat_template),
        (2, None, None)
    );
    write(&dir, "config.json", "{}");
    assert!(matches!(
        inspect(dir.path(), &OpenOptions::default()),
        Err(LvlmError::Checkpoint(
            CheckpointError::UnsupportedArchitecture { .. }
        ))
    ));
}

#[test]
fn text_files_that_are_not_text() {
    let dir = checkpoint();
    write(&dir, "config.json", [b'{', 0xff]);
    assert!(matches!(
        fails(&dir),
        CheckpointError::NotText { valid: 1, .. }
    ));
    write(
        &dir,
        "config.json",
        "version https://git-lfs.github.com/spec/v1\n",
    );
    assert!(matches!(fails(&dir), CheckpointError::LfsPointer { .. }));
    let huge = std::fs::File::create(dir.path().join("config.json")).unwrap();
    huge.set_len(1 << 40).unwrap();
    assert!(matches!(fails(&dir), CheckpointError::TooLarge { .. }));
}

/// Opens and inspects a folder.
fn refusals(dir: &TempDir) -> [String; 2] {
    let inspected = inspect(dir.path(), &OpenOptions::default());
    [fails(dir).to_string(), inspected.unwrap_err().to_string()]
}

#[test]
fn adapters_quantised_weights_and_experts_are_called_so() {
    let dir = checkpoint();
    let adapter = json!({"peft_type": "LORA", "base_model_name_or_path": "lmsys/vicuna-7b-v1.5"});
    write(&dir, "adapter_config.json", adapter.to_string());
    for message in refusals(&dir) {
        let expected = "adapter_config.json: a LoRA adapter of lmsys/vicuna-7b-v1.5, \
                        which is not supported; merge";
        assert!(message.contains(expected), "{message}");
    }
    // The weights of an adapter come without a config of the model's own.
    std::fs::remove_file(dir.path().join("config.json")).unwrap();
    assert!(refusals(&dir)[0].contains("a LoRA adapter"));
    std::fs::remove_file(dir.path().join("adapter_config.json")).unwrap();

    for (field, value, expected) in [
        (
            "quantization_config",
            json!({"quant_method": "awq", "bits": 4}),
            "quantization_config: quantised weights (awq)",
        ),
        (
            "quantization_config",
            json!({"quant_method": "gptq"}),
            "quantised weights (gptq)",
        ),
        (
            "quantization_config",
            json!({"quant_method": "bitsandbytes", "load_in_4bit": true}),
            "quantised weights (bitsandbytes)",
        ),
        (
            "quantization_config",
            json!({"load_in_8bit": true}),
            "quantised weights (of no named method)",
        ),
        (
            "text_config.quantization_config",
            json!({"quant_method": "fp8"}),
            "text_config.quantization_config: quantised weights (fp8)",
        ),
        (
            "text_config.num_local_experts",
            json!(8),
            "text_config.num_local_experts: a mixture of experts",
        ),
        (
            "text_config.model_type",
            json!("mixtral"),
            "text_config.model_type: a mixture of experts",
        ),
        (
            "text_config.model_type",
            json!("qwen2_moe"),
            "text_config.model_type: a mixture of experts",
        ),
        (
            "model_type",
            json!("qwen3_vl_moe"),
            "model_type: a mixture of experts",
        ),
        (
            "model_type",
            json!("moe_llava_qwen"),
            "model_type: a mixture of experts",
        ),
        (
            "moe",
            json!({"num_experts": [4]}),
            "moe: a mixture of experts",
        ),
    ] {
        let mut config = config();
        set(&mut config, field, value);
        write(&dir, "config.json", config.to_string());
        for message in refusals(&dir) {
            assert!(message.contains(expected), "{field}: {message}");
        }
    }
    // What says that there is none.
    for (field, value) in [
        ("quantization_config", json!(null)),
        ("text_config.num_local_experts", json!(1)),
        ("text_config.num_experts", json!(0)),
    ] {
        let mut config = config();
        set(&mut config, field, value);
        write(&dir, "config.json", config.to_string());
        open(&dir).unwrap();
    }
}

#[test]
fn quantised_tensors_are_called_so() {
    let dir = checkpoint();
    for (end, dtype) in [
        ("qweight", "I32"),
        ("weight.absmax", "F32"),
        ("weight_scale_inv", "F32"),
        ("SCB", "F32"),
    ] {
        let name = format!("language_model.model.layers.0.self_attn.q_proj.{end}");
        let mut more = tensors();
        more.push((name.clone(), dtype, vec![2]));
        write(&dir, "model.safetensors", weights(&more));
        for message in refusals(&dir) {
            let expected = format!("quantised weights (tensor {name}), which is not supported");
            assert!(message.contains(&expected), "{message}");
        }
    }
    let mut eight = tensors();
    eight[0].1 = "F8_E4M3";
    write(&dir, "model.safetensors", weights(&eight));
    let message = fails(&dir).to_string();
    assert!(
        message.contains("F8_E4M3, as quantised weights are"),
        "{message}"
    );
}
