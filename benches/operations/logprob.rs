//! Log-probabilities of two key tokens of five blends over the whole vocabulary; elements are logits.

use criterion::{BatchSize, Criterion, Throughput};
use foveate::device::Device;

use super::shapes::{BATCH, TEXT, VOCABULARY, cpu, matrix, weight};

/// The benches of this family.
pub fn benches(c: &mut Criterion) {
    let cpu = cpu();
    let mut group = c.benchmark_group("logprob");
    group.sample_size(20);
    let rows = 2 * BATCH;
    let (x, head) = (matrix(&cpu, rows, TEXT), weight(&cpu, VOCABULARY, TEXT));
    let (targets, weights) = (vec![7; rows], vec![0.2; rows]);
    group.throughput(Throughput::Elements((rows * VOCABULARY) as u64));
    group.bench_function("forward", |b| {
        b.iter(|| cpu.log_probability(&x, &head, &targets))
    });
    group.bench_function("vjp", |b| {
        let logits = || matrix(&cpu, rows, VOCABULARY);
        let vjp = |logits| cpu.log_probability_vjp(logits, &head, &targets, &weights);
        b.iter_batched(logits, vjp, BatchSize::LargeInput);
    });
    group.finish();
}
