//! A row's result has the same bits whatever its batch and the number of threads.

use super::blend;
use super::support::{Random, assert_bits, matrix, rows_of, values};
use crate::blend::Score;
use crate::checkpoint::Dtype;
use crate::device::cpu::{Cpu, CpuMatrix, CpuReal};
use crate::device::prelude::*;
use crate::device::{AttentionShape, Visible};

/// Runs `whole` on all rows of `x` with one and three threads, and on every `part` rows alone; all
/// results must agree.
fn check<T: CpuReal>(
    what: &str,
    x: &[f64],
    columns: usize,
    part: usize,
    run: impl Fn(&Cpu<T>, &CpuMatrix<T>) -> Vec<Vec<f64>>,
) {
    let (one, three) = (Cpu::<T>::new(1).unwrap(), Cpu::<T>::new(3).unwrap());
    let rows = x.len() / columns;
    let whole = run(&three, &matrix(&three, rows, columns, x));
    let other = run(&one, &matrix(&one, rows, columns, x));
    let on_three = matrix(&three, rows, columns, x);
    let mut parts = vec![Vec::new(); whole.len()];
    for first in (0..rows).step_by(part) {
        for (all, new) in parts
            .iter_mut()
            .zip(run(&three, &rows_of(&three, &on_three, first, part)))
        {
            all.extend(new);
        }
    }
    for i in 0..whole.len() {
        assert_bits(
            &format!("{what}: one thread and three, result {i}"),
            &other[i],
            &whole[i],
        );
        assert_bits(
            &format!("{what}: {part} rows at a time, result {i}"),
            &parts[i],
            &whole[i],
        );
    }
}

fn products<T: CpuReal>(seed: u64) {
    let mut random = Random::new(seed);
    for (rows, out, inputs, part) in [
        (39, 67, 33, 1),
        (40, 129, 389, 4),
        (402, 70, 401, 67),
        (402, 600, 17, 201),
    ] {
        let (tensor, _) = random.tensor(Dtype::Bf16, out, inputs, false);
        let (bias, x, dy) = (
            random.values(out),
            random.values(rows * inputs),
            random.values(rows * out),
        );
        check::<T>("linear", &x, inputs, part, |d, x| {
            let w = d.weight(&tensor).unwrap();
            vec![values(
                &d.linear(x, &w, Some(&matrix(d, 1, out, &bias)), None)
                    .unwrap(),
            )]
        });
        check::<T>("linear_vjp", &dy, out, part, |d, dy| {
            vec![values(
                &d.linear_vjp(dy, &d.weight(&tensor).unwrap(), None).unwrap(),
            )]
        });
        let target = random.below(out) as u32;
        check::<T>("log_probability", &x, inputs, part, |d, x| {
            let (w, targets) = (d.weight(&tensor).unwrap(), vec![target; x.rows()]);
            let (y, logits) = d.log_probability(x, &w, &targets).unwrap();
            let weights = d.weigh(&vec![0.3; x.rows()], Score::LogOdds).unwrap();
            let dx = d
                .log_probability_vjp(logits, &w, &targets, &weights)
                .unwrap();
            vec![y, values(&dx)]
        });
    }
}

#[test]
fn products_and_log_probabilities() {
    products::<f32>(91);
    products::<f64>(92);
}

#[test]
fn norms() {
    let mut random = Random::new(93);
    let (rows, n) = (50, 131);
    let (x, gain) = (random.values(rows * n), random.values(n));
    check::<f32>("layer_norm", &x, n, 1, |d, x| {
        let g = matrix(d, 1, n, &gain);
        let (y, statistics) = d.layer_norm(x, &g, &g, 1e-5).unwrap();
        let dx = d.layer_norm_vjp(x, &statistics, &g, &y, Some(x)).unwrap();
        vec![values(&y), values(&statistics), values(&dx)]
    });
    check::<f32>("rms_norm", &x, n, 5, |d, x| {
        let g = matrix(d, 1, n, &gain);
        let (y, statistics) = d.rms_norm(x, &g, 1e-5).unwrap();
        let dx = d.rms_norm_vjp(x, &statistics, &g, &y, Some(x)).unwrap();
        vec![values(&y), values(&statistics), values(&dx)]
    });
}

/// Uses one matrix of q, k, v and dy side by side, so that a part of its rows is a sequence.
fn attentions<T: CpuReal>(seed: u64) {
    let mut random = Random::new(seed);
    for (batch, n, prefix, heads, kv, d_head, causal) in [
        (3, 37, 5, 4, 2, 16, true),
        (2, 150, 0, 3, 3, 33, false),
        (3, 67, 9, 9, 3, 5, true),
    ] {
        let (width, kv_width) = (heads * d_head, kv * d_head);
        let columns = 2 * width + 2 * kv_width;
        let x = random.values(batch * n * columns);
        let shared = random.values((prefix + 2) * kv_width);
        check::<T>("attention", &x, columns, n, |d, x| {
            let all = values(x);
            let cut = |start: usize, count: usize| {
                let part: Vec<f64> = all
                    .chunks(columns)
                    .flat_map(|row| row[start..start + count].to_vec())
                    .collect();
                matrix(d, x.rows(), count, &part)
            };
            let (q, dy) = (cut(0, width), cut(width, width));
            let (k, v) = (
                cut(2 * width, kv_width),
                cut(2 * width + kv_width, kv_width),
            );
            let visible = if causal {
                Visible::Causal((0..n).collect())
            } else {
                Visible::All
            };
            let batch = x.rows() / n;
            let (queries, keys, kv_heads, head_dim) = (n, n, kv, d_head);
            let shape = AttentionShape {
                batch,
                queries,
                keys,
                prefix,
                heads,
                kv_heads,
                head_dim,
                visible,
            };
            let p = matrix(d, prefix + 2, kv_width, &shared);
            let prefix = (prefix > 0).then_some((&p, &p));
            let (out, lse) = d.attention(&shape, &q, &k, &v, prefix).unwrap();
            let (dq, dk, dv) = d
                .attention_vjp(&shape, &q, &k, &v, prefix, &out, &lse, &dy)
                .unwrap();
            [&out, &lse, &dq, &dk, &dv].map(values).to_vec()
        });
    }
}

#[test]
fn attention() {
    attentions::<f32>(94);
    attentions::<f64>(95);
}

#[test]
fn gradients_of_blends() {
    let mut random = Random::new(96);
    let (one, three) = (Cpu::<f32>::new(1).unwrap(), Cpu::<f32>::new(3).unwrap());
    for mut case in blend::cases(&mut random) {
        let each = case.patches() * case.columns();
        let dy = random.values(case.blends.len() * each);
        let zero = vec![vec![0.0; case.size * case.size]; 3];
        let (mut whole, mut single, mut cut) = (zero.clone(), zero.clone(), zero);
        let y = case.on_device(&three, &case.masks);
        assert_bits(
            "blend: one thread and three",
            &case.on_device(&one, &case.masks),
            &y,
        );
        case.vjp(&three, &dy, &mut whole);
        case.vjp(&one, &dy, &mut single);
        let blends = case.blends.clone();
        for (i, blend) in blends.into_iter().enumerate() {
            case.blends = vec![blend];
            assert_bits(
                "blend: one at a time",
                &case.on_device(&three, &case.masks),
                &y[i * each..][..each],
            );
            case.vjp(&three, &dy[i * each..][..each], &mut cut);
        }
        assert_bits(
            "blend_vjp: one thread and three",
            &single.concat(),
            &whole.concat(),
        );
        assert_bits("blend_vjp: one at a time", &cut.concat(), &whole.concat());
    }
}
