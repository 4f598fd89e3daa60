//! Tests of the steady state of an optimisation: no allocations, one graph launch per batch, and
//! only masks, gradients and log-probabilities are copied.

use foveate::blend::Path;
use foveate::blend::{Blend, Masks, Sampling, Score};
use foveate::device::cuda::{Cuda, Storage};
use foveate::lvlm::{SessionOptions, go_on, open};
use foveate::picture::{Baseline, Picture};

use super::emulator::Emulator;
use super::program::root;

#[test]
fn emulated_steady_state_allocates_nothing_and_copies_masks_and_gradients_only() {
    let emulator = Emulator::load();
    let folder = root().join("tests/oracle/models/tiny-llava");
    let model = open(Some(&folder), Cuda::new(0, Storage::F16).unwrap()).unwrap();
    let picture = Picture::open(&root().join("tests/oracle/images/cat.png")).unwrap();
    let baseline = Baseline::Zero.of(&picture, 0);
    let prompt = model
        .prompt("What color is the circle?", std::slice::from_ref(&picture))
        .unwrap();
    let (size, blends_count) = (6, 4);
    let options = SessionOptions {
        mask_size: size,
        memory_budget: 1 << 30,
    };
    let mut session = model.start(&picture, &baseline, &prompt, options).unwrap();
    let scorer = session.scorer(&[20, 21, 22]).unwrap();
    let tokens = [0, 2];
    let blends: Vec<Blend> = (1..=blends_count)
        .map(|n| Blend {
            sampling: Sampling::One(0),
            path: if n % 2 == 0 {
                Path::Deletion
            } else {
                Path::Insertion
            },
            alpha: n as f64 / blends_count as f64,
            noise: None,
        })
        .collect();
    let weights = vec![0.25; blends.len()];
    let gradient = |value: f64| {
        let values = [vec![value; size * size]];
        let masks = Masks {
            size,
            values: &values,
        };
        scorer
            .gradient(
                masks,
                &blends,
                &weights,
                &tokens,
                Score::LogProbability,
                &mut go_on,
            )
            .unwrap()
    };
    let first = gradient(0.5);
    let captured = gradient(0.5);
    assert_eq!(
        first, captured,
        "a captured graph gives the bits of the operations one by one"
    );

    emulator.reset();
    let replayed = gradient(0.5);
    let other = gradient(0.25);
    assert_eq!(first, replayed, "and so does its replay");
    assert_ne!(first.1, other.1, "a replay reads the new mask");
    for call in [
        "cuMemAllocAsync",
        "cuMemAlloc_v2",
        "cuMemHostAlloc",
        "cuMemFreeAsync",
        "cuLaunchKernel",
        "cuModuleLoadData",
        "cuGraphInstantiateWithFlags",
    ] {
        assert_eq!(emulator.calls(call), 0, "{call}");
    }
    assert_eq!(emulator.calls("cuGraphLaunch"), 2, "one graph per batch");
    assert_eq!(emulator.runs("blend_f16"), 2, "which holds the kernels");
    let cells = (size * size) as u64;
    let rows = blends.len() as u64 * tokens.len() as u64;
    // f32 masks and weights, 36 bytes for each blend.
    assert_eq!(
        emulator.bytes(0),
        2 * (4 * cells + 36 * blends.len() as u64 + 4 * rows)
    );
    // f32 gradients and log-probabilities.
    assert_eq!(emulator.bytes(1), 2 * (4 * cells + 4 * rows));
}
