//! One square view of a picture, whose patches become fewer rows, and the text around these.

use crate::blend::TokenPlaces;
use crate::checkpoint::{PictureText, Tokenizer};
use crate::device::RowMap;
use crate::lvlm::error::Result;
use crate::lvlm::family::one_view::OneView;
use crate::lvlm::family::traits::{EncoderViews, ImageProcessing, grids, in_order};
use crate::lvlm::model::ViewPixels;
use crate::picture::Picture;

/// The patches whose mean is one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pool {
    /// Patches of the view each way.
    pub across: usize,
    /// Patches of a row each way. Those that are left over on the right and below are in no row.
    pub side: usize,
}

impl Pool {
    /// Returns the rows of a picture.
    pub fn rows(self) -> usize {
        (self.across / self.side).pow(2)
    }

    /// Returns the map from patches to rows.
    pub fn map(self) -> RowMap {
        let (across, side) = (self.across, self.side);
        let groups = across / side;
        let weight = 1.0 / side.pow(2) as f64;
        let terms = |row: usize| {
            let (top, left) = (row / groups * side, row % groups * side);
            let patch = |n: usize| (top + n / side) * across + left + n % side;
            (0..side.pow(2)).map(|n| (patch(n), weight)).collect()
        };
        RowMap::new(across.pow(2), (0..self.rows()).map(terms).collect())
    }
}

/// One square view, and the pooling of its patches.
pub(in crate::lvlm) struct PooledView {
    pub(super) view: OneView,
    pub(super) patch: usize,
    pub(super) pool: Pool,
}

impl ImageProcessing for PooledView {
    type TokenLayout = RowMap;

    fn encoder_views(&self, width: u32, height: u32) -> Result<Vec<EncoderViews>> {
        self.view.encoder_views(width, height)
    }

    fn process(&self, picture: &Picture) -> Result<Vec<ViewPixels>> {
        self.view.process(picture)
    }

    fn token_layout(&self, _: u32, _: u32) -> Result<(RowMap, usize)> {
        Ok((self.pool.map(), self.pool.rows()))
    }

    fn token_places(&self, width: u32, height: u32) -> Result<TokenPlaces> {
        let step = self.patch * self.pool.side;
        Ok(in_order(grids(&self.encoder_views(width, height)?, step)))
    }

    /// As `Gemma3Processor` writes it.
    fn picture_text(&self, tokenizer: &Tokenizer, _: u32, _: u32) -> Result<PictureText> {
        let begin = tokenizer.required(super::BEGIN)?;
        let image = tokenizer.required("image_token")?;
        let end = tokenizer.required("eoi_token")?;
        let text = format!("\n\n{begin}{image}{end}\n\n");
        Ok(PictureText::around(text, image, self.pool.rows()))
    }
}
