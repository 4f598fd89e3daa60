//! Pictures under masks: staging of blends, blending, and the gradients of the masks.

use std::borrow::Cow;

use super::Evaluator;
use crate::blend::{Blend, Masks, Path};
use crate::device::Device;
use crate::lvlm::error::Result;

/// A picture and its baseline as one encoder sees them.
pub(in crate::lvlm::engine) struct EncoderPicture<D: Device> {
    pub pixels: D::Pictures,
    /// The number of the picture among those that masks cover; `None` for one that is kept whole.
    pub masked: Option<usize>,
}

/// A picture that masks cover.
pub(in crate::lvlm::engine) struct MaskedPicture {
    /// The first view and its pixels of the picture.
    pub first_view: (crate::blend::View, Vec<f32>),
    /// Rows of the decoder that the picture takes.
    pub rows: usize,
}

/// The masks and blends of one picture.
struct Own<'a> {
    size: usize,
    masks: Cow<'a, [Vec<f64>]>,
    blends: Cow<'a, [Blend]>,
}

impl<'a> Own<'a> {
    /// Returns the masks and blends of picture `masked` of `pictures` that masks cover; `None` is
    /// the whole picture at every blend.
    fn of(
        masked: Option<usize>,
        pictures: usize,
        masks: Masks<'a>,
        blends: &'a [Blend],
    ) -> Own<'a> {
        let (size, cells) = (masks.size, masks.size * masks.size);
        let Some(number) = masked else {
            let whole = Blend::whole(0, Path::Deletion);
            return Own {
                size,
                masks: vec![vec![1.0; cells]].into(),
                blends: vec![whole; blends.len()].into(),
            };
        };
        if pictures == 1 {
            return Own {
                size,
                masks: masks.values.into(),
                blends: blends.into(),
            };
        }
        // A mask of another length is passed on as it is: the device says what is wrong with it.
        let part = |mask: &Vec<f64>| match mask.len() == pictures * cells {
            true => mask[number * cells..][..cells].to_vec(),
            false => mask.clone(),
        };
        // Each picture has noise of its own.
        let fresh = |blend: &Blend| {
            let mut blend = *blend;
            if let Some(noise) = &mut blend.noise {
                noise.stream = noise.stream.wrapping_add((number as u64) << 32);
            }
            blend
        };
        Own {
            size,
            masks: masks.values.iter().map(part).collect(),
            blends: blends.iter().map(fresh).collect(),
        }
    }

    fn masks(&self) -> Masks<'_> {
        Masks {
            size: self.size,
            values: &self.masks,
        }
    }
}

impl<D: Device> Evaluator<D> {
    /// Returns the number of pictures that masks cover.
    pub fn masked(&self) -> usize {
        let numbers = self.pictures.iter().filter_map(|picture| picture.masked);
        numbers.max().map_or(0, |last| last + 1)
    }

    /// Stages masks and blends for every encoder of every picture.
    pub fn stage(&self, device: &D, masks: Masks, blends: &[Blend]) -> Result<Vec<D::Batch>> {
        let pictures = self.masked();
        let stage = |picture: &EncoderPicture<D>| {
            let own = Own::of(picture.masked, pictures, masks, blends);
            Ok(device.stage(&picture.pixels, own.masks(), &own.blends)?)
        };
        self.pictures.iter().map(stage).collect()
    }

    /// Replaces the masks and blends of a batch.
    pub fn restage(
        &self,
        device: &D,
        batch: &mut [D::Batch],
        masks: Masks,
        blends: &[Blend],
    ) -> Result<()> {
        let pictures = self.masked();
        for (picture, batch) in self.pictures.iter().zip(batch) {
            if picture.masked.is_some() {
                let own = Own::of(picture.masked, pictures, masks, blends);
                device.restage(&picture.pixels, batch, own.masks(), &own.blends)?;
            }
        }
        Ok(())
    }

    /// Blends the patches of every encoder of every picture.
    pub fn blend(&self, device: &D, batch: &[D::Batch]) -> Result<Vec<D::Matrix>> {
        let pictures = self.pictures.iter().zip(batch);
        let blend =
            |(picture, batch): (&EncoderPicture<D>, _)| Ok(device.blend(&picture.pixels, batch)?);
        pictures.map(blend).collect()
    }

    /// Makes zero gradients of `masks` masks, of every encoder of a masked picture its own, so that
    /// the order of sums is that of blends however they are cut into batches.
    pub fn gradients(&self, device: &D, masks: usize) -> Result<Vec<D::Gradients>> {
        let pictures = self.pictures.iter().filter(|p| p.masked.is_some());
        let gradients = |p: &EncoderPicture<D>| Ok(device.gradients(&p.pixels, masks)?);
        pictures.map(gradients).collect()
    }

    /// Sums the gradients of all encoders of a picture, and returns those of each mask, picture by
    /// picture.
    pub fn read_gradients(&self, device: &D, gradients: &[D::Gradients]) -> Result<Vec<Vec<f64>>> {
        // By picture, then by mask.
        let mut sums: Vec<Vec<Vec<f64>>> = vec![Vec::new(); self.masked()];
        let numbers = self.pictures.iter().filter_map(|picture| picture.masked);
        for (number, own) in numbers.zip(gradients) {
            let own = device.read_gradients(own)?;
            let sum = &mut sums[number];
            if sum.is_empty() {
                *sum = own;
                continue;
            }
            for (sum, own) in sum.iter_mut().flatten().zip(own.iter().flatten()) {
                *sum += own;
            }
        }
        let mut pictures = sums.into_iter();
        let mut all = pictures.next().unwrap_or_default();
        for own in pictures {
            for (mask, own) in all.iter_mut().zip(own) {
                mask.extend(own);
            }
        }
        Ok(all)
    }

    /// Adds the gradient of the patches of every encoder of a masked picture with respect to the
    /// masks to its gradients.
    pub fn blend_vjp(
        &self,
        device: &D,
        batch: &[D::Batch],
        d_patches: &[D::Matrix],
        gradients: &mut [D::Gradients],
    ) -> Result<()> {
        let pictures = self.pictures.iter().zip(batch);
        let masked = pictures.filter(|(picture, _)| picture.masked.is_some());
        for (((picture, batch), d_patches), gradients) in masked.zip(d_patches).zip(gradients) {
            device.blend_vjp(&picture.pixels, batch, d_patches, gradients)?;
        }
        Ok(())
    }
}
