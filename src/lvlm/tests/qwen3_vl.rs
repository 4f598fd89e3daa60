//! Qwen3-VL: what its config may say, both spellings of its tensors, and lists of layers whose
//! features the decoder gets.

use serde_json::{Value, json};

use super::qwen2_vl::renamed;
use super::{answer, config_of, copied, read, rename};
use crate::blend::{Blend, Masks, Path, Score};
use crate::checkpoint::tests::set;
use crate::checkpoint::{Config, RopeAxes, rope_axes};
use crate::device::cpu::Cpu;
use crate::lvlm::{OpenOptions, SessionOptions, checkpoint, go_on, inspect, load};
use crate::picture::Picture;

const MODEL: &str = "tiny-qwen3-vl";

fn picture() -> Picture {
    let rgb = (0..40 * 30 * 3).map(|n| (n * 7 % 251) as u8).collect();
    Picture::from_rgb(40, 30, rgb).unwrap()
}

#[test]
fn bad_fields_are_named() {
    for (path, value) in [
        ("vision_config.deepstack_visual_indexes", json!([0, 3])),
        ("vision_config.deepstack_visual_indexes", json!([1, 1])),
        ("vision_config.deepstack_visual_indexes", json!([-1])),
        ("vision_config.deepstack_visual_indexes", json!(1)),
        ("vision_config.num_position_embeddings", json!(0)),
        ("vision_config.out_hidden_size", json!(16)),
        ("vision_config.num_heads", json!(3)),
        ("vision_config.num_heads", json!(8)),
        ("vision_config.num_hidden_layers", json!(4)),
        ("vision_config.num_attention_heads", json!(4)),
        ("vision_config.head_dim", json!(16)),
        ("vision_config.in_channels", json!(1)),
        ("vision_config.hidden_act", json!("mish")),
        ("vision_config.model_type", json!("qwen3_5")),
        ("vision_config.rope_parameters.rope_type", json!("default")),
        ("text_config.model_type", json!("qwen3")),
        ("text_config.head_dim", json!(15)),
        ("text_config.rope_scaling.mrope_section", json!([4, 4])),
        ("text_config.rope_scaling.rope_type", json!("mrope")),
        ("text_config.rope_scaling.rope_type", json!("axial")),
    ] {
        let mut config = config_of(MODEL);
        set(&mut config, "vision_config.rope_parameters", json!({}));
        set(&mut config, path, value.clone());
        let error = read(&config).unwrap_err().to_string();
        // A section inside another is named alone.
        let start = path.rmatch_indices('.').nth(1).map_or(0, |(at, _)| at + 1);
        assert!(error.contains(&path[start..]), "{path} {value}: {error}");
    }
}

#[test]
fn what_changes_nothing_is_accepted() {
    for (path, value) in [
        ("vision_config.model_type", json!("qwen3_vl_vision")),
        ("vision_config.num_hidden_layers", json!(3)),
        ("vision_config.head_dim", json!(8)),
        ("vision_config.num_position_embeddings", json!(30)),
        ("text_config.rope_scaling.mrope_interleaved", json!(false)),
    ] {
        let mut config = config_of(MODEL);
        set(&mut config, path, value);
        assert_eq!(read(&config).unwrap(), "qwen3_vl", "{path}");
    }
}

/// Of every three pairs one is turned by time, one by row and one by column, as long as there are.
#[test]
fn axes_are_interleaved() {
    let axes = |section: Value, pairs| {
        let config = json!({ "rope_scaling": { "mrope_section": section } }).to_string();
        let config = Config::from_json(&config, "config.json").unwrap();
        rope_axes(&config.top(), pairs, RopeAxes::Interleaved(&[24, 20, 20]))
    };
    let few = axes(json!([4, 2, 2]), 8).unwrap();
    assert_eq!(few, [0, 1, 2, 0, 1, 2, 0, 0]);
    // Numbers that do not add up are those of transformers all the same.
    assert_eq!(axes(json!([1, 1, 2]), 7).unwrap(), [0, 1, 2, 0, 0, 2, 0]);
    let published = axes(Value::Null, 64).unwrap();
    let count = |axis| published.iter().filter(|&&own| own == axis).count();
    assert_eq!([count(0), count(1), count(2)], [24, 20, 20]);
    assert_eq!(published[57..], [0, 1, 2, 0, 0, 0, 0]);
    assert!(axes(json!([4, 2, 1, 1]), 8).is_err());
}

/// Every spelling of the tensors is whole, and gives the same answer.
#[test]
fn spellings_of_one_model_are_equal() {
    let answers = [true, false].map(|bare| {
        let dir = copied(MODEL, &[]);
        let folder = dir.path().join(MODEL);
        rename(&folder, |name| renamed(name, bare));
        let found = inspect(&folder, &OpenOptions::default()).unwrap();
        assert!(
            found.is_complete() && found.unexpected.is_empty() && found.unused.is_empty(),
            "{found}"
        );
        answer(&folder, "What?", &picture())
    });
    assert_eq!(answers[0], answers[1]);
}

/// The gradient of an answer's token by the mask, of the model with these fields.
fn gradient(fields: &[(&str, Value)]) -> Vec<f64> {
    let dir = copied(MODEL, &[]);
    let folder = dir.path().join(MODEL);
    let mut config = config_of(MODEL);
    for (path, value) in fields {
        set(&mut config, path, value.clone());
    }
    std::fs::write(folder.join("config.json"), config.to_string()).unwrap();
    let opened = checkpoint(Some(&folder), &OpenOptions::default()).unwrap();
    let opened = load(opened, Cpu::<f32>::new(1).unwrap()).unwrap();
    let picture = picture();
    let black = Picture::from_rgb(40, 30, vec![0; 40 * 30 * 3]).unwrap();
    let prompt = opened
        .prompt("What?", std::slice::from_ref(&picture))
        .unwrap();
    let options = SessionOptions {
        mask_size: 4,
        memory_budget: 1 << 30,
    };
    let mut session = opened.start(&picture, &black, &prompt, options).unwrap();
    let scorer = session.scorer(&[9, 17]).unwrap();
    let cells = [(0..16).map(|n| f64::from(n) / 16.0).collect::<Vec<_>>()];
    let masks = Masks {
        size: 4,
        values: &cells,
    };
    let blends = [Blend::whole(0, Path::Deletion)];
    let score = Score::LogProbability;
    let found = scorer.gradient(masks, &blends, &[1.0], &[1], score, &mut go_on);
    found.unwrap().1.concat()
}

/// Rows that are added after the decoder's last layer, or after none of its layers, do nothing, and
/// do not stand in the way of the gradient.
#[test]
fn rows_for_layers_that_are_not_there_change_nothing() {
    const INDEXES: &str = "vision_config.deepstack_visual_indexes";
    let layers = |n: usize| ("text_config.num_hidden_layers", json!(n));
    let none = gradient(&[(INDEXES, json!([])), layers(1)]);
    assert!(none.iter().any(|g| *g != 0.0));
    assert_eq!(gradient(&[layers(1)]), none);
    // Two layers read one of the two.
    let [one, two] = [json!([]), json!([2, 0])].map(|list| gradient(&[(INDEXES, list), layers(2)]));
    assert_ne!(one, two);
    assert_ne!(two, gradient(&[]));
}
