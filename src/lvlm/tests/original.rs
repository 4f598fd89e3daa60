//! The LLaVAs in the original layout: the fields of the config, the places of the encoder, and the
//! prompts.

use serde_json::{Value, json};

use super::{Name, config_of, copied, fails, models};
use crate::checkpoint::tests::set;
use crate::checkpoint::{
    ChatTemplate, CheckpointError, Config, Files, ImageToken, ProcessorFile, RopeScaling, Template,
    Tensor, Tensors, Tokenizer,
};
use crate::lvlm::engine::fit::listed;
use crate::lvlm::families::llava::llava_anyres::LlavaAnyres;
use crate::lvlm::families::registry::visit;
use crate::lvlm::family::traits::{Family, ImageProcessing};
use crate::lvlm::inspect;
use crate::lvlm::{OpenOptions, checkpoint};

const INSIDE: &str = "model.vision_tower.vision_tower.vision_model";

fn read(config: &Value) -> Result<LlavaAnyres, CheckpointError> {
    LlavaAnyres::read(&Config::from_json(&config.to_string(), "config.json").unwrap())
}

#[test]
fn every_name_of_the_families() {
    for (kind, aspect, family) in [
        ("llava", json!("anyres"), Ok("llava_anyres")),
        ("llava_llama", json!("anyres_max_9"), Ok("llava_anyres")),
        ("llava_llama", json!("pad"), Ok("llava_llama")),
        ("llava", Value::Null, Ok("llava_llama")),
        ("llava_mistral", json!("anyres"), Ok("llava_anyres")),
        ("llava_qwen", json!("anyres_max_9"), Ok("llava_anyres")),
        ("llava_qwen", json!("pad"), Err("image_aspect_ratio")),
        ("llava_mistral", Value::Null, Err("image_aspect_ratio")),
        ("llava_llama", json!("highres"), Err("image_aspect_ratio")),
        (
            "llava_qwen",
            json!("anyres_max_0"),
            Err("image_aspect_ratio"),
        ),
        ("llava_mixtral", json!("anyres"), Err("model_type")),
    ] {
        let mut config = config_of("tiny-next-authors");
        set(&mut config, "model_type", json!(kind));
        set(&mut config, "image_aspect_ratio", aspect.clone());
        let config = Config::from_json(&config.to_string(), "config.json").unwrap();
        let found = match &visit(&config, Name) {
            Ok(name) => Ok(*name),
            Err(
                CheckpointError::Config { field, .. }
                | CheckpointError::UnsupportedArchitecture { field, .. },
            ) => Err(field.clone()),
            Err(other) => panic!("{kind} {aspect}: {other}"),
        };
        assert_eq!(found, family.map_err(str::to_string), "{kind} {aspect}");
    }
}

#[test]
fn bad_fields_are_named() {
    for (field, value) in [
        ("mm_vision_tower", Value::Null),
        ("mm_projector_type", json!("linear")),
        ("mm_vision_select_feature", json!("cls_patch")),
        ("mm_vision_select_layer", json!([-2])),
        ("mm_patch_merge_type", Value::Null),
        ("mm_patch_merge_type", json!("spatial")),
        ("mm_use_im_start_end", json!(true)),
        ("mm_use_im_patch_token", json!(true)),
        ("image_grid_pinpoints", Value::Null),
        ("image_grid_pinpoints", json!("(3x3),(1x1)")),
        ("image_aspect_ratio", json!("anyres_max")),
        ("hidden_size", json!(0)),
    ] {
        let mut config = config_of("tiny-onevision-authors");
        set(&mut config, field, value.clone());
        match read(&config) {
            Err(CheckpointError::Config { field: found, .. }) => {
                assert_eq!(found, field, "{value}");
            }
            other => panic!("{field} {value}: {other:?}"),
        }
    }
    assert!(read(&config_of("tiny-onevision-authors")).is_ok());
}

/// The published LLaVA-OneVision says "llava", and names its class.
#[test]
fn the_decoder_is_told_by_the_class() {
    for (class, decoder) in [
        (json!(["LlavaQwenForCausalLM"]), "qwen2"),
        (json!(["LlavaMistralForCausalLM"]), "mistral"),
        (json!(["LlavaLlamaForCausalLM"]), "llama"),
        (Value::Null, "llama"),
    ] {
        let mut config = config_of("tiny-next-authors");
        set(&mut config, "architectures", class.clone());
        let family = read(&config).unwrap();
        assert_eq!(family.decoder().0.kind.model_type, decoder, "{class}");
    }
}

/// The original classes on Mistral and Qwen2 overrule the config.
#[test]
fn frequencies_are_stretched_for_llama_alone() {
    let linear = json!({ "type": "linear", "factor": 2.0 });
    for (model, stretched) in [
        ("tiny-onevision-authors", false),
        ("tiny-next-authors-mistral", false),
        ("tiny-next-authors", true),
    ] {
        let mut config = config_of(model);
        set(&mut config, "rope_scaling", linear.clone());
        let family = read(&config).unwrap();
        let scaling = family.decoder().0.rope.scaling.clone();
        assert_eq!(scaling != RopeScaling::None, stretched, "{model}");
    }
}

/// Fields that contradict the encoder are reported of the model's own config.
#[test]
fn a_hidden_state_that_the_encoder_lacks() {
    for (model, encoder) in [
        ("tiny-next-authors", "tiny-clip-28"),
        ("tiny-llava-llama", "tiny-clip"),
    ] {
        let dir = copied(model, &[encoder]);
        let mut config = config_of(model);
        set(&mut config, "mm_vision_select_layer", json!(9));
        let file = dir.path().join(model).join("config.json");
        std::fs::write(&file, config.to_string()).unwrap();
        match fails(&dir, model) {
            CheckpointError::Config {
                file: of, field, ..
            } => {
                let found = (of, field.as_str());
                assert_eq!(
                    found,
                    (file.display().to_string(), "mm_vision_select_layer")
                );
            }
            other => panic!("{model}: {other}"),
        }
    }
}

#[test]
fn where_an_encoder_is() {
    // Outside, its weights are needed; inside, its config.
    for (model, encoder) in [
        ("tiny-next-authors-mistral", "openai/tiny-clip"),
        ("tiny-onevision-authors", "google/tiny-siglip"),
    ] {
        match fails(&copied(model, &[]), model) {
            CheckpointError::MissingEncoder {
                field,
                encoder: found,
                ..
            } => assert_eq!(
                (field.as_str(), found.as_str()),
                ("mm_vision_tower", encoder)
            ),
            other => panic!("{model}: {other}"),
        }
    }
    let dir = copied("tiny-next-authors-mistral", &["tiny-clip"]);
    std::fs::remove_file(dir.path().join("tiny-clip/model.safetensors")).unwrap();
    let error = fails(&dir, "tiny-next-authors-mistral").to_string();
    assert!(error.contains("tiny-clip"), "{error}");
    let dir = copied("tiny-onevision-authors", &["tiny-siglip"]);
    std::fs::remove_file(dir.path().join("tiny-siglip/model.safetensors")).unwrap();
    let model = dir.path().join("tiny-onevision-authors");
    assert!(checkpoint(Some(&model), &OpenOptions::default()).is_ok());
}

/// The published SigLIP inside a checkpoint is known by its sizes.
#[test]
fn the_published_siglip_inside_needs_no_folder() {
    let tensor = |part: &str, shape: &[usize]| Tensor::absent(&format!("{INSIDE}.{part}"), shape);
    let positions = "embeddings.position_embedding.weight";
    let tensors = Tensors::made("test", [tensor(positions, &[729, 1152])]);
    let mut family = read(&config_of("tiny-onevision-authors")).unwrap();
    assert!(family.towers(&tensors)[0].optional);
    family.fit(&tensors, vec![None]).unwrap();
    let names = listed(&family).unwrap();
    let asks = |layer: usize| {
        let name = format!("{INSIDE}.encoder.layers.{layer}.mlp.fc1.weight");
        names.contains(&(name, vec![4304, 1152]))
    };
    assert_eq!([0, 25, 26].map(asks), [true, true, false]);
    let processor = ProcessorFile::of("preprocessor_config.json".to_string(), None);
    let encoders = family
        .image_processing(&processor)
        .unwrap()
        .encoder_views(640, 480)
        .unwrap();
    // The whole picture, and 1 x 2 tiles would hold too little of it: 2 x 2.
    assert_eq!(
        (encoders[0].views.len(), encoders[0].views[0].width),
        (5, 384)
    );

    let other = Tensors::made("test", [tensor(positions, &[16, 36])]);
    assert!(!family.towers(&other)[0].optional);
}

/// As the original program writes them; the text of each was compared with it.
#[test]
fn conversations() {
    let hd = models().join("tiny-mini-gemini-hd");
    let plain = models().join("tiny-next-authors");
    // The same vocabulary with the mark of a conversation.
    let dir = tempfile::tempdir().unwrap();
    let chatml = dir.path().to_path_buf();
    let text = std::fs::read_to_string(plain.join("tokenizer.json")).unwrap();
    let mut tokenizer: Value = serde_json::from_str(&text).unwrap();
    let mark = json!({
        "id": 400, "content": "<|im_start|>", "single_word": false, "lstrip": false,
        "rstrip": false, "normalized": false,
        "special": true,
    });
    tokenizer["added_tokens"].as_array_mut().unwrap().push(mark);
    std::fs::write(chatml.join("tokenizer.json"), tokenizer.to_string()).unwrap();
    for (model, vocabulary, text) in [
        (
            "tiny-onevision-authors",
            &plain,
            "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n\
             <image>\nWhat?<|im_end|>\n<|im_start|>assistant\n",
        ),
        (
            "tiny-next-authors-mistral",
            &plain,
            "[INST] <image>\nWhat? [/INST]",
        ),
        (
            "tiny-next-authors",
            &plain,
            "A chat between a curious user and an artificial intelligence assistant. The \
             assistant gives helpful, detailed, and polite answers to the user's questions. \
             USER: <image>\nWhat? ASSISTANT:",
        ),
        (
            "tiny-next-authors",
            &chatml,
            "<|im_start|>system\nAnswer the questions.<|im_end|><|im_start|>user\n<image>\n\
             What?<|im_end|><|im_start|>assistant\n",
        ),
        (
            "tiny-next-authors",
            &hd,
            "<|begin_of_text|><|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nYou \
             are a helpful language and vision assistant. You are able to understand the visual \
             content that the user provides, and assist the user with a variety of tasks using \
             natural language.<|eot_id|><|start_header_id|>user<|end_header_id|>\n\n<image>\n\
             What?<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
        ),
    ] {
        let files = Files::folder(vocabulary).unwrap();
        let tokenizer = Tokenizer::load(&files, ImageToken::Text("<image>")).unwrap();
        let template = read(&config_of(model)).unwrap().template(&tokenizer);
        assert!(matches!(template, Template::Fixed(_)));
        let template = ChatTemplate::load(&files, &tokenizer, template).unwrap();
        assert_eq!(template.render("What?", 1).unwrap().text(), text, "{model}");
    }
}

/// An encoder is counted where it is: one outside by its own tensors, as the sizes say.
#[test]
fn inspection_counts_the_encoder() {
    // Of 48 wide, 112 inside, 4 layers, 16 patches of 14 pixels and a class token: norms before and
    // after, no biases of patches.
    let layer = 4 * (48 * 48 + 48) + 2 * 48 * 112 + 48 + 112 + 4 * 48;
    let clip = 48 * 3 * 14 * 14 + 48 + 17 * 48 + 4 * layer + 4 * 48;
    for model in ["tiny-llava-llama", "tiny-next-authors-mistral"] {
        let found = inspect(models().join(model), &OpenOptions::default()).unwrap();
        assert!(
            found.is_complete() && found.unexpected.is_empty(),
            "{found}"
        );
        let encoder = &found.parts[0];
        assert_eq!(
            (encoder.parameters, encoder.bytes),
            (clip, 2 * clip),
            "{found}"
        );
        let place = encoder.checkpoint.as_ref().unwrap();
        assert!(
            place.ends_with("tiny-clip") && found.to_string().contains(place),
            "{found}"
        );
        let own: usize = found.parts[1..].iter().map(|part| part.parameters).sum();
        assert_eq!(own, found.parameters, "{found}");
    }
    for (model, tokens) in [("tiny-next-authors", 70), ("tiny-onevision-authors", 79)] {
        let found = inspect(models().join(model), &OpenOptions::default()).unwrap();
        assert!(
            found.is_complete() && found.unexpected.is_empty(),
            "{found}"
        );
        assert!(found.parts.iter().all(|part| part.checkpoint.is_none()));
        let all: usize = found.parts.iter().map(|part| part.parameters).sum();
        assert_eq!(all, found.parameters, "{found}");
        assert_eq!(found.image_tokens, Some(tokens), "{found}");
    }
}
