//! Mini-Gemini: what its config may say, where its encoders are, and what is known of a checkpoint
//! without running it.

use serde_json::{Value, json};

use super::{Name, config_of, copied, fails, models};
use crate::checkpoint::tests::set;
use crate::checkpoint::{CheckpointError, Config, ProcessorFile, Tensor, Tensors};
use crate::lvlm::engine::fit::listed;
use crate::lvlm::families::mini_gemini::MiniGemini;
use crate::lvlm::families::registry::visit;
use crate::lvlm::family::traits::{Family, ImageProcessing};
use crate::lvlm::inspect;
use crate::lvlm::{ModelPart, OpenOptions, checkpoint};

const CLIP: &str = "model_zoo/OpenAI/tiny-clip-vit-patch7-28";
const CONVNEXT: &str = "model_zoo/OpenAI/tiny-openclip-convnext";

fn read(config: &Value) -> Result<MiniGemini, CheckpointError> {
    MiniGemini::read(&Config::from_json(&config.to_string(), "config.json").unwrap())
}

#[test]
fn every_name_of_the_family() {
    for (kind, supported) in [
        ("mgm", true),
        ("mini_gemini", true),
        ("mgm_gemma", true),
        ("mini_gemini_gemma", true),
        ("mgm_mixtral", false),
        ("mini_gemini_mixtral", false),
        ("mgm_mistral", false),
    ] {
        let mut config = config_of("tiny-mini-gemini");
        set(&mut config, "model_type", json!(kind));
        let config = Config::from_json(&config.to_string(), "config.json").unwrap();
        match visit(&config, Name) {
            Ok(name) => assert!(supported && name == "mini_gemini", "{kind}"),
            Err(CheckpointError::UnsupportedArchitecture { field, found, .. }) => {
                assert!(!supported, "{kind}");
                assert_eq!((field.as_str(), found.as_str()), ("model_type", kind));
            }
            Err(other) => panic!("{kind}: {other}"),
        }
    }
}

#[test]
fn bad_fields_are_named() {
    for (field, value) in [
        ("mm_vision_tower", Value::Null),
        ("mm_vision_tower_aux", Value::Null),
        ("mm_vision_tower_aux", json!(3)),
        ("mm_projector_type", Value::Null),
        ("mm_projector_type", json!("linear")),
        ("mm_vision_select_feature", json!("cls_patch")),
        ("mm_vision_select_layer", json!("last")),
        ("mm_use_im_start_end", json!(true)),
        ("image_size_aux", Value::Null),
        ("image_size_aux", json!(0)),
        ("image_grid", json!(0)),
        ("image_grid", json!(1000)),
        ("image_global", json!(false)),
        ("hidden_size", json!(0)),
    ] {
        let mut config = config_of("tiny-mini-gemini-hd");
        set(&mut config, field, value.clone());
        match read(&config) {
            Err(CheckpointError::Config { field: found, .. }) => {
                assert_eq!(found, field, "{value}");
            }
            other => panic!("{field} {value}: {other:?}"),
        }
    }
    assert!(read(&config_of("tiny-mini-gemini-hd")).is_ok());
}

/// Fields that contradict the encoders are reported of the model's own config.
#[test]
fn fields_that_do_not_fit_the_encoders() {
    for (field, value, grid) in [
        // The last stage would see half a position.
        ("image_size_aux", json!(72), 2),
        // Some positions would lie under two patches.
        ("image_size_aux", json!(128), 3),
        ("mm_vision_select_layer", json!(-5), 2),
        ("mm_vision_select_layer", json!(4), 2),
    ] {
        let dir = copied("tiny-mini-gemini-hd", &[CLIP, CONVNEXT]);
        let mut config = config_of("tiny-mini-gemini-hd");
        set(&mut config, "image_grid", json!(grid));
        set(&mut config, field, value.clone());
        let file = dir.path().join("tiny-mini-gemini-hd/config.json");
        std::fs::write(&file, config.to_string()).unwrap();
        match fails(&dir, "tiny-mini-gemini-hd") {
            CheckpointError::Config {
                file: of,
                field: found,
                ..
            } => assert_eq!((of, found.as_str()), (file.display().to_string(), field)),
            other => panic!("{field} {value}: {other}"),
        }
    }
}

#[test]
fn a_missing_encoder_is_named() {
    for (encoders, field, name) in [
        (&[CONVNEXT][..], "mm_vision_tower", CLIP),
        (&[CLIP], "mm_vision_tower_aux", CONVNEXT),
    ] {
        let dir = copied("tiny-mini-gemini", encoders);
        match fails(&dir, "tiny-mini-gemini") {
            CheckpointError::MissingEncoder {
                field: found,
                encoder,
                ..
            } => assert_eq!((found.as_str(), encoder.as_str()), (field, name)),
            other => panic!("{name}: {other}"),
        }
    }
    // A ConvNeXt inside needs no folder.
    let dir = copied("tiny-mini-gemini-hd", &[CLIP]);
    let model = dir.path().join("tiny-mini-gemini-hd");
    assert!(checkpoint(Some(&model), &OpenOptions::default()).is_ok());
    // Nor would a CLIP inside with heads as wide as OpenAI's; this one's are not.
    let dir = copied("tiny-mini-gemini-hd", &[]);
    match fails(&dir, "tiny-mini-gemini-hd") {
        CheckpointError::MissingEncoder { field, .. } => assert_eq!(field, "mm_vision_tower"),
        other => panic!("{other}"),
    }
}

/// Both encoders inside, and neither folder: sizes are those of the tensors, the rest is as
/// OpenAI's CLIP has it.
#[test]
fn encoders_inside_need_no_folders() {
    let clip = |part: &str| format!("model.vision_tower.vision_tower.vision_model.{part}");
    let stage = |i: usize| format!("model.vision_tower_aux.vision_stages.{i}.blocks.0");
    let mut tensors = vec![
        Tensor::absent(
            &clip("embeddings.patch_embedding.weight"),
            &[128, 3, 14, 14],
        ),
        Tensor::absent(&clip("embeddings.position_embedding.weight"), &[17, 128]),
    ];
    for layer in 0..3 {
        let name = clip(&format!("encoder.layers.{layer}.mlp.fc1.weight"));
        tensors.push(Tensor::absent(&name, &[256, 128]));
    }
    for (i, width) in [8, 16, 24, 32].into_iter().enumerate() {
        let name = format!("{}.conv_dw.weight", stage(i));
        tensors.push(Tensor::absent(&name, &[width, 1, 7, 7]));
    }
    let tensors = Tensors::made("test", tensors);
    let mut config = config_of("tiny-mini-gemini");
    set(&mut config, "image_size_aux", json!(128));
    let mut family = read(&config).unwrap();
    assert!(family.towers(&tensors).iter().all(|tower| tower.optional));
    family.fit(&tensors, vec![None, None]).unwrap();
    let names = listed(&family).unwrap();
    for (name, shape) in [
        (
            clip("encoder.layers.1.self_attn.q_proj.weight"),
            vec![128, 128],
        ),
        (clip("encoder.layers.0.mlp.fc2.weight"), vec![128, 256]),
        (format!("{}.gamma", stage(3)), vec![32]),
        (
            "model.vlm_uni_aux_projector.1.weight".to_string(),
            vec![128, 80],
        ),
    ] {
        assert!(names.contains(&(name.clone(), shape)), "{name}");
    }
    let other = ProcessorFile::of("preprocessor_config.json".to_string(), None);
    let encoders = family
        .image_processing(&other)
        .unwrap()
        .encoder_views(640, 480)
        .unwrap();
    let sides: Vec<usize> = encoders
        .iter()
        .map(|encoder| encoder.views[0].width)
        .collect();
    assert_eq!(sides, [56, 128]);
}

#[test]
fn inspection() {
    for (model, tokens, unused) in [
        ("tiny-mini-gemini", 16, false),
        ("tiny-mini-gemini-gemma", 16, false),
        // The encoders inside have layers that are not used.
        ("tiny-mini-gemini-hd", 80, true),
    ] {
        let found = inspect(models().join(model), &OpenOptions::default()).unwrap();
        assert!(found.is_complete(), "{found}");
        assert!(found.unexpected.is_empty(), "{found}");
        assert_eq!(found.image_tokens, Some(tokens), "{model}");
        assert_eq!(!found.unused.is_empty(), unused, "{found}");
        let names: Vec<&str> = found.parts.iter().map(|part| part.name.as_str()).collect();
        assert_eq!(
            names,
            ["vision encoder", "second encoder", "projector", "decoder"]
        );
        // Encoders in checkpoints of their own count beside the model's parameters.
        let (own, outside): (Vec<&ModelPart>, Vec<&ModelPart>) = found
            .parts
            .iter()
            .partition(|part| part.checkpoint.is_none());
        let count = |parts: &[&ModelPart]| parts.iter().map(|part| part.parameters).sum::<usize>();
        assert_eq!(count(&own), found.parameters, "{found}");
        assert_eq!(outside.len(), if unused { 0 } else { 2 }, "{found}");
        assert!(outside.iter().all(|part| part.parameters > 0), "{found}");
    }
}
