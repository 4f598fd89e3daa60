//! Log-probabilities and their vjp.

use super::naive;
use super::naive::transpose;
use super::support::{
    FORWARD, Random, VJP, assert_calibrated, assert_same, assert_vjp, device, matrix, rows_of,
    values,
};
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
            .log_probability_vjp(logits, &head, &targets, &weights)
            .unwrap();
        assert_calibrated(&format!("{what} vjp"), &values(&dx), &plain, &exact, VJP);
    }
}

#[test]
fn log_probability_vjp_is_the_derivative() {
    let (d, mut random) = (device::<f64>(), Random::new(62));
    for (m, n, k) in SIZES {
        let (head, _) = random.weight(&d, n, k);
        let targets: Vec<u32> = (0..m).map(|_| random.below(n) as u32).collect();
        let (x, weights) = (random.values(m * k), random.values(m));
        let f = |x: &[f64]| {
            d.log_probability(&matrix(&d, m, k, x), &head, &targets)
                .unwrap()
                .0
        };
        let (_, logits) = d
            .log_probability(&matrix(&d, m, k, &x), &head, &targets)
            .unwrap();
        let dx = values(
            &d.log_probability_vjp(logits, &head, &targets, &weights)
                .unwrap(),
        );
        assert_vjp(
            &format!("{m} rows of {n}"),
            &mut random,
            f,
            &x,
            &weights,
            &dx,
        );
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
