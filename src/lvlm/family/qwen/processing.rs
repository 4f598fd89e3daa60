//! A picture as one view of its own shape, in whole patches.

use crate::blend::TokenPlaces;
use crate::checkpoint::{CheckpointError, ProcessorFile};
use crate::lvlm::encoder::{PatchLayout, QwenVitConfig};
use crate::lvlm::error::Result;
use crate::lvlm::family::traits::{EncoderViews, ImageProcessing, grids, in_order};
use crate::lvlm::model::ViewPixels;
use crate::nn::Positions;
use crate::picture::{Picture, Processor};

/// One view, as large as the processor resizes the picture.
pub(in crate::lvlm) struct WholePatches {
    processor: Processor,
    encoder: QwenVitConfig,
}

impl WholePatches {
    /// Reads the processor's file; `class` is the class if it names none.
    ///
    /// # Errors
    /// A processor of another class, and one whose patches are not the encoder's.
    pub fn read(file: &ProcessorFile, class: &str, encoder: &QwenVitConfig) -> Result<Self> {
        let (processor, patches) = Processor::of_patches(file.text()?, &file.file, class)?;
        for (field, found, expected) in [
            ("patch_size", patches.size, encoder.patch_size),
            ("merge_size", patches.merge, encoder.merge),
            ("temporal_patch_size", patches.frames, encoder.frames),
        ] {
            if found != expected {
                return Err(CheckpointError::Config {
                    file: file.file.clone(),
                    field: field.to_string(),
                    found: found.to_string(),
                    expected: format!("{expected}, as in config.json"),
                }
                .into());
            }
        }
        Ok(Self {
            processor,
            encoder: encoder.clone(),
        })
    }

    /// Returns the rows and columns of patches.
    fn grid(&self, width: u32, height: u32) -> Result<(usize, usize)> {
        let (rows, columns) = self.processor.output_size(width, height)?;
        let patch = self.encoder.patch_size;
        Ok((rows / patch, columns / patch))
    }
}

impl ImageProcessing for WholePatches {
    type TokenLayout = PatchLayout;

    fn encoder_views(&self, width: u32, height: u32) -> Result<Vec<EncoderViews>> {
        Ok(vec![EncoderViews {
            patch: self.encoder.patch_size,
            views: vec![self.processor.view(width, height)?],
        }])
    }

    fn process(&self, picture: &Picture) -> Result<Vec<ViewPixels>> {
        Ok(vec![vec![self.processor.process(picture)?]])
    }

    fn token_layout(&self, width: u32, height: u32) -> Result<(PatchLayout, usize)> {
        let (rows, columns) = self.grid(width, height)?;
        let merge = self.encoder.merge;
        let images = (rows / merge) * (columns / merge);
        Ok((self.encoder.layout(rows, columns), images))
    }

    fn token_places(&self, width: u32, height: u32) -> Result<TokenPlaces> {
        let step = self.encoder.patch_size * self.encoder.merge;
        Ok(in_order(grids(&self.encoder_views(width, height)?, step)))
    }

    /// A row of the picture is at the time of the first, and at its own row and column from there
    /// on. Text goes on after the largest of these.
    fn positions(&self, width: u32, height: u32) -> Result<Option<Positions>> {
        let (rows, columns) = self.grid(width, height)?;
        let merge = self.encoder.merge;
        let (down, across) = (rows / merge, columns / merge);
        let all = 0..down * across;
        let axes = vec![
            all.clone().map(|_| 0).collect(),
            all.clone().map(|row| row / across).collect(),
            all.map(|row| row % across).collect(),
        ];
        Ok(Some(Positions::new(axes, down.max(across))))
    }
}
