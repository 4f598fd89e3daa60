//! Launches of `kernels/blend.cu`: pictures, staged batches, and gradients on the GPU.

use super::Cuda;
use super::interface::blend::{BlendArguments, ELEMENTS, THREADS};
use super::memory::CudaMatrix;
use super::pool::Buffer;
use super::staging::Staged;
use crate::blend::Tap;
use crate::blend::{Blend, Masks, Path, Sampling, ViewPair};
use crate::device::error::expect;
use crate::device::ops::{
    Batch, BatchShape, CHANNELS, Gradients, Pictures, PicturesShape, patch_order,
};
use crate::device::{Blending, Result};

/// The largest number of pixels in a view's row: two lines of them fit in shared memory.
const WIDEST: usize = 6144;
/// The largest number of cells on a mask's side.
const MOST_CELLS: usize = 4096;
/// The largest number of views: they are a dimension of a grid.
const MOST_VIEWS: usize = 65535;

/// Two pictures as f32 patches of one or several views, and how each view samples a mask.
pub struct CudaPictures {
    picture: Buffer,
    baseline: Buffer,
    difference: Buffer,
    rows: Buffer,
    columns: Buffer,
    bands: Buffer,
    spans: Buffer,
    patch: usize,
    across: usize,
    /// Patches per view.
    patch_count: usize,
    views: usize,
    height: usize,
    width: usize,
    size: usize,
}

impl CudaPictures {
    /// Returns the number of rows of the patch matrix per blend.
    fn rows(&self) -> usize {
        self.views * self.patch_count
    }

    /// Returns the number of columns of the patch matrix.
    fn columns(&self) -> usize {
        CHANNELS * self.patch * self.patch
    }
}

/// Masks and blends at fixed addresses on the GPU.
pub struct CudaBatch {
    masks: Staged,
    blends: Staged,
    mask_size: usize,
    masks_count: usize,
    count: usize,
    /// Number of masks that a blend may sample: 2 if one may sample a product.
    slots: usize,
}

/// S x S gradients on the GPU, f32.
pub struct CudaGradients {
    buffer: Buffer,
    masks: usize,
    cells: usize,
}

impl Pictures for CudaPictures {
    fn shape(&self) -> PicturesShape {
        PicturesShape {
            rows: self.rows(),
            columns: self.columns(),
            mask_size: self.size,
        }
    }
}

impl Batch for CudaBatch {
    fn shape(&self) -> BatchShape {
        BatchShape {
            mask_size: self.mask_size,
            masks: self.masks_count,
            blends: self.count,
        }
    }
}

impl Gradients for CudaGradients {
    fn masks(&self) -> usize {
        self.masks
    }
    fn cells(&self) -> usize {
        self.cells
    }
}

fn words(values: impl IntoIterator<Item = u32>) -> Vec<u8> {
    values.into_iter().flat_map(u32::to_ne_bytes).collect()
}

/// Returns f32 values as bytes.
pub(super) fn floats(values: impl IntoIterator<Item = f64>) -> Vec<u8> {
    words(values.into_iter().map(|v| (v as f32).to_bits()))
}

/// Returns `Tap`s of the kernels as bytes.
fn taps(taps: &[Tap]) -> Vec<u8> {
    words(taps.iter().flat_map(|tap| {
        let low = if tap.inside { tap.low } else { u32::MAX };
        [low, tap.high, (tap.weight_high as f32).to_bits()]
    }))
}

/// Returns `Blend`s of the kernels as bytes.
fn blends(blends: &[Blend]) -> Vec<u8> {
    words(blends.iter().flat_map(|blend| {
        let (first, second) = match blend.sampling {
            Sampling::One(m) => (m as u32, u32::MAX),
            Sampling::Product(m, n) => (m as u32, n as u32),
        };
        let (deviation, seed, stream) = blend
            .noise
            .map_or((0.0, 0, 0), |n| (n.deviation, n.seed, n.stream));
        [
            first,
            second,
            u32::from(blend.path == Path::Insertion),
            (blend.alpha as f32).to_bits(),
            (deviation as f32).to_bits(),
            seed as u32,
            (seed >> 32) as u32,
            stream as u32,
            (stream >> 32) as u32,
        ]
    }))
}

/// Returns the largest number of masks that one of the blends samples: 2 for a product.
fn slots(blends: &[Blend]) -> usize {
    let product = |blend: &Blend| matches!(blend.sampling, Sampling::Product(..));
    if blends.iter().any(product) { 2 } else { 1 }
}

/// Returns, for each mask row i, the first of the view's rows with low = i; rows of padding belong
/// to no mask row.
fn bands(rows: &[Tap], size: usize) -> Vec<u8> {
    let before = rows.iter().take_while(|tap| !tap.inside).count();
    let inside = rows.iter().filter(|tap| tap.inside).count();
    let rows = &rows[before..before + inside];
    words((0..=size).map(|i| (before + rows.partition_point(|tap| (tap.low as usize) < i)) as u32))
}

/// Returns, for each mask column, the range of the view's columns that it affects.
fn spans(columns: &[Tap], size: usize) -> Vec<u8> {
    let before = columns.iter().take_while(|tap| !tap.inside).count();
    let inside = columns.iter().filter(|tap| tap.inside).count();
    let columns = &columns[before..before + inside];
    words((0..size).flat_map(|cell| {
        let first = columns.partition_point(|tap| (tap.high as usize) < cell);
        let last = columns.partition_point(|tap| (tap.low as usize) <= cell);
        [(before + first) as u32, (before + last.max(first)) as u32]
    }))
}

impl Cuda {
    fn table(&self, bytes: &[u8]) -> Result<Buffer> {
        let buffer = self.gpu.single_buffer(bytes.len())?;
        self.gpu.write(&buffer, bytes)?;
        Ok(buffer)
    }

    fn arguments(&self, pictures: &CudaPictures, batch: &CudaBatch) -> Result<BlendArguments> {
        Ok(BlendArguments {
            picture: pictures.picture.address(),
            baseline: pictures.baseline.address(),
            difference: pictures.difference.address(),
            rows: pictures.rows.address(),
            columns: pictures.columns.address(),
            masks: batch.masks.address(),
            blends: batch.blends.address(),
            bands: pictures.bands.address(),
            spans: pictures.spans.address(),
            patch: self.number(pictures.patch)?,
            across: self.number(pictures.across)?,
            patch_count: self.number(pictures.patch_count)?,
            views: self.number(pictures.views)?,
            height: self.number(pictures.height)?,
            width: self.number(pictures.width)?,
            size: self.number(pictures.size)?,
            count: self.number(batch.count)?,
            slots: self.number(batch.slots)?,
            ..BlendArguments::default()
        })
    }
}

impl Blending for Cuda {
    type Pictures = CudaPictures;
    type Batch = CudaBatch;
    type Gradients = CudaGradients;

    fn pictures_impl(
        &self,
        views: &[ViewPair],
        (height, width): (usize, usize),
        patch: usize,
        size: usize,
    ) -> Result<CudaPictures> {
        expect(
            width <= WIDEST && size <= MOST_CELLS && views.len() <= MOST_VIEWS,
            "pictures",
            || {
                format!(
                    "at most {MOST_VIEWS} views of at most {WIDEST} columns and masks of at most \
                     {MOST_CELLS} cells a side"
                )
            },
            || format!("{} of {width} and {size}", views.len()),
        )?;
        let order: Vec<usize> = patch_order((height, width), patch).collect();
        let values = |f: fn(&ViewPair, usize) -> f32| {
            let pixels = views
                .iter()
                .flat_map(|pair| order.iter().map(move |&i| f(pair, i).to_bits()));
            self.table(&words(pixels))
        };
        // Pixels beyond the last whole patch are ignored.
        let (height, width) = (height / patch * patch, width / patch * patch);
        let seen = |pair: &ViewPair| {
            let (mut rows, mut columns) = pair.view.taps(size);
            rows.truncate(height);
            columns.truncate(width);
            (rows, columns)
        };
        let (rows, columns): (Vec<_>, Vec<_>) = views.iter().map(seen).unzip();
        // The tables of all views, one after the other.
        let tables = |taps: &[Vec<Tap>], f: &dyn Fn(&[Tap]) -> Vec<u8>| {
            let bytes: Vec<u8> = taps.iter().flat_map(|taps| f(taps)).collect();
            self.table(&bytes)
        };
        Ok(CudaPictures {
            picture: values(|pair, i| pair.picture[i])?,
            baseline: values(|pair, i| pair.baseline[i])?,
            difference: values(|pair, i| pair.picture[i] - pair.baseline[i])?,
            rows: tables(&rows, &taps)?,
            columns: tables(&columns, &taps)?,
            bands: tables(&rows, &|rows| bands(rows, size))?,
            spans: tables(&columns, &|columns| spans(columns, size))?,
            patch,
            across: width / patch,
            patch_count: order.len() / (CHANNELS * patch * patch),
            views: views.len(),
            height,
            width,
            size,
        })
    }

    fn stage_impl(&self, masks: Masks, batch: &[Blend]) -> Result<CudaBatch> {
        let values = floats(masks.values.iter().flatten().copied());
        Ok(CudaBatch {
            masks: self.gpu.stage(&values)?,
            blends: self.gpu.stage(&blends(batch))?,
            mask_size: masks.size,
            masks_count: masks.values.len(),
            count: batch.len(),
            // With several masks the next blends may sample products even if these do not.
            slots: slots(batch).max(masks.values.len().min(2)),
        })
    }

    fn restage_impl(&self, batch: &mut CudaBatch, masks: Masks, next: &[Blend]) -> Result<()> {
        let expected = || "blends of one mask each, as before".to_string();
        expect(slots(next) <= batch.slots, "restage", expected, || {
            "products of masks".into()
        })?;
        let values = floats(masks.values.iter().flatten().copied());
        self.gpu.restage(&mut batch.masks, &values)?;
        self.gpu.restage(&mut batch.blends, &blends(next))
    }

    fn blend_impl(&self, pictures: &CudaPictures, batch: &CudaBatch) -> Result<CudaMatrix> {
        /// Blends that one thread computes from the pixels it has read.
        const EACH: usize = 5;
        let columns = pictures.columns();
        let rows = batch.count * pictures.rows();
        let y = self.gpu.matrix(rows, columns)?;
        let arguments = BlendArguments {
            patches: y.address(),
            each: EACH as i32,
            ..self.arguments(pictures, batch)?
        };
        let threads = pictures.rows() * columns.div_ceil(ELEMENTS);
        let grid = (threads.div_ceil(THREADS), batch.count.div_ceil(EACH), 1);
        // SAFETY: sizes are those of the pictures and the batch.
        unsafe { self.launch("blend", "blend", grid, THREADS, 0, &arguments) }?;
        Ok(y)
    }

    fn gradients(&self, pictures: &CudaPictures, masks: usize) -> Result<CudaGradients> {
        let cells = pictures.size * pictures.size;
        let mut gradients = CudaGradients {
            buffer: self.gpu.single_buffer(masks * cells * 4)?,
            masks,
            cells,
        };
        self.clear(&mut gradients)?;
        Ok(gradients)
    }

    fn clear(&self, gradients: &mut CudaGradients) -> Result<()> {
        let bytes = gradients.masks * gradients.cells * 4;
        self.gpu.zero(&gradients.buffer, bytes)
    }

    fn blend_vjp_impl(
        &self,
        pictures: &CudaPictures,
        batch: &CudaBatch,
        dy: &CudaMatrix,
        gradients: &mut CudaGradients,
    ) -> Result<()> {
        let cells = pictures.size * pictures.size;
        let sums = batch.count * pictures.views * batch.slots;
        let parts = self.gpu.buffer(sums * 2 * cells * 4)?;
        let arguments = BlendArguments {
            patches: dy.address(),
            parts: parts.address(),
            gradients: gradients.buffer.address(),
            ..self.arguments(pictures, batch)?
        };
        let grid = (pictures.size, batch.count, pictures.views);
        let shared = 2 * pictures.width * 4;
        // SAFETY: the trait checked the shapes; `parts` is as large as the kernel's contract
        // requires.
        unsafe { self.launch("blend", "blend_vjp", grid, THREADS, shared, &arguments) }?;
        let grid = (cells.div_ceil(THREADS), batch.masks_count, 1);
        // SAFETY: as above.
        unsafe {
            self.gpu
                .launch(("blend", "blend_gather"), grid, THREADS, 0, &arguments)
        }
    }

    fn read_gradients(&self, gradients: &CudaGradients) -> Result<Vec<Vec<f64>>> {
        let values = self
            .gpu
            .floats(&gradients.buffer, gradients.masks * gradients.cells)?;
        let grids = values.chunks(gradients.cells.max(1));
        Ok(grids
            .map(|grid| grid.iter().map(|&v| f64::from(v)).collect())
            .collect())
    }
}
