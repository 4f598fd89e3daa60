//! The shared parts of LLaVA-NeXT and LLaVA-OneVision: one encoder for the whole picture and its
//! tiles, a two-layer projector, and rows that join by [`super::packing`].

use super::one_encoder::{Connector, OneEncoder};
use super::packing::{Packed, Packing, Unpadding};
use super::traits::{EncoderViews, ImageProcessing, grids};
use crate::blend::TokenPlaces;
use crate::device::Device;
use crate::lvlm::error::{LvlmError, Result};
use crate::lvlm::model::ViewPixels;
use crate::nn::{Mlp, MlpSaved};
use crate::picture::{AnyResolution, Picture, Processor};

/// The views that an encoder takes of a picture.
#[derive(Clone)]
enum Seen {
    /// The whole picture, and its tiles.
    Tiles,
    /// The whole picture alone, without a newline.
    Whole,
    /// The picture in a square, as one line.
    Square(Box<Processor>),
}

/// The whole picture and its tiles.
pub(in crate::lvlm) struct TiledProcessing {
    processor: AnyResolution,
    patch: usize,
    /// Tokens of a view each way.
    side: usize,
    most_views: Option<usize>,
    unpadding: Unpadding,
    seen: Seen,
}

impl TiledProcessing {
    /// Makes the processing for an encoder that takes `pixels` each way in patches of `patch`.
    ///
    /// # Errors
    /// [`LvlmError::PictureSize`] for tiles of another size.
    pub fn new(
        processor: AnyResolution,
        pixels: usize,
        patch: usize,
        most_views: Option<usize>,
        unpadding: Unpadding,
    ) -> Result<TiledProcessing> {
        let tile = processor.tile();
        if tile != pixels {
            return Err(LvlmError::PictureSize {
                expected: pixels,
                width: tile,
                height: tile,
            });
        }
        Ok(TiledProcessing {
            processor,
            patch,
            side: pixels / patch,
            most_views,
            unpadding,
            seen: Seen::Tiles,
        })
    }

    /// Returns it with the whole picture alone where `without_tiles`.
    #[must_use]
    pub fn without_tiles(self, without_tiles: bool) -> TiledProcessing {
        match without_tiles {
            true => TiledProcessing {
                seen: Seen::Whole,
                ..self
            },
            false => self,
        }
    }

    /// Returns it with the picture in a square, as one line.
    #[must_use]
    pub fn in_a_square(self) -> TiledProcessing {
        TiledProcessing {
            seen: Seen::Square(Box::new(self.processor.one_square())),
            ..self
        }
    }
}

/// Returns the first of the views, which shows the whole picture.
fn first_alone<T>(mut views: Vec<T>) -> Vec<T> {
    views.truncate(1);
    views
}

impl ImageProcessing for TiledProcessing {
    type TokenLayout = Packed;

    fn encoder_views(&self, width: u32, height: u32) -> Result<Vec<EncoderViews>> {
        let views = match &self.seen {
            Seen::Tiles => self.processor.tiling(width, height)?.views,
            Seen::Whole => first_alone(self.processor.tiling(width, height)?.views),
            Seen::Square(processor) => vec![processor.view(width, height)?],
        };
        let patch = self.patch;
        Ok(vec![EncoderViews { patch, views }])
    }

    fn tiles(&self, width: u32, height: u32) -> Result<(usize, usize)> {
        Ok(self.processor.tiling(width, height)?.grid)
    }

    fn process(&self, picture: &Picture) -> Result<Vec<ViewPixels>> {
        Ok(vec![match &self.seen {
            Seen::Tiles => self.processor.process(picture)?,
            Seen::Whole => first_alone(self.processor.process(picture)?),
            Seen::Square(processor) => vec![processor.process(picture)?],
        }])
    }

    fn token_layout(&self, width: u32, height: u32) -> Result<(Packed, usize)> {
        let packed = match self.seen {
            Seen::Whole => Packed::without_tiles(self.side, false),
            Seen::Square(_) => Packed::without_tiles(self.side, true),
            Seen::Tiles => {
                let packing = Packing {
                    grid: self.processor.tiling(width, height)?.grid,
                    side: self.side,
                    picture: (width, height),
                    most_views: self.most_views,
                    unpadding: self.unpadding,
                };
                packing.pack()
            }
        };
        let rows = packed.rows.outputs();
        Ok((packed, rows))
    }

    fn token_places(&self, width: u32, height: u32) -> Result<TokenPlaces> {
        let grids = grids(&self.encoder_views(width, height)?, self.patch);
        let (packed, _) = self.token_layout(width, height)?;
        Ok(TokenPlaces::new(grids, packed.places()))
    }
}

/// The encoder, the projector and the newline.
pub(in crate::lvlm) type TiledVision<D> = OneEncoder<D, Packer<D>>;

/// The projector, and the newline that ends lines of a picture in tiles.
pub(in crate::lvlm) struct Packer<D: Device> {
    pub projector: Mlp<D>,
    /// `[1, hidden]`.
    pub newline: D::Matrix,
}

impl<D: Device> Connector<D> for Packer<D> {
    type TokenLayout = Packed;
    type Saved = MlpSaved<D>;

    fn forward(
        &self,
        device: &D,
        packed: &Packed,
        features: D::Matrix,
    ) -> Result<(D::Matrix, MlpSaved<D>)> {
        // Tokens of the padding go no further.
        let features = device.mix_rows(&features, &packed.used, None)?;
        let (tokens, saved) = self.projector.forward(device, &features, None)?;
        drop(features);
        let newlines = device.mix_rows(&self.newline, &packed.newlines, None)?;
        let rows = device.mix_rows(&tokens, &packed.rows, Some(&newlines))?;
        Ok((rows, saved))
    }

    fn vjp(
        &self,
        device: &D,
        packed: &Packed,
        saved: MlpSaved<D>,
        d_rows: D::Matrix,
    ) -> Result<D::Matrix> {
        let d_tokens = device.mix_rows_vjp(&d_rows, &packed.rows, None)?;
        drop(d_rows);
        let d_features = self.projector.vjp(device, saved, &d_tokens)?;
        Ok(device.mix_rows_vjp(&d_features, &packed.used, None)?)
    }
}
