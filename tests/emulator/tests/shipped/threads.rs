//! Tests of several threads on one device.

use std::sync::Barrier;
use std::thread;

use foveate::blend::Path;
use foveate::blend::{Blend, Masks, Score};
use foveate::device::cuda::{Cuda, Storage};
use foveate::lvlm::{Lvlm, SessionOptions, go_on, open};
use foveate::picture::{Baseline, Picture};

use super::emulator::Emulator;
use super::program::root;

/// The results of a session, round by round: log-probabilities, and gradients.
type Rounds = Vec<(Vec<Vec<f64>>, Vec<Vec<f64>>)>;

const ROUNDS: usize = 4;
const SIZE: usize = 4;

/// Runs a session on a picture: gradients and log-probabilities, recorded in the second round and
/// replayed from the third on. All threads begin each round together.
fn rounds(model: &dyn Lvlm, picture: &str, answer: &[u32], together: &Barrier) -> Rounds {
    let picture = Picture::open(&root().join("tests/oracle/images").join(picture)).unwrap();
    let baseline = Baseline::Zero.of(&picture, 0);
    let prompt = model
        .prompt("What color is the circle?", std::slice::from_ref(&picture))
        .unwrap();
    let options = SessionOptions {
        mask_size: SIZE,
        memory_budget: 1 << 30,
    };
    let mut session = model.start(&picture, &baseline, &prompt, options).unwrap();
    let scorer = session.scorer(answer).unwrap();
    let tokens: Vec<usize> = (0..answer.len()).collect();
    let blends = [Path::Deletion, Path::Insertion].map(|d| Blend::whole(0, d));
    let round = |n: usize| {
        together.wait();
        let mask = [vec![n as f64 / ROUNDS as f64; SIZE * SIZE]];
        let masks = Masks {
            size: SIZE,
            values: &mask,
        };
        let (_, gradients) = scorer
            .gradient(
                masks,
                &blends,
                &[1.0, -1.0],
                &tokens,
                Score::LogProbability,
                &mut go_on,
            )
            .unwrap();
        let values = scorer
            .log_probabilities(masks, &blends, &tokens, &mut go_on)
            .unwrap();
        (values, gradients)
    };
    (1..=ROUNDS).map(round).collect()
}

#[test]
fn emulated_sessions_of_two_threads_do_not_disturb_each_other() {
    let _emulator = Emulator::load();
    let folder = root().join("tests/oracle/models/tiny-llava");
    let model = open(Some(&folder), Cuda::new(0, Storage::F16).unwrap()).unwrap();
    let sessions: [(&str, &[u32]); 2] = [("cat.png", &[20, 21, 22]), ("rocket.png", &[30, 31])];
    let alone =
        sessions.map(|(picture, answer)| rounds(&*model, picture, answer, &Barrier::new(1)));
    let together = Barrier::new(2);
    let both = thread::scope(|scope| {
        sessions
            .map(|(picture, answer)| scope.spawn(|| rounds(&*model, picture, answer, &together)))
            .map(|thread| thread.join().unwrap())
    });
    assert_eq!(both, alone);
}
