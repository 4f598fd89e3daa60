//! EAGLE (Chen et al., arXiv 2509.22496): regions chosen one after another, each the one that adds
//! the most to the insight and the necessity of those before it.

use super::perturbation::{Perturbation, mean_probability, passes};
use super::saliency::{mask_of, min_max};
use super::{Attribution, Iteration, Mask, Result, Schedule, Settings};
use crate::blend::Path;
use crate::lvlm::{Callback, Scorer};

/// Regions per side: 64 in all, as in the paper.
pub(super) const GRID: usize = 8;
/// The most regions per side: their evaluations grow with the square of the number of regions.
pub(super) const LARGEST_GRID: usize = 64;

/// The method with its settings: regions are the `grid * grid` blocks of the mask.
pub(super) struct Eagle<'a> {
    pub settings: &'a Settings,
}

impl Eagle<'_> {
    /// Returns the number of regions per side, each at least one cell.
    fn grid(&self) -> usize {
        let grid = self.settings.grid.unwrap_or(GRID);
        grid.clamp(1, self.settings.mask_size.max(1))
    }

    /// Returns the region of a cell; both are counted through all pictures.
    fn region(&self, cell: usize) -> usize {
        let (size, grid) = (self.settings.mask_size, self.grid());
        let (picture, cell) = (cell / (size * size), cell % (size * size));
        let along = |place: usize| place * grid / size;
        (picture * grid + along(cell / size)) * grid + along(cell % size)
    }

    /// Returns the mask that keeps the regions that are `chosen`, and another one.
    fn keeping(&self, chosen: &[bool], another: usize) -> Vec<f64> {
        let kept = |cell| {
            let region = self.region(cell);
            chosen[region] || region == another
        };
        let pictures = chosen.len() / self.grid().pow(2);
        let cells = 0..pictures * self.settings.mask_size.pow(2);
        cells.map(|cell| f64::from(u8::from(kept(cell)))).collect()
    }
}

impl Attribution for Eagle<'_> {
    fn name(&self) -> &'static str {
        "eagle"
    }

    fn summary(&self) -> &'static str {
        "Regions in the order in which they add the most"
    }

    fn suited_to(&self) -> &'static str {
        "a ranking made for deletion and insertion, without gradients; as coarse as its regions"
    }

    fn settings(&self) -> &'static [&'static str] {
        &["grid"]
    }

    fn schedule(&self, pictures: usize) -> Schedule {
        let cells = pictures * self.settings.mask_size.pow(2);
        let regions = pictures * self.grid().pow(2);
        let rounds = (1..=regions).rev();
        Schedule {
            passes: rounds.flat_map(|left| passes(left, cells, 2)).collect(),
            open_ended: false,
        }
    }

    fn run(
        &self,
        scorer: &dyn Scorer,
        keys: &[usize],
        evaluated: &mut Callback,
        _: &mut dyn FnMut(usize, Iteration, &Mask),
    ) -> Result<Mask> {
        self.settings.validate()?;
        let size = self.settings.mask_size;
        // Where a mask keeps the chosen regions, the end of the first path shows them alone, and
        // that of the second shows all others.
        let perturbation = Perturbation {
            scorer,
            size,
            keys,
            paths: &[Path::Deletion, Path::Insertion],
        };
        let regions = scorer.pictures() * self.grid().pow(2);
        let mut chosen = vec![false; regions];
        let mut left: Vec<usize> = (0..regions).collect();
        // The regions in the order chosen, and the score after each.
        let mut order = Vec::with_capacity(regions);
        // The probability of the picture minus that of the baseline: the last round shows both.
        let mut range = 0.0;
        while !left.is_empty() {
            let candidates = left.iter().map(|&region| self.keeping(&chosen, region));
            let (mut best, mut at, mut place) = (f64::NEG_INFINITY, 0, 0);
            perturbation.evaluate(candidates, evaluated, |_, values| {
                let [alone, others] = [0, 1].map(|path| {
                    let values: Option<&&[f64]> = values.get(path);
                    values.map_or(0.0, |v| mean_probability(v))
                });
                // Insight, p with the regions alone, and necessity, 1 - p without them.
                let score = alone + (1.0 - others);
                if score > best {
                    (best, at, range) = (score, place, alone - others);
                }
                place += 1;
            })?;
            let region = left.remove(at);
            chosen[region] = true;
            order.push((region, best));
        }
        // The order counts, and how much each region changed the score.
        let mut before = 1.0 - range;
        let mut height = 0.0;
        let mut heights = vec![0.0; regions];
        for (region, score) in order {
            height -= f64::abs(score - before);
            heights[region] = height;
            before = score;
        }
        let cells = 0..scorer.pictures() * size * size;
        let cells = cells.map(|cell| heights[self.region(cell)]);
        mask_of(size, &min_max(&cells.collect::<Vec<f64>>()))
    }
}
