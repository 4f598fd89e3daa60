//! Depthwise convolution and its vjp.

use super::naive;
use super::support::{
    FORWARD, Random, assert_bits, assert_calibrated, assert_same, assert_vjp, device, matrix,
    values,
};
use crate::device::DepthwiseShape;
use crate::device::cpu::{Cpu, CpuReal};
use crate::device::prelude::*;

/// Grids, height, width, size and channels: smaller and larger than the kernel, one column, one
/// row.
const CASES: [(usize, usize, usize, usize, usize); 7] = [
    (1, 1, 1, 1, 1),
    (2, 3, 4, 3, 2),
    (1, 5, 2, 7, 3),
    (2, 1, 9, 5, 1),
    (3, 4, 4, 1, 5),
    (2, 11, 13, 7, 33),
    (1, 16, 17, 7, 24),
];

fn forward<T: CpuReal>(
    d: &Cpu<T>,
    (x, kernel, bias): (&[f64], &[f64], &[f64]),
    shape: DepthwiseShape,
) -> Vec<f64> {
    let (channels, taps) = (bias.len(), shape.size * shape.size);
    let x = matrix(d, x.len() / channels, channels, x);
    let (kernel, bias) = (
        matrix(d, taps, channels, kernel),
        matrix(d, 1, channels, bias),
    );
    values(&d.depthwise(&x, &kernel, &bias, shape).unwrap())
}

#[test]
fn depthwise_equals_its_plain_statement_and_its_vjp_the_derivative() {
    let (f32s, d, mut random) = (device::<f32>(), device::<f64>(), Random::new(64));
    for (batch, height, width, size, channels) in CASES {
        let shape = DepthwiseShape {
            height,
            width,
            size,
        };
        let (rows, what) = (batch * height * width, format!("{shape:?} x {channels}"));
        let [x, dy, onto] = [(); 3].map(|()| random.values(rows * channels));
        let (kernel, bias) = (
            random.values(size * size * channels),
            random.values(channels),
        );
        let plain = |x: &[f64]| naive::depthwise::<f64>(x, &kernel, &bias, (height, width, size));
        let exact = plain(&x);
        assert_same(&what, &forward(&d, (&x, &kernel, &bias), shape), &exact);
        let single = naive::depthwise::<f32>(&x, &kernel, &bias, (height, width, size));
        let y = forward(&f32s, (&x, &kernel, &bias), shape);
        assert_calibrated(&what, &y, &single, &exact, FORWARD);

        let taps = matrix(&d, size * size, channels, &kernel);
        let slope = matrix(&d, rows, channels, &dy);
        let dx = values(&d.depthwise_vjp(&slope, &taps, shape, None).unwrap());
        assert_vjp(&what, &mut random, plain, &x, &dy, &dx);
        let base = matrix(&d, rows, channels, &onto);
        let added = d.depthwise_vjp(&slope, &taps, shape, Some(&base)).unwrap();
        assert_same(&what, &values(&added), &naive::plus(&dx, &onto));
    }
}

#[test]
fn grids_do_not_see_each_other() {
    let (d, mut random) = (device::<f32>(), Random::new(65));
    let shape = DepthwiseShape {
        height: 5,
        width: 6,
        size: 7,
    };
    let (x, kernel, bias) = (
        random.values(3 * 30 * 4),
        random.values(49 * 4),
        random.values(4),
    );
    let all = forward(&d, (&x, &kernel, &bias), shape);
    for (x, y) in x.chunks(120).zip(all.chunks(120)) {
        assert_bits("alone", &forward(&d, (x, &kernel, &bias), shape), y);
    }
}
