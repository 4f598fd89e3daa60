//! Attention and its vjp; elements are query-key pairs seen, over all heads.

use criterion::{Criterion, Throughput};
use foveate::device::Device;

use super::shapes::{cpu, matrix, text_attention, vision_attention};

/// The benches of this family.
pub fn benches(c: &mut Criterion) {
    let cpu = cpu();
    let mut group = c.benchmark_group("attention");
    group.sample_size(20);
    for (name, shape) in [("vision", vision_attention()), ("text", text_attention())] {
        let (width, kv_width) = (
            shape.heads * shape.head_dim,
            shape.kv_heads * shape.head_dim,
        );
        let q = matrix(&cpu, shape.batch * shape.queries, width);
        let k = matrix(&cpu, shape.batch * shape.keys, kv_width);
        let v = matrix(&cpu, shape.batch * shape.keys, kv_width);
        let prefix = (
            matrix(&cpu, shape.prefix, kv_width),
            matrix(&cpu, shape.prefix, kv_width),
        );
        let prefix = (shape.prefix > 0).then_some((&prefix.0, &prefix.1));
        let seen: usize = (0..shape.queries).map(|r| shape.seen(r)).sum();
        group.throughput(Throughput::Elements(
            (seen * shape.batch * shape.heads) as u64,
        ));
        group.bench_function(format!("{name}/forward"), |b| {
            b.iter(|| cpu.attention(&shape, &q, &k, &v, prefix))
        });
        let (out, lse) = cpu
            .attention(&shape, &q, &k, &v, prefix)
            .expect("sizes fit");
        group.bench_function(format!("{name}/vjp"), |b| {
            b.iter(|| cpu.attention_vjp(&shape, &q, &k, &v, prefix, &out, &lse, &q));
        });
    }
    group.finish();
}
