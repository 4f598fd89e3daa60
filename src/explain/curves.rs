//! Deletion and insertion curves of a mask, and the areas under them.

use serde::{Deserialize, Serialize};

use super::perturbation::{mean_probability, passes};
use super::ranking::Ranking;
use super::{Mask, Result, Schedule};
use crate::blend::Path;
use crate::lvlm::{Callback, Scorer};

/// The smallest difference of probability between picture and baseline for which curves are
/// normalised.
pub const LEAST_RANGE: f64 = 0.01;
/// Number of groups of cells.
const GROUPS: usize = 50;
/// The largest error of a score from intervals between adaptive points.
const TOLERANCE: f64 = 0.002;

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

/// The points at which curves are measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CurvePoints {
    /// Every fiftieth of the cells.
    #[default]
    All,
    /// Those of them that the scores need: more where a curve is steep.
    Adaptive,
}

/// Returns the calls of the model for the curves of a mask of `cells` cells.
pub(crate) fn schedule(cells: usize, points: CurvePoints) -> Schedule {
    let groups = cells.div_ceil(step(cells));
    let measured = match points {
        CurvePoints::All => groups,
        CurvePoints::Adaptive => first_points(groups).len(),
    };
    Schedule {
        passes: passes(measured, cells, 2),
        open_ended: points == CurvePoints::Adaptive,
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
    (picture, baseline): (&[f64], &[f64]),
    points: CurvePoints,
    evaluated: &mut Callback,
) -> Result<Curves> {
    let mut ranking = Ranking::new(scorer, mask, keys, picture, baseline);
    curves(&mut ranking, points, evaluated)
}

/// Measures the curves of a ranking at `points`.
pub(super) fn curves(
    ranking: &mut Ranking,
    points: CurvePoints,
    evaluated: &mut Callback,
) -> Result<Curves> {
    let cells = ranking.cells();
    let step = step(cells);
    let groups = cells.div_ceil(step);
    let count = |group: usize| (group * step).min(cells);
    let mut wanted: Vec<usize> = match points {
        CurvePoints::All => (1..=groups).collect(),
        CurvePoints::Adaptive => first_points(groups),
    };
    // In groups, like `wanted`.
    let mut at = vec![0];
    let [deletion, insertion] = loop {
        let counts: Vec<usize> = wanted.iter().map(|&group| count(group)).collect();
        ranking.measure(&[Path::Deletion, Path::Insertion], &counts, evaluated)?;
        at.extend(&wanted);
        at.sort_unstable();
        let curves = [Path::Deletion, Path::Insertion].map(|path| -> Vec<f64> {
            let measured = ranking.measured(path);
            let values = at.iter().map(|&group| &measured[&count(group)]);
            values.map(|values| mean_probability(values)).collect()
        });
        wanted = match points {
            CurvePoints::All => Vec::new(),
            CurvePoints::Adaptive => next_points(&at, &curves, count),
        };
        if wanted.is_empty() {
            break curves;
        }
    };
    let fraction: Vec<f64> = at.iter().map(|&g| count(g) as f64 / cells as f64).collect();
    let (from, to) = (deletion[0], insertion[0]);
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

/// Returns the points of the first round, of `groups` groups: powers of two, dense at the
/// beginning, where the curves of a good map bend, and eighths, the last of which is all of them.
fn first_points(groups: usize) -> Vec<usize> {
    let powers = std::iter::successors(Some(1), |&group: &usize| group.checked_mul(2));
    let eighths = (1..=8).map(|eighth| (groups * eighth + 4) / 8);
    let powers = powers.take_while(|&group| group < groups);
    let mut points: Vec<usize> = powers.chain(eighths).filter(|&group| group > 0).collect();
    points.sort_unstable();
    points.dedup();
    points
}

/// Returns the points of the next round, given `curves` at the points `at`: the middles of the
/// intervals that contribute most to the error of a score; `count` is the number of cells in the
/// first groups. Empty if both errors are at most [`TOLERANCE`], or there are no scores.
///
/// Between two points, a monotone curve and its chord enclose at most half of the rectangle that
/// the points span, less the part that the finest points, one group apart, leave unknown too.
fn next_points(at: &[usize], curves: &[Vec<f64>; 2], count: impl Fn(usize) -> usize) -> Vec<usize> {
    let cells = count(at[at.len() - 1]);
    let range = curves[0][0] - curves[1][0];
    if range < LEAST_RANGE {
        return Vec::new();
    }
    let errors = |curve: &Vec<f64>| -> Vec<(usize, usize, f64)> {
        let intervals = at.windows(2).zip(curve.windows(2));
        let error = |(at, values): (&[usize], &[f64])| {
            let width = (count(at[1]) - count(at[0] + 1)) as f64 / cells as f64;
            let change = (values[0] - values[1]).abs();
            (at[0], at[1], 0.5 * width * change / range)
        };
        intervals.map(error).collect()
    };
    let of_both = curves.each_ref().map(errors);
    let mut next: Vec<usize> = Vec::new();
    for errors in &of_both {
        let total: f64 = errors.iter().map(|&(_, _, error)| error).sum();
        if total > TOLERANCE {
            // An equal share of the tolerance for each interval: the largest error is above it.
            let share = TOLERANCE / errors.len() as f64;
            let large = errors.iter().filter(|&&(_, _, error)| error > share);
            next.extend(large.map(|&(from, to, _)| from.midpoint(to)));
        }
    }
    next.sort_unstable();
    next.dedup();
    next
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
