//! RISE (Petsiuk, Das, Saenko, BMVC 2018, arXiv 1806.07421): random masks, weighted by the score.

use super::perturbation::{Perturbation, mean_probability, passes};
use super::saliency::{mask_of, min_max};
use super::{Attribution, Iteration, Mask, Result, Schedule, Settings};
use crate::blend::Path;
use crate::blend::random::{MASK_STREAM, key, philox4x32};
use crate::lvlm::{Callback, Scorer};

/// Number of masks, as in the paper for VGG-16.
pub(super) const SAMPLES: usize = 4000;
/// Cells per side of the grids that masks are made of, as in the paper.
pub(super) const GRID: usize = 7;

/// The method with its settings: `samples` masks made of grids of `grid` cells a side, and the
/// seed.
pub(super) struct Rise<'a> {
    pub settings: &'a Settings,
}

impl Rise<'_> {
    fn samples(&self) -> usize {
        self.settings.samples.unwrap_or(SAMPLES)
    }

    /// Returns mask `index`: a grid of zeros and ones, each with probability 1/2, enlarged to one
    /// grid cell more than the mask and cut at a random place, as the authors' program does.
    ///
    /// Grid cell c is the highest bit of word c % 4 of the counter (c / 4, index, stream); the row
    /// and column at which it is cut come from the first two words of the counter after those.
    pub(super) fn mask(&self, index: usize) -> Vec<f64> {
        let (size, grid) = (self.settings.mask_size, self.settings.grid.unwrap_or(GRID));
        let words = |block: usize| {
            let index = index as u64;
            let counter = [
                block as u32,
                index as u32,
                (index >> 32) as u32,
                MASK_STREAM,
            ];
            philox4x32(counter, key(self.settings.seed))
        };
        let blocks = (grid * grid).div_ceil(4);
        let bits: Vec<f64> = (0..blocks)
            .flat_map(words)
            .map(|word| f64::from(word >> 31))
            .collect();
        let pixels = size.div_ceil(grid);
        let cut = words(blocks);
        let taps = |word: u32| -> Vec<(usize, f64)> {
            let from = ((u64::from(word) * pixels as u64) >> 32) as usize;
            (from..from + size)
                .map(|at| tap(at, grid, (grid + 1) * pixels))
                .collect()
        };
        let (rows, columns) = (taps(cut[0]), taps(cut[1]));
        let mut mask = Vec::with_capacity(size * size);
        for &(i, down) in &rows {
            let (line, next) = (i * grid, (i + 1).min(grid - 1) * grid);
            mask.extend(columns.iter().map(|&(j, right)| {
                let beside = (j + 1).min(grid - 1);
                let along =
                    |line: usize| (1.0 - right) * bits[line + j] + right * bits[line + beside];
                (1.0 - down) * along(line) + down * along(next)
            }));
        }
        mask
    }
}

/// Returns the grid cell at or before pixel `at` of a line of `grid` cells enlarged to `pixels`,
/// and the weight of the next one. Pixels and cells lie at their centres; beyond the outermost
/// cells' centres the line is mirrored there, as scikit-image's `resize` does.
fn tap(at: usize, grid: usize, pixels: usize) -> (usize, f64) {
    let last = (grid - 1) as f64;
    let place = ((at as f64 + 0.5) * grid as f64 / pixels as f64 - 0.5).abs();
    let place = if place > last {
        2.0 * last - place
    } else {
        place
    };
    let place = place.clamp(0.0, last);
    (place as usize, place.fract())
}

impl Attribution for Rise<'_> {
    fn name(&self) -> &'static str {
        "rise"
    }

    fn summary(&self) -> &'static str {
        "Random masks, weighted by the probability that they leave"
    }

    fn suited_to(&self) -> &'static str {
        "a second opinion without gradients; expensive, and coarse"
    }

    fn settings(&self) -> &'static [&'static str] {
        &["samples", "grid"]
    }

    fn schedule(&self, pictures: usize) -> Schedule {
        let cells = pictures * self.settings.mask_size.pow(2);
        Schedule {
            passes: passes(self.samples(), cells, 1),
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
        let pictures = scorer.pictures();
        let mut sum = vec![0.0; pictures * size * size];
        let perturbation = Perturbation {
            scorer,
            size,
            keys,
            paths: &[Path::Deletion],
        };
        perturbation.evaluate(
            // Each picture has a mask of its own, all independent.
            (0..self.samples()).map(|index| {
                let masks = index * pictures..(index + 1) * pictures;
                masks.flat_map(|index| self.mask(index)).collect()
            }),
            evaluated,
            |mask, values| {
                let probability: f64 = values.iter().map(|v| mean_probability(v)).sum();
                for (sum, kept) in sum.iter_mut().zip(mask) {
                    *sum += probability * kept;
                }
            },
        )?;
        // Every cell is kept by half of the masks, so a sum has no zero of its own.
        mask_of(size, &min_max(&sum))
    }
}
