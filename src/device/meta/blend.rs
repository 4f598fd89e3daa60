//! Costs of blending.

use super::meter::Held;
use super::{Meta, MetaMatrix, tally};
use crate::blend::{Blend, Masks, ViewPair};
use crate::device::ops::{Batch, BatchShape, CHANNELS, Gradients, Pictures, PicturesShape};
use crate::device::{Blending, Part, Result};

/// The sizes of pictures.
#[derive(Debug)]
pub(crate) struct MetaPictures {
    /// Patches of all views together.
    patches: usize,
    columns: usize,
    views: usize,
    mask_size: usize,
    _held: Held,
}

/// The sizes of a batch.
#[derive(Debug)]
pub(crate) struct MetaBatch {
    shape: BatchShape,
}

/// The sizes of gradients.
#[derive(Debug)]
pub(crate) struct MetaGradients {
    masks: usize,
    cells: usize,
    _held: Held,
}

impl Pictures for MetaPictures {
    fn shape(&self) -> PicturesShape {
        PicturesShape {
            rows: self.patches,
            columns: self.columns,
            mask_size: self.mask_size,
        }
    }
}

impl Batch for MetaBatch {
    fn shape(&self) -> BatchShape {
        self.shape
    }
}

impl Gradients for MetaGradients {
    fn masks(&self) -> usize {
        self.masks
    }

    fn cells(&self) -> usize {
        self.cells
    }
}

impl Blending for Meta {
    type Pictures = MetaPictures;
    type Batch = MetaBatch;
    type Gradients = MetaGradients;

    fn pictures_impl(
        &self,
        views: &[ViewPair],
        (height, width): (usize, usize),
        patch: usize,
        mask_size: usize,
    ) -> Result<MetaPictures> {
        Ok(MetaPictures {
            // Pixels beyond the last whole patch are ignored.
            patches: views.len() * (height / patch) * (width / patch),
            columns: CHANNELS * patch * patch,
            views: views.len(),
            mask_size,
            // Picture, baseline and their difference in f32.
            _held: self.hold(3 * 4 * CHANNELS * views.len() * height * width),
        })
    }

    fn stage_impl(&self, masks: Masks, blends: &[Blend]) -> Result<MetaBatch> {
        Ok(MetaBatch {
            shape: BatchShape {
                mask_size: masks.size,
                masks: masks.values.len(),
                blends: blends.len(),
            },
        })
    }

    fn restage_impl(&self, _: &mut MetaBatch, _: Masks, _: &[Blend]) -> Result<()> {
        Ok(())
    }

    fn blend_impl(&self, pictures: &MetaPictures, batch: &MetaBatch) -> Result<MetaMatrix> {
        let rows = batch.shape.blends * pictures.patches;
        let cost = tally::blend(rows, pictures.columns);
        self.meter.count_as(Part::Blend, cost);
        Ok(self.matrix(rows, pictures.columns))
    }

    fn gradients(&self, pictures: &MetaPictures, masks: usize) -> Result<MetaGradients> {
        let cells = pictures.mask_size * pictures.mask_size;
        Ok(MetaGradients {
            masks,
            cells,
            _held: self.hold(4 * masks * cells),
        })
    }

    fn clear(&self, _: &mut MetaGradients) -> Result<()> {
        Ok(())
    }

    fn blend_vjp_impl(
        &self,
        pictures: &MetaPictures,
        batch: &MetaBatch,
        dy: &MetaMatrix,
        gradients: &mut MetaGradients,
    ) -> Result<()> {
        let cost = tally::blend_vjp(dy.rows, dy.columns);
        self.meter.count_as(Part::Blend, cost);
        // Each blend has its own sums, in two halves per row of the mask, for both masks of a
        // product.
        let slots = batch.shape.masks.min(2);
        let sums = batch.shape.blends * pictures.views * slots * 2 * gradients.cells;
        drop(self.hold(4 * sums));
        Ok(())
    }

    fn read_gradients(&self, _: &MetaGradients) -> Result<Vec<Vec<f64>>> {
        Ok(Vec::new())
    }
}
