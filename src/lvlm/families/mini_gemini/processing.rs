//! The image processing of Mini-Gemini: the picture at ConvNeXt's resolution, and CLIP's views,
//! which are made of that; or, without ConvNeXt, the picture as CLIP's own processor makes it.

use super::blocks::{Blocks, ViewSizes};
use crate::blend::{TokenPlaces, View};
use crate::lvlm::bilinear::taps;
use crate::lvlm::encoder::STEM;
use crate::lvlm::error::Result;
use crate::lvlm::family::one_view::OneView;
use crate::lvlm::family::traits::{EncoderViews, ImageProcessing, in_order};
use crate::lvlm::model::ViewPixels;
use crate::picture::{Picture, Processor};

/// The image processing.
pub(in crate::lvlm) enum MiniGeminiProcessing {
    /// For both encoders.
    Both(BothProcessing),
    /// For CLIP alone.
    Clip(OneView),
}

impl ImageProcessing for MiniGeminiProcessing {
    /// `None` for CLIP alone.
    type TokenLayout = Option<Blocks>;

    fn encoder_views(&self, width: u32, height: u32) -> Result<Vec<EncoderViews>> {
        match self {
            Self::Both(both) => both.encoder_views(width, height),
            Self::Clip(clip) => clip.encoder_views(width, height),
        }
    }

    fn process(&self, picture: &Picture) -> Result<Vec<ViewPixels>> {
        match self {
            Self::Both(both) => both.process(picture),
            Self::Clip(clip) => clip.process(picture),
        }
    }

    fn token_layout(&self, width: u32, height: u32) -> Result<(Option<Blocks>, usize)> {
        match self {
            Self::Both(both) => both
                .token_layout(width, height)
                .map(|(b, rows)| (Some(b), rows)),
            Self::Clip(clip) => clip
                .token_layout(width, height)
                .map(|((), rows)| (None, rows)),
        }
    }

    fn token_places(&self, width: u32, height: u32) -> Result<TokenPlaces> {
        match self {
            Self::Both(both) => both.token_places(width, height),
            Self::Clip(clip) => clip.token_places(width, height),
        }
    }
}

/// The image processing for both encoders.
pub(in crate::lvlm) struct BothProcessing {
    /// For ConvNeXt's view.
    pub processor: Processor,
    pub views: ViewSizes,
}

impl BothProcessing {
    /// Returns a view of `small` pixels each way from pixel (row, column) on of ConvNeXt's view
    /// made `to` pixels each way.
    fn shrunk(&self, large: &View, to: usize, (row, column): (usize, usize)) -> View {
        let (from, unit) = (self.views.large, large.unit * self.views.large);
        let offset = |of: isize, start: usize| of * to as isize + (start * unit) as isize;
        debug_assert_eq!(large.height, from);
        View {
            height: self.views.small,
            width: self.views.small,
            resized_height: large.resized_height * to,
            resized_width: large.resized_width * to,
            offset_y: offset(large.offset_y, row),
            offset_x: offset(large.offset_x, column),
            unit,
        }
    }

    /// Returns the first pixel of every tile.
    fn tiles(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let (grid, side) = (self.views.grid, self.views.small);
        (0..grid).flat_map(move |y| (0..grid).map(move |x| (y * side, x * side)))
    }
}

impl ImageProcessing for BothProcessing {
    type TokenLayout = Blocks;

    fn encoder_views(&self, width: u32, height: u32) -> Result<Vec<EncoderViews>> {
        let large = self.processor.view(width, height)?;
        let ViewSizes { small, grid, .. } = self.views;
        let whole = self.shrunk(&large, small, (0, 0));
        let mut views = vec![whole];
        if grid > 1 {
            views.extend(self.tiles().map(|at| self.shrunk(&large, grid * small, at)));
        }
        let clip = EncoderViews {
            patch: self.views.patch,
            views,
        };
        let convnext = EncoderViews {
            patch: STEM,
            views: vec![large],
        };
        Ok(vec![clip, convnext])
    }

    fn process(&self, picture: &Picture) -> Result<Vec<ViewPixels>> {
        let large = self.processor.process(picture)?;
        let ViewSizes {
            large: from,
            small,
            grid,
            ..
        } = self.views;
        let medium = shrink(&large, from, grid * small);
        let mut views = Vec::with_capacity(self.views.count());
        if grid > 1 {
            views.push(shrink(&medium, grid * small, small));
            views.extend(self.tiles().map(|at| cut(&medium, grid * small, small, at)));
        } else {
            views.push(medium);
        }
        Ok(vec![views, vec![large]])
    }

    fn token_layout(&self, _: u32, _: u32) -> Result<(Blocks, usize)> {
        let rows = self.views.count() * self.views.across().pow(2);
        Ok((Blocks::of(&self.views), rows))
    }

    /// The tokens are those of CLIP's patches.
    fn token_places(&self, width: u32, height: u32) -> Result<TokenPlaces> {
        let encoders = self.encoder_views(width, height)?;
        let clip = encoders.iter().take(1);
        Ok(in_order(
            clip.flat_map(|views| views.grids(views.patch)).collect(),
        ))
    }
}

/// Resizes a square of `from` pixels to `to` pixels each way, as `torch.nn.functional.interpolate`
/// with `align_corners=False` and without antialiasing.
fn shrink(pixels: &[f32], from: usize, to: usize) -> Vec<f32> {
    let taps = taps(from, to);
    let mut out = Vec::with_capacity(3 * to * to);
    for plane in pixels.chunks(from * from) {
        for rows in &taps {
            for columns in &taps {
                let terms = rows.iter().flat_map(|&(i, a)| {
                    let line = &plane[i * from..][..from];
                    columns
                        .iter()
                        .map(move |&(j, b)| a * b * f64::from(line[j]))
                });
                out.push(terms.sum::<f64>() as f32);
            }
        }
    }
    out
}

/// Cuts the square of `side` pixels at (top, left) out of a square of `from`.
fn cut(pixels: &[f32], from: usize, side: usize, (top, left): (usize, usize)) -> Vec<f32> {
    let planes = pixels.chunks(from * from);
    let lines = planes.flat_map(|plane| plane.chunks(from).skip(top).take(side));
    lines
        .flat_map(|line| &line[left..left + side])
        .copied()
        .collect()
}
