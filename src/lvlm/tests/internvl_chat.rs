//! InternVL in the original layout: the same numbers as the same weights in Hugging Face's layout
//! give, whose results are compared with recorded ones in `tests/oracle.rs`; prompts and tiles of
//! the original program; what configs may say.

use std::path::Path;

use safetensors::tensor::{Dtype, TensorView};
use safetensors::{SafeTensors, serialize};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{answer, config_of, models, read};
use crate::blend::{self, Blend, Masks, Score};
use crate::checkpoint::tests::{recorded, set, write};
use crate::checkpoint::{Config, ProcessorFile};
use crate::device::cpu::Cpu;
use crate::lvlm::families::internvl::chat::InternVlChat;
use crate::lvlm::family::traits::{Family, ImageProcessing};
use crate::lvlm::{Lvlm, OpenOptions, Prompt, SessionOptions, checkpoint, go_on, inspect, load};
use crate::picture::{Baseline, Picture};

const CELLS: usize = 8;

/// The config of a model of Hugging Face's layout in the original one.
fn config(model: &str) -> Value {
    let config = config_of(model);
    let (vision, mut text) = (&config["vision_config"], config["text_config"].clone());
    let class = match text["model_type"].as_str() {
        Some("qwen2") => "Qwen2ForCausalLM",
        _ => "Qwen3ForCausalLM",
    };
    set(&mut text, "architectures", json!([class]));
    json!({
        "model_type": "internvl_chat",
        "downsample_ratio": 0.5,
        "dynamic_image_size": true,
        "force_image_size": 14,
        "llm_config": text,
        "max_dynamic_patch": 6,
        "min_dynamic_patch": 1,
        "pad2square": false,
        "ps_version": "v2",
        "select_layer": -1,
        "system_message": null,
        "template": "internvl2_5",
        "use_backbone_lora": 0,
        "use_llm_lora": 0,
        "use_thumbnail": true,
        "vision_config": {
            "hidden_size": vision["hidden_size"],
            "image_size": vision["image_size"][0],
            "intermediate_size": vision["intermediate_size"],
            "layer_norm_eps": vision["layer_norm_eps"],
            "model_type": "intern_vit_6b",
            "norm_type": vision["norm_type"],
            "num_attention_heads": vision["num_attention_heads"],
            "num_hidden_layers": vision["num_hidden_layers"],
            "patch_size": vision["patch_size"][0],
            "qk_normalization": vision["use_qk_norm"],
            "qkv_bias": vision["attention_bias"],
            // Said of no layer that there is.
            "num_experts": 8,
            "moe_intermediate_size": 768,
            "use_moe": false,
        },
    })
}

/// The name of a tensor in the original layout.
fn renamed(name: &str) -> String {
    let names = [
        ("multi_modal_projector.layer_norm.", "mlp1.0."),
        ("multi_modal_projector.linear_1.", "mlp1.1."),
        ("multi_modal_projector.linear_2.", "mlp1.3."),
        (
            "vision_tower.embeddings.cls_token",
            "vision_model.embeddings.class_embedding",
        ),
        (
            "vision_tower.embeddings.patch_embeddings.projection.",
            "vision_model.embeddings.patch_embedding.",
        ),
        (
            "vision_tower.embeddings.position_embeddings",
            "vision_model.embeddings.position_embedding",
        ),
        (
            "vision_tower.encoder.layer.",
            "vision_model.encoder.layers.",
        ),
        ("language_model.", "language_model."),
    ];
    let found = names.iter().find(|(old, _)| name.starts_with(old));
    let (old, new) = found.unwrap_or_else(|| panic!("{name}"));
    let name = format!("{new}{}", &name[old.len()..]);
    if !name.starts_with("vision_model.") {
        return name;
    }
    let parts = [
        (".attention.q_proj.", ".attn.qkv."),
        (".attention.q_norm.", ".attn.q_norm."),
        (".attention.k_norm.", ".attn.k_norm."),
        (".attention.projection_layer.", ".attn.proj."),
        (".layernorm_before.", ".norm1."),
        (".layernorm_after.", ".norm2."),
        (".lambda_1", ".ls1"),
        (".lambda_2", ".ls2"),
    ];
    parts
        .iter()
        .fold(name, |name, (old, new)| name.replace(old, new))
}

/// Writes a model's weights under the names of the original layout, with queries, keys and values
/// one below the other.
fn write_weights(model: &str, dir: &TempDir) {
    let bytes = std::fs::read(models().join(model).join("model.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let mut made: Vec<(String, Dtype, Vec<usize>, Vec<u8>)> = Vec::new();
    for (name, view) in tensors.iter() {
        let (mut shape, mut data) = (view.shape().to_vec(), view.data().to_vec());
        if name.starts_with("vision_tower.") {
            if name.contains(".k_proj.") || name.contains(".v_proj.") {
                continue;
            }
            if name.contains(".q_proj.") {
                shape[0] *= 3;
                for other in [".k_proj.", ".v_proj."] {
                    let other = tensors.tensor(&name.replace(".q_proj.", other)).unwrap();
                    data.extend(other.data());
                }
            }
        }
        made.push((renamed(name), view.dtype(), shape, data));
    }
    let views = made.iter().map(|(name, dtype, shape, data)| {
        (name, TensorView::new(*dtype, shape.clone(), data).unwrap())
    });
    write(dir, "model.safetensors", serialize(views, None).unwrap());
}

/// Writes the vocabulary of a model's tokenizer.json as the two files that the original layout has.
fn write_vocabulary(model: &str, dir: &TempDir) {
    let text = std::fs::read_to_string(models().join(model).join("tokenizer.json")).unwrap();
    let tokenizer: Value = serde_json::from_str(&text).unwrap();
    write(dir, "vocab.json", tokenizer["model"]["vocab"].to_string());
    let merges = tokenizer["model"]["merges"].as_array().unwrap().iter();
    let merges = merges.map(|pair| {
        let pair: [String; 2] = serde_json::from_value(pair.clone()).unwrap();
        pair.join(" ") + "\n"
    });
    write(dir, "merges.txt", merges.collect::<String>());
    let added = tokenizer["added_tokens"].as_array().unwrap().iter();
    let added = added.map(|token| {
        let content = token["content"].as_str().unwrap().to_string();
        (content, token["id"].clone())
    });
    let added: serde_json::Map<String, Value> = added.collect();
    write(dir, "added_tokens.json", Value::Object(added).to_string());
    let config = json!({
        "bos_token": null, "eos_token": "<|im_end|>", "pad_token": "<|endoftext|>",
        "unk_token": null, "tokenizer_class": "Qwen2Tokenizer",
    });
    write(dir, "tokenizer_config.json", config.to_string());
}

/// A model in the original layout, as it is published: without a tokenizer.json, and with a
/// processor that means nothing.
fn original(model: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    write(&dir, "config.json", config(model).to_string());
    let clip = json!({"image_processor_type": "CLIPFeatureExtractor", "size": 14}).to_string();
    write(&dir, "preprocessor_config.json", clip);
    write_weights(model, &dir);
    write_vocabulary(model, &dir);
    dir
}

fn opened(folder: &Path) -> Box<dyn Lvlm> {
    let checkpoint = checkpoint(Some(folder), &OpenOptions::default()).unwrap();
    load(checkpoint, Cpu::<f32>::new(1).unwrap()).unwrap()
}

fn picture(name: &str) -> Picture {
    Picture::open(&models().join("../images").join(name)).unwrap()
}

/// Log-probabilities of an answer under several masks, and their gradients.
fn scores(model: &dyn Lvlm, picture: &Picture, prompt: &Prompt) -> (Vec<Vec<f64>>, Vec<Vec<f64>>) {
    let options = SessionOptions {
        mask_size: CELLS,
        memory_budget: 1 << 30,
    };
    let baseline = Baseline::Blur.of(picture, 0);
    let mut session = model.start(picture, &baseline, prompt, options).unwrap();
    let whole = blend::Path::Deletion;
    let mut answer = session.generate(whole, 3, &mut go_on).unwrap();
    answer.push(40);
    let tokens: Vec<usize> = (0..answer.len()).collect();
    let scorer = session.scorer(&answer).unwrap();
    let cells = CELLS * CELLS;
    let ramp: Vec<f64> = (0..cells).map(|i| i as f64 / (cells - 1) as f64).collect();
    let values = [vec![1.0; cells], vec![0.0; cells], ramp];
    let masks = Masks {
        size: CELLS,
        values: &values,
    };
    let blends = [0, 1, 2].map(|mask| Blend::whole(mask, whole));
    let (weights, score) = ([1.0; 3], Score::LogProbability);
    let found = scorer.gradient(masks, &blends, &weights, &tokens, score, &mut go_on);
    found.unwrap()
}

#[test]
fn the_numbers_are_those_of_the_other_layout() {
    for (model, pictures) in [
        ("tiny-internvl", ["cat.png", "coffee.png", "wide.png"]),
        ("tiny-internvl-qwen3", ["small.png", "tall.png", "wide.png"]),
    ] {
        let dir = original(model);
        let inspection = inspect(dir.path(), &OpenOptions::default()).unwrap();
        assert!(inspection.is_complete(), "{:?}", inspection.problems);
        assert!(inspection.unexpected.is_empty(), "{model}");
        assert!(inspection.unused.is_empty(), "{model}");
        let (twin, chat) = (opened(&models().join(model)), opened(dir.path()));
        assert_eq!(chat.family(), "internvl_chat");
        for name in pictures {
            let picture = picture(name);
            let same = twin.views(&picture).unwrap() == chat.views(&picture).unwrap();
            assert!(same, "{model} {name}: pixels");
            // The templates differ, so the prompt of one is given to both.
            let prompt = twin
                .prompt("What color is the circle?", std::slice::from_ref(&picture))
                .unwrap();
            let (expected, found) = (
                scores(&*twin, &picture, &prompt),
                scores(&*chat, &picture, &prompt),
            );
            let finite = expected.1.iter().flatten().all(|v| v.is_finite());
            assert!(finite && expected.1.iter().flatten().any(|&v| v != 0.0));
            assert!(found == expected, "{model} {name}: {found:?} {expected:?}");
        }
    }
}

/// The prompts of `conversation.py` and `InternVLChatModel.chat`, with transformers' tokenizer.
#[test]
fn prompts_are_those_of_the_original_program() {
    let recorded = recorded("vocabularies.json");
    let dir = original("tiny-internvl");
    write(&dir, "vocab.json", recorded["vocabulary"].to_string());
    write(&dir, "merges.txt", recorded["merges"].as_str().unwrap());
    let files = recorded["cases"][0]["files"].as_object().unwrap();
    for (name, fields) in files.iter().filter(|(name, _)| *name != "config.json") {
        write(&dir, name, fields.to_string());
    }
    let prompts = recorded["prompts"].as_array().unwrap();
    for template in ["internvl2_5", "Hermes-2", "internlm2-chat"] {
        let mut config = config("tiny-internvl");
        set(&mut config, "template", json!(template));
        write(&dir, "config.json", config.to_string());
        // Not read, as in the original program.
        write(&dir, "chat_template.jinja", "{{ messages }}");
        let model = opened(dir.path());
        let end = model.tokenizer().stop_ids().iter().copied();
        let end: Vec<_> = end.map(|id| model.tokenizer().token(id).unwrap()).collect();
        assert_eq!(end, ["<|im_end|>"]);
        let mut seen = 0;
        for case in prompts.iter().filter(|case| case["template"] == template) {
            let picture = picture(case["picture"].as_str().unwrap());
            let views = model.views(&picture).unwrap().len();
            assert_eq!(json!(views), case["views"], "{case}");
            let prompt = model.prompt(
                case["question"].as_str().unwrap(),
                std::slice::from_ref(&picture),
            );
            let expected: Vec<u32> = serde_json::from_value(case["ids"].clone()).unwrap();
            assert_eq!(prompt.unwrap().ids, expected, "{case}");
            seen += 1;
        }
        assert!(seen > 5, "{template}");
        // In the form of the model cards, each with the tiles that it has alone.
        let both = [picture("wide.png"), picture("small.png")];
        let alone = |picture: &Picture| {
            let prompt = model
                .prompt("What?", std::slice::from_ref(picture))
                .unwrap();
            let image = model.tokenizer().image().id();
            prompt.ids.into_iter().filter(|&id| id == image).count()
        };
        let prompt = model.prompt("What?", &both).unwrap();
        let image = model.tokenizer().image().id();
        let rows = prompt.ids.iter().filter(|&&id| id == image).count();
        assert_eq!(rows, alone(&both[0]) + alone(&both[1]));
        let mark = model.tokenizer().picture_mark();
        let asked = format!("user\nImage-1: {mark}\nImage-2: {mark}\nWhat?<|im_end|>");
        assert!(prompt.text.contains(&asked), "{}", prompt.text);
    }
    let (ids, _) = answer(
        dir.path(),
        "What color is the circle?",
        &picture("small.png"),
    );
    assert!(ids.len() > 200);
}

/// Reads a config that sees tiles of that many pixels in patches of `patch`.
fn tiled(case: &Value, patch: u64) -> InternVlChat {
    let mut config = config("tiny-internvl");
    set(&mut config, "min_dynamic_patch", case["least"].clone());
    set(&mut config, "max_dynamic_patch", case["most"].clone());
    set(&mut config, "force_image_size", case["side"].clone());
    set(
        &mut config,
        "vision_config.image_size",
        case["side"].clone(),
    );
    set(&mut config, "vision_config.patch_size", json!(patch));
    InternVlChat::read(&Config::from_json(&config.to_string(), "config.json").unwrap()).unwrap()
}

fn data(file: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/picture");
    std::fs::read(folder.join(file)).unwrap()
}

/// The number and the places of the tiles of `dynamic_preprocess`, for more than 70 sizes.
#[test]
fn tiles_are_those_of_the_original_program() {
    let cases: Value = serde_json::from_slice(&data("dynamic.json")).unwrap();
    for case in cases.as_array().unwrap() {
        let none = ProcessorFile::of("preprocessor_config.json".to_string(), None);
        let processing = tiled(case, 14).image_processing(&none).unwrap();
        let pictures = case["pictures"].as_array().unwrap();
        assert!(pictures.len() > 70);
        for picture in pictures {
            let side = |name: &str| picture[name].as_u64().unwrap() as u32;
            let (width, height) = (side("width"), side("height"));
            let boxes: Vec<[usize; 4]> = serde_json::from_value(picture["boxes"].clone()).unwrap();
            let views = processing
                .encoder_views(width, height)
                .unwrap()
                .remove(0)
                .views;
            let tiles = match boxes.len() {
                1 => &views[..],
                _ => &views[1..],
            };
            let found = tiles.iter().map(|view| {
                let (left, upper) = (view.offset_x as usize, view.offset_y as usize);
                [left, upper, left + view.width, upper + view.height]
            });
            assert_eq!(found.collect::<Vec<_>>(), boxes, "{picture}");
            let (_, rows) = processing.token_layout(width, height).unwrap();
            assert_eq!(rows, views.len() * 256, "{picture}");
        }
    }
}

#[test]
fn pixels_are_those_of_the_original_program() {
    let bytes = data("dynamic.safetensors");
    let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
    let cases: Value = serde_json::from_str(&header.metadata().as_ref().unwrap()["cases"]).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    for (i, case) in cases.as_array().unwrap().iter().enumerate() {
        let [image, out] = ["in", "out"].map(|name| tensors.tensor(&format!("{name}{i}")).unwrap());
        let (height, width) = (image.shape()[0] as u32, image.shape()[1] as u32);
        let picture = Picture::from_rgb(width, height, image.data().to_vec()).unwrap();
        let mut expected: Vec<f32> = out
            .data()
            .as_chunks()
            .0
            .iter()
            .copied()
            .map(f32::from_le_bytes)
            .collect();
        // The whole picture is last there.
        expected.rotate_right(out.shape()[1..].iter().product());
        let none = ProcessorFile::of("preprocessor_config.json".to_string(), None);
        let processing = tiled(case, 3).image_processing(&none).unwrap();
        let found = processing.process(&picture).unwrap().concat().concat();
        assert_eq!(found.len(), expected.len(), "{case}");
        let differences = found.iter().zip(&expected).map(|(a, b)| (a - b).abs());
        let worst = differences.fold(0.0, f32::max);
        assert!(worst <= 2e-6, "{worst} off: {case}");
    }
}

#[test]
fn bad_fields_are_named() {
    for (path, value) in [
        ("llm_config.architectures", Value::Null),
        ("llm_config.architectures", json!(["InternLM2ForCausalLM"])),
        ("llm_config.architectures", json!(["InternLM3ForCausalLM"])),
        ("llm_config.architectures", json!(["LlamaForCausalLM"])),
        ("llm_config.architectures", json!(["Qwen3MoeForCausalLM"])),
        ("llm_config.architectures", json!(["GptOssForCausalLM"])),
        ("llm_config.model_type", json!("qwen3")),
        ("vision_config.model_type", json!("clip_vision_model")),
        ("vision_config.norm_type", json!("batch_norm")),
        ("vision_config.num_attention_heads", Value::Null),
        ("use_backbone_lora", json!(16)),
        ("use_llm_lora", json!(128)),
        ("ps_version", Value::Null),
        ("ps_version", json!("v1")),
        ("template", Value::Null),
        ("template", json!("phi3-chat")),
        ("template", json!("internvl3_5_gpt_oss")),
        ("system_message", json!("You are a pirate.")),
        ("force_image_size", json!(448)),
        ("downsample_ratio", json!(0.3)),
        ("select_layer", json!(3)),
        ("select_layer", json!([-1])),
        ("pad2square", json!(true)),
        ("use_thumbnail", Value::Null),
        ("use_thumbnail", json!(false)),
        ("max_dynamic_patch", json!(0)),
        ("max_dynamic_patch", json!(100_000)),
        ("min_dynamic_patch", json!(7)),
    ] {
        let mut config = config("tiny-internvl");
        set(&mut config, path, value.clone());
        let error = read(&config).unwrap_err().to_string();
        assert!(error.contains(path), "{path} {value}: {error}");
        if path == "llm_config.architectures" {
            assert!(
                error.contains("Qwen2ForCausalLM, Qwen3ForCausalLM"),
                "{error}"
            );
        }
    }
    for (path, value) in [
        ("system_message", Value::Null),
        ("force_image_size", Value::Null),
        ("select_layer", json!(-2)),
        ("use_backbone_lora", Value::Null),
    ] {
        let mut config = config("tiny-internvl");
        set(&mut config, path, value.clone());
        assert_eq!(read(&config).unwrap(), "internvl_chat", "{path} {value}");
    }
    // A picture that is not cut has no tiles beside which it could be seen.
    let mut whole = config("tiny-internvl");
    set(&mut whole, "dynamic_image_size", Value::Null);
    set(&mut whole, "use_thumbnail", Value::Null);
    let family = InternVlChat::read(&Config::from_json(&whole.to_string(), "f").unwrap()).unwrap();
    let none = ProcessorFile::of("preprocessor_config.json".to_string(), None);
    let processing = family.image_processing(&none).unwrap();
    assert_eq!(processing.encoder_views(640, 80).unwrap()[0].views.len(), 1);
}

#[test]
fn mixtures_of_experts_are_refused() {
    for (path, value) in [
        ("vision_config.use_moe", json!(true)),
        ("llm_config.num_experts", json!(128)),
        ("llm_config.num_local_experts", json!(32)),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let mut config = config("tiny-internvl-qwen3");
        set(&mut config, path, value);
        write(&dir, "config.json", config.to_string());
        let error = checkpoint(Some(dir.path()), &OpenOptions::default()).unwrap_err();
        let error = error.to_string();
        assert!(error.contains("a mixture of experts"), "{path}: {error}");
    }
}

#[test]
fn a_vocabulary_without_the_pictures_token_is_refused() {
    let dir = original("tiny-internvl");
    for file in ["vocab.json", "added_tokens.json"] {
        let place = dir.path().join(file);
        let text = std::fs::read_to_string(&place).unwrap();
        assert!(text.contains("<IMG_CONTEXT>"), "{file}");
        std::fs::write(&place, text.replace("<IMG_CONTEXT>", "<context>")).unwrap();
    }
    let error = checkpoint(Some(dir.path()), &OpenOptions::default()).unwrap_err();
    assert!(error.to_string().contains("<IMG_CONTEXT>"), "{error}");
}
