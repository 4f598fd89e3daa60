use super::{Name, parse};
use crate::checkpoint::tests::{config, recorded, set};
use crate::checkpoint::{Activation, CheckpointError, Config, RopeScaling};
use crate::lvlm::Select;
use crate::lvlm::encoder::VitConfig;
use crate::lvlm::families::registry::visit;
use serde_json::{Value, json};

fn activation(name: &Value) -> Activation {
    match name.as_str().unwrap() {
        "gelu" => Activation::Gelu,
        "quick_gelu" => Activation::QuickGelu,
        "silu" => Activation::Silu,
        other => panic!("{other}"),
    }
}

/// The scaling as transformers resolves it; it leaves a linear factor's type as written.
fn scaling(rope: &Value) -> RopeScaling {
    let number = |name: &str| rope[name].as_f64().unwrap();
    match rope["rope_type"].as_str().unwrap() {
        "default" => RopeScaling::None,
        "linear" => RopeScaling::Linear {
            factor: number("factor"),
        },
        "llama3" => RopeScaling::Llama3 {
            factor: number("factor"),
            low_freq_factor: number("low_freq_factor"),
            high_freq_factor: number("high_freq_factor"),
            original_max_position_embeddings: rope["original_max_position_embeddings"]
                .as_u64()
                .unwrap() as usize,
        },
        other => panic!("{other}"),
    }
}

#[test]
fn defaults_are_those_of_transformers() {
    let cases = recorded("configs.json");
    for case in cases.as_array().unwrap() {
        let (given, want) = (&case["config"], &case["resolved"]);
        let found = parse(given).unwrap_or_else(|e| panic!("{given}: {e}"));
        let (v, t) = (&want["vision"], &want["text"]);
        let number = |value: &Value| value.as_u64().unwrap_or_else(|| panic!("{given}")) as usize;
        let VitConfig::Clip(vision) = &found.parts.encoder else {
            panic!("{given}");
        };
        let sizes = [
            vision.hidden,
            vision.intermediate,
            vision.layers,
            vision.heads,
            vision.image_size,
            vision.patch_size,
        ];
        let names = [
            "hidden",
            "intermediate",
            "layers",
            "heads",
            "image_size",
            "patch_size",
        ];
        assert_eq!(sizes, names.map(|name| number(&v[name])), "{given}");
        assert_eq!(vision.activation, activation(&v["activation"]), "{given}");
        assert_eq!(
            vision.layer_norm_eps,
            v["layer_norm_eps"].as_f64().unwrap(),
            "{given}"
        );
        assert_eq!(vision.channels, number(&v["channels"]));

        let text = &found.parts.text;
        let sizes = [
            text.hidden,
            text.intermediate,
            text.layers,
            text.heads,
            text.kv_heads,
            text.head_dim,
            text.vocab,
        ];
        let names = [
            "hidden",
            "intermediate",
            "layers",
            "heads",
            "kv_heads",
            "head_dim",
            "vocab",
        ];
        assert_eq!(sizes, names.map(|name| number(&t[name])), "{given}");
        assert_eq!(text.max_positions, number(&t["max_positions"]), "{given}");
        assert_eq!(
            text.rms_norm_eps,
            t["rms_norm_eps"].as_f64().unwrap(),
            "{given}"
        );
        assert_eq!(
            text.rope.theta,
            t["rope"]["rope_theta"].as_f64().unwrap(),
            "{given}"
        );
        assert_eq!(text.rope.scaling, scaling(&t["rope"]), "{given}");
        assert_eq!(text.activation, activation(&t["activation"]), "{given}");
        let flags = [text.tied_embeddings, text.qkv_bias, text.mlp_bias];
        assert_eq!(text.output_bias, text.qkv_bias);
        let names = ["tied_embeddings", "attention_bias", "mlp_bias"];
        assert_eq!(
            flags,
            names.map(|name| t[name].as_bool().unwrap()),
            "{given}"
        );

        assert_eq!(
            u64::from(found.image_token_id),
            want["image_token_id"].as_u64().unwrap(),
            "{given}"
        );
        assert_eq!(
            found.parts.projector.activation,
            activation(&want["projector_activation"]),
            "{given}"
        );
        assert_eq!(
            found.parts.projector.bias,
            want["projector_bias"].as_bool().unwrap(),
            "{given}"
        );
        let layer = want["feature_layer"].as_i64().unwrap();
        let count = vision.layers as i64 + 1;
        let used = if layer < 0 { layer + count } else { layer };
        assert_eq!(found.parts.feature_select.layers as i64, used, "{given}");
        let select = if want["select"] == "full" {
            Select::Full
        } else {
            Select::Default
        };
        assert_eq!(found.parts.feature_select.select, select, "{given}");
    }
    assert!(cases.as_array().unwrap().len() > 15);
}

#[test]
fn every_name_of_an_activation() {
    for (name, wanted) in [
        ("gelu", Activation::Gelu),
        ("gelu_new", Activation::GeluTanh),
        ("gelu_pytorch_tanh", Activation::GeluTanh),
        ("gelu_tanh", Activation::GeluTanh),
        ("gelu_python_tanh", Activation::GeluTanh),
        ("gelu_fast", Activation::GeluTanh),
        ("gelu_accurate", Activation::GeluTanh),
        ("gelu_python", Activation::Gelu),
        ("relu", Activation::Relu),
        ("quick_gelu", Activation::QuickGelu),
        ("silu", Activation::Silu),
        ("swish", Activation::Silu),
    ] {
        let mut config = config();
        set(&mut config, "text_config.hidden_act", json!(name));
        assert_eq!(parse(&config).unwrap().parts.text.activation, wanted);
    }
}

#[test]
fn layers_used_and_visual_tokens() {
    for (layer, used) in [(-1, 2), (-2, 1), (-3, 0), (0, 0), (1, 1), (2, 2)] {
        let mut config = config();
        set(&mut config, "vision_feature_layer", json!(layer));
        let parsed = parse(&config).unwrap();
        assert_eq!(parsed.parts.feature_select.layers, used, "{layer}");
        assert_eq!(parsed.parts.feature_select.select, Select::Default);
        set(&mut config, "vision_feature_select_strategy", json!("full"));
        assert_eq!(
            parse(&config).unwrap().parts.feature_select.select,
            Select::Full
        );
    }
}

/// Hidden states side by side, in the order of the list.
#[test]
fn a_list_of_layers() {
    let mut config = config();
    set(&mut config, "vision_feature_layer", json!([-1, 0, -2]));
    let parts = parse(&config).unwrap().parts;
    assert_eq!(parts.feature_select.layers, 2);
    assert_eq!(parts.feature_select.states, [2, 0, 1]);
    assert_eq!(parts.columns(), 3 * parts.encoder.hidden());
    set(&mut config, "vision_feature_layer", json!([1]));
    let parts = parse(&config).unwrap().parts;
    assert_eq!(
        (parts.feature_select.layers, parts.columns()),
        (1, parts.encoder.hidden())
    );
}

/// Without a class token, the strategy that leaves one out is refused by name.
#[test]
fn an_encoder_without_a_class_token() {
    let mut config = config();
    set(
        &mut config,
        "vision_config.model_type",
        json!("siglip_vision_model"),
    );
    let error = parse(&config).unwrap_err().to_string();
    let expected = "vision_feature_select_strategy is \"default\"; expected \"full\"";
    assert!(error.contains(expected), "{error}");
    set(&mut config, "vision_feature_select_strategy", json!("full"));
    let parts = parse(&config).unwrap().parts;
    assert_eq!(parts.beyond_patches(), 0);
}

#[test]
fn bad_fields_are_named() {
    let llama3 = |low: f64, high: f64| {
        json!({
            "rope_type": "llama3", "factor": 2.0,
            "low_freq_factor": low, "high_freq_factor": high
        })
    };
    let cases = [
        (
            "vision_config.hidden_size",
            json!(0),
            "vision_config.hidden_size is 0",
        ),
        (
            "text_config.num_hidden_layers",
            json!(0),
            "text_config.num_hidden_layers is 0",
        ),
        (
            "text_config.vocab_size",
            json!(-5),
            "text_config.vocab_size is -5",
        ),
        (
            "text_config.hidden_size",
            json!(8.5),
            "text_config.hidden_size is 8.5",
        ),
        (
            "text_config.hidden_size",
            json!("8"),
            "text_config.hidden_size is \"8\"",
        ),
        (
            "text_config.intermediate_size",
            json!(u64::MAX),
            "text_config.intermediate_size is 18446744073709551615",
        ),
        (
            "vision_config.num_hidden_layers",
            json!(1_000_000),
            "vision_config.num_hidden_layers is 1000000",
        ),
        (
            "vision_config.image_size",
            json!(1 << 30),
            "vision_config.image_size is 1073741824",
        ),
        (
            "vision_config.image_size",
            json!([8, 12]),
            "vision_config.image_size is [8,12]",
        ),
        (
            "vision_config.patch_size",
            json!(3),
            "vision_config.patch_size is 3; expected a divisor of vision_config.image_size, 8",
        ),
        (
            "vision_config.num_attention_heads",
            json!(3),
            "vision_config.num_attention_heads is 3",
        ),
        (
            "vision_config.num_channels",
            json!(1),
            "vision_config.num_channels is 1",
        ),
        (
            "vision_config.layer_norm_eps",
            json!(-1.0),
            "vision_config.layer_norm_eps is -1.0",
        ),
        (
            "vision_config.hidden_act",
            json!("relu6"),
            "vision_config.hidden_act is \"relu6\"; expected gelu, ",
        ),
        (
            "text_config.num_attention_heads",
            json!(3),
            "text_config.num_attention_heads is 3; expected a divisor",
        ),
        (
            "text_config.num_key_value_heads",
            json!(3),
            "text_config.num_key_value_heads is 3; expected a divisor",
        ),
        (
            "text_config.head_dim",
            json!(5),
            "text_config.head_dim is 5; expected an even number",
        ),
        (
            "text_config.head_dim",
            json!(1 << 24),
            "text_config.head_dim is 16777216",
        ),
        (
            "text_config.rope_theta",
            json!(0),
            "text_config.rope_theta is 0",
        ),
        (
            "text_config.rope_scaling",
            json!({"type": "proportional", "factor": 2.0}),
            "rope_scaling.type is \"proportional\"; expected \"default\"",
        ),
        (
            "text_config.rope_scaling",
            json!({"type": "yarn"}),
            "rope_scaling.factor is left out; expected a number above 0, which type \"yarn\"",
        ),
        (
            "text_config.rope_parameters",
            json!({"rope_type": "longrope", "short_factor": [1.0]}),
            "rope_parameters.short_factor is [1.0]; expected 2 numbers",
        ),
        (
            "text_config.rope_scaling",
            json!({"type": "dynamic"}),
            "rope_scaling.factor is left out",
        ),
        (
            "text_config.rope_scaling",
            json!({"type": "linear"}),
            "rope_scaling.factor is left out",
        ),
        (
            "text_config.rope_scaling",
            llama3(4.0, 1.0),
            "rope_scaling.high_freq_factor is 1",
        ),
        (
            "text_config.rope_scaling",
            json!([1]),
            "text_config.rope_scaling is [1]; expected an object",
        ),
        (
            "text_config.partial_rotary_factor",
            json!(0.5),
            "text_config.partial_rotary_factor is 0.5",
        ),
        (
            "text_config.attention_bias",
            json!("yes"),
            "text_config.attention_bias is \"yes\"; expected true or false",
        ),
        (
            "vision_feature_layer",
            json!(3),
            "vision_feature_layer is 3; expected an index from -3 to 2",
        ),
        (
            "vision_feature_layer",
            json!(-4),
            "vision_feature_layer is -4",
        ),
        (
            "vision_feature_layer",
            json!(i64::MIN),
            "vision_feature_layer is -9223372036854775808",
        ),
        (
            "vision_feature_layer",
            json!([-2, 3]),
            "vision_feature_layer is 3; expected an index from -3 to 2",
        ),
        (
            "vision_feature_layer",
            json!([]),
            "vision_feature_layer is []; expected an index, or a list",
        ),
        (
            "vision_feature_layer",
            json!([-2, "last"]),
            "vision_feature_layer is [-2,\"last\"]; expected an index, or a list",
        ),
        (
            "vision_feature_select_strategy",
            json!("half"),
            "vision_feature_select_strategy is \"half\"",
        ),
        (
            "projector_hidden_act",
            json!("tanh"),
            "projector_hidden_act is \"tanh\"",
        ),
        (
            "image_token_index",
            json!(-1),
            "image_token_index is -1; expected a token's id",
        ),
        (
            "image_token_id",
            json!(4),
            "image_token_id is 4; expected the same as image_token_index, 3",
        ),
        (
            "vision_config",
            json!(7),
            "vision_config is 7; expected an object",
        ),
    ];
    for (field, value, message) in cases {
        let mut config = config();
        set(&mut config, field, value);
        let error = parse(&config).unwrap_err().to_string();
        assert!(
            error.starts_with("config.json: ") && error.contains(message),
            "{field}: {error}"
        );
    }
}

#[test]
fn other_architectures_are_named() {
    let cases = [
        (
            "model_type",
            json!("llava_other"),
            "model_type",
            "llava_other",
        ),
        ("model_type", Value::Null, "model_type", "left out"),
        (
            "text_config.model_type",
            json!("gemma2"),
            "text_config.model_type",
            "gemma2",
        ),
        (
            "vision_config.model_type",
            json!("dinov2"),
            "vision_config.model_type",
            "dinov2",
        ),
    ];
    for (path, value, name, other) in cases {
        let mut config = config();
        set(&mut config, path, value);
        let config = Config::from_json(&config.to_string(), "config.json").unwrap();
        match visit(&config, Name) {
            Err(CheckpointError::UnsupportedArchitecture {
                file,
                field,
                found,
                supported,
            }) => {
                assert_eq!(
                    (file.as_str(), field.as_str(), found.as_str()),
                    ("config.json", name, other)
                );
                assert!(!supported.is_empty());
            }
            other => panic!("{path}: {other:?}"),
        }
    }
}

/// The original layout is told from Hugging Face's by its encoder's name, and fields that it lacks
/// are named.
#[test]
fn the_original_layout() {
    let base = json!({
        "model_type": "llava", "mm_vision_tower": "openai/clip-vit-large-patch14-336",
        "mm_projector_type": "mlp2x_gelu",
        "image_aspect_ratio": "pad",
    });
    let read = |config: &Value| {
        let config = Config::from_json(&config.to_string(), "config.json").unwrap();
        visit(&config, Name)
    };
    assert_eq!(read(&base).unwrap(), "llava_llama");
    for (field, value) in [
        ("mm_projector_type", Value::Null),
        ("mm_projector_type", json!("linear")),
        ("mm_vision_select_feature", json!("cls_patch")),
        ("mm_vision_select_layer", json!("last")),
        ("mm_use_im_start_end", json!(true)),
        ("image_aspect_ratio", json!("highres")),
        ("hidden_size", json!(0)),
    ] {
        let mut config = base.clone();
        set(&mut config, field, value);
        match read(&config) {
            Err(CheckpointError::Config { field: found, .. }) => assert_eq!(found, field),
            other => panic!("{field}: {other:?}"),
        }
    }
    let mut config = base.clone();
    set(&mut config, "model_type", json!("llava_llama"));
    set(&mut config, "mm_vision_tower", Value::Null);
    assert!(matches!(
        read(&config),
        Err(CheckpointError::Config { field, .. }) if field == "mm_vision_tower"
    ));
}

#[test]
fn not_json() {
    for text in ["", "{", "[]", "{\"model_type\": \"llava\",}"] {
        assert!(
            matches!(
                Config::from_json(text, "f"),
                Err(CheckpointError::Json { .. })
            ),
            "{text}"
        );
    }
    let deep = "[".repeat(100_000);
    assert!(matches!(
        Config::from_json(&deep, "f"),
        Err(CheckpointError::Json { .. })
    ));
}
