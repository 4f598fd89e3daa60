//! Every activation at the encoder's inner shape, the gate at the decoder's.

use std::cell::LazyCell;

use criterion::{Criterion, Throughput};
use foveate::device::Activation;

use super::device::{Timed, copy, group, matrix, time, time_taking};
use super::shapes::Shapes;

/// The benches of this family.
pub fn benches<D: Timed>(c: &mut Criterion, device: &D, shapes: &Shapes) {
    let mut group = group(c, "activation", device, shapes);
    let (rows, columns) = (shapes.batch * shapes.encoder.rows, shapes.encoder.inside);
    let x = LazyCell::new(|| matrix(device, rows, columns));
    group.throughput(Throughput::Elements((rows * columns) as u64));
    for kind in [
        Activation::Gelu,
        Activation::GeluTanh,
        Activation::QuickGelu,
        Activation::Silu,
    ] {
        group.bench_function(format!("{kind:?}/forward"), |b| {
            let x = &*x;
            time(b, device, || device.activation(kind, x));
        });
        group.bench_function(format!("{kind:?}/vjp"), |b| {
            let x = &*x;
            let vjp = |dy| device.activation_vjp(kind, x, dy);
            time_taking(b, device, || copy(device, x), vjp);
        });
    }

    let (rows, columns) = (shapes.batch * shapes.decoder.rows, shapes.decoder.inside);
    let gate = LazyCell::new(|| matrix(device, rows, columns));
    let up = LazyCell::new(|| matrix(device, rows, columns));
    let kind = shapes.decoder.activation;
    group.throughput(Throughput::Elements((rows * columns) as u64));
    group.bench_function("gate/forward", |b| {
        let (gate, up) = (&*gate, &*up);
        time(b, device, || device.gate(kind, gate, up));
    });
    group.bench_function("gate/vjp", |b| {
        let (gate, up) = (&*gate, &*up);
        let vjp = |dy| device.gate_vjp(kind, gate, up, dy);
        time_taking(b, device, || copy(device, up), vjp);
    });
    group.finish();
}
