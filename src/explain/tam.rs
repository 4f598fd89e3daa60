//! Token Activation Map (Li et al., ICCV 2025, arXiv 2506.23270): logits of visual tokens for the
//! word that is explained, less what the words before it explain, and filtered.

use super::saliency::mask_of;
use super::{Attribution, Iteration, Mask, Result, Schedule, Settings};
use crate::blend::TokenGrid;
use crate::lvlm::{Callback, Scorer, SequenceRows};

/// Added to the sum of the context's relevance.
const EPSILON: f64 = 1e-8;

/// The method, which has no settings of its own.
pub(super) struct Tam<'a> {
    pub settings: &'a Settings,
}

/// A token of the text, and the row that stands for it: its own in the prompt, the one that
/// predicts it in the answer.
type TextToken = (u32, usize);

/// Positive logits of some tokens at every row.
struct Logits {
    /// Ascending.
    ids: Vec<u32>,
    /// `[rows, ids]`.
    values: Vec<f64>,
}

impl Logits {
    fn of(&self, row: usize, id: u32) -> f64 {
        let column = self.ids.binary_search(&id);
        let at = column.ok().map(|column| row * self.ids.len() + column);
        at.and_then(|at| self.values.get(at))
            .map_or(0.0, |v| v.max(0.0))
    }
}

/// Returns the text after the picture: the prompt's tokens, and the answer's.
fn text(rows: &SequenceRows) -> (Vec<TextToken>, Vec<TextToken>) {
    let picture = rows.visual.last().copied().unwrap_or(0);
    let prompt = rows.text.iter().filter(|(row, _)| *row > picture);
    let answer = rows.answer.iter().enumerate();
    (
        prompt.map(|&(row, id)| (id, row)).collect(),
        answer.map(|(t, &id)| (id, rows.first + t)).collect(),
    )
}

/// Returns a token's map at the rows `visual`, from 0 to 1: its own logits less the part that the
/// maps of the other tokens before it explain, weighed by their relevance for it.
fn token_map(logits: &Logits, visual: &[usize], token: u32, context: &[TextToken]) -> Vec<f64> {
    let others = context.iter().filter(|(id, _)| *id != token);
    let others: Vec<(u32, f64)> = others
        .map(|&(id, row)| (id, logits.of(row, token)))
        .collect();
    let sum: f64 = others.iter().map(|(_, weight)| weight).sum::<f64>() + EPSILON;
    let interference: Vec<f64> = visual
        .iter()
        .map(|&row| {
            let terms = others.iter().filter(|(_, weight)| *weight > 0.0);
            terms
                .map(|&(id, weight)| weight / sum * logits.of(row, id))
                .sum()
        })
        .collect();
    let own: Vec<f64> = visual.iter().map(|&row| logits.of(row, token)).collect();
    let square: f64 = interference.iter().map(|v| v * v).sum();
    let product: f64 = own.iter().zip(&interference).map(|(a, b)| a * b).sum();
    let scale = if square > 0.0 { product / square } else { 0.0 };
    let own = own.iter().zip(&interference);
    let own: Vec<f64> = own.map(|(own, i)| (own - scale * i).max(0.0)).collect();
    // Picture and text share one scale.
    let text = context.iter().map(|&(_, row)| logits.of(row, token));
    let all = own.iter().copied().chain(text);
    let (low, high) = all.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| {
        (low.min(v), high.max(v))
    });
    let range = if high > low { high - low } else { 1.0 };
    own.iter().map(|v| (v - low) / range).collect()
}

/// Returns an index that may be one off the ends of `length`, reflected without the end itself.
fn reflected(index: isize, length: usize) -> usize {
    let last = length.saturating_sub(1);
    match usize::try_from(index) {
        Err(_) => 1.min(last),
        Ok(index) if index > last => last.saturating_sub(1),
        Ok(index) => index,
    }
}

/// Returns the mean of sorted values weighed by a Gaussian around the middle one, whose deviation is
/// the values' coefficient of variation; 0 where their mean is not above 0.
fn rank_gaussian(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let count = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / count;
    if mean <= 0.0 {
        return 0.0;
    }
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / count;
    let deviation = (variance.sqrt() / mean).max(1e-12);
    let middle = (values.len() / 2) as f64;
    let (mut sum, mut total) = (0.0, 0.0);
    for (place, value) in values.iter().enumerate() {
        let weight = (-(place as f64 - middle).powi(2) / (2.0 * deviation * deviation)).exp();
        sum += weight * value;
        total += weight;
    }
    sum / total
}

/// Filters 3 x 3 neighbours of a grid; places without a token take no part.
fn filtered(grid: &TokenGrid, values: &[Option<f64>]) -> Vec<Option<f64>> {
    let (rows, columns) = (grid.rows, grid.columns);
    let at = |place: usize| {
        values[place]?;
        let (i, j) = ((place / columns) as isize, (place % columns) as isize);
        let window = (-1..=1).flat_map(|a| (-1..=1).map(move |b| (i + a, j + b)));
        let window = window
            .filter_map(|(i, j)| values[reflected(i, rows) * columns + reflected(j, columns)]);
        Some(rank_gaussian(window.collect()))
    };
    (0..values.len()).map(at).collect()
}

impl Attribution for Tam<'_> {
    fn name(&self) -> &'static str {
        "tam"
    }

    fn summary(&self) -> &'static str {
        "What visual tokens would say, less the words before"
    }

    fn suited_to(&self) -> &'static str {
        "words that name things, for one forward pass; blind to evidence for a word that its \
         tokens do not say"
    }

    fn settings(&self) -> &'static [&'static str] {
        &[]
    }

    fn schedule(&self, _pictures: usize) -> Schedule {
        Schedule::once(1, false)
    }

    fn run(
        &self,
        scorer: &dyn Scorer,
        keys: &[usize],
        evaluated: &mut Callback,
        _: &mut dyn FnMut(usize, Iteration, &Mask),
    ) -> Result<Mask> {
        self.settings.validate()?;
        let internals = scorer.internals()?;
        let rows = internals.rows();
        let (prompt, answer) = text(&rows);
        let last = keys.iter().copied().max().unwrap_or(0);
        let tokens = prompt.iter().chain(answer.iter().take(last + 1));
        let mut ids: Vec<u32> = tokens.map(|(id, _)| *id).collect();
        ids.sort_unstable();
        ids.dedup();
        let values = internals.logits(last, &ids, evaluated)?;
        let logits = Logits { ids, values };
        let placed = rows.places.placed();
        let visual = placed.iter().filter_map(|&token| rows.visual.get(token));
        let visual: Vec<usize> = visual.copied().collect();
        let size = self.settings.mask_size;
        let mut cells = vec![0.0; scorer.pictures() * size * size];
        for &key in keys {
            let Some(&(token, _)) = answer.get(key) else {
                continue;
            };
            let context = [&prompt[..], &answer[..key]].concat();
            let map = token_map(&logits, &visual, token, &context);
            let mut tokens = vec![0.0; rows.places.tokens()];
            for (&token, value) in placed.iter().zip(map) {
                tokens[token] = value;
            }
            let grids = rows.places.on_grids(&tokens);
            let grids = rows.places.grids().iter().zip(&grids);
            let grids: Vec<_> = grids.map(|(grid, values)| filtered(grid, values)).collect();
            let own = rows.places.sample(&grids, size);
            cells.iter_mut().zip(own).for_each(|(sum, own)| *sum += own);
        }
        mask_of(size, &cells)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A word whose map is 1 everywhere explains 7 / 4 of the map 3, 2, 1, 1.
    #[test]
    fn the_words_before_are_taken_away() {
        let logits = Logits {
            ids: vec![7, 8, 9],
            values: [3.0, 2.0, 1.0, 1.0, 2.0]
                .into_iter()
                .flat_map(|own| [1.0, own, -1.0])
                .collect(),
        };
        let close = |found: Vec<f64>, expected: [f64; 4]| {
            let pairs = found.iter().zip(expected);
            for (found, expected) in pairs {
                assert!((found - expected).abs() < 1e-7, "{found} {expected}");
            }
        };
        // The word's own row, 4, has the logit 2: the scale that it shares with the map.
        let map = token_map(&logits, &[0, 1, 2, 3], 8, &[(7, 4)]);
        close(map, [0.625, 0.125, 0.0, 0.0]);
        // The same word again explains nothing of itself, but has a share of the scale.
        let map = token_map(&logits, &[0, 1, 2, 3], 8, &[(8, 4)]);
        close(map, [1.0, 0.5, 0.0, 0.0]);
        let nothing = token_map(&logits, &[0, 1, 2, 3], 9, &[(7, 4)]);
        close(nothing, [0.0; 4]);
    }

    #[test]
    fn the_filter_is_a_mean_of_ranks() {
        assert_eq!(rank_gaussian(vec![0.0; 9]), 0.0);
        assert!((rank_gaussian(vec![2.0; 9]) - 2.0).abs() < 1e-12);
        let median = rank_gaussian(vec![1.0, 1.001, 1.0, 1.002, 1.003]);
        assert!((median - 1.001).abs() < 1e-9, "{median}");
        let places = [(-1, 3, 1), (3, 3, 1), (1, 3, 1), (-1, 1, 0), (1, 1, 0)];
        for (index, length, expected) in places {
            assert_eq!(reflected(index, length), expected);
        }
        let grid = TokenGrid {
            view: crate::blend::View::whole(2, 3),
            rows: 2,
            columns: 3,
            step: 1.0,
        };
        let values = [Some(1.0), Some(1.0), None, Some(1.0), Some(1.0), Some(1.0)];
        for (found, value) in filtered(&grid, &values).iter().zip(values) {
            assert_eq!(found.is_some(), value.is_some());
            assert!(found.is_none_or(|found| (found - 1.0).abs() < 1e-12));
        }
    }
}
