//! Errors of a program that embeds the engine: each returns an error and never panics.

use foveate::blend::{Blend, Masks, Path, Score};
use foveate::lvlm::{LvlmError, Prompt, SessionOptions, go_on};
use foveate::{Cpu, Picture, open};

const OPTIONS: SessionOptions = SessionOptions {
    mask_size: 4,
    memory_budget: 1 << 28,
};

fn picture() -> Picture {
    Picture::from_rgb(2, 2, vec![128; 12]).unwrap()
}

#[test]
fn prompts_of_another_model() {
    let model = open(None, Cpu::<f32>::new(1).unwrap()).unwrap();
    let good = model.prompt("What color is it?", &[picture()]).unwrap();
    let image = good.ids.iter().position(|&id| id == 3).unwrap();
    let mut short = good.ids.clone();
    short.remove(image);
    for (ids, images) in [(vec![], 0), (vec![1, 2], 0), (vec![3; 9], 9), (short, 63)] {
        let prompt = Prompt {
            ids,
            ..good.clone()
        };
        match model
            .start(&picture(), &picture(), &prompt, OPTIONS)
            .map(|_| ())
        {
            Err(LvlmError::Prompt { expected, found }) => {
                assert_eq!((expected, found), (64, images))
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn questions_to_a_session_that_do_not_fit() {
    let model = open(None, Cpu::<f32>::new(1).unwrap()).unwrap();
    let prompt = model.prompt("What color is it?", &[picture()]).unwrap();
    let mut session = model
        .start(&picture(), &picture(), &prompt, OPTIONS)
        .unwrap();
    let mask = [vec![1.0; 16]];
    let masks = Masks {
        size: 4,
        values: &mask,
    };
    let blends = [Blend::whole(0, Path::Deletion)];
    let ask = |scorer: &dyn foveate::lvlm::Scorer, tokens: &[usize], weights: &[f64]| {
        scorer
            .gradient(
                masks,
                &blends,
                weights,
                tokens,
                Score::LogProbability,
                &mut go_on,
            )
            .map(|_| ())
    };
    assert!(matches!(
        session.scorer(&[]).map(drop),
        Err(LvlmError::EmptyAnswer)
    ));
    assert!(matches!(
        session.scorer(&[3]).map(drop),
        Err(LvlmError::BadToken { found: 3, .. })
    ));
    assert!(matches!(
        session.scorer(&[9999]).map(drop),
        Err(LvlmError::BadToken { found: 9999, .. })
    ));
    assert!(matches!(
        session.scorer(&[5; 600]).map(drop),
        Err(LvlmError::TooLong { limit: 512, .. })
    ));
    // One answer after another.
    let scorer = session.scorer(&[5]).unwrap();
    assert!(ask(&*scorer, &[0], &[1.0]).is_ok());
    drop(scorer);
    let scorer = session.scorer(&[5, 6]).unwrap();
    assert!(ask(&*scorer, &[0, 1], &[1.0]).is_ok());
    let beyond = ask(&*scorer, &[2], &[1.0]);
    assert!(
        matches!(
            beyond,
            Err(LvlmError::Token {
                answer: 2,
                found: 2
            })
        ),
        "{beyond:?}"
    );
    for token in [usize::MAX, 1 << 40] {
        let beyond = ask(&*scorer, &[0, token], &[1.0]);
        assert!(matches!(beyond, Err(LvlmError::Token { answer: 2, .. })));
    }
    let weights = ask(&*scorer, &[0], &[1.0, 1.0]);
    assert!(
        matches!(
            weights,
            Err(LvlmError::Weights {
                expected: 1,
                found: 2,
                ..
            })
        ),
        "{weights:?}"
    );
    // A mask of another size, and one that does not exist.
    let small = [vec![1.0; 9]];
    let masks = Masks {
        size: 3,
        values: &small,
    };
    assert!(
        scorer
            .log_probabilities(masks, &blends, &[0], &mut go_on)
            .is_err()
    );
    let masks = Masks {
        size: 4,
        values: &[],
    };
    assert!(
        scorer
            .log_probabilities(masks, &blends, &[0], &mut go_on)
            .is_err()
    );
}
