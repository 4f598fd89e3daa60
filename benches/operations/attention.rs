//! Attention and its vjp; elements are query-key pairs seen, over all heads.

use std::cell::LazyCell;

use criterion::{Criterion, Throughput};
use foveate::device::Device;

use super::device::{Timed, group, matrix, time};
use super::shapes::Shapes;

/// The operands of one attention.
struct Operands<D: Device> {
    q: D::Matrix,
    k: D::Matrix,
    v: D::Matrix,
    prefix: Option<(D::Matrix, D::Matrix)>,
}

/// The benches of this family.
pub fn benches<D: Timed>(c: &mut Criterion, device: &D, shapes: &Shapes) {
    let mut group = group(c, "attention", device, shapes);
    for (name, shape) in shapes.attentions() {
        let operands = LazyCell::new(|| {
            let columns = shape.kv_heads * shape.head_dim;
            let keys = |rows| matrix(device, rows, columns);
            let rows = shape.batch * shape.keys;
            Operands::<D> {
                q: matrix(
                    device,
                    shape.batch * shape.queries,
                    shape.heads * shape.head_dim,
                ),
                k: keys(rows),
                v: keys(rows),
                prefix: (shape.prefix > 0).then(|| (keys(shape.prefix), keys(shape.prefix))),
            }
        });
        let forward = |o: &Operands<D>| {
            let prefix = o.prefix.as_ref().map(|(k, v)| (k, v));
            device.attention(&shape, &o.q, &o.k, &o.v, prefix)
        };
        let seen: usize = (0..shape.queries).map(|r| shape.seen(r)).sum();
        group.throughput(Throughput::Elements(
            (seen * shape.batch * shape.heads) as u64,
        ));
        group.bench_function(format!("{name}/forward"), |b| {
            let o = &*operands;
            time(b, device, || forward(o));
        });
        // A generated token has no gradient.
        if shape.keys == 1 {
            continue;
        }
        let kept = LazyCell::new(|| forward(&operands).expect("sizes fit"));
        group.bench_function(format!("{name}/vjp"), |b| {
            let (o, (out, lse)) = (&*operands, &*kept);
            let prefix = o.prefix.as_ref().map(|(k, v)| (k, v));
            time(b, device, || {
                device.attention_vjp(&shape, &o.q, &o.k, &o.v, prefix, out, lse, &o.q)
            });
        });
    }
    group.finish();
}
