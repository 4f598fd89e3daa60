//! Sizes that do not match are errors, never a panic.

use super::support::device;
use crate::blend::View;
use crate::blend::{Blend, Masks, Path, Sampling, Score, ViewPair};
use crate::checkpoint::{Activation, Tensor};
use crate::device::cpu::{Cpu, CpuMatrix, CpuWeight};
use crate::device::prelude::*;
use crate::device::{AttentionShape, DepthwiseShape, DeviceError, Result, RowMap, Visible};

#[track_caller]
fn shape<R>(result: Result<R>) {
    let error = result.err().expect("sizes that do not fit");
    assert!(matches!(error, DeviceError::Shape { .. }), "{error}");
}

#[track_caller]
fn index<R>(result: Result<R>, expected: (usize, usize)) {
    match result.err().expect("an index outside its table") {
        DeviceError::Index { index, limit, .. } => assert_eq!((index, limit), expected),
        other => panic!("{other}"),
    }
}

fn zeros(d: &Cpu<f32>, rows: usize, columns: usize) -> CpuMatrix<f32> {
    d.upload(rows, columns, &vec![0.0; rows * columns]).unwrap()
}

fn weight(d: &Cpu<f32>, out: usize, inputs: usize) -> CpuWeight {
    d.weight(&Tensor::from_f32(
        "w",
        &[out, inputs],
        &vec![0.0; out * inputs],
    ))
    .unwrap()
}

#[test]
fn uploads_and_weights() {
    let d = device::<f32>();
    shape(d.upload(2, 3, &[0.0; 5]));
    shape(d.upload(usize::MAX, 2, &[0.0; 5]));
    shape(d.weight(&Tensor::from_f32("w", &[2, 3], &[0.0; 5])));
    shape(d.weight(&Tensor::from_f32("w", &[usize::MAX, 3], &[0.0; 6])));
    assert!(
        d.weight(&Tensor::from_f32("w", &[2, 3, 2], &[0.0; 12]))
            .is_ok()
    );
}

#[test]
fn products() {
    let d = device::<f32>();
    let w = weight(&d, 4, 3);
    let x = zeros(&d, 2, 3);
    shape(d.linear(&zeros(&d, 2, 4), &w, None, None));
    shape(d.linear(&x, &w, Some(&zeros(&d, 1, 3)), None));
    shape(d.linear(&x, &w, Some(&zeros(&d, 2, 4)), None));
    shape(d.linear(&x, &w, None, Some(&zeros(&d, 3, 4))));
    shape(d.linear_vjp(&x, &w, None));
    shape(d.linear_vjp(&zeros(&d, 2, 4), &w, Some(&zeros(&d, 2, 4))));
}

#[test]
fn rotary_embedding() {
    let d = device::<f32>();
    let mut x = zeros(&d, 2, 8);
    shape(d.rope(&mut x, 3, &[1.0], &[0], false));
    shape(d.rope(&mut x, 4, &[1.0], &[0], false));
    shape(d.rope(&mut x, 7, &[1.0; 4], &[0], false));
    shape(d.rope(&mut x, 0, &[], &[0], false));
    shape(d.rope(&mut x, 4, &[1.0; 2], &[], false));
    assert!(d.rope(&mut x, 4, &[1.0; 2], &[0], false).is_ok());
    assert!(
        d.rope(&mut zeros(&d, 0, 8), 4, &[1.0; 2], &[], false)
            .is_ok()
    );
}

#[test]
fn attention() {
    let d = device::<f32>();
    let s = AttentionShape {
        batch: 2,
        queries: 3,
        keys: 4,
        prefix: 2,
        heads: 4,
        kv_heads: 2,
        head_dim: 5,
        visible: Visible::Causal(vec![0, 1, 3]),
    };
    let (q, k, p) = (zeros(&d, 6, 20), zeros(&d, 8, 10), zeros(&d, 2, 10));
    let some = Some((&p, &p));
    let (out, lse) = d.attention(&s, &q, &k, &k, some).unwrap();
    shape(d.attention(&s, &k, &k, &k, some));
    shape(d.attention(&s, &q, &q, &k, some));
    shape(d.attention(&s, &q, &k, &q, some));
    shape(d.attention(&s, &q, &k, &k, None));
    let (short, narrow) = (zeros(&d, 1, 10), zeros(&d, 2, 9));
    shape(d.attention(&s, &q, &k, &k, Some((&short, &p))));
    shape(d.attention(&s, &q, &k, &k, Some((&p, &narrow))));
    for kv_heads in [0, 3] {
        shape(d.attention(
            &AttentionShape {
                kv_heads,
                ..s.clone()
            },
            &q,
            &k,
            &k,
            some,
        ));
    }
    let visible = |places: &[usize]| AttentionShape {
        visible: Visible::Causal(places.to_vec()),
        ..s.clone()
    };
    shape(d.attention(&visible(&[0, 1]), &q, &k, &k, some));
    index(d.attention(&visible(&[0, 4, 1]), &q, &k, &k, some), (4, 4));
    shape(d.attention_vjp(&s, &q, &k, &k, some, &k, &lse, &q));
    shape(d.attention_vjp(&s, &q, &k, &k, some, &out, &out, &q));
    shape(d.attention_vjp(&s, &q, &k, &k, some, &out, &lse, &k));
    shape(d.attention_vjp(&s, &q, &q, &k, some, &out, &lse, &q));
    let huge = AttentionShape {
        batch: usize::MAX,
        ..s.clone()
    };
    shape(d.attention(&huge, &q, &k, &k, some));
    // Queries that see no key have no softmax.
    let none = AttentionShape {
        keys: 0,
        prefix: 0,
        visible: Visible::All,
        ..s
    };
    let empty = zeros(&d, 0, 10);
    shape(d.attention(&none, &q, &empty, &empty, None));
    let nothing = AttentionShape { queries: 0, ..none };
    assert!(
        d.attention(&nothing, &zeros(&d, 0, 20), &empty, &empty, None)
            .is_ok()
    );
}

#[test]
fn norms() {
    let d = device::<f32>();
    let (x, g, narrow) = (zeros(&d, 2, 5), zeros(&d, 1, 5), zeros(&d, 1, 4));
    shape(d.layer_norm(&x, &narrow, &g, 1e-5));
    shape(d.layer_norm(&x, &g, &narrow, 1e-5));
    shape(d.rms_norm(&x, &narrow, 1e-5));
    let (two, one) = (zeros(&d, 2, 2), zeros(&d, 2, 1));
    shape(d.layer_norm_vjp(&x, &one, &g, &x, None));
    shape(d.layer_norm_vjp(&x, &two, &narrow, &x, None));
    shape(d.layer_norm_vjp(&x, &two, &g, &g, None));
    shape(d.layer_norm_vjp(&x, &two, &g, &x, Some(&g)));
    shape(d.rms_norm_vjp(&x, &two, &g, &x, None));
    shape(d.rms_norm_vjp(&x, &one, &narrow, &x, None));
    shape(d.rms_norm_vjp(&x, &one, &g, &g, None));
    shape(d.rms_norm_vjp(&x, &one, &g, &x, Some(&g)));
    // Normalising an empty matrix is not an error.
    let (x, g) = (zeros(&d, 2, 0), zeros(&d, 1, 0));
    let (_, statistics) = d.layer_norm(&x, &g, &g, 1e-5).unwrap();
    d.layer_norm_vjp(&x, &statistics, &g, &x, Some(&x)).unwrap();
    let (_, statistics) = d.rms_norm(&x, &g, 1e-5).unwrap();
    d.rms_norm_vjp(&x, &statistics, &g, &x, Some(&x)).unwrap();
}

#[test]
fn activations() {
    let d = device::<f32>();
    let (x, other, kind) = (zeros(&d, 2, 5), zeros(&d, 5, 2), Activation::Silu);
    shape(d.activation_vjp(kind, &x, zeros(&d, 5, 2)));
    shape(d.gate(kind, &x, &other));
    shape(d.gate_vjp(kind, &x, &other, zeros(&d, 2, 5)));
    shape(d.gate_vjp(kind, &x, &x, zeros(&d, 5, 2)));
}

#[test]
fn rows() {
    let d = device::<f32>();
    index(d.gather(&weight(&d, 4, 3), &[0, 4]), (4, 4));
    let mut target = zeros(&d, 4, 3);
    shape(d.write_rows(&mut target, 3, &zeros(&d, 2, 3)));
    shape(d.write_rows(&mut target, 0, &zeros(&d, 2, 4)));
    shape(d.write_rows(&mut target, 5, &zeros(&d, 0, 3)));
    shape(d.write_rows(&mut target, usize::MAX, &zeros(&d, 2, 3)));
    let map = RowMap::select(3, [Some(2), None]);
    shape(d.mix_rows(&zeros(&d, 4, 5), &map, None));
    shape(d.mix_rows(&zeros(&d, 6, 5), &map, Some(&zeros(&d, 4, 5))));
    shape(d.mix_rows(&zeros(&d, 6, 5), &map, Some(&zeros(&d, 2, 4))));
    shape(d.mix_rows_vjp(&zeros(&d, 3, 5), &map, None));
    shape(d.mix_rows_vjp(&zeros(&d, 4, 5), &map, Some(&zeros(&d, 4, 5))));
    let (from_none, to_none) = (RowMap::select(0, [None]), RowMap::select(3, []));
    shape(d.mix_rows(&zeros(&d, 1, 5), &from_none, None));
    shape(d.mix_rows_vjp(&zeros(&d, 1, 5), &to_none, None));
    assert!(d.mix_rows(&zeros(&d, 6, 5), &to_none, None).is_ok());
}

#[test]
fn log_probabilities() {
    let d = device::<f32>();
    let head = weight(&d, 4, 3);
    let x = zeros(&d, 2, 3);
    shape(d.log_probability(&x, &head, &[0]));
    shape(d.log_probability(&zeros(&d, 2, 4), &head, &[0, 1]));
    index(d.log_probability(&x, &head, &[0, 4]), (4, 4));
    let weights = |values: &[f64]| d.weigh(values, Score::LogProbability).unwrap();
    shape(d.log_probability_vjp(zeros(&d, 2, 4), &head, &[0], &weights(&[1.0])));
    shape(d.log_probability_vjp(zeros(&d, 2, 4), &head, &[0, 1], &weights(&[1.0])));
    shape(d.log_probability_vjp(zeros(&d, 2, 3), &head, &[0, 3], &weights(&[1.0; 2])));
    index(
        d.log_probability_vjp(zeros(&d, 2, 4), &head, &[4, 1], &weights(&[1.0; 2])),
        (4, 4),
    );
}

#[test]
fn masks_of_attention() {
    let d = device::<f32>();
    let s = AttentionShape {
        batch: 4,
        queries: 1,
        keys: 3,
        prefix: 0,
        heads: 2,
        kv_heads: 2,
        head_dim: 4,
        visible: Visible::All,
    };
    let (q, k) = (zeros(&d, 4, 8), zeros(&d, 12, 8));
    let with = |seen: &[bool]| AttentionShape {
        visible: Visible::Masked(seen.to_vec()),
        ..s.clone()
    };
    let good = with(&[true, false, false, false, true, true]);
    assert!(d.attention(&good, &q, &k, &k, None).is_ok());
    shape(d.attention(&with(&[]), &q, &k, &k, None));
    shape(d.attention(&with(&[true; 4]), &q, &k, &k, None));
    // Three rows cannot be divided among four sequences; the second row sees nothing.
    shape(d.attention(&with(&[true; 9]), &q, &k, &k, None));
    let blind = with(&[true, true, true, false, false, false]);
    shape(d.attention(&blind, &q, &k, &k, None));
    let two = AttentionShape {
        queries: 2,
        ..good.clone()
    };
    shape(d.attention(&two, &zeros(&d, 8, 8), &k, &k, None));
    let behind = AttentionShape { prefix: 1, ..good };
    let p = zeros(&d, 1, 8);
    shape(d.attention(&behind, &q, &k, &k, Some((&p, &p))));
}

#[test]
fn columns_and_grids() {
    let d = device::<f32>();
    let x = || zeros(&d, 6, 4);
    shape(d.reshape(x(), 5));
    shape(d.reshape(x(), 0));
    shape(d.add(&x(), &zeros(&d, 4, 6)));
    let gain = zeros(&d, 1, 4);
    shape(d.scale_columns(&x(), &zeros(&d, 1, 3), None));
    shape(d.scale_columns(&x(), &gain, Some(&zeros(&d, 5, 4))));
    shape(d.join_columns(&[]));
    shape(d.join_columns(&[&x(), &zeros(&d, 5, 4)]));
    shape(d.take_columns(&x(), 2, 3));
    shape(d.take_columns(&x(), usize::MAX, 2));

    let grid = |height, width, size| DepthwiseShape {
        height,
        width,
        size,
    };
    let taps = zeros(&d, 9, 4);
    assert!(d.depthwise(&x(), &taps, &gain, grid(3, 2, 3)).is_ok());
    shape(d.depthwise(&x(), &taps, &gain, grid(4, 2, 3)));
    shape(d.depthwise(&x(), &taps, &gain, grid(0, 2, 3)));
    shape(d.depthwise(&x(), &taps, &gain, grid(usize::MAX, 2, 3)));
    shape(d.depthwise(&x(), &taps, &gain, grid(3, 2, 5)));
    shape(d.depthwise(&x(), &zeros(&d, 4, 4), &gain, grid(3, 2, 2)));
    shape(d.depthwise(&x(), &zeros(&d, 9, 3), &gain, grid(3, 2, 3)));
    shape(d.depthwise(&x(), &taps, &zeros(&d, 1, 3), grid(3, 2, 3)));
    shape(d.depthwise_vjp(&x(), &taps, grid(5, 1, 3), None));
    shape(d.depthwise_vjp(&x(), &taps, grid(3, 2, 3), Some(&zeros(&d, 3, 4))));
}

#[test]
fn blends() {
    let d = device::<f32>();
    let view = |height, width| View {
        height,
        width,
        unit: 1,
        resized_height: height,
        resized_width: width,
        offset_y: 0,
        offset_x: 0,
    };
    let pixels = vec![0.0; 48];
    let pair = |picture, baseline, view| ViewPair {
        view,
        picture,
        baseline,
    };
    let good = pair(&pixels, &pixels, view(4, 4));
    shape(d.pictures(&[pair(&pixels[1..], &pixels, view(4, 4))], 2, 3));
    shape(d.pictures(&[pair(&pixels, &pixels[1..], view(4, 4))], 2, 3));
    shape(d.pictures(&[good], 5, 3));
    shape(d.pictures(&[good], 0, 3));
    shape(d.pictures(&[good], 2, 0));
    shape(d.pictures(&[good], 2, usize::MAX));
    shape(d.pictures(&[pair(&[], &[], view(0, 4))], 2, 3));
    shape(d.pictures(&[pair(&pixels, &pixels, view(usize::MAX, 4))], 1, 3));
    shape(d.pictures(&[], 2, 3));
    shape(d.pictures(&[good, pair(&pixels, &pixels, view(2, 8))], 2, 3));
    shape(d.pictures(&[good, pair(&pixels[1..], &pixels, view(4, 4))], 2, 3));

    let pictures = d.pictures(&[good], 2, 3).unwrap();
    let blend = |sampling| {
        [Blend {
            sampling,
            path: Path::Deletion,
            alpha: 0.5,
            noise: None,
        }]
    };
    let values = vec![vec![0.5; 9]; 2];
    let masks = Masks {
        size: 3,
        values: &values,
    };
    let first = blend(Sampling::One(0));
    let short = vec![vec![0.5; 9], vec![0.5; 8]];
    let other = Masks {
        size: 4,
        values: &values,
    };
    shape(d.stage(&pictures, other, &first));
    let uneven = Masks {
        size: 3,
        values: &short,
    };
    shape(d.stage(&pictures, uneven, &first));
    index(d.stage(&pictures, masks, &blend(Sampling::One(2))), (2, 2));
    let beyond = blend(Sampling::Product(0, 5));
    index(d.stage(&pictures, masks, &beyond), (5, 2));
    let mut batch = d.stage(&pictures, masks, &first).unwrap();
    let one_mask = Masks {
        size: 3,
        values: &values[..1],
    };
    shape(d.restage(&pictures, &mut batch, one_mask, &first));
    shape(d.restage(&pictures, &mut batch, masks, &[]));
    let dy = zeros(&d, 4, 12);
    let mut gradients = d.gradients(&pictures, 2).unwrap();
    shape(d.blend_vjp(&pictures, &batch, &zeros(&d, 3, 12), &mut gradients));
    shape(d.blend_vjp(&pictures, &batch, &dy, &mut vec![vec![0.0; 9]]));
    let mut uneven = vec![vec![0.0; 9], vec![0.0; 8]];
    shape(d.blend_vjp(&pictures, &batch, &dy, &mut uneven));
    let wider = d.pictures(&[good], 2, 4).unwrap();
    shape(d.blend(&wider, &batch));
    let none = d.stage(&pictures, masks, &[]).unwrap();
    assert!(
        d.blend_vjp(&pictures, &none, &zeros(&d, 0, 12), &mut gradients)
            .is_ok()
    );
    let mut weights = d.weigh(&[1.0, 2.0], Score::LogProbability).unwrap();
    shape(d.reweigh(&mut weights, &[1.0]));
}

#[test]
fn a_device_may_have_any_number_of_threads() {
    assert_eq!(Cpu::<f32>::new(3).unwrap().threads(), 3);
    assert!(Cpu::<f32>::new(0).unwrap().threads() > 0);
}
