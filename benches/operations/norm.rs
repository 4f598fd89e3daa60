//! LayerNorm at the encoder's shape, RMSNorm at the decoder's.

use criterion::{Criterion, Throughput};
use foveate::device::Device;

use super::shapes::{BATCH, TEXT, TEXT_ROWS, VISION, VISION_ROWS, cpu, matrix};

/// The benches of this family.
pub fn benches(c: &mut Criterion) {
    let cpu = cpu();
    let mut group = c.benchmark_group("norm");
    let (x, gain, bias) = (
        matrix(&cpu, BATCH * VISION_ROWS, VISION),
        matrix(&cpu, 1, VISION),
        matrix(&cpu, 1, VISION),
    );
    group.throughput(Throughput::Elements((BATCH * VISION_ROWS * VISION) as u64));
    group.bench_function("layer/forward", |b| {
        b.iter(|| cpu.layer_norm(&x, &gain, &bias, 1e-5))
    });
    let (_, statistics) = cpu.layer_norm(&x, &gain, &bias, 1e-5).expect("sizes fit");
    group.bench_function("layer/vjp", |b| {
        b.iter(|| cpu.layer_norm_vjp(&x, &statistics, &gain, &x, Some(&x)))
    });

    let (x, gain) = (matrix(&cpu, BATCH * TEXT_ROWS, TEXT), matrix(&cpu, 1, TEXT));
    group.throughput(Throughput::Elements((BATCH * TEXT_ROWS * TEXT) as u64));
    group.bench_function("rms/forward", |b| b.iter(|| cpu.rms_norm(&x, &gain, 1e-5)));
    let (_, statistics) = cpu.rms_norm(&x, &gain, 1e-5).expect("sizes fit");
    group.bench_function("rms/vjp", |b| {
        b.iter(|| cpu.rms_norm_vjp(&x, &statistics, &gain, &x, Some(&x)))
    });
    group.finish();
}
