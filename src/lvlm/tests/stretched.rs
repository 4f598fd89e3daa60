//! Idefics3, SmolVLM and InternVL: what their configs may say, the defaults of their config
//! classes, and fields of the processor that contradict them.

use serde_json::{Value, json};

use super::{config_of, copied, fails, read};
use crate::checkpoint::tests::set;
use crate::device::cpu::Cpu;
use crate::lvlm::{OpenOptions, checkpoint, load};
use crate::picture::Picture;

#[test]
fn bad_fields_are_named() {
    for (model, path, value) in [
        ("tiny-smolvlm", "scale_factor", json!(3)),
        ("tiny-smolvlm", "scale_factor", json!(0)),
        // 50 patches each way.
        ("tiny-smolvlm", "vision_config.image_size", json!(150)),
        ("tiny-smolvlm", "vision_config.patch_size", json!(15)),
        ("tiny-smolvlm", "vision_config.num_channels", json!(1)),
        ("tiny-smolvlm", "text_config.model_type", json!("opt")),
        ("tiny-smolvlm", "image_token_id", json!("<image>")),
        ("tiny-internvl", "downsample_ratio", json!(0.3)),
        ("tiny-internvl", "downsample_ratio", json!(0.125)),
        ("tiny-internvl", "vision_feature_layer", json!([-1, -2])),
        ("tiny-internvl", "vision_feature_layer", json!(3)),
        (
            "tiny-internvl",
            "vision_feature_select_strategy",
            json!("full"),
        ),
        (
            "tiny-internvl",
            "vision_config.norm_type",
            json!("batch_norm"),
        ),
        (
            "tiny-internvl",
            "vision_config.use_absolute_position_embeddings",
            json!(false),
        ),
        (
            "tiny-internvl",
            "text_config.model_type",
            json!("internlm2"),
        ),
    ] {
        let mut config = config_of(model);
        set(&mut config, path, value.clone());
        let error = read(&config).unwrap_err().to_string();
        assert!(error.contains(path), "{path} {value}: {error}");
    }
}

#[test]
fn the_published_sizes_have_positions_of_their_own() {
    for (pixels, patch) in [(364, 14), (384, 14), (512, 16)] {
        let mut config = config_of("tiny-smolvlm");
        set(&mut config, "vision_config.image_size", json!(pixels));
        set(&mut config, "vision_config.patch_size", json!(patch));
        set(&mut config, "scale_factor", json!(1));
        assert_eq!(read(&config).unwrap(), "idefics3", "{pixels} / {patch}");
    }
}

#[test]
fn what_the_processor_says_otherwise_is_refused() {
    for (model, file, path, value) in [
        (
            "tiny-smolvlm",
            "processor_config.json",
            "image_seq_len",
            json!(5),
        ),
        (
            "tiny-internvl",
            "processor_config.json",
            "image_seq_length",
            json!(16),
        ),
    ] {
        let dir = copied(model, &[]);
        let place = dir.path().join(model).join(file);
        let mut fields: Value =
            serde_json::from_str(&std::fs::read_to_string(&place).unwrap()).unwrap();
        set(&mut fields, path, value);
        std::fs::write(&place, fields.to_string()).unwrap();
        let error = fails(&dir, model).to_string();
        assert!(error.contains(path) && error.contains('4'), "{error}");
    }
}

#[test]
fn a_frame_that_the_tokenizer_does_not_name_is_refused() {
    for name in ["start_image_token", "end_image_token"] {
        let dir = copied("tiny-internvl", &[]);
        let place = dir.path().join("tiny-internvl/tokenizer_config.json");
        let text = std::fs::read_to_string(&place).unwrap();
        assert!(text.contains(name), "{text}");
        std::fs::write(&place, text.replace(name, "another_token")).unwrap();
        let opened = checkpoint(
            Some(&dir.path().join("tiny-internvl")),
            &OpenOptions::default(),
        );
        let model = load(opened.unwrap(), Cpu::<f32>::new(1).unwrap()).unwrap();
        let picture = Picture::from_rgb(40, 30, vec![0; 40 * 30 * 3]).unwrap();
        let error = model
            .prompt("What is it?", std::slice::from_ref(&picture))
            .unwrap_err()
            .to_string();
        assert!(error.contains(name), "{error}");
    }
}
