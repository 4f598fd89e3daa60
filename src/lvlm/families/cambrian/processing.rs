//! The image processing of Cambrian-1: every encoder takes the whole picture, in the middle of a
//! square of a colour of its own.

use super::layout::CambrianLayout;
use crate::blend::{TokenGrid, TokenPlaces};
use crate::lvlm::error::Result;
use crate::lvlm::family::traits::{EncoderViews, ImageProcessing};
use crate::lvlm::model::ViewPixels;
use crate::picture::{Picture, Processor};

/// The image processing.
pub(in crate::lvlm) struct CambrianProcessing {
    /// By encoder, with the side of a patch.
    pub encoders: Vec<(Processor, usize)>,
    /// Queries each way.
    pub queries: usize,
    /// By encoder, tokens each way that the queries attend to.
    pub sides: Vec<usize>,
}

impl ImageProcessing for CambrianProcessing {
    type TokenLayout = CambrianLayout;

    fn encoder_views(&self, width: u32, height: u32) -> Result<Vec<EncoderViews>> {
        let encoder = |(processor, patch): &(Processor, usize)| {
            Ok(EncoderViews {
                patch: *patch,
                views: vec![processor.view(width, height)?],
            })
        };
        self.encoders.iter().map(encoder).collect()
    }

    fn process(&self, picture: &Picture) -> Result<Vec<ViewPixels>> {
        let pixels = |(processor, _): &(Processor, usize)| Ok(vec![processor.process(picture)?]);
        self.encoders.iter().map(pixels).collect()
    }

    fn token_layout(&self, width: u32, height: u32) -> Result<(CambrianLayout, usize)> {
        let layout = CambrianLayout::of((width, height), self.queries, &self.sides)?;
        let rows = layout.lines.outputs();
        Ok((layout, rows))
    }

    fn token_places(&self, width: u32, height: u32) -> Result<TokenPlaces> {
        let encoders = self.encoder_views(width, height)?;
        let view = encoders.iter().flat_map(|encoder| &encoder.views).next();
        let grid = view.map(|&view| TokenGrid {
            view,
            rows: self.queries,
            columns: self.queries,
            step: view.width as f64 / self.queries.max(1) as f64,
        });
        let (layout, _) = self.token_layout(width, height)?;
        Ok(TokenPlaces::new(
            grid.into_iter().collect(),
            layout.places(self.queries),
        ))
    }
}
