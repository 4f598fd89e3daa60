//! What can be read inside the models of every family, against what their scores say.

use super::{config_of, models};
use crate::blend::{Blend, Masks, Path};
use crate::device::cpu::Cpu;
use crate::lvlm::{
    Layer, Lvlm, LvlmError, OpenOptions, Scorer, SessionOptions, checkpoint, go_on, load,
};
use crate::picture::{Baseline, Picture};

/// An answer, of tokens that every one of these models has.
const ANSWER: [u32; 3] = [9, 17, 40];
const CELLS: usize = 9;

/// Calls `each` with a scorer of a model and a picture.
fn with_scorer(model: &str, towers: Option<&str>, picture: &str, each: impl FnOnce(&dyn Scorer)) {
    println!("{model}, {picture}");
    let options = OpenOptions {
        encoders: towers
            .map(|towers| models().join(towers))
            .into_iter()
            .collect(),
        ..OpenOptions::default()
    };
    let checkpoint = checkpoint(Some(&models().join(model)), &options).unwrap();
    let model: Box<dyn Lvlm> = load(checkpoint, Cpu::<f32>::new(1).unwrap()).unwrap();
    let picture = Picture::open(&models().join("../images").join(picture)).unwrap();
    let baseline = Baseline::Zero.of(&picture, 0);
    let prompt = model
        .prompt("What color is the circle?", std::slice::from_ref(&picture))
        .unwrap();
    let options = SessionOptions {
        mask_size: CELLS,
        memory_budget: 1 << 30,
    };
    let mut session = model.start(&picture, &baseline, &prompt, options).unwrap();
    each(&*session.scorer(&ANSWER).unwrap());
}

/// A model of every family and layout of tokens.
const MODELS: [(&str, &str); 9] = [
    ("tiny-llava", "cat.png"),
    ("tiny-llava-llama", "tall.png"),
    ("tiny-onevision", "tall.png"),
    ("tiny-next-mistral", "wide.png"),
    ("tiny-smolvlm", "tall.png"),
    ("tiny-internvl", "wide.png"),
    ("tiny-mini-gemini-hd", "cat.png"),
    ("tiny-idefics3", "small.png"),
    (QWEN, "wide.png"),
];
/// The one whose encoder cannot be read.
const QWEN: &str = "tiny-qwen3-vl";

#[test]
fn every_visual_token_has_a_row_and_the_picture_is_covered() {
    for (model, picture) in MODELS {
        with_scorer(model, None, picture, |scorer| {
            let rows = scorer.internals().unwrap().rows();
            assert_eq!(rows.places.tokens(), rows.visual.len());
            assert_eq!([rows.visual.len()], scorer.image_rows()[..]);
            assert_eq!(rows.text.len() + rows.visual.len(), rows.first + 1);
            let cells = rows.places.cells(&vec![1.0; rows.visual.len()], CELLS);
            let middle = CELLS * CELLS / 2;
            assert!((cells[middle] - 1.0).abs() < 1e-12);
            assert!(cells.iter().all(|&c| c == 0.0 || (c - 1.0).abs() < 1e-12));
            // The first token of all that have a place is not at the end of the picture.
            let mut values = vec![0.0; rows.visual.len()];
            values[rows.places.placed()[0]] = 1.0;
            let cells = rows.places.cells(&values, CELLS);
            assert!(cells[CELLS * CELLS - 1].abs() < 1e-12, "{cells:?}");
        });
    }
}

#[test]
fn logits_are_those_of_the_scores() {
    for (model, picture) in MODELS {
        with_scorer(model, None, picture, |scorer| {
            let config = config_of(model);
            let size = &config["text_config"]["vocab_size"];
            let size = size.as_u64().or_else(|| config["vocab_size"].as_u64());
            let ids: Vec<u32> = (0..size.unwrap() as u32).collect();
            let ones = [vec![1.0; CELLS * CELLS]];
            let masks = Masks {
                size: CELLS,
                values: &ones,
            };
            let blends = [Blend::whole(0, Path::Deletion)];
            let expected = scorer.log_probabilities(masks, &blends, &[0, 2], &mut go_on);
            let internals = scorer.internals().unwrap();
            let first = internals.rows().first;
            let logits = internals.logits(2, &ids, &mut go_on).unwrap();
            assert_eq!(logits.len(), (first + 3) * ids.len());
            for (t, expected) in [0, 2].into_iter().zip(expected.unwrap().concat()) {
                let row = &logits[(first + t) * ids.len()..][..ids.len()];
                let total = row.iter().map(|v| v.exp()).sum::<f64>().ln();
                let found = row[ANSWER[t] as usize] - total;
                assert!((found - expected).abs() < 1e-4, "{found}, {expected}");
            }
        });
    }
}

#[test]
fn attention_adds_up_to_at_most_one() {
    for (model, picture) in MODELS {
        with_scorer(model, None, picture, |scorer| {
            let internals = scorer.internals().unwrap();
            let rows = internals.rows();
            let mut layers = Vec::new();
            let mut each = |layer: usize, attention: crate::nn::AttentionValues| {
                let last = attention.places.len() - 1;
                for (query, head) in [(0, 0), (last, attention.heads - 1)] {
                    let p = attention.probabilities(query, head);
                    assert_eq!(p.len(), attention.places[query] + 1);
                    let sum: f64 = p.iter().sum();
                    assert!(sum > 0.0 && sum < 1.0 + 1e-4, "{sum}");
                    assert_eq!(attention.gradients(query, head).len(), p.len());
                }
                let queries = match layers.is_empty() {
                    true => vec![rows.first + 1, rows.first + 2],
                    false => (0..rows.first + 3).collect(),
                };
                assert_eq!(attention.places, queries);
                layers.push(layer);
            };
            let tokens = [1, 2];
            internals
                .attention(&tokens, true, &mut each, &mut go_on)
                .unwrap();
            let descending = (0..layers.len()).rev();
            assert_eq!(layers, descending.collect::<Vec<_>>());
        });
    }
}

#[test]
fn layers_are_read_at_the_tokens_of_the_picture() {
    for (model, picture) in MODELS {
        with_scorer(model, None, picture, |scorer| {
            let internals = scorer.internals().unwrap();
            let of_encoder = |layer: &Layer| model == QWEN && matches!(layer, Layer::Encoder(_));
            for layer in [
                Layer::Encoder(None),
                Layer::Encoder(Some(1)),
                Layer::Decoder(1),
            ] {
                if of_encoder(&layer) {
                    continue;
                }
                let read = internals.activations(layer, &[0, 2], &mut go_on).unwrap();
                assert_eq!(read.values.len(), read.places.tokens() * read.columns);
                assert_eq!(read.gradient.len(), read.values.len());
                assert!(read.gradient.iter().any(|g| *g != 0.0), "{layer}");
            }
            for layer in [
                Layer::Encoder(Some(9)),
                Layer::Decoder(9),
                Layer::Decoder(0),
            ] {
                let error = internals.activations(layer, &[0], &mut go_on).unwrap_err();
                assert!(matches!(error, LvlmError::Unreadable { .. }), "{error}");
                let named = match of_encoder(&layer) {
                    true => "qwen3_vl".to_string(),
                    false => layer.to_string(),
                };
                assert!(error.to_string().contains(&named), "{error}");
            }
        });
    }
}

#[test]
fn a_family_that_cannot_be_read_is_refused_by_name() {
    let towers = Some("tiny-cambrian-towers");
    with_scorer("tiny-cambrian", towers, "cat.png", |scorer| {
        let internals = scorer.internals().unwrap();
        let rows = internals.rows();
        assert_eq!(rows.places.tokens(), rows.visual.len());
        assert!(
            internals
                .activations(Layer::Decoder(1), &[0], &mut go_on)
                .is_ok()
        );
        let encoder = internals.activations(Layer::Encoder(None), &[0], &mut go_on);
        let attention = internals.attention(&[0], true, &mut |_, _| {}, &mut go_on);
        for error in [encoder.err().unwrap(), attention.unwrap_err()] {
            assert!(matches!(error, LvlmError::Unreadable { .. }), "{error}");
            assert!(error.to_string().contains("cambrian"), "{error}");
        }
    });
}
