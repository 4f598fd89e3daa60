//! Scores of many masks, in calls that hold a bounded number of them.

use super::{Pass, Result};
use crate::blend::{Blend, Masks, Path};
use crate::lvlm::{Callback, Scorer};

/// Returns the number of masks of `cells` cells that one call of the scorer takes: so many that
/// the scorer can fill its batches, so few that masks take little memory.
fn per_call(cells: usize) -> usize {
    ((1 << 16) / cells.max(1)).clamp(16, 64)
}

/// Returns the calls of the model that evaluate `masks` masks of `cells` cells, each on `paths`
/// paths.
pub(super) fn passes(masks: usize, cells: usize, paths: usize) -> Vec<Pass> {
    let held = per_call(cells);
    let pass = |masks, calls| Pass {
        blends: paths * masks,
        gradient: false,
        calls,
    };
    let all = [pass(held, masks / held), pass(masks % held, 1)];
    all.into_iter()
        .filter(|pass| pass.blends > 0 && pass.calls > 0)
        .collect()
}

/// What masks are evaluated with.
pub(super) struct Perturbation<'a> {
    pub scorer: &'a dyn Scorer,
    /// Cells per side of the masks.
    pub size: usize,
    /// Key tokens.
    pub keys: &'a [usize],
    /// The paths at whose ends each mask is evaluated.
    pub paths: &'a [Path],
}

impl Perturbation<'_> {
    /// Evaluates `masks` in order. `each` gets each mask and log p of the key tokens, path by path.
    ///
    /// # Errors
    /// Returns the scorer's errors.
    pub fn evaluate(
        &self,
        mut masks: impl Iterator<Item = Vec<f64>>,
        evaluated: &mut Callback,
        mut each: impl FnMut(&[f64], &[&[f64]]),
    ) -> Result<()> {
        let held = per_call(self.scorer.pictures() * self.size * self.size);
        loop {
            let group: Vec<Vec<f64>> = masks.by_ref().take(held).collect();
            if group.is_empty() {
                return Ok(());
            }
            let blends: Vec<Blend> = self
                .paths
                .iter()
                .flat_map(|&path| (0..group.len()).map(move |m| Blend::whole(m, path)))
                .collect();
            let on_device = Masks {
                size: self.size,
                values: &group,
            };
            let values = self
                .scorer
                .log_probabilities(on_device, &blends, self.keys, evaluated)?;
            for (m, mask) in group.iter().enumerate() {
                let of_mask = values.iter().skip(m).step_by(group.len());
                let of_mask: Vec<&[f64]> = of_mask.map(Vec::as_slice).collect();
                each(mask, &of_mask);
            }
        }
    }
}

/// Returns the mean of the key tokens' probabilities.
pub(super) fn mean_probability(log_probabilities: &[f64]) -> f64 {
    let sum: f64 = log_probabilities.iter().map(|v| v.exp()).sum();
    sum / log_probabilities.len().max(1) as f64
}
