//! Rows: placing image tokens among text tokens, and rotary positions.

use criterion::{Criterion, Throughput};
use foveate::device::{Device, RowMap};

use super::shapes::{BATCH, TEXT, TEXT_ROWS, cpu, matrix};

/// The benches of this family.
pub fn benches(c: &mut Criterion) {
    let cpu = cpu();
    let mut group = c.benchmark_group("rows");
    group.throughput(Throughput::Elements((BATCH * TEXT_ROWS * TEXT) as u64));
    let map = RowMap::select(196, (0..TEXT_ROWS).map(|r| (r < 196).then_some(r)));
    let (image, text) = (
        matrix(&cpu, BATCH * 196, TEXT),
        matrix(&cpu, TEXT_ROWS, TEXT),
    );
    let dy = matrix(&cpu, BATCH * TEXT_ROWS, TEXT);
    group.bench_function("place/forward", |b| {
        b.iter(|| cpu.mix_rows(&image, &map, Some(&text)))
    });
    group.bench_function("place/vjp", |b| {
        b.iter(|| cpu.mix_rows_vjp(&dy, &map, None))
    });
    let frequencies: Vec<f64> = (0..32)
        .map(|i| 10_000f64.powf(-f64::from(i) / 32.0))
        .collect();
    let positions: Vec<usize> = (9..9 + TEXT_ROWS).collect();
    let mut x = matrix(&cpu, BATCH * TEXT_ROWS, TEXT);
    group.bench_function("rope", |b| {
        b.iter(|| cpu.rope(&mut x, 64, &frequencies, &positions, false))
    });
    group.finish();
}
