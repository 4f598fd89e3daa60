//! Row maps, gathers, copies of rows, and rotary embedding.

use super::naive::plus;
use super::support::{Random, assert_bits, assert_same, assert_vjp, device, inner, matrix, values};
use crate::checkpoint::Dtype;
use crate::device::RowMap;
use crate::device::prelude::*;

/// Creates a map with empty rows, repeated rows, zero weights and several terms.
fn map(random: &mut Random, inputs: usize, outputs: usize) -> RowMap {
    let row = |random: &mut Random| {
        let terms = random.below(4);
        (0..terms)
            .map(|_| (random.below(inputs), random.one_of(&[0.0, 1.0, -0.5, 0.25])))
            .collect()
    };
    RowMap::new(inputs, (0..outputs).map(|_| row(random)).collect())
}

#[test]
fn mix_rows_and_its_vjp() {
    let (d, mut random) = (device::<f64>(), Random::new(51));
    for (batch, inputs, outputs, c) in [
        (1, 1, 1, 1),
        (2, 5, 3, 7),
        (3, 4, 6, 5),
        (3, 67, 41, 33),
        (5, 19, 67, 17),
    ] {
        let what = format!("{batch} x {inputs} -> {outputs}, {c} columns");
        let map = map(&mut random, inputs, outputs);
        let x = random.values(batch * inputs * c);
        let (constant, constant_values) = random.matrix(&d, outputs, c);
        let (dy, dy_values) = random.matrix(&d, batch * outputs, c);
        let (onto, onto_values) = random.matrix(&d, batch * inputs, c);
        let run = |x: &[f64]| {
            values(
                &d.mix_rows(&matrix(&d, batch * inputs, c, x), &map, None)
                    .unwrap(),
            )
        };
        let mut exact = vec![0.0; batch * outputs * c];
        for (b, o, j) in
            (0..batch).flat_map(|b| (0..outputs).flat_map(move |o| (0..c).map(move |j| (b, o, j))))
        {
            let terms = map.forward()[o]
                .iter()
                .map(|&(i, w)| w * x[(b * inputs + i) * c + j]);
            exact[(b * outputs + o) * c + j] = terms.sum();
        }
        assert_same(&what, &run(&x), &exact);
        let y = values(
            &d.mix_rows(&matrix(&d, batch * inputs, c, &x), &map, Some(&constant))
                .unwrap(),
        );
        assert_same(
            &format!("{what} and a constant"),
            &y,
            &plus(&exact, &constant_values.repeat(batch)),
        );
        let dx = values(&d.mix_rows_vjp(&dy, &map, None).unwrap());
        assert_vjp(&what, &mut random, run, &x, &dy_values, &dx);
        let added = values(&d.mix_rows_vjp(&dy, &map, Some(&onto)).unwrap());
        assert_same(&format!("{what} onto"), &added, &plus(&dx, &onto_values));
    }
}

#[test]
fn select_takes_rows_or_leaves_them_zero() {
    let d = device::<f32>();
    let x = matrix(&d, 4, 2, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]);
    let y = d
        .mix_rows(
            &x,
            &RowMap::select(2, [Some(1), None, Some(0), Some(1)]),
            None,
        )
        .unwrap();
    let expected = [
        3.0, 4.0, 0.0, 0.0, 1.0, 2.0, 3.0, 4.0, 7.0, 8.0, 0.0, 0.0, 5.0, 6.0, 7.0, 8.0,
    ];
    assert_bits("select", &values(&y), &expected);
}

#[test]
fn gather_reads_rows_of_every_dtype() {
    let (d, mut random) = (device::<f32>(), Random::new(52));
    for dtype in [Dtype::F16, Dtype::Bf16, Dtype::F32] {
        for odd in [false, true] {
            let (tensor, w) = random.tensor(dtype, 7, 133, odd);
            let y = d
                .gather(&d.weight(&tensor).unwrap(), &[6, 0, 3, 3])
                .unwrap();
            let expected: Vec<f64> = [6, 0, 3, 3]
                .iter()
                .flat_map(|&i: &usize| w[i * 133..][..133].to_vec())
                .collect();
            assert_bits(&format!("{dtype}"), &values(&y), &expected);
        }
    }
}

#[test]
fn write_rows_changes_its_rows_alone() {
    let (d, mut random) = (device::<f32>(), Random::new(53));
    let (mut target, before) = random.matrix(&d, 5, 3);
    let (x, new) = random.matrix(&d, 2, 3);
    d.write_rows(&mut target, 3, &x).unwrap();
    assert_bits(
        "write_rows",
        &values(&target),
        &[&before[..9], &new].concat(),
    );
    d.write_rows(&mut target, 5, &matrix(&d, 0, 3, &[]))
        .unwrap();
}

#[test]
fn rope_turns_pairs_and_back() {
    let (d, mut random) = (device::<f64>(), Random::new(54));
    for (batch, heads, half, positions) in [
        (1, 1, 1, vec![3]),
        (2, 2, 3, vec![4, 1, 9]),
        (3, 5, 33, vec![7, 70, 2047]),
    ] {
        let (d_head, n) = (2 * half, positions.len());
        let columns = heads * d_head;
        let frequencies: Vec<f64> = (0..half)
            .map(|i| 1e4f64.powf(-(i as f64) / half as f64))
            .collect();
        let x = random.values(batch * n * columns);
        let run = |x: &[f64], inverse: bool| {
            let mut x = matrix(&d, batch * n, columns, x);
            d.rope(&mut x, d_head, &frequencies, &positions, inverse)
                .unwrap();
            values(&x)
        };
        let mut exact = vec![0.0; x.len()];
        for (r, row) in x.chunks(columns).enumerate() {
            for c in 0..columns {
                let (i, angle) = (c % d_head, positions[r % n] as f64 * frequencies[c % half]);
                let partner = if i < half {
                    -row[c + half]
                } else {
                    row[c - half]
                };
                exact[r * columns + c] = row[c] * angle.cos() + partner * angle.sin();
            }
        }
        let y = run(&x, false);
        assert_same("rope", &y, &exact);
        assert_same("back", &run(&y, true), &x);
        let dy = random.values(x.len());
        let dx = run(&dy, true);
        assert_vjp("rope", &mut random, |x| run(x, false), &x, &dy, &dx);
        assert!(
            (inner(&y, &dy) - inner(&x, &dx)).abs() < 1e-9,
            "the inverse is the transpose"
        );
    }
}
