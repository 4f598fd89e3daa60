//! Log-probabilities and their vjp.

use super::naive;
use super::naive::transpose;
use super::support::{
    FORWARD, Random, VJP, assert_calibrated, assert_same, assert_vjp, device, matrix, rows_of,
    values,
};
use crate::blend::Score;
use crate::checkpoint::{Dtype, Tensor};
use crate::device::cpu::{Cpu, CpuReal};
use crate::device::prelude::*;

/// Rows, vocabulary, columns.
const SIZES: [(usize, usize, usize); 5] = [
    (1, 1, 1),
    (3, 7, 5),
    (2, 33, 17),
    (13, 257, 31),
    (5, 1031, 67),
];

#[test]
fn log_probability_equals_its_plain_statement() {
    let (f32s, f64s, mut random) = (device::<f32>(), device::<f64>(), Random::new(61));
    for (m, n, k) in SIZES {
        let what = format!("{m} rows of {n}");
        let (head, w) = random.weight(&f32s, n, k);
        let x: Vec<f64> = random.values(m * k).iter().map(|v| 2.0 * v).collect();
        let targets: Vec<u32> = (0..m).map(|_| random.below(n) as u32).collect();
        let all = |logits: &[f64], f: &dyn Fn(&[f64], usize) -> f64| -> Vec<f64> {
            logits
                .chunks(n)
                .zip(&targets)
                .map(|(row, &t)| f(row, t as usize))
                .collect()
        };
        let exact = all(
            &naive::linear::<f64>(&x, &w, m, n, k),
            &naive::log_probability::<f64>,
        );
        let plain = all(
            &naive::linear::<f32>(&x, &w, m, n, k),
            &naive::log_probability::<f32>,
        );
        let (found, _) = f64s
            .log_probability(&matrix(&f64s, m, k, &x), &head, &targets)
            .unwrap();
        assert_same(&what, &found, &exact);
        let (found, logits) = f32s
            .log_probability(&matrix(&f32s, m, k, &x), &head, &targets)
            .unwrap();
        assert_calibrated(&what, &found, &plain, &exact, FORWARD);

        let weights = random.values(m);
        // weight * (one_hot - softmax) W, computed naively.
        let gradient = |logits: &[f64], f: &dyn Fn(&[f64], usize) -> f64| -> Vec<f64> {
            let row = |(i, row): (usize, &[f64])| {
                let target = targets[i] as usize;
                let hot = |j: usize| if j == target { 1.0 } else { 0.0 };
                (0..n)
                    .map(|j| weights[i] * (hot(j) - f(row, j).exp()))
                    .collect::<Vec<_>>()
            };
            logits.chunks(n).enumerate().flat_map(row).collect()
        };
        let exact = gradient(
            &naive::linear::<f64>(&x, &w, m, n, k),
            &naive::log_probability::<f64>,
        );
        let plain = gradient(
            &naive::linear::<f32>(&x, &w, m, n, k),
            &naive::log_probability::<f32>,
        );
        let exact = naive::linear::<f64>(&exact, &transpose(&w, n, k), m, k, n);
        let plain = naive::linear::<f32>(&plain, &transpose(&w, n, k), m, k, n);
        let dx = f32s
            .log_probability_vjp(
                logits,
                &head,
                &targets,
                &f32s.weigh(&weights, Score::LogProbability).unwrap(),
            )
            .unwrap();
        assert_calibrated(&format!("{what} vjp"), &values(&dx), &plain, &exact, VJP);
    }
}

#[test]
fn the_vjp_is_the_derivative_of_the_score() {
    let (d, mut random) = (device::<f64>(), Random::new(62));
    for (m, n, k) in SIZES {
        for score in [Score::LogProbability, Score::LogOdds] {
            if n == 1 && score == Score::LogOdds {
                // The only token has no odds.
                continue;
            }
            let (head, _) = random.weight(&d, n, k);
            let targets: Vec<u32> = (0..m).map(|_| random.below(n) as u32).collect();
            let (x, weights) = (random.values(m * k), random.values(m));
            let f = |x: &[f64]| -> Vec<f64> {
                let (values, _) = d
                    .log_probability(&matrix(&d, m, k, x), &head, &targets)
                    .unwrap();
                match score {
                    Score::LogProbability => values,
                    Score::LogOdds => values.iter().map(|l| l - (-l.exp_m1()).ln()).collect(),
                }
            };
            let (_, logits) = d
                .log_probability(&matrix(&d, m, k, &x), &head, &targets)
                .unwrap();
            let on = d.weigh(&weights, score).unwrap();
            let dx = values(&d.log_probability_vjp(logits, &head, &targets, &on).unwrap());
            let what = format!("{score:?}, {m} rows of {n}");
            assert_vjp(&what, &mut random, f, &x, &weights, &dx);
        }
    }
}

/// Where p is 1 to the last bit of an f32, log p has no gradient that an f32 could hold, and the
/// log-odds still have theirs.
#[test]
fn log_odds_keep_their_gradient_where_the_model_is_certain() {
    let (d, exact) = (device::<f32>(), device::<f64>());
    let mut random = Random::new(64);
    let (n, k) = (9, 64);
    let (tensor, head) = random.tensor(Dtype::F32, n, k, false);
    let x: Vec<f64> = head[..k].iter().map(|w| 8.0 * w).collect();
    fn gradient<T: CpuReal>(d: &Cpu<T>, tensor: &Tensor, x: &[f64]) -> (f64, Vec<f64>) {
        let head = d.weight(tensor).unwrap();
        let (logp, logits) = d
            .log_probability(&matrix(d, 1, x.len(), x), &head, &[0])
            .unwrap();
        let weights = d.weigh(&[1.0], Score::LogOdds).unwrap();
        let dx = d.log_probability_vjp(logits, &head, &[0], &weights);
        (logp[0].exp(), values(&dx.unwrap()))
    }
    let (p, found) = gradient(&d, &tensor, &x);
    let (_, right) = gradient(&exact, &tensor, &x);
    assert!(p > 1.0 - 1e-6, "{p}");
    let size = right.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
    for (found, right) in found.iter().zip(&right) {
        assert!((found - right).abs() < 1e-3 * size, "{found} {right}");
    }
}

#[test]
fn probabilities_of_a_row_sum_to_one() {
    let (d, mut random) = (device::<f32>(), Random::new(63));
    let (n, k) = (513, 33);
    let (head, _) = random.weight(&d, n, k);
    let x: Vec<f64> = random.values(k).iter().map(|v| 30.0 * v).collect();
    let one = matrix(&d, 1, k, &x);
    let all = matrix(&d, n, k, &x.repeat(n));
    let targets: Vec<u32> = (0..n as u32).collect();
    let (values, _) = d.log_probability(&all, &head, &targets).unwrap();
    let total: f64 = values.iter().map(|v| v.exp()).sum();
    assert!((total - 1.0).abs() < 1e-4, "{total}");
    let (first, _) = d
        .log_probability(&rows_of(&d, &one, 0, 1), &head, &[0])
        .unwrap();
    assert_eq!(first[0].to_bits(), values[0].to_bits());
}
