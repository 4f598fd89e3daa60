//! Activations, the gated product, and their vjps.

use super::naive;
use super::support::{
    FORWARD, Random, VJP, assert_calibrated, assert_same, assert_vjp, device, matrix, values,
};
use crate::checkpoint::Activation;
use crate::device::prelude::*;

const KINDS: [Activation; 5] = [
    Activation::Gelu,
    Activation::GeluTanh,
    Activation::QuickGelu,
    Activation::Silu,
    Activation::Relu,
];
/// Rows and columns; the last is longer than one task's part.
const SIZES: [(usize, usize); 4] = [(1, 1), (7, 13), (3, 33), (131, 257)];

/// Returns an activation's derivative by the five-point central difference of its definition in
/// f64.
fn derivative(kind: Activation, x: f64) -> f64 {
    let (h, f) = (1e-3, |x: f64| naive::activation::<f64>(kind, x));
    (8.0 * (f(x + h) - f(x - h)) - (f(x + 2.0 * h) - f(x - 2.0 * h))) / (12.0 * h)
}

#[test]
fn activations_equal_their_definitions() {
    let (f32s, f64s) = (device::<f32>(), device::<f64>());
    let points: Vec<f64> = (-2400..=2400)
        .map(|i| f64::from(i as f32 * 0.0125))
        .collect();
    for kind in KINDS {
        let exact: Vec<f64> = points
            .iter()
            .map(|&x| naive::activation::<f64>(kind, x))
            .collect();
        let y = values(
            &f64s
                .activation(kind, &matrix(&f64s, 1, points.len(), &points))
                .unwrap(),
        );
        assert_same(&format!("{kind:?}"), &y, &exact);
        let y = values(
            &f32s
                .activation(kind, &matrix(&f32s, 1, points.len(), &points))
                .unwrap(),
        );
        // By magnitude, so that small values near zero and in the left tail are checked too.
        for range in [0.0..0.1, 0.1..1.0, 1.0..6.0, 6.0..31.0] {
            let near: Vec<usize> = (0..points.len())
                .filter(|&i| range.contains(&points[i].abs()))
                .collect();
            let pick = |values: &[f64]| near.iter().map(|&i| values[i]).collect::<Vec<_>>();
            let plain: Vec<f64> = near
                .iter()
                .map(|&i| naive::activation::<f32>(kind, points[i]))
                .collect();
            assert_calibrated(
                &format!("{kind:?} in {range:?}"),
                &pick(&y),
                &plain,
                &pick(&exact),
                FORWARD,
            );
        }
    }
}

#[test]
fn activations_have_their_limits() {
    let d = device::<f32>();
    for kind in KINDS {
        let x = matrix(&d, 1, 6, &[-1e4, -200.0, -90.0, 90.0, 200.0, 1e4]);
        let y = values(&d.activation(kind, &x).unwrap());
        assert!(
            y[..3].iter().all(|v| v.abs() < 1e-30),
            "{kind:?} far left: {y:?}"
        );
        assert_eq!(y[3..], [90.0, 200.0, 1e4], "{kind:?} far right");
        let slopes = values(
            &d.activation_vjp(kind, &x, matrix(&d, 1, 6, &[1.0; 6]))
                .unwrap(),
        );
        assert!(
            slopes[..3].iter().all(|v| v.abs() < 1e-20),
            "{kind:?} slope far left: {slopes:?}"
        );
        assert_eq!(slopes[3..], [1.0; 3], "{kind:?} slope far right");
        let y = d.activation(kind, &matrix(&d, 1, 1, &[f64::NAN])).unwrap();
        assert!(
            !d.is_finite(&y).unwrap(),
            "{kind:?}: a NaN must stay visible"
        );
    }
}

/// Returns the values away from 0, where ReLU has no derivative.
fn smooth(kind: Activation, mut x: Vec<f64>) -> Vec<f64> {
    if kind == Activation::Relu {
        x.iter_mut().for_each(|x| *x += 0.05f64.copysign(*x));
    }
    x
}

#[test]
fn activation_vjps_are_the_derivatives() {
    let (f32s, d, mut random) = (device::<f32>(), device::<f64>(), Random::new(41));
    for kind in KINDS {
        for (m, n) in SIZES {
            let what = format!("{kind:?} {m} x {n}");
            let x = random.values(m * n).iter().map(|v| 3.0 * v).collect();
            let x = smooth(kind, x);
            let dy = random.values(m * n);
            let f = |x: &[f64]| values(&d.activation(kind, &matrix(&d, m, n, x)).unwrap());
            let dx = values(
                &d.activation_vjp(kind, &matrix(&d, m, n, &x), matrix(&d, m, n, &dy))
                    .unwrap(),
            );
            assert_vjp(&what, &mut random, f, &x, &dy, &dx);
            let x32 = f32s
                .upload(m, n, &x.iter().map(|&v| v as f32).collect::<Vec<_>>())
                .unwrap();
            let exact: Vec<f64> = (0..m * n)
                .map(|i| dy[i] * derivative(kind, f64::from(x32.values[i])))
                .collect();
            let plain = |i: usize| {
                f64::from(
                    dy[i] as f32 * naive::derivative::<f32>(kind, x32.values[i].into()) as f32,
                )
            };
            let plain: Vec<f64> = (0..m * n).map(plain).collect();
            let dx = values(
                &f32s
                    .activation_vjp(kind, &x32, matrix(&f32s, m, n, &dy))
                    .unwrap(),
            );
            assert_calibrated(&what, &dx, &plain, &exact, VJP);
        }
    }
}

#[test]
fn the_gated_product_and_its_vjp() {
    let (f32s, d, mut random) = (device::<f32>(), device::<f64>(), Random::new(42));
    for kind in KINDS {
        for (m, n) in SIZES {
            let what = format!("gate {kind:?} {m} x {n}");
            let (g, u, dy) = (
                smooth(kind, random.values(m * n)),
                random.values(m * n),
                random.values(m * n),
            );
            let run = |g: &[f64], u: &[f64]| {
                values(
                    &d.gate(kind, &matrix(&d, m, n, g), &matrix(&d, m, n, u))
                        .unwrap(),
                )
            };
            let exact: Vec<f64> = (0..m * n)
                .map(|i| naive::activation::<f64>(kind, g[i]) * u[i])
                .collect();
            assert_same(&what, &run(&g, &u), &exact);
            let plain: Vec<f64> = (0..m * n)
                .map(|i| f64::from(naive::activation::<f32>(kind, g[i]) as f32 * u[i] as f32))
                .collect();
            let y = f32s
                .gate(kind, &matrix(&f32s, m, n, &g), &matrix(&f32s, m, n, &u))
                .unwrap();
            assert_calibrated(&what, &values(&y), &plain, &exact, FORWARD);
            let (dg, du) = d
                .gate_vjp(
                    kind,
                    &matrix(&d, m, n, &g),
                    &matrix(&d, m, n, &u),
                    matrix(&d, m, n, &dy),
                )
                .map(|(dg, du)| (values(&dg), values(&du)))
                .unwrap();
            assert_vjp(
                &format!("{what} by the gate"),
                &mut random,
                |x| run(x, &u),
                &g,
                &dy,
                &dg,
            );
            assert_vjp(
                &format!("{what} by the value"),
                &mut random,
                |x| run(&g, x),
                &u,
                &dy,
                &du,
            );
        }
    }
}
