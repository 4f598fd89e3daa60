//! Gemma 3: both spellings of its config and tensors, what configs may say, what its processor may
//! not, and what that makes of pictures of many sizes.

use serde_json::{Value, json};

use super::{Name, answer, config_of, copied, fails, models, rename, visited};
use crate::blend::View;
use crate::checkpoint::RopeScaling;
use crate::checkpoint::tests::set;
use crate::device::cpu::Cpu;
use crate::lvlm::decoder::DecoderConfig;
use crate::lvlm::families::gemma3::Gemma3;
use crate::lvlm::families::registry::Visitor;
use crate::lvlm::family::traits::{Family, ImageProcessing};
use crate::lvlm::{LvlmError, OpenOptions, checkpoint, inspect, load};
use crate::picture::Picture;
use crate::picture::testing::Recorded;

const MODEL: &str = "tiny-gemma3";

/// The decoder's config.
struct Decoder;

impl Visitor for Decoder {
    type Output = DecoderConfig;

    fn visit<F: Family>(self, family: F) -> DecoderConfig {
        family.decoder().0.clone()
    }
}

/// Fields of the decoder, with their values.
type Fields<'a> = &'a [(&'a str, Value)];

/// The config with fields of the decoder changed; null removes one.
fn changed(fields: Fields) -> Value {
    let mut config = config_of(MODEL);
    let text = config["text_config"].as_object_mut().unwrap();
    for (name, value) in fields {
        match value {
            Value::Null => text.remove(*name),
            value => text.insert((*name).to_string(), value.clone()),
        };
    }
    config
}

#[test]
fn bad_fields_are_named() {
    for (path, value) in [
        ("vision_config.model_type", json!("clip_vision_model")),
        ("text_config.model_type", json!("gemma2")),
        ("text_config.attn_logit_softcapping", json!(50.0)),
        ("text_config.final_logit_softcapping", json!(30.0)),
        ("text_config.use_bidirectional_attention", json!(true)),
        ("text_config.sliding_window", json!(null)),
        ("text_config.sliding_window_pattern", json!(0)),
        ("text_config.sliding_window_pattern", json!(null)),
        ("text_config.layer_types", json!(["full_attention"])),
        ("text_config.query_pre_attn_scalar", json!(0)),
        ("text_config.num_attention_heads", json!(6)),
        ("text_config.hidden_activation", json!("relu6")),
        ("text_config.rope_parameters", json!({"rope_theta": 1e4})),
        ("text_config.rope_scaling", json!([8])),
        ("rope_scaling.rope_type", json!("yarn")),
        ("mm_tokens_per_image", json!(100)),
        ("mm_tokens_per_image", json!(0)),
        ("image_token_index", json!("<image>")),
    ] {
        let mut config = config_of(MODEL);
        match path.strip_prefix("rope_scaling.") {
            Some(_) => set(&mut config, &format!("text_config.{path}"), value.clone()),
            None => set(&mut config, path, value.clone()),
        }
        let error = visited(&config, Name).unwrap_err().to_string();
        assert!(error.contains(path), "{path} {value}: {error}");
    }
    // transformers leaves a type of this name unread here.
    let old = json!({"type": "linear", "factor": 8.0});
    let error = visited(&changed(&[("rope_scaling", old)]), Name).unwrap_err();
    assert!(error.to_string().contains("rope_scaling.type"), "{error}");
}

/// Models of the same makers that are not supported are refused by their names.
#[test]
fn relatives_are_refused_by_name() {
    for name in ["gemma3_text", "gemma3n", "paligemma"] {
        let error = visited(&json!({ "model_type": name }), Name).unwrap_err();
        let text = error.to_string();
        assert!(text.contains(name) && text.contains("gemma3 "), "{text}");
    }
}

/// Layers, bases and scalings as transformers 5.24 reads them.
#[test]
fn layers_are_full_or_sliding() {
    let linear = || RopeScaling::Linear { factor: 8.0 };
    let none = || RopeScaling::None;
    let both = json!({
        "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e4},
        "sliding_attention": {"rope_type": "default"},
    });
    let types = json!([
        "full_attention",
        "sliding_attention",
        "full_attention",
        "full_attention"
    ]);
    let cases: [(Fields, [bool; 4], _, _); 5] = [
        (
            &[],
            [true, false, true, false],
            (1e4, linear()),
            (100.0, none()),
        ),
        (
            &[
                ("sliding_window_pattern", Value::Null),
                ("rope_theta", Value::Null),
                ("rope_local_base_freq", Value::Null),
                ("rope_scaling", Value::Null),
            ],
            [true; 4],
            (1e6, none()),
            (1e4, none()),
        ),
        (
            &[("layer_types", types), ("rope_scaling", Value::Null)],
            [false, true, false, false],
            (1e4, none()),
            (100.0, none()),
        ),
        (
            &[
                ("rope_scaling", Value::Null),
                ("rope_theta", Value::Null),
                ("rope_parameters", both),
            ],
            [true, false, true, false],
            (1e4, linear()),
            (100.0, none()),
        ),
        (
            &[("sliding_window_pattern", json!(1))],
            [false; 4],
            (1e4, linear()),
            (100.0, none()),
        ),
    ];
    for (fields, layers, full, own) in cases {
        let found = visited(&changed(fields), Decoder).unwrap();
        let sliding = found.sliding.unwrap();
        assert_eq!(sliding.layers, layers, "{fields:?}");
        assert_eq!((found.rope.theta, found.rope.scaling), full, "{fields:?}");
        let theirs = (sliding.rope.theta, sliding.rope.scaling);
        assert_eq!(theirs, own, "{fields:?}");
        let window = layers.contains(&true).then_some(128);
        assert_eq!(found.window, window, "{fields:?}");
        assert!((found.query_scale - 1.2f64.sqrt()).abs() < 1e-12);
    }
}

/// transformers' processor makes no crops of a picture unless it is asked to.
#[test]
fn pan_and_scan_is_refused() {
    for (file, path) in [
        ("preprocessor_config.json", "do_pan_and_scan"),
        ("processor_config.json", "images_kwargs.do_pan_and_scan"),
    ] {
        let dir = copied(MODEL, &[]);
        let place = dir.path().join(MODEL).join(file);
        let mut fields: Value =
            serde_json::from_str(&std::fs::read_to_string(&place).unwrap()).unwrap();
        fields["images_kwargs"] = json!({});
        set(&mut fields, path, json!(true));
        std::fs::write(&place, fields.to_string()).unwrap();
        let options = OpenOptions::default();
        let error = checkpoint(Some(&dir.path().join(MODEL)), &options).err();
        let text = error.unwrap().to_string();
        assert!(
            text.contains(path) && text.contains("pan and scan"),
            "{text}"
        );
    }
}

#[test]
fn rows_of_a_picture_must_agree() {
    let dir = copied(MODEL, &[]);
    let place = dir.path().join(MODEL).join("processor_config.json");
    std::fs::write(&place, "{\"image_seq_length\": 4}").unwrap();
    let options = OpenOptions::default();
    let error = checkpoint(Some(&dir.path().join(MODEL)), &options).err();
    assert!(error.unwrap().to_string().contains("image_seq_length"));
    // A decoder's tokenizer has to name the tokens around the picture.
    let place = dir.path().join(MODEL).join("tokenizer_config.json");
    let text = std::fs::read_to_string(&place).unwrap();
    std::fs::write(&place, text.replace("boi_token", "other_token")).unwrap();
    assert!(fails(&dir, MODEL).to_string().contains("boi_token"));
}

/// A sequence longer than the window of the sliding layers is refused.
#[test]
fn longer_than_the_window_is_refused() {
    let dir = copied(MODEL, &[]);
    let config = changed(&[("sliding_window", json!(32))]).to_string();
    std::fs::write(dir.path().join(MODEL).join("config.json"), config).unwrap();
    let opened = checkpoint(Some(&dir.path().join(MODEL)), &OpenOptions::default()).unwrap();
    let opened = load(opened, Cpu::<f32>::new(1).unwrap()).unwrap();
    let picture = Picture::from_rgb(4, 3, vec![100; 36]).unwrap();
    match opened.prompt("What color is it?", std::slice::from_ref(&picture)) {
        Err(LvlmError::SlidingWindow { limit: 32, found }) => assert!(found > 32),
        other => panic!("{:?}", other.map(|prompt| prompt.ids)),
    }
}

/// The picture that `tests/oracle/record_sizes.py` draws.
fn drawn(width: u32, height: u32) -> Picture {
    let row = |y: u32| {
        (0..width).flat_map(move |x| {
            let fine = (x * y + 7 * x + 5 * y) % 64;
            [0, 1, 2].map(|c| (x * (c + 1) * 200 / width + y * (3 - c) * 150 / height + fine) as u8)
        })
    };
    Picture::from_rgb(width, height, (0..height).flat_map(row).collect()).unwrap()
}

/// Pictures of about a hundred sizes, from one pixel to large and thin ones: the tokens of the
/// prompt, and the mean of each row and column of each channel of the pixels.
#[test]
fn pictures_of_any_size_equal_transformers() {
    const SIDE: usize = 26;
    let recorded = Recorded::read("gemma3");
    assert!(recorded.cases.len() >= 40);
    let [rows, columns] = ["rows", "columns"].map(|name| {
        let (shape, bytes) = recorded.get(name).unwrap();
        assert_eq!(shape, [recorded.cases.len(), 3, SIDE]);
        let numbers = bytes.as_chunks().0.iter().copied();
        numbers.map(f32::from_le_bytes).collect::<Vec<f32>>()
    });
    let opened = checkpoint(Some(&models().join(MODEL)), &OpenOptions::default()).unwrap();
    let family = Gemma3::read(&opened.config).unwrap();
    let processing = family.image_processing(&opened.processor).unwrap();
    let opened = load(opened, Cpu::<f32>::new(1).unwrap()).unwrap();
    let image = config_of(MODEL)["image_token_index"].as_u64().unwrap();
    let means = rows.chunks(3 * SIDE).zip(columns.chunks(3 * SIDE));
    for (case, (rows, columns)) in recorded.cases.iter().zip(means) {
        let number = |name: &str| case[name].as_u64().unwrap() as usize;
        let picture = drawn(number("width") as u32, number("height") as u32);
        let question = "What color is the circle?";
        let prompt = opened.prompt(question, std::slice::from_ref(&picture));
        let ids = prompt.unwrap().ids;
        let soft = ids.iter().filter(|&&id| u64::from(id) == image).count();
        let tokens = (number("tokens"), number("soft_tokens"));
        assert_eq!((ids.len(), soft), tokens, "{case}");

        let encoders = processing.encoder_views(picture.width(), picture.height());
        let views = encoders.unwrap().into_iter().map(|encoder| encoder.views);
        let expected = [[View::whole(SIDE, SIDE)]];
        assert_eq!(views.collect::<Vec<_>>(), expected, "{case}");
        let pixels = processing.process(&picture).unwrap().concat().concat();
        assert_eq!(pixels.len(), 3 * SIDE * SIDE, "{case}");
        let mean = |line: &mut dyn Iterator<Item = &f32>| {
            line.map(|&pixel| f64::from(pixel)).sum::<f64>() / SIDE as f64
        };
        for n in 0..3 * SIDE {
            let (channel, place) = (n / SIDE, n % SIDE);
            let plane = &pixels[channel * SIDE * SIDE..][..SIDE * SIDE];
            let row = mean(&mut plane[place * SIDE..][..SIDE].iter());
            let column = mean(&mut plane[place..].iter().step_by(SIDE));
            for (found, expected) in [(row, rows[n]), (column, columns[n])] {
                let off = (found - f64::from(expected)).abs();
                assert!(
                    off <= 2e-6,
                    "{case}: {off} off in channel {channel}, line {place}"
                );
            }
        }
    }
}

/// The names of tensors under both spellings: the published one and that of transformers 5.
fn renamed(name: &str, published: bool) -> String {
    if published {
        return name.to_string();
    }
    let name = name.replace("language_model.model.", "language_model.");
    format!("model.{}", name.replace("vision_model.", ""))
}

/// The config as transformers 5 writes it: types of layers, and parameters of each type.
fn respelled(published: bool) -> Value {
    if published {
        return config_of(MODEL);
    }
    let types: Vec<&str> = ["sliding_attention", "full_attention"].repeat(2);
    let rope = json!({
        "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e4},
        "sliding_attention": {"rope_type": "default", "rope_theta": 100.0},
    });
    changed(&[
        ("rope_scaling", Value::Null),
        ("rope_theta", Value::Null),
        ("rope_local_base_freq", Value::Null),
        ("sliding_window_pattern", Value::Null),
        ("layer_types", json!(types)),
        ("rope_parameters", rope),
        ("hidden_activation", json!("gelu_pytorch_tanh")),
        ("attn_logit_softcapping", Value::Null),
        ("use_bidirectional_attention", json!(false)),
    ])
}

/// Every spelling of config and tensors is whole, and gives the same answer, with the checkpoint's
/// template and with the built-in one.
#[test]
fn spellings_of_one_model_are_equal() {
    let rgb = (0..40 * 30 * 3).map(|n| (n * 7 % 251) as u8).collect();
    let picture = Picture::from_rgb(40, 30, rgb).unwrap();
    let mut answers = Vec::new();
    for (old, published) in [(true, true), (true, false), (false, true), (false, false)] {
        let dir = copied(MODEL, &[]);
        let folder = dir.path().join(MODEL);
        let config = respelled(old).to_string();
        std::fs::write(folder.join("config.json"), config).unwrap();
        rename(&folder, |name| renamed(name, published));
        if !old {
            std::fs::remove_file(folder.join("chat_template.jinja")).unwrap();
        }
        let found = inspect(&folder, &OpenOptions::default()).unwrap();
        assert!(
            found.is_complete() && found.unexpected.is_empty(),
            "{found}"
        );
        answers.push(answer(&folder, " What? ", &picture));
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]));
}
