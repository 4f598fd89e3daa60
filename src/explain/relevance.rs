//! Relevance of rows, passed from layer to layer through attention: what attention rollout and T-MM
//! are made of.

use rayon::prelude::*;

use crate::lvlm::{AttentionValues, SequenceRows};

/// Queries whose rows are held at a time.
const QUERIES: usize = 64;

/// Returns `sum over queries of relevance * weight` for every row that is read: `relevance^T W`,
/// where `W` is the mean over heads of `of(probability, gradient of the probability)`. The gradient
/// is 0 where attention has none.
pub(super) fn through(
    attention: &AttentionValues,
    relevance: &[f64],
    of: impl Fn(f64, f64) -> f64 + Sync,
) -> Vec<f64> {
    let places = attention.places.iter().copied().enumerate();
    let queries = places.filter_map(|(query, place)| {
        let relevance = relevance.get(place).copied().unwrap_or(0.0);
        (relevance != 0.0).then_some((query, relevance))
    });
    let queries: Vec<(usize, f64)> = queries.collect();
    let share = 1.0 / attention.heads.max(1) as f64;
    let row = |&(query, relevance): &(usize, f64)| {
        let mut sum = vec![0.0; attention.seen[query]];
        for head in 0..attention.heads {
            let probabilities = attention.probabilities(query, head);
            let gradients = attention.gradients(query, head).into_iter();
            let gradients = gradients.chain(std::iter::repeat(0.0));
            for ((sum, p), g) in sum.iter_mut().zip(probabilities).zip(gradients) {
                *sum += share * relevance * of(p, g);
            }
        }
        sum
    };
    // Rows are computed side by side and added in their order, whatever the number of threads.
    let mut all = vec![0.0; attention.keys()];
    for queries in queries.chunks(QUERIES) {
        let rows: Vec<Vec<f64>> = queries.par_iter().map(&row).collect();
        for row in &rows {
            all.iter_mut().zip(row).for_each(|(sum, v)| *sum += v);
        }
    }
    all
}

/// Returns the relevance with which the method begins: `each` at the rows that predict the answer's
/// tokens `keys`.
pub(super) fn at_keys(rows: &SequenceRows, keys: &[usize], each: f64) -> Vec<f64> {
    let last = keys.iter().max().map_or(0, |last| rows.first + last);
    let mut relevance = vec![0.0; last + 1];
    for key in keys {
        relevance[rows.first + key] = each;
    }
    relevance
}

/// Returns the cells of the picture's rows among the relevance of all.
pub(super) fn cells(rows: &SequenceRows, relevance: &[f64], size: usize) -> Vec<f64> {
    let of = |&row: &usize| relevance.get(row).copied().unwrap_or(0.0);
    let tokens: Vec<f64> = rows.visual.iter().map(of).collect();
    rows.places.cells(&tokens, size)
}
