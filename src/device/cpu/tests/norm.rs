//! Normalisations and their vjps.

use super::naive;
use super::naive::plus;
use super::support::{
    FORWARD, Random, VJP, assert_calibrated, assert_same, assert_vjp, device, matrix, values,
};
use crate::device::cpu::{Cpu, CpuReal};
use crate::device::prelude::*;

/// Rows and columns.
const SIZES: [(usize, usize); 8] = [
    (1, 1),
    (3, 2),
    (5, 7),
    (2, 33),
    (17, 16),
    (33, 100),
    (19, 385),
    (50, 577),
];
const EPS: f64 = 1e-5;

/// x, gain, bias, dy and onto.
struct Case {
    rows: usize,
    columns: usize,
    x: Vec<f64>,
    gain: Vec<f64>,
    bias: Vec<f64>,
    dy: Vec<f64>,
    onto: Vec<f64>,
}

fn cases(random: &mut Random) -> Vec<Case> {
    let mut case = |(rows, columns): (usize, usize)| {
        let n = rows * columns;
        // A mean away from zero, as real activations have.
        let x = random.values(n).iter().map(|v| v + 0.75).collect();
        let (gain, bias) = (random.values(columns), random.values(columns));
        Case {
            rows,
            columns,
            x,
            gain,
            bias,
            dy: random.values(n),
            onto: random.values(n),
        }
    };
    SIZES.into_iter().map(&mut case).collect()
}

impl Case {
    fn layer<T: CpuReal>(&self, d: &Cpu<T>, x: &[f64]) -> Vec<f64> {
        let (gain, bias) = (
            matrix(d, 1, self.columns, &self.gain),
            matrix(d, 1, self.columns, &self.bias),
        );
        values(
            &d.layer_norm(&matrix(d, self.rows, self.columns, x), &gain, &bias, EPS)
                .unwrap()
                .0,
        )
    }

    fn layer_vjp<T: CpuReal>(&self, d: &Cpu<T>, onto: bool) -> Vec<f64> {
        let whole = |values: &[f64]| matrix(d, self.rows, self.columns, values);
        let (gain, bias) = (
            matrix(d, 1, self.columns, &self.gain),
            matrix(d, 1, self.columns, &self.bias),
        );
        let (x, dy, added) = (whole(&self.x), whole(&self.dy), whole(&self.onto));
        let statistics = d.layer_norm(&x, &gain, &bias, EPS).unwrap().1;
        values(
            &d.layer_norm_vjp(&x, &statistics, &gain, &dy, onto.then_some(&added))
                .unwrap(),
        )
    }

    fn rms<T: CpuReal>(&self, d: &Cpu<T>, x: &[f64]) -> Vec<f64> {
        let gain = matrix(d, 1, self.columns, &self.gain);
        values(
            &d.rms_norm(&matrix(d, self.rows, self.columns, x), &gain, EPS)
                .unwrap()
                .0,
        )
    }

    fn rms_vjp<T: CpuReal>(&self, d: &Cpu<T>, onto: bool) -> Vec<f64> {
        let whole = |values: &[f64]| matrix(d, self.rows, self.columns, values);
        let (gain, x, dy, added) = (
            matrix(d, 1, self.columns, &self.gain),
            whole(&self.x),
            whole(&self.dy),
            whole(&self.onto),
        );
        let statistics = d.rms_norm(&x, &gain, EPS).unwrap().1;
        values(
            &d.rms_norm_vjp(&x, &statistics, &gain, &dy, onto.then_some(&added))
                .unwrap(),
        )
    }
}

#[test]
fn layer_norm_equals_its_plain_statement() {
    let (f32s, f64s) = (device::<f32>(), device::<f64>());
    for c in cases(&mut Random::new(31)) {
        let what = format!("layer_norm {} x {}", c.rows, c.columns);
        let exact = naive::layer_norm::<f64>(&c.x, &c.gain, &c.bias, EPS);
        let plain = naive::layer_norm::<f32>(&c.x, &c.gain, &c.bias, EPS);
        assert_same(&what, &c.layer(&f64s, &c.x), &exact);
        assert_calibrated(&what, &c.layer(&f32s, &c.x), &plain, &exact, FORWARD);
        let exact = naive::layer_norm_vjp::<f64>(&c.x, &c.gain, EPS, &c.dy);
        let plain = naive::layer_norm_vjp::<f32>(&c.x, &c.gain, EPS, &c.dy);
        assert_calibrated(
            &format!("{what} vjp"),
            &c.layer_vjp(&f32s, false),
            &plain,
            &exact,
            VJP,
        );
    }
}

#[test]
fn rms_norm_equals_its_plain_statement() {
    let (f32s, f64s) = (device::<f32>(), device::<f64>());
    for c in cases(&mut Random::new(32)) {
        let what = format!("rms_norm {} x {}", c.rows, c.columns);
        let exact = naive::rms_norm::<f64>(&c.x, &c.gain, EPS);
        let plain = naive::rms_norm::<f32>(&c.x, &c.gain, EPS);
        assert_same(&what, &c.rms(&f64s, &c.x), &exact);
        assert_calibrated(&what, &c.rms(&f32s, &c.x), &plain, &exact, FORWARD);
        let exact = naive::rms_norm_vjp::<f64>(&c.x, &c.gain, EPS, &c.dy);
        let plain = naive::rms_norm_vjp::<f32>(&c.x, &c.gain, EPS, &c.dy);
        assert_calibrated(
            &format!("{what} vjp"),
            &c.rms_vjp(&f32s, false),
            &plain,
            &exact,
            VJP,
        );
    }
}

#[test]
fn norm_vjps_are_the_derivatives_plus_onto() {
    let (d, mut random) = (device::<f64>(), Random::new(33));
    for c in cases(&mut random) {
        let what = format!("{} x {}", c.rows, c.columns);
        let dx = c.layer_vjp(&d, false);
        // With one or two columns the output is constant except for eps, whose scale the
        // differences cannot resolve.
        if c.columns > 2 {
            assert_vjp(
                &format!("layer_norm {what}"),
                &mut random,
                |x| c.layer(&d, x),
                &c.x,
                &c.dy,
                &dx,
            );
        }
        assert_same(
            "layer_norm onto",
            &c.layer_vjp(&d, true),
            &plus(&dx, &c.onto),
        );
        let dx = c.rms_vjp(&d, false);
        if c.columns > 1 {
            assert_vjp(
                &format!("rms_norm {what}"),
                &mut random,
                |x| c.rms(&d, x),
                &c.x,
                &c.dy,
                &dx,
            );
        }
        assert_same("rms_norm onto", &c.rms_vjp(&d, true), &plus(&dx, &c.onto));
    }
}

#[test]
fn equal_values_normalise_to_the_bias() {
    let d = device::<f32>();
    let (x, gain) = (matrix(&d, 2, 5, &[3.5; 10]), matrix(&d, 1, 5, &[2.0; 5]));
    let bias = [0.0, 1.0, -1.0, 0.5, 7.0];
    let (y, statistics) = d
        .layer_norm(&x, &gain, &matrix(&d, 1, 5, &bias), EPS)
        .unwrap();
    assert_eq!(values(&y), [bias, bias].concat());
    let dx = d.layer_norm_vjp(&x, &statistics, &gain, &x, None).unwrap();
    assert!(d.is_finite(&dx).unwrap());
}
