//! Tests of joining, cutting, scaling, adding and reshaping.

use super::naive::plus;
use super::support::{Random, assert_bits, assert_same, device, inner, matrix, values};
use crate::device::prelude::*;

#[test]
fn reshape_keeps_the_elements() {
    let (d, mut random) = (device::<f32>(), Random::new(61));
    for (rows, columns, to) in [(6, 4, 8), (6, 4, 3), (1, 7, 7), (4, 6, 24), (0, 6, 5)] {
        let (x, before) = random.matrix(&d, rows, columns);
        let y = d.reshape(x, to).unwrap();
        assert_eq!((y.rows(), y.columns()), (rows * columns / to, to));
        assert_bits("reshape", &values(&y), &before);
    }
}

#[test]
fn columns_are_scaled_and_added_to() {
    let (d, mut random) = (device::<f64>(), Random::new(62));
    for (rows, columns) in [(1, 1), (3, 7), (50, 24)] {
        let (x, xs) = random.matrix(&d, rows, columns);
        let (gain, gains) = random.matrix(&d, 1, columns);
        let (onto, ontos) = random.matrix(&d, rows, columns);
        let scaled: Vec<f64> = (0..rows * columns)
            .map(|i| xs[i] * gains[i % columns])
            .collect();
        let y = d.scale_columns(&x, &gain, None).unwrap();
        assert_same("scaled", &values(&y), &scaled);
        let y = d.scale_columns(&x, &gain, Some(&onto)).unwrap();
        assert_same("scaled onto", &values(&y), &plus(&scaled, &ontos));
        let sum = d.add(&x, &onto).unwrap();
        assert_same("sum", &values(&sum), &plus(&xs, &ontos));
        // The operation is linear, so it is its own vjp.
        let back = d.scale_columns(&onto, &gain, None).unwrap();
        let difference = inner(&scaled, &ontos) - inner(&xs, &values(&back));
        assert!(difference.abs() < 1e-9, "its own transpose");
    }
}

#[test]
fn columns_are_joined_and_taken_apart() {
    let (d, mut random) = (device::<f32>(), Random::new(63));
    for widths in [vec![3], vec![1, 5, 2], vec![8, 16, 8, 40], vec![2, 0, 3]] {
        let rows = 5;
        let parts: Vec<_> = widths
            .iter()
            .map(|&width| random.matrix(&d, rows, width))
            .collect();
        let all: Vec<_> = parts.iter().map(|part| &part.0).collect();
        let y = d.join_columns(&all).unwrap();
        let expected: Vec<f64> = (0..rows)
            .flat_map(|row| {
                parts
                    .iter()
                    .zip(&widths)
                    .map(move |(part, w)| (row, part, *w))
            })
            .flat_map(|(row, part, w)| part.1[row * w..][..w].to_vec())
            .collect();
        assert_bits("join", &values(&y), &expected);
        let mut from = 0;
        for (part, &width) in parts.iter().zip(&widths) {
            let taken = d.take_columns(&y, from, width).unwrap();
            assert_eq!((taken.rows(), taken.columns()), (rows, width));
            assert_bits("take", &values(&taken), &part.1);
            from += width;
        }
    }
    let none = matrix(&d, 0, 4, &[]);
    assert_eq!(d.join_columns(&[&none, &none]).unwrap().columns(), 8);
}
