//! Linear layers and their vjp; elements are floating-point operations.

use criterion::{Criterion, Throughput};
use foveate::device::Device;

use super::shapes::{BATCH, INNER, TEXT, TEXT_ROWS, VISION, VISION_ROWS, cpu, matrix, weight};

/// The benches of this family.
pub fn benches(c: &mut Criterion) {
    let cpu = cpu();
    let mut group = c.benchmark_group("gemm");
    group.sample_size(20);
    for (name, rows, out, inside) in [
        ("vision square", BATCH * VISION_ROWS, VISION, VISION),
        ("vision up", BATCH * VISION_ROWS, INNER, VISION),
        ("text query", BATCH * TEXT_ROWS, TEXT, TEXT),
        ("text key", BATCH * TEXT_ROWS, TEXT / 3, TEXT),
        ("text up", BATCH * TEXT_ROWS, INNER, TEXT),
        ("text down", BATCH * TEXT_ROWS, TEXT, INNER),
        ("one token", 1, INNER, TEXT),
    ] {
        let (x, dy, w) = (
            matrix(&cpu, rows, inside),
            matrix(&cpu, rows, out),
            weight(&cpu, out, inside),
        );
        group.throughput(Throughput::Elements((2 * rows * out * inside) as u64));
        group.bench_function(format!("{name}/forward"), |b| {
            b.iter(|| cpu.linear(&x, &w, None, None))
        });
        group.bench_function(format!("{name}/vjp"), |b| {
            b.iter(|| cpu.linear_vjp(&dy, &w, None))
        });
    }
    group.finish();
}
