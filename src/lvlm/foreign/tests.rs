//! Scores and gradients of a model outside of foveate.

use std::cell::Cell;

use super::*;
use crate::blend::{Noise, Path, Sampling};
use crate::lvlm::go_on;

const HEIGHT: usize = 5;
const WIDTH: usize = 7;
const LENGTH: usize = CHANNELS * HEIGHT * WIDTH;

/// A log-probability with a different weight for each element of a picture.
struct Weighted {
    /// The number of elements of gradients that are left out.
    missing: usize,
    largest_batch: Cell<usize>,
}

fn weight(at: usize) -> f64 {
    0.05 * (1.0 + 3.7 * at as f64).sin()
}

impl Weighted {
    fn new() -> Weighted {
        Weighted {
            missing: 0,
            largest_batch: Cell::new(0),
        }
    }
}

impl ForeignModel for Weighted {
    type Error = &'static str;

    fn scores(&self, batch: Vec<f32>, count: usize) -> std::result::Result<Vec<f64>, &'static str> {
        self.largest_batch.set(self.largest_batch.get().max(count));
        let score = |pixels: &[f32]| {
            let pixels = pixels.iter().enumerate();
            let z: f64 = pixels.map(|(at, &v)| weight(at) * f64::from(v)).sum();
            -((-z).exp().ln_1p())
        };
        match batch.iter().any(|&v| v > 50.0) {
            true => Err("too bright"),
            false => Ok(batch.chunks(LENGTH).map(score).collect()),
        }
    }

    fn gradients(
        &self,
        batch: Vec<f32>,
        count: usize,
    ) -> std::result::Result<(Vec<f64>, Vec<f32>), &'static str> {
        let scores = self.scores(batch, count)?;
        let all = scores.iter().flat_map(|score| {
            let slope = 1.0 - score.exp();
            (0..LENGTH).map(move |at| (slope * weight(at)) as f32)
        });
        let all = all.take(count * LENGTH - self.missing).collect();
        Ok((scores, all))
    }
}

fn pictures() -> (Vec<f32>, Vec<f32>) {
    let pixel = |at: usize, scale: f64| (scale * (0.3 + 1.9 * at as f64).cos()) as f32;
    let picture = (0..LENGTH).map(|at| pixel(at, 1.0)).collect();
    (picture, (0..LENGTH).map(|at| pixel(at + 11, 0.5)).collect())
}

fn given<'a>((picture, baseline): &'a (Vec<f32>, Vec<f32>)) -> ForeignPictures<'a> {
    ForeignPictures {
        height: HEIGHT,
        width: WIDTH,
        picture,
        baseline,
        visual_tokens: 9,
    }
}

fn blends() -> (Vec<Blend>, Vec<f64>) {
    let blend = |sampling, path, alpha, stream| Blend {
        sampling,
        path,
        alpha,
        noise: Some(Noise {
            deviation: 0.1,
            seed: 5,
            stream,
        }),
    };
    let blends = vec![
        blend(Sampling::One(0), Path::Deletion, 0.5, 0),
        blend(Sampling::Product(0, 1), Path::Insertion, 1.0, 1),
        blend(Sampling::One(1), Path::Insertion, 0.25, 2),
    ];
    (blends, vec![1.0, -0.7, 2.0])
}

fn masks() -> Vec<Vec<f64>> {
    let mask = |m: usize| {
        (0..9)
            .map(|c| 0.2 + 0.08 * ((c * 5 + m) % 9) as f64)
            .collect()
    };
    vec![mask(0), mask(4)]
}

#[test]
fn gradients_are_the_central_differences_of_both_scores() {
    let model = Weighted::new();
    let pair = pictures();
    let scorer = ForeignScorer::new(&model, given(&pair), 3, 2).unwrap();
    let (blends, weights) = blends();
    for score in [Score::LogProbability, Score::LogOdds] {
        let total = |values: &[Vec<f64>]| -> f64 {
            let masks = Masks { size: 3, values };
            let found = scorer.log_probabilities(masks, &blends, &[0], &mut go_on);
            let found = found.unwrap().into_iter().map(|tokens| tokens[0]);
            let of = |log: f64| match score {
                Score::LogProbability => log,
                Score::LogOdds => log - (-log.exp()).ln_1p(),
            };
            found
                .zip(&weights)
                .map(|(log, weight)| weight * of(log))
                .sum()
        };
        let values = masks();
        let on = Masks {
            size: 3,
            values: &values,
        };
        let (scores, gradients) = scorer
            .gradient(on, &blends, &weights, &[0], score, &mut go_on)
            .unwrap();
        assert_eq!(scores.len(), 3);
        for mask in 0..2 {
            for cell in 0..9 {
                let at = |step: f64| {
                    let mut values = values.clone();
                    values[mask][cell] += step;
                    total(&values)
                };
                let expected = (at(1e-2) - at(-1e-2)) / 2e-2;
                let found = gradients[mask][cell];
                // Pixels are f32.
                assert!(
                    (found - expected).abs() < 1e-4,
                    "{mask} {cell}: {found}, {expected}"
                );
            }
        }
    }
    assert_eq!(model.largest_batch.get(), 2);
}

#[test]
fn batches_change_no_bits() {
    let (pair, (blends, weights), values) = (pictures(), blends(), masks());
    let of = |batch| {
        let model = Weighted::new();
        let scorer = ForeignScorer::new(&model, given(&pair), 3, batch).unwrap();
        let masks = Masks {
            size: 3,
            values: &values,
        };
        let score = Score::LogProbability;
        scorer
            .gradient(masks, &blends, &weights, &[0], score, &mut go_on)
            .unwrap()
    };
    assert_eq!(of(1), of(3));
}

#[test]
fn what_does_not_fit_is_an_error() {
    let model = Weighted::new();
    let pair = pictures();
    let made = |given, batch| ForeignScorer::new(&model, given, 3, batch).map(drop);
    let good = given(&pair);
    assert!(made(good, 1).is_ok());
    let nan = vec![f32::NAN; LENGTH];
    for (given, batch) in [
        (ForeignPictures { height: 6, ..good }, 1),
        (
            ForeignPictures {
                height: usize::MAX,
                ..good
            },
            1,
        ),
        (
            ForeignPictures {
                height: 0,
                picture: &[],
                baseline: &[],
                ..good
            },
            1,
        ),
        (
            ForeignPictures {
                baseline: &nan,
                ..good
            },
            1,
        ),
        (
            ForeignPictures {
                visual_tokens: 0,
                ..good
            },
            1,
        ),
        (good, 0),
    ] {
        let error = made(given, batch).unwrap_err();
        assert!(matches!(error, LvlmError::Foreign { .. }), "{error}");
    }
    let values = masks();
    let masks = Masks {
        size: 3,
        values: &values,
    };
    let short = Weighted {
        missing: 1,
        ..Weighted::new()
    };
    let scorer = ForeignScorer::new(&short, good, 3, 4).unwrap();
    let (blends, weights) = blends();
    let ask = |scorer: &dyn Scorer, token, weights: &[f64]| {
        let score = Score::LogProbability;
        let found = scorer.gradient(masks, &blends, weights, &[token], score, &mut go_on);
        found.unwrap_err().to_string()
    };
    assert!(ask(&scorer, 0, &weights).starts_with("gradients: expected"));
    assert!(ask(&scorer, 1, &weights).starts_with("tokens: expected"));
    assert!(ask(&scorer, 0, &weights[1..]).starts_with("weights: expected"));
    let bright = (vec![99.0; LENGTH], vec![99.0; LENGTH]);
    let scorer = ForeignScorer::new(&model, given(&bright), 3, 4).unwrap();
    assert!(ask(&scorer, 0, &weights).contains("given up"));
    assert_eq!(scorer.failure(), Some("too bright"));
}
