//! Checks of the log-probabilities of key tokens and their vjp, over vocabularies smaller and
//! larger than one chunk.

use super::numbers::{Bench, Extent, VJP};
use crate::device::Result;
use crate::device::prelude::*;

pub(super) fn checks<D: Device<Host = f32>>(bench: &mut Bench<D>) -> Result<()> {
    // The logits of 129 rows, and the gradient of 1701 rows of 1704 columns, have more blocks than
    // cards have multiprocessors: those products take the large tile.
    let shapes: &[(usize, usize, usize)] = match bench.extent {
        Extent::Small => &[
            (1, 5, 16),
            (5, 429, 40),
            (3, 17001, 8),
            (2, 16400, 8),
            (129, 12168, 8),
            (1701, 24, 1704),
        ],
        Extent::Large => &[
            (1, 5, 16),
            (5, 429, 40),
            (129, 33000, 256),
            (1701, 24, 1704),
            (80, 32064, 1024),
        ],
    };
    for &(rows, vocabulary, columns) in shapes {
        let shape = format!("{rows} rows, {vocabulary} tokens");
        let (x, head) = (
            bench.matrix(rows, columns)?,
            bench.weight(vocabulary, columns)?,
        );
        let targets: Vec<u32> = (0..rows).map(|_| bench.below(vocabulary) as u32).collect();
        let weights = bench.values(rows);
        let device = bench.device;

        let (values, logits) = device.log_probability(&x.on, &head.on, &targets)?;
        let out = device.values(&values)?;
        let (exact, exact_logits) =
            bench
                .reference
                .log_probability(&x.exact, &head.exact, &targets)?;
        let single = bench.on_single(&x)?;
        let (plain, _) = bench
            .single
            .log_probability(&single, &head.exact, &targets)?;
        let largest = size(&bench.exact(&exact_logits)?);
        let name = format!("log_probability {shape}");
        bench.compare_sums(name, &out, &plain, &exact, columns, largest);

        let on = device.weigh(&weights)?;
        let dx = device.log_probability_vjp(logits, &head.on, &targets, &on)?;
        let out = bench.read(&dx)?;
        let plain = plain_vjp(
            bench,
            &exact_logits,
            &head.values,
            &targets,
            &weights,
            columns,
        )?;
        let exact =
            bench
                .reference
                .log_probability_vjp(exact_logits, &head.exact, &targets, &weights)?;
        let exact = bench.exact(&exact)?;
        bench.compare(
            format!("log_probability_vjp {shape}"),
            &out,
            &plain,
            &exact,
            VJP,
        );

        let out: Vec<f64> = device
            .logits(&x.on, &head.on)?
            .into_iter()
            .map(f64::from)
            .collect();
        let exact = bench.reference.logits(&x.exact, &head.exact)?;
        let plain = bench.single.logits(&bench.on_single(&x)?, &head.exact)?;
        let plain: Vec<f64> = plain.into_iter().map(f64::from).collect();
        let largest = size(&exact);
        let name = format!("logits {shape}");
        bench.compare_sums(name, &out, &plain, &exact, columns, largest);
    }
    Ok(())
}

/// Returns the largest absolute value.
fn size(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |m, v| v.abs().max(m))
}

/// Returns the gradient with the softmax's derivative rounded to the storage type before its
/// product with the vocabulary.
fn plain_vjp<D: Device<Host = f32>>(
    bench: &Bench<D>,
    logits: &crate::device::cpu::CpuMatrix<f64>,
    head: &[f64],
    targets: &[u32],
    weights: &[f64],
    columns: usize,
) -> Result<Vec<f64>> {
    let logits = bench.exact(logits)?;
    let vocabulary = head.len() / columns;
    let mut dx = vec![0.0; targets.len() * columns];
    for (r, logits) in logits.chunks(vocabulary).enumerate() {
        let top = logits.iter().fold(f64::NEG_INFINITY, |m, &v| m.max(v));
        let total: f64 = logits.iter().map(|v| (v - top).exp()).sum();
        for (token, logit) in logits.iter().enumerate() {
            let hot = f64::from(u8::from(token == targets[r] as usize));
            let slope = bench.round(weights[r] * (hot - (logit - top).exp() / total));
            let row = &head[token * columns..][..columns];
            for (dx, w) in dx[r * columns..].iter_mut().zip(row) {
                *dx += slope * w;
            }
        }
    }
    Ok(bench.rounded(&dx))
}
