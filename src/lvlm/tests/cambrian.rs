//! Cambrian-1: what its config may say, where its encoders are, and what is known of a checkpoint
//! without running it.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::checkpoint::tests::set;
use crate::checkpoint::{CheckpointError, Config};
use crate::device::cpu::Cpu;
use crate::lvlm::families::cambrian::Cambrian;
use crate::lvlm::family::traits::Family;
use crate::lvlm::inspect;
use crate::lvlm::tests::copied;
use crate::lvlm::{LvlmError, OpenOptions, checkpoint, load};
use crate::picture::Picture;

fn models() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracle/models")
}

fn options() -> OpenOptions {
    OpenOptions {
        encoders: vec![models().join("tiny-cambrian-towers")],
        ..OpenOptions::default()
    }
}

/// The config of one of the models that results are recorded of.
fn config_of(model: &str) -> Value {
    let text = std::fs::read_to_string(models().join(model).join("config.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn read(config: &Value) -> Result<Cambrian, CheckpointError> {
    Cambrian::read(&Config::from_json(&config.to_string(), "config.json").unwrap())
}

#[test]
fn bad_fields_are_named() {
    for (field, value) in [
        ("mm_projector_type", Value::Null),
        ("mm_projector_type", json!("mlp2x_gelu")),
        ("image_aspect_ratio", Value::Null),
        ("mm_vision_select_feature", json!("cls_patch")),
        ("mm_use_im_start_end", json!(true)),
        ("num_query_group", json!(2)),
        ("mm_vision_tower_aux_list", Value::Null),
        ("mm_vision_tower_aux_list", json!(["eva"])),
        ("image_token_len", Value::Null),
        ("image_token_len", json!(48)),
        ("query_num_list", json!([49, 16])),
        ("mm_vision_tower_aux_token_len_list", json!([49, 49, 196])),
        (
            "mm_vision_tower_aux_token_len_list",
            json!([49, 49, 196, 785]),
        ),
        (
            "mm_vision_tower_aux_token_len_list",
            json!([49, 49, 196, 64]),
        ),
        ("vision_hidden_size", Value::Null),
        ("vision_hidden_size", json!(40)),
        ("num_of_vision_sampler_layers", json!(-1)),
        ("stride_of_vision_sampler_layers", json!(0)),
        ("connector_depth", json!(0)),
        ("image_position", json!("first")),
        ("mm_vision_select_layer", json!("last")),
    ] {
        let mut config = config_of("tiny-cambrian");
        set(&mut config, field, value.clone());
        match read(&config) {
            Err(CheckpointError::Config { field: found, .. }) => match field {
                // Its heads must divide it.
                "vision_hidden_size" if value.is_number() => assert_eq!(found, "its heads"),
                _ => assert_eq!(found, field, "{value}"),
            },
            other => panic!("{field} {value}: {other:?}"),
        }
    }
    assert!(read(&config_of("tiny-cambrian")).is_ok());
}

#[test]
fn other_decoders_are_refused() {
    let mut config = config_of("tiny-cambrian");
    set(&mut config, "model_type", json!("cambrian_cohere"));
    match read(&config) {
        Err(CheckpointError::UnsupportedArchitecture { found, .. }) => {
            assert_eq!(found, "cambrian_cohere");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_missing_encoder_is_named_with_where_it_is_published() {
    let model = models().join("tiny-cambrian");
    match checkpoint(Some(&model), &OpenOptions::default()) {
        Err(LvlmError::Checkpoint(CheckpointError::MissingEncoder {
            field,
            encoder,
            looked,
            ..
        })) => {
            assert_eq!(field, "mm_vision_tower_aux_list");
            assert_eq!(encoder, "timm/ViT-SO400M-14-SigLIP-384");
            assert!(!looked.is_empty());
        }
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("opened without encoders"),
    }
}

/// The layers inside the decoder read rows that the config gives; another prompt would shift them
/// silently.
#[test]
fn a_picture_elsewhere_in_the_prompt_is_refused() {
    let dir = copied("tiny-cambrian", &[]);
    let folder = dir.path().join("tiny-cambrian");
    let picture = Picture::from_rgb(40, 30, vec![0; 40 * 30 * 3]).unwrap();
    for (position, connector_only, fits) in
        [(201, false, true), (200, false, false), (0, true, true)]
    {
        let mut config = config_of("tiny-cambrian");
        set(&mut config, "image_position", json!(position));
        set(&mut config, "connector_only", json!(connector_only));
        std::fs::write(folder.join("config.json"), config.to_string()).unwrap();
        let checkpoint = checkpoint(Some(&folder), &options()).unwrap();
        let model = load(checkpoint, Cpu::<f32>::new(1).unwrap()).unwrap();
        match model.prompt("What is it?", std::slice::from_ref(&picture)) {
            Ok(_) => assert!(fits, "{position}"),
            Err(LvlmError::ImagePosition {
                field,
                expected,
                found,
            }) => {
                assert!(!fits, "{position}");
                assert_eq!((field, expected, found), ("image_position", 200, 201));
            }
            Err(other) => panic!("{other}"),
        }
    }
}

#[test]
fn inspection() {
    for (model, tokens, unused) in [
        ("tiny-cambrian", 40, 0),
        // int(480 (4 / 640)) = 3 of 4 lines are the picture's, and half a line above is none. The
        // second aggregator is after the last layer, where nothing reads what it changes.
        ("tiny-cambrian-phi3", 20, 36),
    ] {
        let found = inspect(models().join(model), &options()).unwrap();
        assert!(found.is_complete(), "{found}");
        assert!(found.unexpected.is_empty(), "{found}");
        assert_eq!(found.image_tokens, Some(tokens), "{model}");
        assert_eq!(found.unused.len(), unused, "{found}");
        let names: Vec<&str> = found.parts.iter().map(|part| part.name.as_str()).collect();
        let encoders = [
            "vision encoder",
            "second encoder",
            "third encoder",
            "fourth encoder",
        ];
        assert_eq!(names[..4], encoders);
        assert_eq!(names[4..], ["projector", "decoder"]);
    }
}
