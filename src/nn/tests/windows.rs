//! Attention inside windows, and rotary positions along several axes.

use super::{Sizes, attention, on};
use crate::device::cpu::tests::support::{Random, assert_same, assert_vjp, device, values};
use crate::nn::{Positions, Rope, Sequence, Windows};

const SIZES: Sizes = Sizes {
    columns: 5,
    heads: 3,
    kv_heads: 3,
    head_dim: 8,
    inner: 7,
    llama: true,
};

/// Positions of `length` rows along two axes, and frequencies of both.
fn plane(length: usize) -> (Positions, Rope) {
    let down = (0..length).map(|row| row / 3).collect();
    let across = (0..length).map(|row| row % 3).collect();
    let rope = Rope {
        frequencies: vec![1.0, 0.1, 0.7, 0.03],
        axes: vec![0, 0, 1, 1],
    };
    (Positions::new(vec![down, across], length), rope)
}

#[test]
fn windows_are_sequences_of_their_own() {
    let (d, mut random) = (device(), Random::new(114));
    let c = SIZES.columns;
    for lengths in [vec![4, 4, 4], vec![4, 2, 4, 2, 1], vec![5], vec![3, 7]] {
        let (length, batch) = (lengths.iter().sum(), 2);
        let (positions, rope) = plane(length);
        let mut layer = attention(&mut random, &d, SIZES);
        layer.rope = Some(rope);
        let windows = Windows::new(&lengths);
        let sequence = Sequence {
            batch,
            length,
            causal: false,
            mutual: &[],
            prefix: None,
            queries: None,
            positions: Some(&positions),
            windows: Some(&windows),
        };
        let (x, dy) = (
            random.values(batch * length * c),
            random.values(batch * length * c),
        );
        let run = |x: &[f64]| layer.forward(&d, &on(&d, c, x), None, &sequence).unwrap();
        let (y, saved) = run(&x);
        let dx = layer.vjp(&d, saved, &on(&d, c, &dy), &sequence).unwrap();
        let what = format!("windows of {lengths:?}");
        assert_vjp(
            &what,
            &mut random,
            |x| values(&run(x).0),
            &x,
            &dy,
            &values(&dx),
        );

        let mut alone = Vec::new();
        for first in (0..batch).map(|b| b * length) {
            let mut start = 0;
            for &own in &lengths {
                let rows = (start..start + own).collect::<Vec<_>>();
                let axis = |of: fn(usize) -> usize| rows.iter().map(|&row| of(row)).collect();
                let positions = Positions::new(vec![axis(|row| row / 3), axis(|row| row % 3)], own);
                let sequence = Sequence {
                    batch: 1,
                    length: own,
                    positions: Some(&positions),
                    windows: None,
                    ..sequence
                };
                let x = on(&d, c, &x[(first + start) * c..][..own * c]);
                alone.extend(values(&layer.forward(&d, &x, None, &sequence).unwrap().0));
                start += own;
            }
        }
        assert_same(&what, &values(&y), &alone);
    }
}

#[test]
fn each_pair_is_turned_by_its_own_axis() {
    // A row before the picture, its 2 x 3 rows, and two rows after them, which go on at 1 + 3.
    let rows = |of: fn(usize) -> usize| (0..6).map(of).collect();
    let axes = vec![rows(|_| 0), rows(|row| row / 3), rows(|row| row % 3)];
    let positions = Positions::new(axes, 3).after(1);
    let rope = Rope {
        frequencies: vec![2.0, 3.0, 5.0],
        axes: vec![0, 1, 2],
    };
    let turns = rope.turns(Some(&positions), &[0, 1, 3, 6, 7, 8]);
    let mut angles = vec![[0.0; 3]; 6];
    for turn in &turns {
        for (row, position) in turn.positions.iter().enumerate() {
            for (angle, frequency) in angles[row].iter_mut().zip(&turn.frequencies) {
                *angle += *position as f64 * frequency;
            }
        }
    }
    let expected = [
        [0, 0, 0],
        [1, 1, 1],
        [1, 1, 3],
        [1, 2, 3],
        [4, 4, 4],
        [5, 5, 5],
    ];
    let expected = expected.map(|[t, row, column]| [2 * t, 3 * row, 5 * column].map(f64::from));
    assert_eq!(angles, expected);
    // Text alone is turned once.
    assert_eq!(rope.turns(Some(&positions), &[0, 7, 8]).len(), 1);
    assert_eq!(rope.turns(None, &[4]).len(), 1);
}
