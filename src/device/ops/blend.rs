//! Blending a picture with its baseline under a mask into patches, and the gradient of the mask.

use super::{Memory, Size, below, same_shape};
use crate::blend::{Blend, Masks, Sampling, ViewPair};
use crate::device::Result;
use crate::device::error::expect;

/// Colour channels of a picture.
pub(crate) const CHANNELS: usize = 3;

/// The sizes of pictures on a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PicturesShape {
    /// Rows of the patch matrix per blend: the patches of all views.
    pub rows: usize,
    /// Columns of the patch matrix.
    pub columns: usize,
    /// Cells per side of the masks that they were prepared for.
    pub mask_size: usize,
}

/// Two pictures as patches of one or several views, and how each view samples a mask.
pub trait Pictures: Send + Sync {
    /// Returns their sizes.
    fn shape(&self) -> PicturesShape;
}

/// The sizes of a batch on a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchShape {
    /// Cells per side of a mask.
    pub mask_size: usize,
    /// Number of masks.
    pub masks: usize,
    /// Number of blends.
    pub blends: usize,
}

/// Masks and the blends that use them, stored where `blend` and its vjp read them.
pub trait Batch: Send + Sync {
    /// Returns its sizes.
    fn shape(&self) -> BatchShape;
}

/// One S x S gradient per mask, summed over batches.
pub trait Gradients: Send + Sync {
    /// Returns the number of masks.
    fn masks(&self) -> usize;
    /// Returns the number of cells of each mask.
    fn cells(&self) -> usize;
}

/// Blending and its vjp.
pub trait Blending: Memory {
    /// Pictures on the device.
    type Pictures: Pictures;
    /// Masks and blends on the device.
    type Batch: Batch;
    /// Gradients on the device.
    type Gradients: Gradients;

    /// Prepares the views of two pictures for blending: at least one view, all of one size, each
    /// with its own position in the picture. Rows and columns beyond the last whole patch of
    /// `patch` pixels are ignored.
    ///
    /// # Errors
    /// [`DeviceError::Shape`](crate::device::DeviceError::Shape) for no views, views of different
    /// sizes, a wrong number of pixels, a patch larger than the views, or a mask without cells.
    fn pictures(
        &self,
        views: &[ViewPair],
        patch: usize,
        mask_size: usize,
    ) -> Result<Self::Pictures> {
        let size = check_pictures(views, patch, mask_size)?;
        self.pictures_impl(views, size, patch, mask_size)
    }
    /// Implements [`Blending::pictures`] for views of `size` rows and columns.
    fn pictures_impl(
        &self,
        views: &[ViewPair],
        size: (usize, usize),
        patch: usize,
        mask_size: usize,
    ) -> Result<Self::Pictures>;

    /// Copies masks and blends to the device.
    ///
    /// # Errors
    /// An error if the masks have another size than the pictures were prepared for, or a blend uses
    /// a mask that does not exist.
    fn stage(
        &self,
        pictures: &Self::Pictures,
        masks: Masks,
        blends: &[Blend],
    ) -> Result<Self::Batch> {
        check_masks(pictures.shape().mask_size, masks, blends)?;
        self.stage_impl(masks, blends)
    }
    /// Implements [`Blending::stage`].
    fn stage_impl(&self, masks: Masks, blends: &[Blend]) -> Result<Self::Batch>;

    /// Replaces the masks and blends of a batch with the same number of others.
    ///
    /// # Errors
    /// As [`Blending::stage`], and if their number differs.
    fn restage(
        &self,
        pictures: &Self::Pictures,
        batch: &mut Self::Batch,
        masks: Masks,
        blends: &[Blend],
    ) -> Result<()> {
        check_masks(pictures.shape().mask_size, masks, blends)?;
        let BatchShape {
            masks: most,
            blends: places,
            ..
        } = batch.shape();
        let found = (masks.values.len(), blends.len());
        let say = |(masks, blends): Size| move || format!("{masks} masks and {blends} blends");
        let fits = (most, places) == found;
        expect(fits, "restage", say((most, places)), say(found))?;
        self.restage_impl(batch, masks, blends)
    }
    /// Implements [`Blending::restage`].
    fn restage_impl(&self, batch: &mut Self::Batch, masks: Masks, blends: &[Blend]) -> Result<()>;

    /// Returns the patch matrix of every blend: `[blends * views * patches, 3 * patch * patch]`,
    /// rows ordered blend, view, patch, columns ordered channel, row, column.
    ///
    /// With U the mask sampled by the view and w = alpha * U, a blend is `x * w + b * (1 - w)`
    /// (deletion) or `b * w + x * (1 - w)` (insertion), plus noise, which differs between views.
    ///
    /// # Errors
    /// An error if the batch's masks have another size.
    fn blend(&self, pictures: &Self::Pictures, batch: &Self::Batch) -> Result<Self::Matrix> {
        check_batch("blend", pictures, batch)?;
        self.blend_impl(pictures, batch)
    }
    /// Implements [`Blending::blend`].
    fn blend_impl(&self, pictures: &Self::Pictures, batch: &Self::Batch) -> Result<Self::Matrix>;

    /// Creates zero gradients of `masks` masks. They can be used with all pictures that were
    /// prepared for masks of the same size.
    fn gradients(&self, pictures: &Self::Pictures, masks: usize) -> Result<Self::Gradients>;
    /// Sets gradients to zero.
    fn clear(&self, gradients: &mut Self::Gradients) -> Result<()>;

    /// Adds to `gradients`, one S x S grid per mask, the gradient of every blend's patches in all
    /// views. Each blend is summed separately, view by view, and the sums are added in the order of
    /// the blends, so the division into batches does not change the result.
    ///
    /// # Errors
    /// [`DeviceError::Shape`](crate::device::DeviceError::Shape) for operands of other sizes.
    fn blend_vjp(
        &self,
        pictures: &Self::Pictures,
        batch: &Self::Batch,
        dy: &Self::Matrix,
        gradients: &mut Self::Gradients,
    ) -> Result<()> {
        let (PicturesShape { rows, columns, .. }, shape) = (pictures.shape(), batch.shape());
        check_batch("blend_vjp", pictures, batch)?;
        same_shape("blend_vjp", (shape.blends * rows, columns), dy)?;
        let cells = match shape.masks {
            0 => 0,
            _ => shape.mask_size * shape.mask_size,
        };
        let found = (gradients.masks(), gradients.cells());
        let say = |(masks, cells): Size| move || format!("{masks} gradients of {cells} cells");
        let expected = (shape.masks, cells);
        expect(expected == found, "blend_vjp", say(expected), say(found))?;
        self.blend_vjp_impl(pictures, batch, dy, gradients)
    }
    /// Implements [`Blending::blend_vjp`].
    fn blend_vjp_impl(
        &self,
        pictures: &Self::Pictures,
        batch: &Self::Batch,
        dy: &Self::Matrix,
        gradients: &mut Self::Gradients,
    ) -> Result<()>;

    /// Copies gradients from the device, mask by mask.
    fn read_gradients(&self, gradients: &Self::Gradients) -> Result<Vec<Vec<f64>>>;
}

/// Checks that a batch's masks have the size that the pictures were prepared for.
fn check_batch(
    operation: &'static str,
    pictures: &impl Pictures,
    batch: &impl Batch,
) -> Result<()> {
    let (expected, found) = (pictures.shape().mask_size, batch.shape().mask_size);
    let cells = || format!("masks of {expected} cells a side");
    expect(found == expected, operation, cells, || found.to_string())
}

/// Checks that the views have one size and pixels of both pictures, and that a patch fits in it.
/// Returns the size as rows and columns of pixels.
fn check_pictures(views: &[ViewPair], patch: usize, mask_size: usize) -> Result<Size> {
    let size = |pair: &ViewPair| (pair.view.height, pair.view.width);
    let (height, width) = views.first().map_or((0, 0), size);
    let whole = patch > 0 && height >= patch && width >= patch;
    let expected = || {
        format!("views of 3 x {height} x {width} values and patches of {patch} that fit into them")
    };
    let length = height
        .checked_mul(width)
        .and_then(|pixels| pixels.checked_mul(CHANNELS));
    expect(whole, "pictures", expected, || {
        format!("{} views", views.len())
    })?;
    for pair in views {
        let lengths = (Some(pair.picture.len()), Some(pair.baseline.len()));
        let there = size(pair) == (height, width) && lengths == (length, length);
        expect(there, "pictures", expected, || {
            let (x, b) = (pair.picture.len(), pair.baseline.len());
            format!("{:?} with {x} and {b} values", size(pair))
        })?;
    }
    let cells = || "a mask of at least one cell a side, numbered in 32 bits".to_string();
    let numbered = (1..=1 << 16).contains(&mask_size);
    expect(numbered, "pictures", cells, || mask_size.to_string())?;
    Ok((height, width))
}

/// Returns the position in a picture of each element of the patch matrix: patch by patch, within it
/// channel, row, column.
pub(crate) fn patch_order(
    (height, width): Size,
    patch: usize,
) -> impl Iterator<Item = usize> + Clone {
    let across = width / patch;
    let patches = height / patch * across;
    (0..patches).flat_map(move |p| {
        (0..CHANNELS * patch).flat_map(move |line| {
            let (c, i) = (line / patch, line % patch);
            let start = (c * height + p / across * patch + i) * width + p % across * patch;
            start..start + patch
        })
    })
}

/// Checks that masks have `size` cells a side, and that blends use only existing masks.
fn check_masks(size: usize, masks: Masks, blends: &[Blend]) -> Result<()> {
    let fits = masks.size == size && masks.values.iter().all(|m| m.len() == size * size);
    let expected = || format!("masks of {size} cells a side");
    expect(fits, "blend", expected, || masks.size.to_string())?;
    let used = blends.iter().flat_map(|b| match b.sampling {
        Sampling::One(m) => [m, m],
        Sampling::Product(m, n) => [m, n],
    });
    // The largest, so that the message says how many masks are required.
    below("blend", used.max(), masks.values.len())
}
