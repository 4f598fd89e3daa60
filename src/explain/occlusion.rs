//! Occlusion (Zeiler, Fergus, ECCV 2014, arXiv 1311.2901): the score's drop under a sliding window.

use super::perturbation::{Perturbation, passes};
use super::saliency::mask_of;
use super::{Attribution, Iteration, Mask, Result, Schedule, Settings};
use crate::blend::Path;
use crate::lvlm::{Callback, Scorer};

/// The method with its settings: a `window` of so many cells a side that moves by `stride` cells.
pub(super) struct Occlusion<'a> {
    pub settings: &'a Settings,
}

/// Returns the side of the window in cells: by default a quarter of the mask's.
pub(super) fn window(settings: &Settings) -> usize {
    let quarter = (settings.mask_size / 4).max(1);
    settings.window.unwrap_or(quarter)
}

/// Returns the distance of two windows in cells: by default half a window.
fn stride(settings: &Settings) -> usize {
    let half = (window(settings) / 2).max(1);
    settings.stride.unwrap_or(half)
}

impl Occlusion<'_> {
    /// Returns the number of places of the window along a side: the last reaches the border, or
    /// beyond it.
    fn places(&self) -> usize {
        let rest = self
            .settings
            .mask_size
            .saturating_sub(window(self.settings));
        rest.div_ceil(stride(self.settings).max(1)) + 1
    }

    /// Calls `each` for every cell of a window; places are counted through all pictures.
    fn cells(&self, place: usize, mut each: impl FnMut(usize)) {
        let (size, window, stride) = (
            self.settings.mask_size,
            window(self.settings),
            stride(self.settings),
        );
        let (picture, place) = (place / self.places().pow(2), place % self.places().pow(2));
        let along = |place: usize| place * stride..(place * stride + window).min(size);
        for i in along(place / self.places()) {
            for j in along(place % self.places()) {
                each((picture * size + i) * size + j);
            }
        }
    }
}

impl Attribution for Occlusion<'_> {
    fn name(&self) -> &'static str {
        "occlusion"
    }

    fn summary(&self) -> &'static str {
        "The drop of log p under a sliding window"
    }

    fn suited_to(&self) -> &'static str {
        "one compact piece of evidence, without gradients; misses evidence that is there twice"
    }

    fn settings(&self) -> &'static [&'static str] {
        &["window", "stride"]
    }

    fn schedule(&self, pictures: usize) -> Schedule {
        let cells = pictures * self.settings.mask_size.pow(2);
        Schedule {
            passes: passes(1 + pictures * self.places().pow(2), cells, 1),
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
        let cells = scorer.pictures() * size * size;
        let whole = vec![1.0; cells];
        let places = scorer.pictures() * self.places().pow(2);
        let occluded = (0..places).map(|place| {
            let mut mask = whole.clone();
            self.cells(place, |cell| mask[cell] = 0.0);
            mask
        });
        let mut scores = Vec::new();
        let perturbation = Perturbation {
            scorer,
            size,
            keys,
            paths: &[Path::Deletion],
        };
        perturbation.evaluate(
            std::iter::once(whole.clone()).chain(occluded),
            evaluated,
            |_, values| scores.push(values.concat().iter().sum::<f64>()),
        )?;
        let (mut drops, mut windows) = (vec![0.0; cells], vec![0.0; cells]);
        if let Some((picture, occluded)) = scores.split_first() {
            for (place, score) in occluded.iter().enumerate() {
                self.cells(place, |cell| {
                    drops[cell] += picture - score;
                    windows[cell] += 1.0;
                });
            }
        }
        let mean = drops.iter().zip(&windows).map(|(drop, n)| drop / n);
        mask_of(size, &mean.collect::<Vec<f64>>())
    }
}
