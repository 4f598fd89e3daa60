//! Linear layers and their vjp, alone and with what is fused to them; elements are floating-point operations.

use std::cell::LazyCell;

use criterion::{Criterion, Throughput};

use super::device::{Timed, group, matrix, time, weight};
use super::shapes::Shapes;

/// The benches of this family.
pub fn benches<D: Timed>(c: &mut Criterion, device: &D, shapes: &Shapes) {
    plain(c, device, shapes);
    encoder(c, device, shapes);
    decoder(c, device, shapes);
}

fn operations(rows: usize, out: usize, inside: usize) -> Throughput {
    Throughput::Elements(2 * (rows * out * inside) as u64)
}

fn plain<D: Timed>(c: &mut Criterion, device: &D, shapes: &Shapes) {
    let mut group = group(c, "gemm", device, shapes);
    let (encoder, decoder) = (&shapes.encoder, &shapes.decoder);
    let patches = shapes.batch * shapes.patches();
    let (seen, read) = (shapes.batch * encoder.rows, shapes.batch * decoder.rows);
    let (queries, keys) = (decoder.query_columns(), decoder.key_columns());
    for (name, rows, out, inside) in [
        ("patches", patches, encoder.columns, shapes.patch_values()),
        ("encoder square", seen, encoder.columns, encoder.columns),
        ("encoder up", seen, encoder.inside, encoder.columns),
        ("encoder down", seen, encoder.columns, encoder.inside),
        ("decoder query", read, queries, decoder.columns),
        ("decoder key", read, keys, decoder.columns),
        ("decoder up", read, decoder.inside, decoder.columns),
        ("decoder down", read, decoder.columns, decoder.inside),
        ("one token", 1, decoder.inside, decoder.columns),
    ] {
        let x = LazyCell::new(|| matrix(device, rows, inside));
        let dy = LazyCell::new(|| matrix(device, rows, out));
        let w = LazyCell::new(|| weight(device, out, inside));
        group.throughput(operations(rows, out, inside));
        group.bench_function(format!("{name}/forward"), |b| {
            let (x, w) = (&*x, &*w);
            time(b, device, || device.linear(x, w, None, None));
        });
        group.bench_function(format!("{name}/vjp"), |b| {
            let (dy, w) = (&*dy, &*w);
            time(b, device, || device.linear_vjp(dy, w, None));
        });
    }
    group.finish();
}

/// What is fused in a perceptron without a gate.
fn encoder<D: Timed>(c: &mut Criterion, device: &D, shapes: &Shapes) {
    let mut group = group(c, "gemm", device, shapes);
    let s = &shapes.encoder;
    let rows = shapes.batch * s.rows;
    let x = LazyCell::new(|| matrix(device, rows, s.columns));
    let h = LazyCell::new(|| matrix(device, rows, s.inside));
    let up = LazyCell::new(|| weight(device, s.inside, s.columns));
    let down = LazyCell::new(|| weight(device, s.columns, s.inside));
    let up_bias = LazyCell::new(|| matrix(device, 1, s.inside));
    let down_bias = LazyCell::new(|| matrix(device, 1, s.columns));
    group.throughput(operations(rows, s.inside, s.columns));
    group.bench_function("encoder up, bias and activation/forward", |b| {
        let (x, w, bias) = (&*x, &*up, &*up_bias);
        time(b, device, || {
            device.linear_activation(s.activation, x, w, Some(bias))
        });
    });
    group.bench_function("encoder down and activation/vjp", |b| {
        let (dy, w, h) = (&*x, &*down, &*h);
        time(b, device, || {
            device.linear_vjp_activation(s.activation, dy, w, h)
        });
    });
    group.bench_function("encoder down, bias and residual/forward", |b| {
        let (h, w, bias, residual) = (&*h, &*down, &*down_bias, &*x);
        time(b, device, || {
            device.linear(h, w, Some(bias), Some(residual))
        });
    });
    group.finish();
}

/// What is fused in a perceptron with a gate and in rotary attention.
fn decoder<D: Timed>(c: &mut Criterion, device: &D, shapes: &Shapes) {
    let mut group = group(c, "gemm", device, shapes);
    let s = &shapes.decoder;
    let rows = shapes.batch * s.rows;
    let x = LazyCell::new(|| matrix(device, rows, s.columns));
    let gate = LazyCell::new(|| matrix(device, rows, s.inside));
    let up = LazyCell::new(|| matrix(device, rows, s.inside));
    let up_weight = LazyCell::new(|| weight(device, s.inside, s.columns));
    let down_weight = LazyCell::new(|| weight(device, s.columns, s.inside));
    group.throughput(operations(rows, s.inside, s.columns));
    group.bench_function("decoder up and gate/forward", |b| {
        let (gate, x, w) = (&*gate, &*x, &*up_weight);
        time(b, device, || {
            device.linear_gate(s.activation, gate, x, w, None)
        });
    });
    group.bench_function("decoder down and gate/vjp", |b| {
        let (dy, w, gate, up) = (&*x, &*down_weight, &*gate, &*up);
        time(b, device, || {
            device.linear_vjp_gate(s.activation, dy, w, gate, up)
        });
    });
    let query = LazyCell::new(|| weight(device, s.query_columns(), s.columns));
    let (frequencies, positions) = (shapes.frequencies(), shapes.positions());
    group.throughput(operations(rows, s.query_columns(), s.columns));
    group.bench_function("decoder query and rope/forward", |b| {
        let (x, w) = (&*x, &*query);
        time(b, device, || {
            device.linear_rope(x, w, None, s.head_dim, &frequencies, &positions)
        });
    });
    group.finish();
}
