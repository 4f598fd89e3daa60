//! Pictures of any resolution: the whole picture as one view, and tiles of the picture in its own
//! shape.

use super::config::{Cut, SizeRule};
use super::decode::check_picture;
use super::{Filter, Picture, PictureError, Processor, Window, resize, resize_window};
use crate::blend::View;

/// The largest number of pixels that a picture is fitted into, 4096 x 4096.
const MAX_PIXELS: u64 = 1 << 24;

/// The processing of one picture by transformers' `LlavaNextImageProcessor` and
/// `LlavaOnevisionImageProcessor` with their Pillow backend, and by the authors' program: the
/// picture is resized without keeping its shape to one square tile; it is also resized, keeping its
/// shape, to fit into the best of several resolutions, padded there with black, and cut into tiles.
/// All tiles are then rescaled and normalised.
#[derive(Clone, Debug)]
pub struct AnyResolution {
    processor: Processor,
    /// Rows and columns of the resolutions to choose from.
    pinpoints: Vec<(u32, u32)>,
    /// The resolutions that the model chooses from when it joins the tiles; empty if it does not
    /// choose.
    model: Vec<(u32, u32)>,
    /// Side of a tile.
    tile: u32,
    filter: Filter,
}

/// The views of one picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Tiling {
    /// The whole picture first, then the tiles row by row; all of the same size.
    pub views: Vec<View>,
    /// Rows and columns of tiles.
    pub grid: (usize, usize),
}

/// The fit of one picture.
struct Fit {
    /// Rows and columns of the resolution that it is fitted into.
    best: (u32, u32),
    /// Rows and columns of the resized picture in it.
    resized: (u32, u32),
    /// Rows of black above the picture and columns before it.
    padding: (u32, u32),
}

impl AnyResolution {
    /// Parses a `preprocessor_config.json`; `file` is its name in errors. `class` is the class if
    /// the file names none. `model` are the resolutions of the model's config, as rows and columns:
    /// a picture for which they lead to other tiles than the processor's own is an error. If
    /// `model` is empty, this is not checked.
    ///
    /// # Errors
    /// As [`Processor::from_json`]; [`PictureError::Field`] for a class without tiles, for sizes
    /// that are not one square tile, and for resolutions that such tiles do not fill or that are
    /// absurdly large.
    pub fn from_json(
        text: &str,
        file: &str,
        class: &str,
        model: &[(u32, u32)],
    ) -> Result<AnyResolution, PictureError> {
        let processor = Processor::of_any_class(text, file, class)?;
        let settings = &processor.settings;
        let pinpoints = match &settings.cut {
            Some(Cut::Pinpoints(pinpoints)) => pinpoints.clone(),
            other => {
                return Err(PictureError::Field {
                    file: file.to_owned(),
                    field: "image_processor_type".to_owned(),
                    expected: "LlavaNextImageProcessor or LlavaOnevisionImageProcessor".to_owned(),
                    found: Cut::described(other.as_ref()),
                });
            }
        };
        let filter = settings.resize;
        let filter = filter.map_or(Filter::Bicubic, |(_, filter)| filter);
        let model = model.to_vec();
        Ok(Self {
            model,
            ..Self::new(processor, filter, pinpoints)?
        })
    }

    /// Creates the same from a processor for one view, as in the program of the authors of
    /// LLaVA-NeXT: pictures are resized with Pillow's own bicubic filter, whatever the processor's,
    /// which then has nothing left to resize or to crop.
    ///
    /// # Errors
    /// As [`AnyResolution::from_json`], but for a class with tiles.
    pub fn around_one_view(
        text: &str,
        file: &str,
        pinpoints: &[(u32, u32)],
    ) -> Result<AnyResolution, PictureError> {
        let processor = Processor::from_json(text, file)?;
        Self::new(processor, Filter::Bicubic, pinpoints.to_vec())
    }

    fn new(
        processor: Processor,
        filter: Filter,
        pinpoints: Vec<(u32, u32)>,
    ) -> Result<AnyResolution, PictureError> {
        let settings = &processor.settings;
        let wrong = |field: &str, expected: &str, found: String| PictureError::Field {
            file: processor.file.clone(),
            field: field.to_owned(),
            expected: expected.to_owned(),
            found,
        };
        let Some((size, _)) = settings.resize else {
            return Err(wrong("do_resize", "true", "false".to_owned()));
        };
        let tile = match size {
            SizeRule::Exact { height, width } if height == width => height,
            SizeRule::ShortestEdge(edge) => edge,
            other => return Err(wrong("size", "one square tile", format!("{other:?}"))),
        };
        if let Some(crop) = settings.crop
            && crop != (tile, tile)
        {
            let expected = format!("{tile} x {tile}, as size");
            return Err(wrong("crop_size", &expected, format!("{crop:?}")));
        }
        let fills = |&(height, width): &(u32, u32)| {
            height.is_multiple_of(tile)
                && width.is_multiple_of(tile)
                && u64::from(height) * u64::from(width) <= MAX_PIXELS
        };
        if let Some(found) = pinpoints.iter().find(|p| !fills(p)) {
            let expected = format!("multiples of {tile}, at most {MAX_PIXELS} pixels");
            return Err(wrong(
                "image_grid_pinpoints",
                &expected,
                format!("{found:?}"),
            ));
        }
        if pinpoints.is_empty() {
            let expected = "at least one pair of rows and columns";
            return Err(wrong("image_grid_pinpoints", expected, "none".to_owned()));
        }
        Ok(AnyResolution {
            pinpoints,
            model: Vec::new(),
            tile,
            filter,
            processor,
        })
    }

    /// Returns the side of a tile in pixels.
    pub fn tile(&self) -> usize {
        self.tile as usize
    }

    /// Returns the processing of a picture that is not cut: padded to a square of the mean colour
    /// and resized to one tile, as transformers' `LlavaOnevisionImageProcessor` does where a prompt
    /// has several pictures.
    pub fn one_square(&self) -> Processor {
        self.processor.clone().with_pad_to_square(true)
    }

    /// Returns the views of a picture of this size.
    ///
    /// # Errors
    /// [`PictureError::Size`] for a picture that is empty or too large.
    pub fn tiling(&self, width: u32, height: u32) -> Result<Tiling, PictureError> {
        let fit = self.fit(width, height)?;
        let side = self.tile as usize;
        let view = |resized: (u32, u32), offset: (i64, i64)| View {
            height: side,
            width: side,
            resized_height: resized.0 as usize,
            resized_width: resized.1 as usize,
            offset_y: offset.0 as isize,
            offset_x: offset.1 as isize,
            unit: 1,
        };
        let tiles = self.tiles(&fit).map(|(top, left)| {
            let offset = (
                top - i64::from(fit.padding.0),
                left - i64::from(fit.padding.1),
            );
            view(fit.resized, offset)
        });
        let whole = view((self.tile, self.tile), (0, 0));
        Ok(Tiling {
            views: std::iter::once(whole).chain(tiles).collect(),
            grid: (
                (fit.best.0 / self.tile) as usize,
                (fit.best.1 / self.tile) as usize,
            ),
        })
    }

    /// Returns the encoder's input, view by view: `3 x tile x tile`, channel-major, normalised f32.
    ///
    /// # Errors
    /// As [`AnyResolution::tiling`].
    pub fn process(&self, picture: &Picture) -> Result<Vec<Vec<f32>>, PictureError> {
        let fit = self.fit(picture.width(), picture.height())?;
        let whole = Window {
            left: 0,
            top: 0,
            width: self.tile,
            height: self.tile,
        };
        let small = resize_window(picture, self.tile, self.tile, self.filter, whole)?;
        let (height, width) = fit.resized;
        let large = resize(picture, width, height, self.filter)?;
        let mut views = vec![self.values(&small, (0, 0))];
        for (top, left) in self.tiles(&fit) {
            let offset = (
                top - i64::from(fit.padding.0),
                left - i64::from(fit.padding.1),
            );
            views.push(self.values(&large, offset));
        }
        Ok(views)
    }

    /// Returns the first row and column of every tile.
    fn tiles(&self, fit: &Fit) -> impl Iterator<Item = (i64, i64)> + use<> {
        let (side, (height, width)) = (self.tile, fit.best);
        let starts = move |length: u32| (0..length).step_by(side as usize).map(i64::from);
        starts(height).flat_map(move |top| starts(width).map(move |left| (top, left)))
    }

    /// Returns the values of the tile that begins at `offset` of a picture, black outside of it.
    fn values(&self, picture: &Picture, offset: (i64, i64)) -> Vec<f32> {
        let side = i64::from(self.tile);
        let (height, width) = (i64::from(picture.height()), i64::from(picture.width()));
        let mut out = Vec::with_capacity(3 * (side * side) as usize);
        for (channel, values) in self.processor.values.iter().enumerate() {
            for y in offset.0..offset.0 + side {
                for x in offset.1..offset.1 + side {
                    let inside = (0..height).contains(&y) && (0..width).contains(&x);
                    let value = match inside {
                        true => picture.row(y as usize)[3 * x as usize + channel],
                        false => 0,
                    };
                    out.push(values[usize::from(value)]);
                }
            }
        }
        out
    }

    /// Computes `select_best_resolution` and `get_patch_output_size` of transformers, in f64 as
    /// there.
    fn fit(&self, width: u32, height: u32) -> Result<Fit, PictureError> {
        check_picture(width.into(), height.into())?;
        let (w, h) = (f64::from(width), f64::from(height));
        let (rows, columns) = best(&self.pinpoints, (width, height));
        if !self.model.is_empty() {
            let expected = best(&self.model, (width, height));
            if expected != (rows, columns) {
                let expected = format!(
                    "resolutions that fit a picture of {width} x {height} into {} x \
                     {}, as those of config.json do",
                    expected.1, expected.0
                );
                return Err(PictureError::Field {
                    file: self.processor.file.clone(),
                    field: "image_grid_pinpoints".to_owned(),
                    expected,
                    found: format!("{columns} x {rows}"),
                });
            }
        }
        let (by_width, by_height) = (f64::from(columns) / w, f64::from(rows) / h);
        let resized = if by_width < by_height {
            (((h * by_width).ceil() as u32).min(rows), columns)
        } else {
            (rows, ((w * by_height).ceil() as u32).min(columns))
        };
        Ok(Fit {
            best: (rows, columns),
            resized,
            padding: ((rows - resized.0) / 2, (columns - resized.1) / 2),
        })
    }
}

/// Returns the rows and columns that hold most of a picture of this width and height, and waste
/// least; (0, 0) if there are none to choose from.
fn best(pinpoints: &[(u32, u32)], (width, height): (u32, u32)) -> (u32, u32) {
    let (w, h) = (f64::from(width), f64::from(height));
    let first = pinpoints.first().copied().unwrap_or_default();
    let mut chosen = (0, u64::MAX, first);
    for &(rows, columns) in pinpoints {
        let scale = (f64::from(columns) / w).min(f64::from(rows) / h);
        let fitted = (w * scale) as u64 * (h * scale) as u64;
        let effective = fitted.min(u64::from(width) * u64::from(height));
        let wasted = (u64::from(rows) * u64::from(columns)).saturating_sub(effective);
        if effective > chosen.0 || (effective == chosen.0 && wasted < chosen.1) {
            chosen = (effective, wasted, (rows, columns));
        }
    }
    chosen.2
}

#[cfg(test)]
mod tests;
