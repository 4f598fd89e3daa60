//! Whether the most salient part of the picture decides the answer, and the smallest such part that
//! the answer needs.

use serde::{Deserialize, Serialize};

use super::curves::{CurvePoints, step};
use super::perturbation::{mean_probability, passes};
use super::ranking::{Ranking, without};
use super::{Mask, Result, Schedule};
use crate::blend::Path;
use crate::lvlm::Callback;

/// The tested share of the cells is one in this many.
const TESTED: usize = 8;

/// The answer without and with only the most salient eighth of the mask's cells, and the smallest
/// part of the picture that keeps the answer.
///
/// A picture keeps the answer if every key token is at least half as probable as with the whole
/// picture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Faithfulness {
    /// The share of the cells that is removed or revealed.
    pub fraction: f64,
    /// Mean probability of the key tokens with those cells removed from the picture.
    pub removed: f64,
    /// Mean probability with only those cells of the picture revealed.
    pub revealed: f64,
    /// Whether the picture without those cells no longer keeps the answer.
    pub flipped: bool,
    /// Whether those cells alone keep the answer.
    pub kept: bool,
    /// The smallest part of the picture that keeps the answer, among those that consist of the most
    /// salient cells; found in steps of a fiftieth of the cells, and measured.
    pub region: SufficientRegion,
}

/// A part of the picture, shown alone on the baseline, that keeps the answer. It has no cells if
/// the baseline keeps the answer, and all of them if nothing less does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SufficientRegion {
    /// The number of the mask's cells in it: those of lowest value, of equal ones the first in row
    /// order.
    pub cells: usize,
    /// Their share of all cells.
    pub fraction: f64,
    /// Mean probability of the key tokens with only the region revealed.
    pub probability: f64,
}

impl SufficientRegion {
    /// Returns the mask that removes the region, from the mask that it was found with.
    pub fn mask(&self, mask: &Mask) -> Mask {
        let kept = without(&mask.ascending(), self.cells);
        mask.mapped(|cell, _| kept[cell])
    }
}

/// Returns the calls of the model for a mask of `cells` cells after its curves at `points`, if they
/// are measured; if not all of these are, the fewest calls.
pub(crate) fn schedule(cells: usize, points: Option<CurvePoints>) -> Schedule {
    let tested = cells.div_ceil(TESTED);
    let on_curve = tested == cells || tested.is_multiple_of(step(cells));
    let (pairs, singles) = match points {
        Some(CurvePoints::All) => (usize::from(!on_curve), 0),
        Some(CurvePoints::Adaptive) => (0, 0),
        None => (1, usize::from(tested < cells)),
    };
    Schedule {
        passes: [passes(pairs, cells, 2), passes(singles, cells, 1)].concat(),
        open_ended: points != Some(CurvePoints::All),
    }
}

/// Tests a ranking, with the help of the points that it has measured.
///
/// # Errors
/// Returns the scorer's errors.
pub(super) fn faithfulness(
    ranking: &mut Ranking,
    evaluated: &mut Callback,
) -> Result<Faithfulness> {
    let cells = ranking.cells();
    let whole = ranking.measured(Path::Deletion)[&0].clone();
    let keeps = |values: &[f64]| {
        let mut tokens = values.iter().zip(&whole);
        tokens.all(|(&value, &whole)| value >= whole - std::f64::consts::LN_2)
    };
    let tested = cells.div_ceil(TESTED);
    ranking.measure(&[Path::Deletion, Path::Insertion], &[tested], evaluated)?;
    ranking.measure(&[Path::Insertion], &[cells], evaluated)?;
    let removed = ranking.measured(Path::Deletion)[&tested].clone();
    let revealed = ranking.measured(Path::Insertion)[&tested].clone();

    // Between the smallest part that is known to keep the answer and the largest below that does
    // not, the border is searched by halving.
    let step = step(cells);
    let smallest = loop {
        let known = ranking.measured(Path::Insertion);
        let kept = known.iter().find(|(_, values)| keeps(values));
        let smallest = kept.map_or(cells, |(&count, _)| count);
        let below = known.range(..smallest).next_back();
        let Some((&below, _)) = below else {
            break smallest;
        };
        // The multiples of a group between both.
        let (first, last) = (below / step + 1, (smallest - 1) / step);
        if first > last {
            break smallest;
        }
        let middle = first.midpoint(last) * step;
        ranking.measure(&[Path::Insertion], &[middle], evaluated)?;
    };
    Ok(Faithfulness {
        fraction: tested as f64 / cells as f64,
        removed: mean_probability(&removed),
        revealed: mean_probability(&revealed),
        flipped: !keeps(&removed),
        kept: keeps(&revealed),
        region: SufficientRegion {
            cells: smallest,
            fraction: smallest as f64 / cells as f64,
            probability: mean_probability(&ranking.measured(Path::Insertion)[&smallest]),
        },
    })
}
