//! Every activation at the encoder's inner shape, the gate at the decoder's.

use criterion::{BatchSize, Criterion, Throughput};
use foveate::device::{Activation, Device};

use super::shapes::{BATCH, INNER, TEXT_ROWS, VISION_ROWS, cpu, matrix};

/// The benches of this family.
pub fn benches(c: &mut Criterion) {
    let cpu = cpu();
    let mut group = c.benchmark_group("activation");
    let rows = BATCH * VISION_ROWS;
    let x = matrix(&cpu, rows, INNER);
    group.throughput(Throughput::Elements((rows * INNER) as u64));
    for kind in [
        Activation::Gelu,
        Activation::GeluTanh,
        Activation::QuickGelu,
        Activation::Silu,
    ] {
        group.bench_function(format!("{kind:?}/forward"), |b| {
            b.iter(|| cpu.activation(kind, &x))
        });
        group.bench_function(format!("{kind:?}/vjp"), |b| {
            b.iter_batched(
                || matrix(&cpu, rows, INNER),
                |dy| cpu.activation_vjp(kind, &x, dy),
                BatchSize::LargeInput,
            );
        });
    }
    let rows = BATCH * TEXT_ROWS;
    let (gate, up) = (matrix(&cpu, rows, INNER), matrix(&cpu, rows, INNER));
    group.throughput(Throughput::Elements((rows * INNER) as u64));
    group.bench_function("gate/forward", |b| {
        b.iter(|| cpu.gate(Activation::Silu, &gate, &up))
    });
    group.bench_function("gate/vjp", |b| {
        let dy = || matrix(&cpu, rows, INNER);
        b.iter_batched(
            dy,
            |dy| cpu.gate_vjp(Activation::Silu, &gate, &up, dy),
            BatchSize::LargeInput,
        );
    });
    group.finish();
}
