//! Qwen2-VL and Qwen2.5-VL: both spellings of their configs and tensors, what configs may say, and
//! fields of the processor that contradict them.

use serde_json::{Map, Value, json};

use super::{answer, config_of, copied, read, rename};
use crate::checkpoint::tests::set;
use crate::lvlm::{OpenOptions, checkpoint, inspect};
use crate::picture::Picture;

#[test]
fn bad_fields_are_named() {
    for (model, path, value) in [
        ("tiny-qwen2-5-vl", "vision_config.window_size", json!(5)),
        (
            "tiny-qwen2-5-vl",
            "vision_config.fullatt_block_indexes",
            json!([-1]),
        ),
        (
            "tiny-qwen2-5-vl",
            "vision_config.out_hidden_size",
            json!(24),
        ),
        ("tiny-qwen2-5-vl", "vision_config.num_heads", json!(4)),
        ("tiny-qwen2-5-vl", "vision_config.num_heads", json!(5)),
        ("tiny-qwen2-5-vl", "vision_config.in_chans", json!(1)),
        (
            "tiny-qwen2-5-vl",
            "rope_scaling.mrope_section",
            json!([1, 2, 2]),
        ),
        ("tiny-qwen2-5-vl", "rope_scaling.type", json!("axial")),
        ("tiny-qwen2-5-vl", "image_token_id", json!("<image>")),
        ("tiny-qwen2-vl", "vision_config.hidden_size", json!(24)),
        ("tiny-qwen2-vl", "vision_config.mlp_ratio", json!(0)),
        ("tiny-qwen2-vl", "vision_config.in_channels", json!(4)),
        (
            "tiny-qwen2-vl",
            "vision_config.rope_parameters.rope_type",
            json!("linear"),
        ),
        (
            "tiny-qwen2-vl",
            "text_config.rope_parameters.mrope_section",
            json!("3"),
        ),
        ("tiny-qwen2-vl", "text_config.model_type", json!("qwen2")),
    ] {
        let mut config = config_of(model);
        set(&mut config, path, value.clone());
        let error = read(&config).unwrap_err().to_string();
        // A section inside another is named alone.
        let start = path.rmatch_indices('.').nth(1).map_or(0, |(at, _)| at + 1);
        assert!(error.contains(&path[start..]), "{path} {value}: {error}");
    }
}

/// Models of the same makers that are not supported are refused by their names.
#[test]
fn relatives_are_refused_by_name() {
    for name in ["qwen3_5", "qwen2_5_omni", "qwen3_vl_moe", "qwen3_5_moe"] {
        let error = read(&json!({ "model_type": name })).unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains(name) && text.contains("qwen2_5_vl, qwen3_vl"),
            "{text}"
        );
    }
}

/// Other decoders know no positions along several axes.
#[test]
fn sections_of_positions_are_for_this_decoder_only() {
    let mut config = config_of("tiny-llava-gqa");
    set(
        &mut config,
        "text_config.rope_scaling",
        json!({ "type": "mrope" }),
    );
    let error = read(&config).unwrap_err().to_string();
    assert!(
        error.contains("mrope") && error.contains("rope_scaling.type"),
        "{error}"
    );
}

#[test]
fn what_the_processor_says_otherwise_is_refused() {
    for (field, value) in [
        ("patch_size", json!(14)),
        ("merge_size", json!(3)),
        ("temporal_patch_size", json!(1)),
        ("image_processor_type", json!("CLIPImageProcessor")),
    ] {
        let dir = copied("tiny-qwen2-5-vl", &[]);
        let place = dir.path().join("tiny-qwen2-5-vl/preprocessor_config.json");
        let text = std::fs::read_to_string(&place).unwrap();
        let mut fields: Value = serde_json::from_str(&text).unwrap();
        set(&mut fields, field, value);
        std::fs::write(&place, fields.to_string()).unwrap();
        let options = OpenOptions::default();
        let error = checkpoint(Some(&dir.path().join("tiny-qwen2-5-vl")), &options);
        let error = error.err().unwrap().to_string();
        assert!(error.contains(field), "{error}");
    }
}

/// The name of a tensor in transformers 4, or in transformers 5.
pub(super) fn renamed(name: &str, bare: bool) -> String {
    let old = name.replace("model.visual.", "visual.");
    let old = old.replace("model.language_model.", "model.");
    match bare {
        true => old,
        false if old.starts_with("visual.") => format!("model.{old}"),
        false => old.replace("model.", "model.language_model."),
    }
}

/// The config with the decoder's fields at the top, or in a section.
fn respelled(model: &str, flat: bool) -> Value {
    let config = config_of(model);
    let mut top: Map<String, Value> = config.as_object().unwrap().clone();
    let vision = top.remove("vision_config").unwrap();
    let text = match top.remove("text_config") {
        Some(text) => text.as_object().unwrap().clone(),
        None => top.clone(),
    };
    let kind = config["model_type"].as_str().unwrap();
    let mut all = Map::new();
    if flat {
        all.extend(text);
        all.extend(top);
    } else {
        for field in ["image_token_id", "tie_word_embeddings", "architectures"] {
            all.insert(field.into(), config[field].clone());
        }
        let mut text = text;
        text.insert("model_type".into(), json!(format!("{kind}_text")));
        all.insert("text_config".into(), text.into());
    }
    all.insert("model_type".into(), json!(kind));
    all.insert("vision_config".into(), vision);
    all.into()
}

/// Every spelling of config and tensors is whole, and gives the same answer.
#[test]
fn spellings_of_one_model_are_equal() {
    let rgb = (0..40 * 30 * 3).map(|n| (n * 7 % 251) as u8).collect();
    let picture = Picture::from_rgb(40, 30, rgb).unwrap();
    for model in ["tiny-qwen2-5-vl", "tiny-qwen2-vl"] {
        let mut answers = Vec::new();
        for (flat, published) in [(true, true), (true, false), (false, true), (false, false)] {
            let dir = copied(model, &[]);
            let folder = dir.path().join(model);
            let config = respelled(model, flat).to_string();
            std::fs::write(folder.join("config.json"), config).unwrap();
            rename(&folder, |name| renamed(name, published));
            let found = inspect(&folder, &OpenOptions::default()).unwrap();
            assert!(
                found.is_complete() && found.unexpected.is_empty(),
                "{found}"
            );
            answers.push(answer(&folder, "What?", &picture));
        }
        assert!(
            answers.iter().all(|answer| *answer == answers[0]),
            "{model}"
        );
    }
}
