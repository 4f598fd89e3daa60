//! Checks of the log-probabilities of key tokens and their vjp, over vocabularies smaller and
//! larger than one chunk.

use super::numbers::{Bench, Extent, VJP};
use crate::blend::Score;
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
        let exact_logits = bench.exact(&exact_logits)?;
        let largest = size(&exact_logits);
        let name = format!("log_probability {shape}");
        bench.compare_sums(name, &out, &plain, &exact, columns, largest);

        let (_, again) = device.log_probability(&x.on, &head.on, &targets)?;
        for (score, name, logits) in [
            (Score::LogProbability, "log_probability_vjp", logits),
            (Score::LogOdds, "log_odds_vjp", again),
        ] {
            let on = device.weigh(&weights, score)?;
            let dx = device.log_probability_vjp(logits, &head.on, &targets, &on)?;
            let out = bench.read(&dx)?;
            let slope = slopes(&exact_logits, &targets, &weights, score);
            let plain = plain_vjp(bench, &slope, &head.values, columns);
            let on = bench.reference.weigh(&weights, score)?;
            let logits = bench.reference.upload(rows, vocabulary, &exact_logits)?;
            let exact = bench
                .reference
                .log_probability_vjp(logits, &head.exact, &targets, &on)?;
            let exact = bench.exact(&exact)?;
            bench.compare(format!("{name} {shape}"), &out, &plain, &exact, VJP);
        }

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

/// Returns the score's gradient by the logits, from its definition.
fn slopes(logits: &[f64], targets: &[u32], weights: &[f64], score: Score) -> Vec<f64> {
    let vocabulary = logits.len() / targets.len();
    let mut slopes = Vec::with_capacity(logits.len());
    for (row, (&target, weight)) in logits.chunks(vocabulary).zip(targets.iter().zip(weights)) {
        let top = row.iter().fold(f64::NEG_INFINITY, |m, &v| m.max(v));
        let exponentials: Vec<f64> = row.iter().map(|v| (v - top).exp()).collect();
        let total: f64 = exponentials.iter().sum();
        let others: f64 = total - exponentials[target as usize];
        let factor = match score {
            Score::LogProbability => 1.0,
            Score::LogOdds => total / others,
        };
        slopes.extend(exponentials.iter().enumerate().map(|(token, e)| {
            let hot = f64::from(u8::from(token == target as usize));
            weight * factor * (hot - e / total)
        }));
    }
    slopes
}

/// Returns the gradient with that of the logits rounded to the storage type before its product
/// with the vocabulary.
fn plain_vjp<D: Device<Host = f32>>(
    bench: &Bench<D>,
    slopes: &[f64],
    head: &[f64],
    columns: usize,
) -> Vec<f64> {
    let vocabulary = head.len() / columns;
    let mut dx = vec![0.0; slopes.len() / vocabulary * columns];
    for (dx, slopes) in dx.chunks_mut(columns).zip(slopes.chunks(vocabulary)) {
        for (slope, row) in slopes.iter().zip(head.chunks(columns)) {
            let slope = bench.round(*slope);
            dx.iter_mut().zip(row).for_each(|(dx, w)| *dx += slope * w);
        }
    }
    bench.rounded(&dx)
}
