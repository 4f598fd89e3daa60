//! Self-attention: causal or not, with grouped queries, a prefix, rotary positions and a choice of
//! rows.

use super::{Sizes, attention, norm, on, prefix, sequence};
use crate::device::cpu::Cpu;
use crate::device::cpu::tests::support::{Random, assert_same, assert_vjp, device, values};
use crate::nn::{Attention, Queries, QueryKeyNorms, Sequence};

const SMALL: Sizes = Sizes {
    columns: 5,
    heads: 4,
    kv_heads: 2,
    head_dim: 6,
    inner: 7,
    llama: true,
};
const CLIP: Sizes = Sizes {
    columns: 7,
    heads: 3,
    kv_heads: 3,
    head_dim: 5,
    inner: 11,
    llama: false,
};

/// Sizes, batch, length, rows of the prefix, whether it is causal, chosen rows.
type Case = (Sizes, usize, usize, usize, bool, Option<Vec<usize>>);

pub(super) fn cases() -> Vec<Case> {
    let wide = Sizes {
        columns: 19,
        heads: 9,
        kv_heads: 3,
        head_dim: 10,
        inner: 23,
        llama: true,
    };
    vec![
        (CLIP, 2, 3, 0, false, None),
        (CLIP, 2, 4, 0, false, Some(vec![0])),
        (SMALL, 2, 3, 0, true, None),
        (SMALL, 2, 4, 3, true, None),
        (SMALL, 2, 5, 3, true, Some(vec![4, 1])),
        (CLIP, 1, 53, 0, false, None),
        (wide, 3, 67, 9, true, None),
        (wide, 2, 67, 9, true, Some(vec![66, 60, 13])),
    ]
}

#[test]
fn attention_vjp_is_the_derivative() {
    let mut random = Random::new(111);
    for case in cases() {
        let layer = attention(&mut random, &device(), case.0);
        compare(&mut random, &layer, case);
    }
}

/// Norms of each head, as in Qwen3, and of all heads together, as in InternViT.
#[test]
fn with_norms_of_queries_and_keys() {
    let (d, mut random) = (device(), Random::new(113));
    for case in cases() {
        let sizes = case.0;
        let mut layer = attention(&mut random, &d, sizes);
        let columns = match sizes.heads == sizes.kv_heads {
            true => sizes.heads * sizes.head_dim,
            false => sizes.head_dim,
        };
        layer.norms = Some(QueryKeyNorms {
            query: norm(&mut random, &d, columns, false),
            key: norm(&mut random, &d, columns, false),
            columns,
        });
        compare(&mut random, &layer, case);
    }
}

/// Compares the vjp with the derivative.
fn compare(random: &mut Random, layer: &Attention<Cpu<f64>>, case: Case) {
    let d = device();
    let (sizes, batch, length, before, causal, chosen) = case;
    let what = format!("{sizes:?}, {batch} x {length} after {before}, {chosen:?}");
    let shared = (before > 0).then(|| prefix(random, &d, sizes, before));
    let queries = chosen.map(|places| Queries::new(length, places));
    let sequence = sequence(batch, length, causal, &shared, &queries);
    let c = sizes.columns;
    let (x, dy) = (
        random.values(batch * length * c),
        random.values(batch * sequence.outputs() * c),
    );
    let residual = random.values(dy.len());
    let run = |x: &[f64], r: &[f64]| {
        layer
            .forward(&d, &on(&d, c, x), Some(&on(&d, c, r)), &sequence)
            .unwrap()
    };
    let zero = vec![0.0; dy.len()];
    let f = |x: &[f64]| values(&run(x, &zero).0);
    let (y, saved) = run(&x, &residual);
    let expected: Vec<f64> = f(&x).iter().zip(&residual).map(|(a, b)| a + b).collect();
    assert_same(&format!("residual {what}"), &values(&y), &expected);
    let dx = layer.vjp(&d, saved, &on(&d, c, &dy), &sequence).unwrap();
    assert_vjp(&what, random, f, &x, &dy, &values(&dx));
}

/// The first rows see each other as if they were not causal, later ones as if they were.
#[test]
fn first_rows_see_each_other() {
    let (d, mut random) = (device(), Random::new(115));
    let (c, length, together) = (SMALL.columns, 9, 6);
    let block = 0..together;
    let layer = attention(&mut random, &d, SMALL);
    let shared = Some(prefix(&mut random, &d, SMALL, 4));
    let (x, dy) = (random.values(2 * length * c), random.values(2 * length * c));
    let mutual = Sequence {
        mutual: std::slice::from_ref(&block),
        ..sequence(2, length, true, &shared, &None)
    };
    let run = |x: &[f64], sequence: &Sequence<Cpu<f64>>| {
        layer.forward(&d, &on(&d, c, x), None, sequence).unwrap()
    };
    let (y, saved) = run(&x, &mutual);
    let y = values(&y);
    let dx = layer.vjp(&d, saved, &on(&d, c, &dy), &mutual).unwrap();
    let f = |x: &[f64]| values(&run(x, &mutual).0);
    assert_vjp("mutual", &mut random, f, &x, &dy, &values(&dx));

    let causal = values(&run(&x, &sequence(2, length, true, &shared, &None)).0);
    for first in [0, length * c] {
        let rows = first..first + together * c;
        let alone = sequence(1, together, false, &shared, &None);
        let alone = values(&run(&x[rows.clone()], &alone).0);
        assert_same("rows that see each other", &y[rows.clone()], &alone);
        let rest = rows.end..first + length * c;
        assert_same("rows after them", &y[rest.clone()], &causal[rest]);
    }
    let queries = Some(Queries::new(length, vec![8, 1, 5]));
    let some = Sequence {
        queries: queries.as_ref(),
        ..mutual
    };
    let (part, saved) = run(&x, &some);
    let rows = [0, length].map(|first| [8, 1, 5].map(|place| first + place));
    let expected = rows.as_flattened().iter();
    let expected: Vec<f64> = expected.flat_map(|r| y[r * c..][..c].to_vec()).collect();
    assert_same("chosen rows", &values(&part), &expected);
    let read = layer.values(&d, &saved, None, &Sequence { batch: 1, ..some });
    assert_eq!(read.unwrap().seen, [9, 6, 6]);
}

/// Rows of two blocks see their own block whole, all rows before it, and nothing after it.
#[test]
fn blocks_of_rows_see_each_other_and_what_is_before_them() {
    let (d, mut random) = (device(), Random::new(116));
    let (c, length) = (SMALL.columns, 9);
    let layer = attention(&mut random, &d, SMALL);
    let x = random.values(length * c);
    let blocks = [1..4, 4..7];
    let two = Sequence {
        mutual: &blocks,
        ..sequence(1, length, true, &None, &None)
    };
    let run = |x: &[f64], sequence: &Sequence<Cpu<f64>>| {
        values(&layer.forward(&d, &on(&d, c, x), None, sequence).unwrap().0)
    };
    let y = run(&x, &two);
    let row = |y: &[f64], r: usize| y[r * c..][..c].to_vec();
    let causal = run(&x, &sequence(1, length, true, &None, &None));
    // The last row of a block, and rows outside of blocks, see what is causal.
    for r in [0, 3, 6, 7, 8] {
        assert_same("causal rows", &row(&y, r), &row(&causal, r));
    }
    // A row of the first block changes all rows of that block, and not the row before it.
    let changed = |r: usize| {
        let mut other = x.clone();
        other[r * c..][..c].iter_mut().for_each(|v| *v += 1.0);
        let other = run(&other, &two);
        let differs = |s: &usize| row(&other, *s) != row(&y, *s);
        (0..length).filter(differs).collect::<Vec<_>>()
    };
    assert_eq!(changed(3), [1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(changed(6), [4, 5, 6, 7, 8]);
    assert_eq!(changed(7), [7, 8]);
}

/// Rows computed before and kept as a prefix see the same as rows of one sequence.
#[test]
fn a_prefix_is_the_same_as_earlier_rows() {
    let (d, mut random) = (device(), Random::new(112));
    let (c, length, before) = (SMALL.columns, 11, 4);
    let layer = attention(&mut random, &d, SMALL);
    let x = random.values(length * c);
    let whole = Sequence {
        batch: 1,
        length,
        causal: true,
        mutual: &[],
        prefix: None,
        queries: None,
        positions: None,
        windows: None,
    };
    let (y, saved) = layer.forward(&d, &on(&d, c, &x), None, &whole).unwrap();
    let saved = crate::nn::KeyValues {
        key: saved.key,
        value: saved.value,
        length: before,
    };
    let rest = Sequence {
        batch: 1,
        length: length - before,
        causal: true,
        mutual: &[],
        prefix: Some(&saved),
        queries: None,
        positions: None,
        windows: None,
    };
    let x = on(&d, c, &x[before * c..]);
    let (tail, _) = layer.forward(&d, &x, None, &rest).unwrap();
    assert_same(
        "the rows after the prefix",
        &values(&tail),
        &values(&y)[before * c..],
    );
}
