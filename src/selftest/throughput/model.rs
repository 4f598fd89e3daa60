//! Models with random weights, at the sizes of real ones: LLaVA-1.5's architecture with the demo
//! model's tokens and prompt.

use serde_json::{Value, json};

use super::pool::Pool;
use super::shapes::Shapes;
use crate::checkpoint::{Checkpoint, Config, Files, ProcessorFile, Tensor, Tensors};
use crate::lvlm::{LvlmError, demo_checkpoint, expected_tensors};

/// A context longer than any prompt and answer here, in tokens.
const CONTEXT: usize = 4096;

/// Returns numbers for all weights of a model of these shapes, and for those of its workloads.
/// Their range keeps sums over the decoder's columns near 1, so that values do not overflow.
///
/// # Errors
/// Returns an error only if the embedded demo model is damaged.
pub fn pool(shapes: &Shapes, seed: u64) -> Result<Pool, LvlmError> {
    let demo = demo_checkpoint()?;
    let tensors = expected_tensors(&config(shapes, &demo)?)?;
    let elements = tensors.iter().map(|(_, shape)| shape.iter().product());
    let largest = (3.0 / shapes.decoder.columns as f32).sqrt();
    // One more than the model's own, for the second of a workload's weights.
    let count = tensors.len() + 1;
    Ok(Pool::new(elements.max().unwrap_or(0), count, largest, seed))
}

/// Returns a checkpoint of these shapes whose weights are slices of a pool that [`pool`] made for
/// them; norms have gains near 1.
///
/// # Errors
/// Returns [`MissingTensor`](crate::checkpoint::CheckpointError::MissingTensor) if the pool was
/// made for smaller shapes.
pub fn random_checkpoint(shapes: &Shapes, pool: &Pool) -> Result<Checkpoint, LvlmError> {
    let demo = demo_checkpoint()?;
    let config = config(shapes, &demo)?;
    let list = expected_tensors(&config)?;
    let made = list
        .iter()
        .enumerate()
        .filter_map(|(index, (name, shape))| {
            let tensor = pool.tensor(name, shape, index)?;
            // The gains of norms are the only weights with one axis.
            let is_gain = shape.len() == 1 && name.ends_with(".weight");
            Some(if is_gain { gain(&tensor) } else { tensor })
        });
    let tensors = Tensors::made(shapes.name, made);
    for (name, shape) in &list {
        tensors.require(name, shape)?;
    }
    Ok(Checkpoint {
        files: Files::embedded(shapes.name, &[]),
        processor: processor(shapes, &demo)?,
        config,
        tensors,
        ..demo
    })
}

fn gain(tensor: &Tensor) -> Tensor {
    let near_one: Vec<f32> = tensor.to_f32().iter().map(|v| 1.0 + v).collect();
    Tensor::from_f32(&tensor.name, &tensor.shape, &near_one)
}

/// Returns the size of the weights of [`random_checkpoint`] in bytes, two per number.
///
/// # Errors
/// Returns an error only if the embedded demo model is damaged.
pub(super) fn weight_bytes(shapes: &Shapes) -> Result<usize, LvlmError> {
    let list = expected_tensors(&config(shapes, &demo_checkpoint()?)?)?;
    let numbers = list
        .iter()
        .map(|(_, shape)| shape.iter().product::<usize>());
    Ok(2 * numbers.sum::<usize>())
}

/// Returns the config of a LLaVA of these shapes. All layers of its encoder except the last are
/// used.
fn config(shapes: &Shapes, demo: &Checkpoint) -> Result<Config, LvlmError> {
    let (encoder, decoder) = (&shapes.encoder, &shapes.decoder);
    let text = json!({
        "model_type": "llava",
        "image_token_index": demo.tokenizer.image().id(),
        "vision_feature_layer": -2,
        "tie_word_embeddings": shapes.tied,
        "vision_config": {
            "model_type": "clip_vision_model",
            "hidden_size": encoder.columns,
            "intermediate_size": encoder.inside,
            "num_hidden_layers": encoder.layers + 1,
            "num_attention_heads": encoder.heads,
            "image_size": shapes.side,
            "patch_size": shapes.patch,
            "hidden_act": encoder.activation.to_string(),
        },
        "text_config": {
            "model_type": "llama",
            "hidden_size": decoder.columns,
            "intermediate_size": decoder.inside,
            "num_hidden_layers": decoder.layers,
            "num_attention_heads": decoder.heads,
            "num_key_value_heads": decoder.kv_heads,
            "head_dim": decoder.head_dim,
            "hidden_act": decoder.activation.to_string(),
            "max_position_embeddings": CONTEXT,
            "vocab_size": shapes.vocabulary,
        },
    });
    let file = format!("{}/config.json", shapes.name);
    Ok(Config::from_json(&text.to_string(), &file)?)
}

/// Returns the demo model's image processor, for pictures of another size.
fn processor(shapes: &Shapes, demo: &Checkpoint) -> Result<ProcessorFile, LvlmError> {
    let mut value: Value = serde_json::from_str(demo.processor.text()?).unwrap_or_default();
    value["size"] = json!({ "shortest_edge": shapes.side });
    value["crop_size"] = json!({ "height": shapes.side, "width": shapes.side });
    let file = demo.processor.file.clone();
    Ok(ProcessorFile::of(file, Some(value.to_string())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blend::{Blend, Masks, Path, Score};
    use crate::checkpoint::CheckpointError;
    use crate::device::cpu::Cpu;
    use crate::lvlm::{Blueprint, SessionOptions, go_on, load};
    use crate::picture::Picture;
    use crate::selftest::throughput::shapes::{LLAVA_1_5_7B, TINY};

    const SIZE: (u32, u32) = (640, 480);

    /// Returns log-probabilities of an answer, and the gradient with respect to the mask.
    fn evaluated(seed: u64) -> (Vec<f64>, Vec<f64>) {
        let pool = pool(&TINY, seed).unwrap();
        let checkpoint = random_checkpoint(&TINY, &pool).unwrap();
        let model = load(checkpoint, Cpu::<f32>::new(2).unwrap()).unwrap();
        let grey = |v: u8| Picture::from_rgb(20, 16, vec![v; 20 * 16 * 3]).unwrap();
        let (picture, baseline) = (grey(250), grey(10));
        let prompt = model
            .prompt("What is there?", std::slice::from_ref(&picture))
            .unwrap();
        let options = SessionOptions {
            mask_size: 3,
            memory_budget: 1 << 28,
        };
        let mut session = model.start(&picture, &baseline, &prompt, options).unwrap();
        let scorer = session.scorer(&[5, 6, 7]).unwrap();
        let mask = [vec![0.5; 9]];
        let masks = Masks {
            size: 3,
            values: &mask,
        };
        let path = [Blend::whole(0, Path::Deletion)];
        let (values, gradients) = scorer
            .gradient(
                masks,
                &path,
                &[1.0],
                &[0, 2],
                Score::LogProbability,
                &mut go_on,
            )
            .unwrap();
        (values.concat(), gradients.concat())
    }

    #[test]
    fn a_random_model_runs_and_its_seed_decides_every_bit() {
        let (values, gradient) = evaluated(3);
        assert!(
            values.iter().all(|v| v.is_finite() && *v < 0.0),
            "{values:?}"
        );
        assert!(gradient.iter().all(|g| g.is_finite()), "{gradient:?}");
        assert!(gradient.iter().any(|g| g.abs() > 1e-6), "{gradient:?}");
        assert_eq!((values.clone(), gradient), evaluated(3));
        assert_ne!(values, evaluated(4).0);
    }

    #[test]
    fn a_pool_for_smaller_shapes_is_an_error() {
        let pool = pool(&TINY, 0).unwrap();
        let result = random_checkpoint(&LLAVA_1_5_7B, &pool);
        let error = result.unwrap_err();
        assert!(matches!(
            error,
            LvlmError::Checkpoint(CheckpointError::MissingTensor { .. })
        ));
    }

    /// The sizes are those of the published checkpoint: 7.06 billion parameters, without the
    /// encoder's last layer and its last norm.
    #[test]
    fn the_sizes_of_llava_1_5_are_its_own() {
        let demo = demo_checkpoint().unwrap();
        let config = config(&LLAVA_1_5_7B, &demo).unwrap();
        let tensors = expected_tensors(&config).unwrap();
        let layers = |part: &str| {
            tensors
                .iter()
                .filter(|(name, _)| name.ends_with(part))
                .count()
        };
        assert_eq!((layers("fc1.weight"), layers("gate_proj.weight")), (23, 32));
        let checkpoint = Checkpoint {
            processor: processor(&LLAVA_1_5_7B, &demo).unwrap(),
            config,
            ..demo
        };
        let blueprint = Blueprint {
            checkpoint: &checkpoint,
            picture: SIZE,
        };
        assert_eq!(blueprint.image_tokens().unwrap(), LLAVA_1_5_7B.visual);
        let count: usize = tensors
            .iter()
            .map(|(_, s)| s.iter().product::<usize>())
            .sum();
        assert!((7.04e9..7.08e9).contains(&(count as f64)), "{count}");
    }
}
