//! LayerNorm at the encoder's shape, RMSNorm at the decoder's.

use std::cell::LazyCell;

use criterion::{Criterion, Throughput};

use super::device::{Timed, group, matrix, time};
use super::shapes::Shapes;

const EPS: f64 = 1e-5;

/// The benches of this family.
pub fn benches<D: Timed>(c: &mut Criterion, device: &D, shapes: &Shapes) {
    let mut group = group(c, "norm", device, shapes);
    let (rows, columns) = (shapes.batch * shapes.encoder.rows, shapes.encoder.columns);
    let x = LazyCell::new(|| matrix(device, rows, columns));
    let gain = LazyCell::new(|| matrix(device, 1, columns));
    let bias = LazyCell::new(|| matrix(device, 1, columns));
    group.throughput(Throughput::Elements((rows * columns) as u64));
    group.bench_function("layer/forward", |b| {
        let (x, gain, bias) = (&*x, &*gain, &*bias);
        time(b, device, || device.layer_norm(x, gain, bias, EPS));
    });
    group.bench_function("layer/vjp", |b| {
        let (x, gain, bias) = (&*x, &*gain, &*bias);
        let (_, statistics) = device.layer_norm(x, gain, bias, EPS).expect("sizes fit");
        time(b, device, || {
            device.layer_norm_vjp(x, &statistics, gain, x, Some(x))
        });
    });

    let (rows, columns) = (shapes.batch * shapes.decoder.rows, shapes.decoder.columns);
    let x = LazyCell::new(|| matrix(device, rows, columns));
    let gain = LazyCell::new(|| matrix(device, 1, columns));
    group.throughput(Throughput::Elements((rows * columns) as u64));
    group.bench_function("rms/forward", |b| {
        let (x, gain) = (&*x, &*gain);
        time(b, device, || device.rms_norm(x, gain, EPS));
    });
    group.bench_function("rms/vjp", |b| {
        let (x, gain) = (&*x, &*gain);
        let (_, statistics) = device.rms_norm(x, gain, EPS).expect("sizes fit");
        time(b, device, || {
            device.rms_norm_vjp(x, &statistics, gain, x, Some(x))
        });
    });
    group.finish();
}
