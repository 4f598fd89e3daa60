//! The order in which a mask removes cells, and the key tokens without or with only the first.

use std::collections::BTreeMap;

use super::perturbation::Perturbation;
use super::{Mask, Result};
use crate::blend::Path;
use crate::lvlm::{Callback, Scorer};

/// Log-probabilities of the key tokens by the number of cells replaced, of the most important cells
/// of a mask first.
pub(super) struct Ranking<'a> {
    scorer: &'a dyn Scorer,
    keys: &'a [usize],
    size: usize,
    order: Vec<usize>,
    /// With those cells removed from the picture.
    removed: BTreeMap<usize, Vec<f64>>,
    /// With only those cells of the picture revealed.
    revealed: BTreeMap<usize, Vec<f64>>,
}

impl<'a> Ranking<'a> {
    /// Begins with nothing replaced: `picture` and `baseline` are the log-probabilities of `keys`
    /// for the two whole pictures. With all cells replaced they may differ: a mask does not reach
    /// the padding of a view.
    pub fn new(
        scorer: &'a dyn Scorer,
        mask: &Mask,
        keys: &'a [usize],
        picture: &[f64],
        baseline: &[f64],
    ) -> Ranking<'a> {
        let begin = |values: &[f64]| BTreeMap::from([(0, values.to_vec())]);
        Ranking {
            scorer,
            keys,
            size: mask.size(),
            removed: begin(picture),
            revealed: begin(baseline),
            order: mask.ascending(),
        }
    }

    /// Returns the number of cells.
    pub fn cells(&self) -> usize {
        self.order.len()
    }

    /// Returns the measured values of a path, by the number of cells.
    pub fn measured(&self, path: Path) -> &BTreeMap<usize, Vec<f64>> {
        match path {
            Path::Deletion => &self.removed,
            Path::Insertion => &self.revealed,
        }
    }

    /// Measures each of `paths` with the first cells replaced, for every number of cells in
    /// `counts` that is not known for all of them.
    ///
    /// # Errors
    /// Returns the scorer's errors.
    pub fn measure(
        &mut self,
        paths: &[Path],
        counts: &[usize],
        evaluated: &mut Callback,
    ) -> Result<()> {
        let known = |count: &usize| {
            let mut paths = paths.iter();
            paths.all(|&path| self.measured(path).contains_key(count))
        };
        let counts: Vec<usize> = counts.iter().copied().filter(|c| !known(c)).collect();
        let perturbation = Perturbation {
            scorer: self.scorer,
            size: self.size,
            keys: self.keys,
            paths,
        };
        let masks = counts.iter().map(|&count| without(&self.order, count));
        let mut found = Vec::with_capacity(counts.len());
        perturbation.evaluate(masks, evaluated, |_, values| {
            found.push(values.iter().map(|v| v.to_vec()).collect::<Vec<_>>());
        })?;
        for (count, values) in counts.into_iter().zip(found) {
            for (&path, values) in paths.iter().zip(values) {
                let known = match path {
                    Path::Deletion => &mut self.removed,
                    Path::Insertion => &mut self.revealed,
                };
                known.insert(count, values);
            }
        }
        Ok(())
    }
}

/// Returns the mask that keeps every cell but the first `count` of `order`, which has all cells.
pub(super) fn without(order: &[usize], count: usize) -> Vec<f64> {
    let mut mask = vec![1.0; order.len()];
    order.iter().take(count).for_each(|&cell| mask[cell] = 0.0);
    mask
}
