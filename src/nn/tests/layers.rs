//! Linear, norms, perceptrons.

use super::{linear, mlp, norm, on};
use crate::device::cpu::tests::support::{Random, assert_same, assert_vjp, device, values};
use crate::nn::NnError;

#[test]
fn linear_and_its_vjp() {
    let (d, mut random) = (device(), Random::new(101));
    for (rows, out, inputs) in [(3, 5, 7), (33, 37, 19)] {
        let layer = linear(&mut random, &d, out, inputs, true);
        let (x, dy) = (random.values(rows * inputs), random.values(rows * out));
        let (residual, onto) = (random.values(rows * out), random.values(rows * inputs));
        let f = |x: &[f64]| values(&layer.forward(&d, &on(&d, inputs, x)).unwrap());
        let dx = values(&layer.vjp(&d, &on(&d, out, &dy), None).unwrap());
        assert_vjp("linear", &mut random, f, &x, &dy, &dx);
        let plus = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a + b).collect::<Vec<_>>();
        let y = layer
            .forward_onto(&d, &on(&d, inputs, &x), &on(&d, out, &residual))
            .unwrap();
        assert_same("forward_onto", &values(&y), &plus(&f(&x), &residual));
        let added = layer
            .vjp(&d, &on(&d, out, &dy), Some(&on(&d, inputs, &onto)))
            .unwrap();
        assert_same("vjp onto", &values(&added), &plus(&dx, &onto));
    }
}

#[test]
fn norms_and_their_vjps() {
    let (d, mut random) = (device(), Random::new(102));
    for (rows, columns, layer) in [(3, 7, true), (3, 7, false), (31, 65, true), (31, 65, false)] {
        let norm = norm(&mut random, &d, columns, layer);
        let (x, dy) = (random.values(rows * columns), random.values(rows * columns));
        let f = |x: &[f64]| values(&norm.forward(&d, &on(&d, columns, x)).unwrap().0);
        let (_, statistics) = norm.forward(&d, &on(&d, columns, &x)).unwrap();
        let dx = norm
            .vjp(
                &d,
                &on(&d, columns, &x),
                &statistics,
                &on(&d, columns, &dy),
                None,
            )
            .unwrap();
        assert_vjp(
            &format!("norm {layer}"),
            &mut random,
            f,
            &x,
            &dy,
            &values(&dx),
        );
    }
}

#[test]
fn perceptrons_and_their_vjps() {
    let (d, mut random) = (device(), Random::new(103));
    for (rows, columns, inner, gated) in [
        (3, 5, 7, false),
        (3, 5, 7, true),
        (35, 17, 41, false),
        (35, 17, 41, true),
    ] {
        let layer = mlp(&mut random, &d, columns, inner, gated);
        let (x, dy, residual) = (
            random.values(rows * columns),
            random.values(rows * columns),
            random.values(rows * columns),
        );
        let f = |x: &[f64]| values(&layer.forward(&d, &on(&d, columns, x), None).unwrap().0);
        let (y, saved) = layer
            .forward(&d, &on(&d, columns, &x), Some(&on(&d, columns, &residual)))
            .unwrap();
        let expected: Vec<f64> = f(&x).iter().zip(&residual).map(|(a, b)| a + b).collect();
        assert_same("with a residual", &values(&y), &expected);
        let dx = layer.vjp(&d, saved, &on(&d, columns, &dy)).unwrap();
        assert_vjp(
            &format!("mlp, gated {gated}"),
            &mut random,
            f,
            &x,
            &dy,
            &values(&dx),
        );
    }
}

#[test]
fn sizes_that_do_not_fit_are_errors() {
    let (d, mut random) = (device(), Random::new(104));
    let layer = mlp(&mut random, &d, 5, 7, true);
    let result = layer.forward(&d, &on(&d, 6, &[0.0; 12]), None);
    assert!(matches!(result.err(), Some(NnError::Device(_))));
}
