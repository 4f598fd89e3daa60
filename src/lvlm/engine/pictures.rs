//! The pictures of a session: their views, their pixels on the device, the layers for their sizes,
//! and where their rows are.

use super::evaluator::{EncoderPicture, MaskedPicture, Rest};
use super::measure::PictureViews;
use super::model::Model;
use crate::blend::{Extent, TokenPlaces, View, ViewPair};
use crate::checkpoint::{Compat, PictureText};
use crate::device::Device;
use crate::device::meta::Meta;
use crate::lvlm::error::{LvlmError, Result};
use crate::lvlm::family::picture_layers::{OfSize, PictureLayers};
use crate::lvlm::family::several::{OnePicture, several};
use crate::lvlm::family::traits::EncoderViews;
use crate::lvlm::model::{MOST_PICTURES, PicturePair};
use crate::lvlm::resampling::Resampling;
use crate::nn::Positions;

/// The pictures of a session.
pub(super) struct SessionPictures<D: Device> {
    /// Those that masks cover.
    pub masked: Vec<MaskedPicture>,
    pub pictures: Vec<EncoderPicture<D>>,
    pub layers: Box<dyn PictureLayers<D>>,
    /// The same layers without numbers.
    pub meta_layers: Box<dyn PictureLayers<Meta>>,
    pub views: PictureViews,
    /// The places of the visual tokens in the masked pictures.
    pub places: TokenPlaces,
    /// As [`Session::mask_extent`](crate::lvlm::Session::mask_extent).
    pub extent: Option<Extent>,
}

impl<D: Device> Model<D> {
    /// Checks that a prompt of the model may have that number of pictures.
    ///
    /// # Errors
    /// [`LvlmError::Pictures`].
    pub(super) fn takes(&self, pictures: usize) -> Result<()> {
        let expected = match (
            pictures,
            self.vision.takes_several(),
            self.checkpoint.compat,
        ) {
            (1, ..) | (2..=MOST_PICTURES, true, _) => return Ok(()),
            (_, true, _) => format!("1 to {MOST_PICTURES}"),
            (_, false, Some(program)) => format!("one, as {program} takes"),
            (_, false, None) => format!("one, as models of family {} take", self.family),
        };
        let found = pictures.to_string();
        Err(LvlmError::Pictures { expected, found })
    }

    /// Returns the texts of pictures of these widths and heights in one prompt.
    pub(super) fn picture_texts(&self, sizes: &[(u32, u32)]) -> Result<Vec<PictureText>> {
        let tokenizer = &self.checkpoint.tokenizer;
        let text = |&size| self.vision.picture_text(tokenizer, size, sizes.len());
        sizes.iter().map(text).collect()
    }

    /// Puts pictures on the device; `rest` is the prompt from the first of their rows on, after so
    /// many tokens.
    ///
    /// # Errors
    /// [`LvlmError::Prompt`] for another number of rows; errors of the device.
    pub(super) fn put(
        &self,
        pairs: Vec<PicturePair>,
        (rest, before): (&Rest, usize),
        mask_size: usize,
        resampling: Option<&Resampling>,
    ) -> Result<SessionPictures<D>> {
        let among = pairs.len();
        let of_size = |pair: &PicturePair| self.vision.of_size(pair.size, among);
        let sizes = pairs.iter().map(of_size).collect::<Result<Vec<_>>>()?;
        let (expected, found) = (sizes.iter().map(|s| s.images).sum(), rest.images().len());
        if found != expected {
            return Err(LvlmError::Prompt { expected, found });
        }
        let processing = self.vision.processing(among);
        let (mut layers, mut meta_layers, mut placed) = (Vec::new(), Vec::new(), Vec::new());
        let (mut masked, mut pictures, mut encoders) = (Vec::new(), Vec::new(), Vec::new());
        let (mut places, mut positions) = (Vec::new(), Vec::new());
        let (mut rows, mut extent) = (0, None);
        for (pair, size) in pairs.into_iter().zip(sizes) {
            let (width, height) = pair.size;
            let (mut own, covered) = self.encoder_views(pair.size, among)?;
            if let Some(resampling) = resampling {
                for view in own.iter_mut().flat_map(|encoder| &mut encoder.views) {
                    *view = resampling.under(view);
                }
            }
            extent = extent.or(covered);
            let number = pair.baseline.is_some().then_some(masked.len());
            let first = rest.images().get(rows).copied().unwrap_or(0);
            let OfSize {
                layers: own_layers,
                meta,
                images,
            } = size;
            layers.push(own_layers);
            meta_layers.push(meta);
            placed.push(OnePicture {
                encoders: own.len(),
                rows: images,
                first,
                masked: number.is_some(),
            });
            places.push((processing.token_places(width, height)?, number.is_some()));
            let along_axes = processing.positions(width, height)?;
            positions.extend(along_axes.map(|own| own.after(before + first)));
            let baseline = pair.baseline.as_ref().unwrap_or(&pair.picture);
            for (encoder, (x, b)) in own.iter().zip(pair.picture.iter().zip(baseline)) {
                let pixels = encoder.views.iter().zip(x.iter().zip(b));
                let pixels = pixels.map(|(&view, (picture, baseline))| ViewPair {
                    view,
                    picture,
                    baseline,
                });
                let views: Vec<ViewPair> = pixels.collect();
                pictures.push(EncoderPicture {
                    pixels: self.device.pictures(&views, encoder.patch, mask_size)?,
                    masked: number,
                });
            }
            let first_view = own
                .iter()
                .flat_map(|encoder| &encoder.views)
                .next()
                .copied();
            if let (Some(_), Some(view)) = (number, first_view) {
                let pixels = pair.picture.into_iter().flatten().next();
                masked.push(MaskedPicture {
                    first_view: (view, pixels.unwrap_or_default()),
                    rows: images,
                });
            }
            encoders.extend(own.into_iter().map(|views| (views, number)));
            rows += images;
        }
        Ok(SessionPictures {
            masked,
            pictures,
            layers: together(&placed, layers),
            meta_layers: together(&placed, meta_layers),
            views: PictureViews {
                encoders,
                images: rows,
                positions: (!positions.is_empty()).then(|| Positions::joined(positions)),
            },
            places: TokenPlaces::joined(places),
            extent,
        })
    }

    /// Returns the views that the encoders take of a picture of that size, and the part of the
    /// picture that a mask covers where that is not the whole.
    pub(super) fn encoder_views(
        &self,
        (width, height): (u32, u32),
        among: usize,
    ) -> Result<(Vec<EncoderViews>, Option<Extent>)> {
        let processing = self.vision.processing(among);
        let mut encoders = processing.encoder_views(width, height)?;
        let Some(Compat::LvlmInterpretation) = self.checkpoint.compat else {
            return Ok((encoders, None));
        };
        // That program stretches the mask over whatever an encoder sees, padding included.
        let first = encoders.iter().flat_map(|encoder| &encoder.views).next();
        let extent = first.map(View::extent);
        for view in encoders.iter_mut().flat_map(|encoder| &mut encoder.views) {
            *view = View::whole(view.height, view.width);
        }
        Ok((encoders, extent.filter(|extent| *extent != Extent::PICTURE)))
    }

    /// Returns how the reproduced program resamples a mask before views sample it.
    pub(super) fn resampling(
        &self,
        (width, height): (u32, u32),
        size: usize,
    ) -> Result<Option<Resampling>> {
        let Some(Compat::LvlmInterpretation) = self.checkpoint.compat else {
            return Ok(None);
        };
        let (down, across) = self.vision.processing(1).tiles(width, height)?;
        // More cells along the axis that has fewer tiles: the program takes width for height.
        let ratio = across as f64 / down as f64;
        let cells = match ratio > 1.0 {
            true => ((size as f64 * ratio) as usize, size),
            false => (size, (size as f64 / ratio) as usize),
        };
        Ok(Resampling::new(size, cells))
    }
}

/// Returns the layers of the pictures of one prompt.
fn together<D: Device>(
    pictures: &[OnePicture],
    mut layers: Vec<Box<dyn PictureLayers<D>>>,
) -> Box<dyn PictureLayers<D>> {
    match (layers.pop(), layers.is_empty()) {
        (Some(one), true) => one,
        (last, _) => {
            layers.extend(last);
            several(pictures, layers)
        }
    }
}
