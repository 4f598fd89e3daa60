//! Log-probabilities of key tokens over the whole vocabulary, and all logits of one row; elements are logits.

use std::cell::LazyCell;

use criterion::{Criterion, Throughput};

use super::device::{Timed, group, matrix, time, time_taking, weight};
use super::shapes::Shapes;

/// The benches of this family.
pub fn benches<D: Timed>(c: &mut Criterion, device: &D, shapes: &Shapes) {
    let mut group = group(c, "logprob", device, shapes);
    let (columns, vocabulary) = (shapes.decoder.columns, shapes.vocabulary);
    let rows = shapes.keys * shapes.batch;
    let x = LazyCell::new(|| matrix(device, rows, columns));
    let head = LazyCell::new(|| weight(device, vocabulary, columns));
    let targets = vec![7; rows];
    let shares = vec![1.0 / rows as f64; rows];
    group.throughput(Throughput::Elements((rows * vocabulary) as u64));
    group.bench_function("forward", |b| {
        let (x, head) = (&*x, &*head);
        time(b, device, || device.log_probability(x, head, &targets));
    });
    group.bench_function("vjp", |b| {
        let (x, head) = (&*x, &*head);
        let weights = device.weigh(&shares).expect("memory");
        let logits = || Ok(device.log_probability(x, head, &targets)?.1);
        let vjp = |logits| device.log_probability_vjp(logits, head, &targets, &weights);
        time_taking(b, device, logits, vjp);
    });
    group.bench_function("forward, values read", |b| {
        let (x, head) = (&*x, &*head);
        time(b, device, || {
            device.values(&device.log_probability(x, head, &targets)?.0)
        });
    });
    group.throughput(Throughput::Elements(rows as u64));
    group.bench_function("reweigh", |b| {
        let mut weights = device.weigh(&shares).expect("memory");
        time(b, device, || device.reweigh(&mut weights, &shares));
    });
    group.throughput(Throughput::Elements(vocabulary as u64));
    let last = LazyCell::new(|| matrix(device, 1, columns));
    group.bench_function("logits of one row", |b| {
        let (last, head) = (&*last, &*head);
        time(b, device, || device.logits(last, head));
    });
    group.finish();
}
