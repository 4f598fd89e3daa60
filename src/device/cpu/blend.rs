//! Blend and patchify on the CPU: from two pictures and a mask directly to the patch matrix, and
//! the gradient of the mask.

use rayon::prelude::*;

use super::microkernel::Multiply;
use super::{Cpu, CpuMatrix, CpuReal};
use crate::blend::Tap;
use crate::blend::random::{key, normal_pair, philox4x32};
use crate::blend::{Blend, Masks, Noise, Path, Sampling, ViewPair};
use crate::device::ops::{
    Batch, BatchShape, CHANNELS, Gradients, Pictures, PicturesShape, patch_order,
};
use crate::device::{Blending, Result};

/// Two pictures as patches of one or several views, and how each view samples a mask.
#[derive(Debug)]
pub struct CpuPictures<T> {
    patch: usize,
    /// Patches per row of patches.
    across: usize,
    /// Patches per view.
    each: usize,
    /// `[views * patches, 3 * patch * patch]`.
    picture: Vec<T>,
    baseline: Vec<T>,
    /// The taps of each view's rows and columns.
    taps: Vec<(Vec<Tap>, Vec<Tap>)>,
    mask_size: usize,
}

/// Masks and the blends that use them.
#[derive(Clone, Debug)]
pub struct CpuBatch {
    mask_size: usize,
    masks: Vec<Vec<f64>>,
    blends: Vec<Blend>,
}

impl CpuBatch {
    /// Copies masks and blends.
    fn new(masks: Masks, blends: &[Blend]) -> CpuBatch {
        CpuBatch {
            mask_size: masks.size,
            masks: masks.values.to_vec(),
            blends: blends.to_vec(),
        }
    }

    /// Returns masks and blends.
    fn parts(&self) -> (Masks<'_>, &[Blend]) {
        let masks = Masks {
            size: self.mask_size,
            values: &self.masks,
        };
        (masks, &self.blends)
    }
}

impl<T: CpuReal> CpuPictures<T> {
    /// Rearranges both pictures into patches.
    fn new(
        views: &[ViewPair],
        (height, width): (usize, usize),
        patch: usize,
        mask_size: usize,
    ) -> CpuPictures<T> {
        let order = patch_order((height, width), patch);
        let patches = |pixels: for<'a> fn(&ViewPair<'a>) -> &'a [f32]| {
            let values = views
                .iter()
                .flat_map(|pair| order.clone().map(|at| pixels(pair)[at]));
            values.map(|v| T::of(f64::from(v))).collect()
        };
        CpuPictures {
            patch,
            across: width / patch,
            each: height / patch * (width / patch),
            picture: patches(|pair| pair.picture),
            baseline: patches(|pair| pair.baseline),
            taps: views.iter().map(|pair| pair.view.taps(mask_size)).collect(),
            mask_size,
        }
    }

    /// Returns the number of rows of the patch matrix per blend.
    fn patches(&self) -> usize {
        self.taps.len() * self.each
    }

    /// Returns the number of columns of the patch matrix.
    fn columns(&self) -> usize {
        CHANNELS * self.patch * self.patch
    }

    /// Returns the number of cells of a mask.
    fn cells(&self) -> usize {
        self.mask_size * self.mask_size
    }

    /// Returns the taps of pixel `pixel` of patch `p`, counted over all views.
    #[inline(always)]
    fn taps(&self, p: usize, pixel: usize) -> (&Tap, &Tap) {
        let ((rows, columns), p) = (&self.taps[p / self.each], p % self.each);
        let (i, j) = (
            p / self.across * self.patch + pixel / self.patch,
            p % self.across * self.patch + pixel % self.patch,
        );
        (&rows[i], &columns[j])
    }

    /// Samples a mask at a pixel.
    #[inline(always)]
    fn sample(&self, mask: &[f64], row: &Tap, column: &Tap) -> f64 {
        if !(row.inside && column.inside) {
            return 1.0;
        }
        let at = |i: u32, j: u32| mask[i as usize * self.mask_size + j as usize];
        let along = |i: u32| {
            at(i, column.low) + column.weight_high * (at(i, column.high) - at(i, column.low))
        };
        let (low, high) = (along(row.low), along(row.high));
        low + row.weight_high * (high - low)
    }

    /// Implements `Device::blend`, which documents the contract.
    fn blend(&self, masks: Masks, blends: &[Blend], y: &mut [T]) {
        let (patches, columns, area) = (self.patches(), self.columns(), self.patch * self.patch);
        y.par_chunks_mut(columns)
            .enumerate()
            .with_min_len(8)
            .for_each(|(row, y)| {
                let (blend, p) = (&blends[row / patches], row % patches);
                let (x, b) = (
                    &self.picture[p * columns..][..columns],
                    &self.baseline[p * columns..][..columns],
                );
                let (kept, other) = match blend.path {
                    Path::Deletion => (x, b),
                    Path::Insertion => (b, x),
                };
                for pixel in 0..area {
                    let (row, column) = self.taps(p, pixel);
                    let u = match blend.sampling {
                        Sampling::One(m) => self.sample(&masks.values[m], row, column),
                        Sampling::Product(m, n) => {
                            self.sample(&masks.values[m], row, column)
                                * self.sample(&masks.values[n], row, column)
                        }
                    };
                    let w = T::of(blend.alpha * u);
                    for at in (pixel..columns).step_by(area) {
                        y[at] = kept[at] * w + other[at] * (T::ONE - w);
                    }
                }
                if let Some(noise) = blend.noise {
                    add_noise(noise, p, y);
                }
            });
    }

    /// Implements `Device::blend_vjp`, which documents the contract.
    fn blend_vjp(&self, masks: Masks, blends: &[Blend], dy: &[T], gradients: &mut [Vec<f64>]) {
        let length = self.patches() * self.columns();
        let parts: Vec<Vec<(usize, Vec<f64>)>> = blends
            .par_iter()
            .zip(dy.par_chunks(length))
            .map(|(blend, dy)| self.one_vjp(masks, blend, dy))
            .collect();
        for (mask, part) in parts.into_iter().flatten() {
            for (g, p) in gradients[mask].iter_mut().zip(part) {
                *g += p;
            }
        }
    }

    /// Returns the gradient of one blend: for each mask it samples, that mask's number and S x S
    /// grid.
    fn one_vjp(&self, masks: Masks, blend: &Blend, dy: &[T]) -> Vec<(usize, Vec<f64>)> {
        let (columns, area, cells) = (
            self.columns(),
            self.patch * self.patch,
            self.mask_size * self.mask_size,
        );
        let sign = match blend.path {
            Path::Deletion => blend.alpha,
            Path::Insertion => -blend.alpha,
        };
        let mut grids = match blend.sampling {
            Sampling::One(m) => vec![(m, vec![0.0; cells])],
            Sampling::Product(m, n) => vec![(m, vec![0.0; cells]), (n, vec![0.0; cells])],
        };
        for (p, dy) in dy.chunks(columns).enumerate() {
            let (x, b) = (
                &self.picture[p * columns..][..columns],
                &self.baseline[p * columns..][..columns],
            );
            for pixel in 0..area {
                let (row, column) = self.taps(p, pixel);
                if !(row.inside && column.inside) {
                    continue;
                }
                let along: f64 = (pixel..columns)
                    .step_by(area)
                    .map(|at| (dy[at] * (x[at] - b[at])).to_f64())
                    .sum();
                let du = sign * along;
                match (&mut grids[..], blend.sampling) {
                    ([(_, first), (_, second)], Sampling::Product(m, n)) => {
                        self.scatter(
                            first,
                            row,
                            column,
                            du * self.sample(&masks.values[n], row, column),
                        );
                        self.scatter(
                            second,
                            row,
                            column,
                            du * self.sample(&masks.values[m], row, column),
                        );
                    }
                    (grids, _) => self.scatter(&mut grids[0].1, row, column, du),
                }
            }
        }
        grids
    }

    /// The adjoint of `sample` at a pixel inside the picture.
    #[inline(always)]
    fn scatter(&self, grid: &mut [f64], row: &Tap, column: &Tap, value: f64) {
        for (i, wi) in [
            (row.low, 1.0 - row.weight_high),
            (row.high, row.weight_high),
        ] {
            for (j, wj) in [
                (column.low, 1.0 - column.weight_high),
                (column.high, column.weight_high),
            ] {
                grid[i as usize * self.mask_size + j as usize] += value * wi * wj;
            }
        }
    }
}

/// Adds noise to one patch: element e takes normal number e % 4 of the counter (e / 4, patch,
/// stream), with the seed as key. Patches are counted over all views.
fn add_noise<T: Multiply>(noise: Noise, p: usize, y: &mut [T]) {
    let key = key(noise.seed);
    for (group, y) in y.chunks_mut(4).enumerate() {
        let counter = [
            group as u32,
            p as u32,
            noise.stream as u32,
            (noise.stream >> 32) as u32,
        ];
        let bits = philox4x32(counter, key);
        let (a, b) = (normal_pair(bits[0], bits[1]), normal_pair(bits[2], bits[3]));
        for (y, n) in y.iter_mut().zip([a.0, a.1, b.0, b.1]) {
            *y += T::of(noise.deviation * f64::from(n));
        }
    }
}

impl<T: CpuReal> Pictures for CpuPictures<T> {
    fn shape(&self) -> PicturesShape {
        PicturesShape {
            rows: self.patches(),
            columns: self.columns(),
            mask_size: self.mask_size,
        }
    }
}

impl Batch for CpuBatch {
    fn shape(&self) -> BatchShape {
        BatchShape {
            mask_size: self.mask_size,
            masks: self.masks.len(),
            blends: self.blends.len(),
        }
    }
}

impl Gradients for Vec<Vec<f64>> {
    fn masks(&self) -> usize {
        self.len()
    }
    /// Returns the number of cells of the smallest gradient.
    fn cells(&self) -> usize {
        self.iter().map(Vec::len).min().unwrap_or(0)
    }
}

impl<T: CpuReal> Blending for Cpu<T> {
    type Pictures = CpuPictures<T>;
    type Batch = CpuBatch;
    type Gradients = Vec<Vec<f64>>;

    fn pictures_impl(
        &self,
        views: &[ViewPair],
        size: (usize, usize),
        patch: usize,
        mask_size: usize,
    ) -> Result<CpuPictures<T>> {
        Ok(CpuPictures::new(views, size, patch, mask_size))
    }

    fn stage_impl(&self, masks: Masks, blends: &[Blend]) -> Result<CpuBatch> {
        Ok(CpuBatch::new(masks, blends))
    }

    fn restage_impl(&self, batch: &mut CpuBatch, masks: Masks, blends: &[Blend]) -> Result<()> {
        *batch = CpuBatch::new(masks, blends);
        Ok(())
    }

    fn blend_impl(&self, pictures: &CpuPictures<T>, batch: &CpuBatch) -> Result<CpuMatrix<T>> {
        let (masks, blends) = batch.parts();
        let (rows, columns) = (blends.len() * pictures.patches(), pictures.columns());
        let mut y = self.matrix(rows, columns);
        self.run(|| pictures.blend(masks, blends, &mut y.values));
        Ok(y)
    }

    fn gradients(&self, pictures: &CpuPictures<T>, masks: usize) -> Result<Vec<Vec<f64>>> {
        Ok(vec![vec![0.0; pictures.cells()]; masks])
    }

    fn clear(&self, gradients: &mut Vec<Vec<f64>>) -> Result<()> {
        gradients.iter_mut().for_each(|g| g.fill(0.0));
        Ok(())
    }

    fn blend_vjp_impl(
        &self,
        pictures: &CpuPictures<T>,
        batch: &CpuBatch,
        dy: &CpuMatrix<T>,
        gradients: &mut Vec<Vec<f64>>,
    ) -> Result<()> {
        let (masks, blends) = batch.parts();
        self.run(|| pictures.blend_vjp(masks, blends, &dy.values, gradients));
        Ok(())
    }

    fn read_gradients(&self, gradients: &Vec<Vec<f64>>) -> Result<Vec<Vec<f64>>> {
        Ok(gradients.clone())
    }
}
