//! Deletion and insertion curves of a mask, and the areas under them.

use serde::{Deserialize, Serialize};

use super::{Mask, Pass, Result, Schedule};
use crate::blend::{Blend, Masks, Path};
use crate::lvlm::{Callback, Scorer};

/// The smallest difference of probability between picture and baseline for which curves are
/// normalised.
pub const LEAST_RANGE: f64 = 0.01;
/// Number of groups of cells.
const GROUPS: usize = 50;
/// Number of masks held at a time, each for deletion and for insertion.
const HELD: usize = 16;

/// Mean probability of the key tokens while the most important cells are removed from the picture,
/// or revealed in the baseline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Curves {
    /// The share of cells replaced, from 0 to 1.
    pub fraction: Vec<f64>,
    /// Mean probability with those cells removed from the picture.
    pub deletion: Vec<f64>,
    /// Mean probability with only those cells of the picture revealed.
    pub insertion: Vec<f64>,
    /// Area under the normalised deletion curve; lower is better. `None` if undefined.
    pub deletion_score: Option<f64>,
    /// Area under the normalised insertion curve; higher is better. `None` if undefined.
    pub insertion_score: Option<f64>,
    /// The reason why the scores are undefined.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Returns the calls of the model for the curves of a mask of `cells` cells.
pub(crate) fn schedule(cells: usize) -> Schedule {
    let groups = cells.div_ceil(step(cells));
    let pass = |masks, calls| Pass {
        blends: 2 * masks,
        gradient: false,
        calls,
    };
    let mut passes = vec![pass(HELD, groups / HELD)];
    if !groups.is_multiple_of(HELD) {
        passes.push(pass(groups % HELD, 1));
    }
    Schedule {
        passes,
        open_ended: false,
    }
}

/// Returns the number of cells in a group.
pub(super) fn step(cells: usize) -> usize {
    (cells / GROUPS).max(1)
}

/// Computes the curves of `mask` for the tokens `keys`; `picture` and `baseline` are the keys'
/// log-probabilities for the two whole pictures.
///
/// # Errors
/// Returns the scorer's errors.
pub fn deletion_insertion(
    scorer: &dyn Scorer,
    mask: &Mask,
    keys: &[usize],
    picture: &[f64],
    baseline: &[f64],
    evaluated: &mut Callback,
) -> Result<Curves> {
    let order = mask.ascending();
    let (cells, step) = (order.len(), step(order.len()));
    let (from, to) = (mean_probability(picture), mean_probability(baseline));
    let (mut fraction, mut deletion, mut insertion) = (vec![0.0], vec![from], vec![to]);
    let mut remaining = vec![1.0; cells];
    let groups: Vec<&[usize]> = order.chunks(step).collect();
    for groups in groups.chunks(HELD) {
        let mut masks = Vec::with_capacity(groups.len());
        for group in groups {
            group.iter().for_each(|&cell| remaining[cell] = 0.0);
            masks.push(remaining.clone());
            let done = fraction.len() * step;
            fraction.push(done.min(cells) as f64 / cells as f64);
        }
        let blends: Vec<Blend> = [Path::Deletion, Path::Insertion]
            .into_iter()
            .flat_map(|path| (0..masks.len()).map(move |m| Blend::whole(m, path)))
            .collect();
        let masks = Masks {
            size: mask.size(),
            values: &masks,
        };
        let values = scorer.log_probabilities(masks, &blends, keys, evaluated)?;
        let (removed, revealed) = values.split_at(values.len() / 2);
        deletion.extend(removed.iter().map(|v| mean_probability(v)));
        insertion.extend(revealed.iter().map(|v| mean_probability(v)));
    }
    let range = from - to;
    let score =
        |curve: &[f64]| (range >= LEAST_RANGE).then(|| (area(&fraction, curve) - to) / range);
    let reason = (range < LEAST_RANGE).then(|| {
        format!(
            "the key tokens' mean probability is {from:.4} with the picture and {to:.4} with the \
             baseline: a difference below {LEAST_RANGE} is too small to divide by"
        )
    });
    let (deletion_score, insertion_score) = (score(&deletion), score(&insertion));
    Ok(Curves {
        fraction,
        deletion,
        insertion,
        deletion_score,
        insertion_score,
        reason,
    })
}

fn mean_probability(log_probabilities: &[f64]) -> f64 {
    log_probabilities.iter().map(|v| v.exp()).sum::<f64>() / log_probabilities.len().max(1) as f64
}

/// Returns the area under a curve by the trapezoid rule. The fractions range from 0 to 1, so
/// normalising the curve is equivalent to normalising its area.
fn area(fraction: &[f64], curve: &[f64]) -> f64 {
    fraction
        .windows(2)
        .zip(curve.windows(2))
        .map(|(x, y)| (x[1] - x[0]) * (y[0] + y[1]) / 2.0)
        .sum()
}
