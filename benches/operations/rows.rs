//! Rows: embeddings, a cache, placing image tokens among text tokens, rotary positions, and the check for finite values; elements
//! are those of the decoder's matrix.

use std::cell::LazyCell;

use criterion::{Criterion, Throughput};
use foveate::device::RowMap;

use super::device::{Timed, group, matrix, time, weight};
use super::shapes::Shapes;

/// The benches of this family.
pub fn benches<D: Timed>(c: &mut Criterion, device: &D, shapes: &Shapes) {
    let mut group = group(c, "rows", device, shapes);
    let s = &shapes.decoder;
    let (visual, rows) = (shapes.visual, shapes.batch * s.rows);
    let elements = |rows: usize| Throughput::Elements((rows * s.columns) as u64);
    let map = RowMap::select(visual, (0..s.rows).map(|r| (r < visual).then_some(r)));
    let image = LazyCell::new(|| matrix(device, shapes.batch * visual, s.columns));
    let text = LazyCell::new(|| matrix(device, s.rows, s.columns));
    let x = LazyCell::new(|| matrix(device, rows, s.columns));
    group.throughput(elements(rows));
    group.bench_function("place/forward", |b| {
        let (image, text) = (&*image, &*text);
        time(b, device, || device.mix_rows(image, &map, Some(text)));
    });
    group.bench_function("place/vjp", |b| {
        let dy = &*x;
        time(b, device, || device.mix_rows_vjp(dy, &map, None));
    });
    group.bench_function("finite", |b| {
        let x = &*x;
        time(b, device, || device.is_finite(x));
    });
    let (frequencies, positions) = (shapes.frequencies(), shapes.positions());
    let mut turned = None;
    group.bench_function("rope", |b| {
        let x = turned.get_or_insert_with(|| matrix(device, rows, s.query_columns()));
        time(b, device, || {
            device.rope(x, s.head_dim, &frequencies, &positions, false)
        });
    });

    group.throughput(elements(s.rows));
    let table = LazyCell::new(|| weight(device, shapes.vocabulary, s.columns));
    // Far apart, as the tokens of a text are.
    let ids: Vec<u32> = (0..s.rows)
        .map(|r| (r * 7919 % shapes.vocabulary) as u32)
        .collect();
    group.bench_function("gather", |b| {
        let table = &*table;
        time(b, device, || device.gather(table, &ids));
    });
    let mut cache = None;
    group.bench_function("write", |b| {
        let text = &*text;
        let rows = shapes.prefix + s.rows;
        let cache = cache.get_or_insert_with(|| matrix(device, rows, s.columns));
        time(b, device, || device.write_rows(cache, shapes.prefix, text));
    });
    group.finish();
}
