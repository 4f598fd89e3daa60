//! The transformer block.

use super::attention::cases;
use super::{block, norm, on, prefix, sequence};
use crate::device::cpu::tests::support::{Random, assert_same, assert_vjp, device, values};
use crate::device::{Columns, Matrix, Rows};
use crate::nn::{Queries, Sequence};

#[test]
fn block_vjp_is_the_derivative() {
    let (d, mut random) = (device(), Random::new(121));
    for (sizes, batch, length, before, causal, chosen) in cases() {
        let what = format!("{sizes:?}, {batch} x {length} after {before}, {chosen:?}");
        let layer = block(&mut random, &d, sizes);
        let shared = (before > 0).then(|| prefix(&mut random, &d, sizes, before));
        let queries = chosen.map(|places| Queries::new(length, places));
        let sequence = sequence(batch, length, causal, &shared, &queries);
        let c = sizes.columns;
        let (x, dy) = (
            random.values(batch * length * c),
            random.values(batch * sequence.outputs() * c),
        );
        let f = |x: &[f64]| values(&layer.forward(&d, &on(&d, c, x), &sequence).unwrap().0);
        let x_matrix = on(&d, c, &x);
        let (y, saved) = layer.forward(&d, &x_matrix, &sequence).unwrap();
        assert_eq!(y.rows(), batch * sequence.outputs(), "{what}");
        let dx = layer
            .vjp(&d, &x_matrix, saved, on(&d, c, &dy), &sequence)
            .unwrap();
        assert_vjp(&what, &mut random, f, &x, &dy, &values(&dx));
    }
}

/// What attention and the perceptron compute passes a norm before it is added.
#[test]
fn with_norms_after_attention_and_perceptron() {
    let (d, mut random) = (device(), Random::new(123));
    for (sizes, batch, length, before, causal, chosen) in cases() {
        let what = format!("{sizes:?}, {batch} x {length} after {before}, {chosen:?}");
        let mut layer = block(&mut random, &d, sizes);
        let c = sizes.columns;
        let norms = [0, 1].map(|_| norm(&mut random, &d, c, false));
        layer.norms_after = Some(norms);
        let shared = (before > 0).then(|| prefix(&mut random, &d, sizes, before));
        let queries = chosen.map(|places| Queries::new(length, places));
        let sequence = sequence(batch, length, causal, &shared, &queries);
        let (x, dy) = (
            random.values(batch * length * c),
            random.values(batch * sequence.outputs() * c),
        );
        let f = |x: &[f64]| values(&layer.forward(&d, &on(&d, c, x), &sequence).unwrap().0);
        let x_matrix = on(&d, c, &x);
        let (y, saved) = layer.forward(&d, &x_matrix, &sequence).unwrap();
        let dx = layer
            .vjp(&d, &x_matrix, saved, on(&d, c, &dy), &sequence)
            .unwrap();
        assert_vjp(&what, &mut random, f, &x, &dy, &values(&dx));

        // The same, part by part.
        let (h, _) = layer.attention_norm.forward(&d, &x_matrix).unwrap();
        let (out, _) = layer.attention.forward(&d, &h, None, &sequence).unwrap();
        let [after_attention, after_mlp] = layer.norms_after.as_ref().unwrap();
        let (out, _) = after_attention.forward(&d, &out).unwrap();
        let residual = match &queries {
            Some(queries) => d.mix_rows(&x_matrix, queries.map(), None).unwrap(),
            None => x_matrix,
        };
        let mid = d.add(&residual, &out).unwrap();
        let (h, _) = layer.mlp_norm.forward(&d, &mid).unwrap();
        let (out, _) = layer.mlp.forward(&d, &h, None).unwrap();
        let (out, _) = after_mlp.forward(&d, &out).unwrap();
        let expected = values(&d.add(&mid, &out).unwrap());
        assert_same(&what, &values(&y), &expected);
    }
}

/// Choosing rows gives those rows of the whole.
#[test]
fn chosen_rows_are_rows_of_the_whole() {
    let (d, mut random) = (device(), Random::new(122));
    for (sizes, batch, length, before, causal, chosen) in cases() {
        let Some(places) = chosen else { continue };
        let layer = block(&mut random, &d, sizes);
        let shared = (before > 0).then(|| prefix(&mut random, &d, sizes, before));
        let c = sizes.columns;
        let x = on(&d, c, &random.values(batch * length * c));
        let all = Sequence {
            batch,
            length,
            causal,
            mutual: &[],
            prefix: shared.as_ref(),
            queries: None,
            positions: None,
            windows: None,
        };
        let whole = values(&layer.forward(&d, &x, &all).unwrap().0);
        let queries = Queries::new(length, places.clone());
        let some = Sequence {
            queries: Some(&queries),
            ..all
        };
        let part = values(&layer.forward(&d, &x, &some).unwrap().0);
        let rows = (0..batch).flat_map(|b| places.iter().map(move |p| b * length + p));
        let expected: Vec<f64> = rows.flat_map(|r| whole[r * c..][..c].to_vec()).collect();
        assert_same(&format!("rows {places:?}"), &part, &expected);
    }
}
