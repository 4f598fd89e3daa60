//! Names and shapes of tensors against what `transformers` saves.

use std::collections::BTreeSet;

use super::{listed_of, parse};
use crate::checkpoint::tests::{Spec, files, recorded, weights, write};
use crate::checkpoint::{CheckpointError, Tensors};
use crate::lvlm::family::hf_names::HfNames;
use crate::lvlm::family::traits::Family;

fn spec(name: &str, dtype: &'static str, shape: &[usize]) -> Spec {
    (name.to_string(), dtype, shape.to_vec())
}

fn open(bytes: Vec<u8>) -> Tensors {
    let dir = tempfile::tempdir().unwrap();
    write(&dir, "model.safetensors", bytes);
    Tensors::open(&files(&dir)).unwrap()
}

#[test]
fn every_spelling_of_names() {
    let visions = [
        "vision_tower.vision_model.",
        "vision_tower.",
        "model.vision_tower.vision_model.",
        "model.vision_tower.",
    ];
    let projectors = ["multi_modal_projector.", "model.multi_modal_projector."];
    let decoders = ["language_model.model.", "model.language_model."];
    let heads = [
        Some("language_model.lm_head.weight"),
        Some("lm_head.weight"),
        None,
    ];
    for vision in visions {
        for (projector, decoder) in projectors.iter().zip(decoders) {
            for head in heads {
                let mut tensors = vec![
                    spec(&format!("{vision}embeddings.class_embedding"), "F32", &[1]),
                    spec(&format!("{projector}linear_1.weight"), "F32", &[1]),
                    spec(&format!("{decoder}embed_tokens.weight"), "F32", &[1]),
                ];
                tensors.extend(head.map(|name| spec(name, "F32", &[1])));
                let names = HfNames::find(&open(weights(&tensors))).unwrap();
                let found = (
                    names.vision.as_str(),
                    names.projector.as_str(),
                    names.decoder.prefix.as_str(),
                    names.decoder.head.as_str(),
                );
                // Without one, as it would be beside this decoder.
                let beside = if decoder.starts_with("model.") {
                    "lm_head.weight"
                } else {
                    "language_model.lm_head.weight"
                };
                let head = head.unwrap_or(beside);
                assert_eq!(found, (vision, *projector, decoder, head));
            }
        }
    }
    let both = [
        spec("vision_tower.vision_model.x", "F32", &[1]),
        spec("vision_tower.y", "F32", &[1]),
    ];
    let error = HfNames::find(&open(weights(&both))).unwrap_err();
    assert!(matches!(
        error,
        CheckpointError::AmbiguousNames {
            part: "vision encoder",
            ..
        }
    ));
}

/// The tensors that transformers saves are those that are expected, apart from those that are never
/// used.
#[test]
fn tensors_are_those_of_transformers() {
    for model in recorded("tensors.json").as_array().unwrap() {
        let mut config = parse(&model["config"]).unwrap();
        let saved: Vec<Spec> = model["tensors"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, shape)| {
                (
                    name.clone(),
                    "F16",
                    serde_json::from_value(shape.clone()).unwrap(),
                )
            })
            .collect();
        let tensors = open(weights(&saved));
        config.fit(&tensors, Vec::new()).unwrap();
        let expected = listed_of(&config);
        let names = &config.names;
        for (name, shape) in &expected {
            tensors.require(name, shape).unwrap();
        }
        let expected: BTreeSet<&str> = expected.iter().map(|(name, _)| name.as_str()).collect();
        let unused: Vec<&str> = tensors
            .names()
            .filter(|name| !expected.contains(name))
            .collect();
        let layer = format!("encoder.layers.{}", config.parts.feature_select.layers);
        for name in &unused {
            let last = name.contains(".post_layernorm.");
            let later =
                name.contains("encoder.layers.") && name[names.vision.len()..] >= *layer.as_str();
            let tied = config.parts.text.tied_embeddings && name.ends_with("lm_head.weight");
            assert!(last || later || tied, "{name} is not expected");
        }
        // 16 tensors a layer, and the last norm's two.
        assert_eq!(
            unused.len(),
            16 * (config.parts.encoder.layers() - config.parts.feature_select.layers) + 2
        );
    }
}
