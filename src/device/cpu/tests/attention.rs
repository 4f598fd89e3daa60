//! naive::Attention and its vjp.

use super::naive;
use super::support::{
    FORWARD, Random, VJP, assert_calibrated, assert_same, assert_vjp, device, matrix, values,
};
use crate::device::cpu::{Cpu, CpuMatrix, CpuReal};
use crate::device::prelude::*;
use crate::device::{AttentionShape, Visible};

/// Rows of the prefix buffers beyond those in use.
const SPARE: usize = 3;

/// Creates a random attention.
fn make(random: &mut Random, shape: AttentionShape) -> naive::Attention {
    let (width, kv) = (
        shape.heads * shape.head_dim,
        shape.kv_heads * shape.head_dim,
    );
    let (queries, keys, prefix) = (
        shape.batch * shape.queries,
        shape.batch * shape.keys,
        shape.prefix + SPARE,
    );
    naive::Attention {
        q: random.values(queries * width),
        k: random.values(keys * kv),
        v: random.values(keys * kv),
        prefix_k: random.values(prefix * kv),
        prefix_v: random.values(prefix * kv),
        shape,
    }
}

/// Operands on a device.
struct Uploaded<T: CpuReal> {
    q: CpuMatrix<T>,
    k: CpuMatrix<T>,
    v: CpuMatrix<T>,
    prefix: (CpuMatrix<T>, CpuMatrix<T>),
}

fn upload<T: CpuReal>(d: &Cpu<T>, a: &naive::Attention) -> Uploaded<T> {
    let s = &a.shape;
    let (width, kv) = (s.heads * s.head_dim, s.kv_heads * s.head_dim);
    let rows = s.prefix + SPARE;
    Uploaded {
        q: matrix(d, s.batch * s.queries, width, &a.q),
        k: matrix(d, s.batch * s.keys, kv, &a.k),
        v: matrix(d, s.batch * s.keys, kv, &a.v),
        prefix: (
            matrix(d, rows, kv, &a.prefix_k),
            matrix(d, rows, kv, &a.prefix_v),
        ),
    }
}

/// Returns out and lse.
fn forward<T: CpuReal>(d: &Cpu<T>, a: &naive::Attention) -> (Vec<f64>, Vec<f64>) {
    let x = upload(d, a);
    let prefix = (a.shape.prefix > 0).then_some((&x.prefix.0, &x.prefix.1));
    let (out, lse) = d.attention(&a.shape, &x.q, &x.k, &x.v, prefix).unwrap();
    (values(&out), values(&lse))
}

/// Returns dq, dk and dv.
fn vjp<T: CpuReal>(d: &Cpu<T>, a: &naive::Attention, dy: &[f64]) -> [Vec<f64>; 3] {
    let x = upload(d, a);
    let prefix = (a.shape.prefix > 0).then_some((&x.prefix.0, &x.prefix.1));
    let (out, lse) = d.attention(&a.shape, &x.q, &x.k, &x.v, prefix).unwrap();
    let dy = matrix(
        d,
        a.shape.batch * a.shape.queries,
        a.shape.heads * a.shape.head_dim,
        dy,
    );
    let (dq, dk, dv) = d
        .attention_vjp(&a.shape, &x.q, &x.k, &x.v, prefix, &out, &lse, &dy)
        .unwrap();
    [values(&dq), values(&dk), values(&dv)]
}

fn all(
    batch: usize,
    queries: usize,
    keys: usize,
    heads: (usize, usize),
    head_dim: usize,
) -> AttentionShape {
    let (heads, kv_heads) = heads;
    AttentionShape {
        batch,
        queries,
        keys,
        prefix: 0,
        heads,
        kv_heads,
        head_dim,
        visible: Visible::All,
    }
}

fn causal(
    batch: usize,
    keys: usize,
    prefix: usize,
    heads: (usize, usize),
    head_dim: usize,
) -> AttentionShape {
    chosen(batch, (0..keys).collect(), keys, prefix, heads, head_dim)
}

fn chosen(
    batch: usize,
    places: Vec<usize>,
    keys: usize,
    prefix: usize,
    heads: (usize, usize),
    head_dim: usize,
) -> AttentionShape {
    let shape = all(batch, places.len(), keys, heads, head_dim);
    AttentionShape {
        prefix,
        visible: Visible::Causal(places),
        ..shape
    }
}

/// Creates a masked attention with one query per sequence; sequences cycle through `period` rows of
/// a mask, each of which shows some keys.
fn masked(
    (batch, period): (usize, usize),
    keys: usize,
    heads: (usize, usize),
    head_dim: usize,
) -> AttentionShape {
    let seen = |i: usize| i % keys == i / keys % keys || (i * 7).is_multiple_of(3);
    AttentionShape {
        visible: Visible::Masked((0..period * keys).map(seen).collect()),
        ..all(batch, 1, keys, heads, head_dim)
    }
}

/// Returns small shapes, for differences in every element.
fn small() -> Vec<AttentionShape> {
    vec![
        all(2, 3, 3, (2, 2), 1),
        all(1, 4, 3, (1, 1), 5),
        AttentionShape {
            prefix: 2,
            ..all(1, 2, 3, (2, 1), 3)
        },
        causal(2, 3, 0, (2, 1), 2),
        causal(1, 3, 2, (4, 2), 3),
        causal(1, 2, 1, (1, 1), 16),
        chosen(2, vec![1, 4], 5, 2, (2, 2), 3),
        chosen(1, vec![4, 0, 2], 5, 1, (3, 1), 2),
        chosen(1, vec![1], 2, 0, (1, 1), 33),
        chosen(1, vec![0], 1, 2, (2, 1), 80),
        all(3, 1, 4, (2, 1), 3),
        masked((4, 2), 5, (2, 1), 2),
        masked((3, 3), 3, (1, 1), 7),
    ]
}

/// Returns larger shapes: heads, rows and keys near the edges of tiles and blocks.
fn large() -> Vec<AttentionShape> {
    vec![
        all(2, 37, 41, (3, 3), 5),
        all(1, 131, 131, (2, 1), 16),
        AttentionShape {
            prefix: 13,
            ..all(2, 29, 31, (2, 2), 33)
        },
        causal(3, 67, 0, (2, 2), 1),
        causal(2, 135, 9, (6, 2), 16),
        causal(1, 259, 3, (1, 1), 33),
        causal(2, 33, 11, (3, 1), 80),
        chosen(3, vec![3, 60, 61, 17, 0], 62, 7, (4, 2), 33),
        chosen(
            1,
            (0..150).map(|i| i * 37 % 301).collect(),
            301,
            5,
            (2, 1),
            5,
        ),
        all(5, 1, 64, (1, 1), 33),
        masked((6, 3), 19, (4, 4), 16),
        masked((2, 1), 7, (6, 2), 300),
    ]
}

#[test]
fn attention_equals_its_plain_statement() {
    let (f32s, f64s, mut random) = (device(), device(), Random::new(21));
    for shape in small().into_iter().chain(large()) {
        let what = format!("{shape:?}");
        let a = make(&mut random, shape);
        let ((out, lse), (out32, lse32)) = (a.forward::<f64>(), a.forward::<f32>());
        let on_device = forward::<f64>(&f64s, &a);
        assert_same(&format!("out {what}"), &on_device.0, &out);
        assert_same(&format!("lse {what}"), &on_device.1, &lse);
        let on_device = forward::<f32>(&f32s, &a);
        assert_calibrated(&format!("out {what}"), &on_device.0, &out32, &out, FORWARD);
        assert_calibrated(&format!("lse {what}"), &on_device.1, &lse32, &lse, FORWARD);
    }
}

#[test]
fn attention_vjp_equals_its_plain_statement() {
    let (f32s, f64s, mut random) = (device(), device(), Random::new(22));
    for shape in small().into_iter().chain(large()) {
        let what = format!("{shape:?}");
        let a = make(&mut random, shape);
        let dy = random.values(a.q.len());
        let ((dq, dk, dv), plain) = (a.vjp::<f64>(&dy), a.vjp::<f32>(&dy));
        let plain = [plain.0, plain.1, plain.2];
        let (on64, on32) = (vjp::<f64>(&f64s, &a, &dy), vjp::<f32>(&f32s, &a, &dy));
        for (i, (name, exact)) in [("dq", dq), ("dk", dk), ("dv", dv)].iter().enumerate() {
            assert_same(&format!("{name} {what}"), &on64[i], exact);
            assert_calibrated(&format!("{name} {what}"), &on32[i], &plain[i], exact, VJP);
        }
    }
}

#[test]
fn attention_vjp_is_the_derivative() {
    let (d, mut random) = (device::<f64>(), Random::new(23));
    for shape in small().into_iter().chain(large()) {
        let what = format!("{shape:?}");
        let a = make(&mut random, shape);
        let dy = random.values(a.q.len());
        let [dq, dk, dv] = vjp(&d, &a, &dy);
        let q = |x: &[f64]| {
            forward(
                &d,
                &naive::Attention {
                    q: x.to_vec(),
                    ..a.clone()
                },
            )
            .0
        };
        let k = |x: &[f64]| {
            forward(
                &d,
                &naive::Attention {
                    k: x.to_vec(),
                    ..a.clone()
                },
            )
            .0
        };
        let v = |x: &[f64]| {
            forward(
                &d,
                &naive::Attention {
                    v: x.to_vec(),
                    ..a.clone()
                },
            )
            .0
        };
        assert_vjp(&format!("q {what}"), &mut random, q, &a.q, &dy, &dq);
        assert_vjp(&format!("k {what}"), &mut random, k, &a.k, &dy, &dk);
        assert_vjp(&format!("v {what}"), &mut random, v, &a.v, &dy, &dv);
    }
}

#[test]
fn large_scores_do_not_overflow() {
    let (d, mut random) = (device::<f32>(), Random::new(24));
    let mut a = make(&mut random, causal(1, 19, 2, (2, 1), 5));
    a.q.iter_mut().chain(&mut a.k).for_each(|v| *v *= 1e3);
    let (out, lse) = forward(&d, &a);
    let dy = random.values(out.len());
    let gradients = vjp(&d, &a, &dy);
    assert!(
        out.iter()
            .chain(&lse)
            .chain(gradients.iter().flatten())
            .all(|v| v.is_finite())
    );
}
