//! Estimates against counts: real models on a device that counts its operations.

mod counting;

use std::path::Path;
use std::sync::{Arc, Mutex};

use counting::{Counting, Counts};

use super::{Blueprint, Estimator, Lengths};
use crate::blend::{Blend, Masks, Noise, Path as BlendPath, Sampling, Score};
use crate::checkpoint::{Checkpoint, Config, ProcessorFile, Tensor, Tensors};
use crate::device::DeviceProfile;
use crate::device::cpu::Cpu;
use crate::lvlm::engine::open::instantiate;
use crate::lvlm::{
    Lvlm, LvlmError, OpenOptions, Parts, Prompt, Session, SessionOptions, Tally, checkpoint,
    demo_checkpoint, expected_tensors, go_on,
};
use crate::nn::Checkpointing;
use crate::picture::Picture;

const MODELS: [&str; 3] = ["tiny-llava", "tiny-llava-gqa", "tiny-llava-variant"];
const ANSWER: [u32; 9] = [7, 8, 9, 10, 11, 12, 13, 14, 15];
const SIZE: usize = 8;

/// A model that counts, and its checkpoint.
struct Counted {
    model: Box<dyn Lvlm>,
    checkpoint: Checkpoint,
    counts: Arc<Mutex<Counts>>,
}

fn counted(name: &str) -> Counted {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracle/models");
    let checkpoint = checkpoint(Some(&folder.join(name)), &OpenOptions::default()).unwrap();
    let counts = Arc::default();
    let on = Cpu::new(1).unwrap();
    let device = Counting {
        on,
        counts: Arc::clone(&counts),
    };
    let model = instantiate(checkpoint.clone(), device).unwrap();
    Counted {
        model,
        checkpoint,
        counts,
    }
}

impl Counted {
    fn lengths(&self, prompt: &Prompt) -> Lengths {
        let image = self.checkpoint.tokenizer.image().id();
        let before = prompt.ids.iter().take_while(|&&id| id != image).count();
        let after = prompt.ids.iter().rev().take_while(|&&id| id != image);
        Lengths {
            before,
            after: after.count(),
            answer: ANSWER.len(),
        }
    }

    fn estimator(&self, lengths: Lengths) -> Result<Box<dyn Estimator>, LvlmError> {
        self.blueprint()
            .estimator(lengths, SIZE, DeviceProfile::CUDA)
    }

    fn blueprint(&self) -> Blueprint<'_> {
        Blueprint {
            checkpoint: &self.checkpoint,
            picture: (40, 30),
        }
    }

    fn prompt(&self, question: &str) -> Prompt {
        let picture = Picture::from_rgb(40, 30, vec![0; 40 * 30 * 3]).unwrap();
        self.model
            .prompt(question, std::slice::from_ref(&picture))
            .unwrap()
    }

    fn start<'a>(&'a self, prompt: &Prompt, memory_budget: usize) -> Box<dyn Session + 'a> {
        let rgb = (0..40 * 30 * 3).map(|i| (i * 7 % 256) as u8).collect();
        let picture = Picture::from_rgb(40, 30, rgb).unwrap();
        let black = Picture::from_rgb(40, 30, vec![0; 40 * 30 * 3]).unwrap();
        let options = SessionOptions {
            mask_size: SIZE,
            memory_budget,
        };
        self.model.start(&picture, &black, prompt, options).unwrap()
    }

    /// Returns the counts that `work` adds.
    fn during(&self, work: impl FnOnce()) -> Counts {
        *self.counts.lock().unwrap() = Counts::default();
        work();
        self.counts.lock().unwrap().clone()
    }
}

/// Every operation of every part, and all bytes.
fn same(what: &str, estimate: Parts<Tally>, counts: &Counts) {
    let expected = counts.operations;
    let Parts {
        blend,
        vision,
        projector,
        decoder,
        vocabulary,
    } = estimate;
    let found = Parts {
        blend: blend.operations,
        vision: vision.operations,
        projector: projector.operations,
        decoder: decoder.operations,
        vocabulary: vocabulary.operations,
    };
    assert_eq!(found, expected, "{what}: operations");
    assert_eq!(estimate.total().bytes, counts.bytes, "{what}: bytes");
}

fn blends(count: usize) -> Vec<Blend> {
    (0..count)
        .map(|i| Blend {
            sampling: Sampling::One(0),
            path: [BlendPath::Deletion, BlendPath::Insertion][i % 2],
            alpha: (i + 1) as f64 / count as f64,
            noise: Some(Noise {
                deviation: 0.2,
                seed: 1,
                stream: i as u64,
            }),
        })
        .collect()
}

#[test]
fn batches_cost_what_is_counted() {
    for name in MODELS {
        let counted = counted(name);
        // A question of about a hundred tokens: causal attention has several tiles, and ragged
        // ones.
        for question in [
            "What is it?",
            &"What is in the picture, and where is it? ".repeat(6),
        ] {
            let prompt = counted.prompt(question);
            let lengths = counted.lengths(&prompt);
            let estimator = counted.estimator(lengths).unwrap();
            let ones = [vec![1.0; SIZE * SIZE]];
            let masks = Masks {
                size: SIZE,
                values: &ones,
            };
            for tokens in [vec![0], vec![8], vec![1, 3, 4], (0..9).collect()] {
                let what = format!("{name}, {lengths:?}, tokens {tokens:?}");
                let fixed = estimator.fixed_bytes(&tokens).unwrap();
                let roomy = fixed
                    + 4 * estimator
                        .bytes_per_blend(&tokens, Checkpointing::Everything)
                        .unwrap();
                let tight = fixed
                    + estimator
                        .bytes_per_blend(&tokens, Checkpointing::Everything)
                        .unwrap()
                    - 1;
                for (budget, checkpointing) in [
                    (roomy, Checkpointing::Everything),
                    (tight, Checkpointing::Inputs),
                ] {
                    let mut session = counted.start(&prompt, budget);
                    let scorer = session.scorer(&ANSWER).unwrap();
                    let blends = blends(3);
                    let gradient = || {
                        scorer
                            .gradient(
                                masks,
                                &blends,
                                &[1.0; 3],
                                &tokens,
                                Score::LogProbability,
                                &mut go_on,
                            )
                            .unwrap()
                    };
                    let plan = estimator.plan(3, &tokens, true, budget).unwrap();
                    assert_eq!(scorer.plan(3, &tokens).unwrap(), plan, "{what}");
                    assert_eq!(plan.checkpointing, checkpointing, "{what}");
                    // The first call also makes what all calls share.
                    gradient();
                    let counts = counted.during(|| drop(gradient()));
                    let batches = (0..3).step_by(plan.batch).map(|at| plan.batch.min(3 - at));
                    let estimate = batches
                        .map(|count| estimator.batch(count, &tokens, checkpointing).unwrap())
                        .fold(Parts::default(), |a, b| a + b);
                    same(&format!("{what}, {plan:?}"), estimate, &counts);
                }
                let mut session = counted.start(&prompt, roomy);
                let scorer = session.scorer(&ANSWER).unwrap();
                let values = || {
                    let blends = blends(2);
                    scorer.log_probabilities(masks, &blends, &tokens, &mut go_on)
                };
                values().unwrap();
                let counts = counted.during(|| drop(values().unwrap()));
                same(
                    &what,
                    estimator.batch(2, &tokens, Checkpointing::Nothing).unwrap(),
                    &counts,
                );
            }
        }
    }
}

#[test]
fn an_answer_costs_what_is_counted() {
    for name in MODELS {
        let counted = counted(name);
        let prompt = counted.prompt("What is in the picture?");
        let lengths = counted.lengths(&prompt);
        let estimator = counted.estimator(lengths).unwrap();
        let mut session = None;
        let counts = counted.during(|| session = Some(counted.start(&prompt, 1 << 30)));
        same(name, estimator.prefix().unwrap(), &counts);
        let session = session.unwrap();
        for limit in [1, 6] {
            let mut tokens = 0;
            let counts = counted.during(|| {
                tokens = session
                    .generate(BlendPath::Deletion, limit, &mut go_on)
                    .unwrap()
                    .len();
            });
            // At the limit no further token is read or looked for.
            let read = tokens.min(limit - 1);
            let estimate = (0..read)
                .map(|i| estimator.read_token(i).unwrap() + estimator.choose_token().unwrap())
                .fold(
                    estimator.read_prompt().unwrap() + estimator.choose_token().unwrap(),
                    |a, b| a + b,
                );
            same(
                &format!("{name}, {tokens} of {limit} tokens"),
                estimate,
                &counts,
            );
        }
    }
}

#[test]
fn weights_are_those_that_are_loaded() {
    for name in MODELS {
        let counted = counted(name);
        let loaded = counted.counts.lock().unwrap().loaded;
        let lengths = Lengths {
            before: 1,
            after: 1,
            answer: 1,
        };
        let weights = counted.estimator(lengths).unwrap().weights();
        assert_eq!(weights.total(), 2 * loaded, "{name}");
    }
}

/// Keeping everything takes more than keeping inputs, that more than keeping nothing; a batch's
/// bytes are the sum of its blends'.
#[test]
fn memory_follows_what_is_kept() {
    let counted = counted("tiny-llava");
    let lengths = Lengths {
        before: 5,
        after: 10,
        answer: 4,
    };
    let estimator = counted.estimator(lengths).unwrap();
    let tokens = [1, 3];
    // Keys and values: 2 bytes, 3 layers, 5 rows of 64 columns each.
    assert_eq!(estimator.prefix_bytes(), 2 * 3 * 2 * 5 * 64);
    let each = |checkpointing| estimator.bytes_per_blend(&tokens, checkpointing).unwrap();
    let saved = [
        Checkpointing::Nothing,
        Checkpointing::Inputs,
        Checkpointing::Everything,
    ]
    .map(each);
    assert!(saved.is_sorted_by(|a, b| a < b), "{saved:?}");
    // A picture of 16 patches in 17 rows of 48 columns, 3 of 4 layers used; 3 decoder layers of 64
    // columns for 16 + 10 + 3 rows, of which the last makes 2. All that the layers save: input,
    // mid, q k v and their mixture, the perceptron's inside once or twice, in 2 bytes; statistics
    // in 4.
    let rows = 29;
    let vision = 3 * 17 * (2 * (2 * 48 + 4 * 48 + 112) + 4 * (4 + 3));
    let text = 2 * rows * (2 * (2 * 64 + 4 * 64 + 2 * 136) + 4 * (2 + 4));
    assert!(saved[2] > vision + text, "{saved:?}, {vision} + {text}");
    // Two pictures and their difference, f32.
    let pictures = 3 * 4 * 3 * 56 * 56;
    let fixed = estimator.fixed_bytes(&tokens).unwrap();
    assert!(fixed > pictures + (8 << 20), "{fixed}");
    for blends in [1, 3] {
        let plan = estimator.plan(blends, &tokens, true, 1 << 30).unwrap();
        assert_eq!(plan.bytes, fixed + blends * saved[2]);
    }
}

/// The leading terms of the operations of a known model: LLaVA-1.5-7B, two per weight and row.
#[test]
fn a_known_model_costs_two_operations_per_weight_and_row() {
    let json = r#"{"model_type": "llava", "vision_config": {"hidden_size": 1024, "intermediate_size": 4096,
        "num_hidden_layers": 24, "num_attention_heads": 16, "image_size": 336, "patch_size": 14},
        "text_config": {"vocab_size": 32064, "max_position_embeddings": 4096}}"#;
    let list = expected_tensors(&Config::from_json(json, "config.json").unwrap()).unwrap();
    let absent = list.iter().map(|(name, shape)| Tensor::absent(name, shape));
    let demo = demo_checkpoint().unwrap();
    let checkpoint = Checkpoint {
        config: Config::from_json(json, "config.json").unwrap(),
        tensors: Tensors::made("LLaVA-1.5-7B", absent),
        processor: ProcessorFile::of(
            "preprocessor_config.json".into(),
            Some(r#"{"size": 336, "crop_size": 336}"#.into()),
        ),
        ..demo
    };
    let blueprint = Blueprint {
        checkpoint: &checkpoint,
        picture: (640, 480),
    };
    let lengths = Lengths {
        before: 5,
        after: 35,
        answer: 32,
    };
    let estimator = blueprint
        .estimator(lengths, 32, DeviceProfile::CUDA)
        .unwrap();
    let weights = estimator.weights();
    // 7.06 billion parameters, less the encoder's last layer and its last norm.
    assert!(
        (weights.total() as f64 / 2.0 - 7.05e9).abs() < 0.01e9,
        "{weights:?}"
    );
    let cost = estimator.batch(1, &[0], Checkpointing::Nothing).unwrap();
    // Rows after the prefix; weights of a layer's attention and perceptron.
    let (rows, layer) = (576.0 + 35.0, 4.0 * 4096.0 * 4096.0 + 3.0 * 4096.0 * 11008.0);
    let leading = 2.0 * rows * 32.0 * layer;
    // Attention adds a few per cent, and the last layer saves a thirty-second of most of its
    // products.
    let ratio = cost.decoder.operations / leading;
    assert!((0.97..1.05).contains(&ratio), "{ratio}");
}

#[test]
fn what_does_not_fit_is_an_error() {
    let counted = counted("tiny-llava");
    let lengths = Lengths {
        before: 5,
        after: 490,
        answer: 2,
    };
    match counted.estimator(lengths) {
        Err(LvlmError::TooLong {
            limit: 512,
            found: 513,
        }) => {}
        other => panic!("{:?}", other.err()),
    }
    let lengths = Lengths {
        answer: 1,
        ..lengths
    };
    let estimator = counted.estimator(lengths).unwrap();
    match estimator.plan(1, &[0], true, 1000) {
        Err(LvlmError::Memory { budget: 1000, .. }) => {}
        other => panic!("{other:?}"),
    }
    // Tokens that no answer has cost nothing to refuse.
    for tokens in [[1], [usize::MAX], [1 << 40]] {
        let refused = [
            estimator
                .bytes_per_blend(&tokens, Checkpointing::Nothing)
                .err(),
            estimator.batch(1, &tokens, Checkpointing::Nothing).err(),
            estimator.read_token(tokens[0]).err(),
        ];
        for error in refused {
            assert!(
                matches!(error, Some(LvlmError::Token { answer: 1, .. })),
                "{error:?}"
            );
        }
    }
    assert!(
        estimator
            .batch(usize::MAX, &[0], Checkpointing::Nothing)
            .is_err()
    );
}
