//! The image processing of Idefics3 and InternVL: the whole picture and its tiles, which are
//! stretched; neighbouring patches side by side in one row (pixel shuffle).

use super::traits::{EncoderViews, ImageProcessing, grids};
use crate::blend::TokenPlaces;
use crate::checkpoint::{PictureText, Tokenizer};
use crate::device::RowMap;
use crate::lvlm::error::{LvlmError, Result};
use crate::lvlm::model::ViewPixels;
use crate::picture::{Picture, StretchedTiles};

/// The whole picture and its tiles. The decoder reads the tiles first.
pub(in crate::lvlm) struct ShuffledProcessing {
    tiles: StretchedTiles,
    patch: usize,
    shuffle: PixelShuffle,
    frame: Frame,
}

/// The neighbours that one row is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::lvlm) struct PixelShuffle {
    /// Patches of a view each way.
    pub across: usize,
    /// Patches of a row each way, which divide `across`.
    pub factor: usize,
}

/// The text around a picture's rows in a prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::lvlm) enum Frame {
    /// A text before each tile that names its row and column, as `Idefics3Processor` writes it.
    Idefics3,
    /// The same with the tokenizer's names for the tokens around, as `SmolVLMProcessor` writes it.
    SmolVlm,
    /// A token before all rows and one after them, as `InternVLProcessor` writes it.
    InternVl,
}

impl ShuffledProcessing {
    /// Makes the processing for an encoder that takes `pixels` each way in patches of `patch`.
    ///
    /// # Errors
    /// [`LvlmError::PictureSize`] for tiles of another size.
    pub fn new(
        tiles: StretchedTiles,
        pixels: usize,
        patch: usize,
        shuffle: PixelShuffle,
        frame: Frame,
    ) -> Result<ShuffledProcessing> {
        let tile = tiles.tile();
        if tile != pixels {
            return Err(LvlmError::PictureSize {
                expected: pixels,
                width: tile,
                height: tile,
            });
        }
        Ok(ShuffledProcessing {
            tiles,
            patch,
            shuffle,
            frame,
        })
    }
}

impl PixelShuffle {
    /// Returns the rows of one view.
    pub fn rows(self) -> usize {
        (self.across / self.factor).pow(2)
    }

    /// Returns the patches that stand side by side in one row.
    pub fn side_by_side(self) -> usize {
        self.factor.pow(2)
    }

    /// Returns the map that puts the patches of a row one below the other: rows of the tiles, then
    /// those of the whole picture, which is the first of `views`.
    fn map(self, views: usize) -> RowMap {
        let (across, factor) = (self.across, self.factor);
        let side = across / factor;
        let order = (1..views).chain([0]);
        let places = order.flat_map(|view| (0..side * side).map(move |row| (view, row)));
        let patches = places.flat_map(|(view, row)| {
            let (top, left) = (row / side * factor, row % side * factor);
            (0..factor * factor).map(move |n| {
                let (y, x) = (top + n / factor, left + n % factor);
                Some((view * across + y) * across + x)
            })
        });
        RowMap::select(views * across * across, patches)
    }
}

impl ImageProcessing for ShuffledProcessing {
    type TokenLayout = RowMap;

    fn encoder_views(&self, width: u32, height: u32) -> Result<Vec<EncoderViews>> {
        Ok(vec![EncoderViews {
            patch: self.patch,
            views: self.tiles.tiling(width, height)?.views,
        }])
    }

    fn process(&self, picture: &Picture) -> Result<Vec<ViewPixels>> {
        Ok(vec![self.tiles.process(picture)?])
    }

    fn tiles(&self, width: u32, height: u32) -> Result<(usize, usize)> {
        Ok(self.tiles.tiling(width, height)?.grid)
    }

    fn token_layout(&self, width: u32, height: u32) -> Result<(RowMap, usize)> {
        let views = self.tiles.tiling(width, height)?.views.len();
        Ok((self.shuffle.map(views), views * self.shuffle.rows()))
    }

    fn token_places(&self, width: u32, height: u32) -> Result<TokenPlaces> {
        let step = self.patch * self.shuffle.factor;
        let grids = grids(&self.encoder_views(width, height)?, step);
        let rows = self.shuffle.rows();
        // The whole picture's view is the first, and its rows come last.
        let order = (1..grids.len()).chain([0]);
        let places = order.flat_map(|view| view * rows..(view + 1) * rows);
        Ok(TokenPlaces::of(grids, places.map(Some)))
    }

    fn picture_text(&self, tokenizer: &Tokenizer, width: u32, height: u32) -> Result<PictureText> {
        let tiling = self.tiles.tiling(width, height)?;
        let (views, rows) = (tiling.views.len(), self.shuffle.rows());
        let image = tokenizer.image_token();
        let named = |name: &str, default| tokenizer.named(name).unwrap_or(default).to_string();
        Ok(match self.frame {
            Frame::Idefics3 | Frame::SmolVlm => {
                let around = "<fake_token_around_image>";
                let global = "<global-img>";
                let (around, global) = match self.frame {
                    Frame::SmolVlm => (
                        named("fake_image_token", around),
                        named("global_image_token", global),
                    ),
                    _ => (around.to_string(), global.to_string()),
                };
                let mut text = String::new();
                if views > 1 {
                    for row in 1..=tiling.grid.0 {
                        for column in 1..=tiling.grid.1 {
                            text += &format!("{around}<row_{row}_col_{column}>{image}");
                        }
                        text.push('\n');
                    }
                    text.push('\n');
                }
                text += &format!("{around}{global}{image}{around}");
                PictureText::around(text, image, rows)
            }
            Frame::InternVl => {
                let start = tokenizer.required("start_image_token")?;
                let end = tokenizer.required("end_image_token")?;
                PictureText::around(format!("{start}{image}{end}"), image, views * rows)
            }
        })
    }
}
