//! Pictures stretched to whole tiles: the whole picture as one view, and the tiles.

use super::config::{Cut, MOST_TILES, SizeRule};
use super::decode::check_picture;
use super::processor::resized_size;
use super::{Filter, Picture, PictureError, Processor, Tiling, resize};
use crate::blend::View;

/// The largest number of pixels of a stretched picture: Idefics3 resizes pictures to at most 4096
/// each way, and then stretches them by less than a tile.
const MAX_PIXELS: u64 = 1 << 25;

/// The processing of one picture by transformers' `Idefics3ImageProcessor`, `SmolVLMImageProcessor`
/// and `GotOcr2ImageProcessor` with their Pillow backend: the picture is stretched to a grid of
/// square tiles, without padding, and the whole picture to one more. The first two classes resize
/// it by its longest edge before, and make the whole picture out of the stretched one. A picture of
/// one tile has no other view.
#[derive(Clone, Debug)]
pub struct StretchedTiles {
    processor: Processor,
    grid: Grid,
    /// Side of a tile.
    tile: u32,
    filter: Filter,
}

/// The processors that stretch: those of Idefics3 and SmolVLM, or that of InternVL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stretching {
    /// `Idefics3ImageProcessor`, `SmolVLMImageProcessor`.
    Idefics3,
    /// `GotOcr2ImageProcessor`.
    GotOcr2,
}

/// The choice of the grid.
#[derive(Clone, Copy, Debug)]
enum Grid {
    /// Idefics3's; the size is that of the first resizing, if there is one.
    Idefics3 { size: Option<SizeRule>, split: bool },
    /// GotOcr2's.
    GotOcr2 { least: u32, most: u32 },
}

/// The sizes of one picture, rows and columns.
struct Plan {
    /// In pixels, after the first resizing.
    first: Option<(u32, u32)>,
    /// In tiles.
    grid: (u32, u32),
    /// In pixels, stretched to those tiles.
    large: (u32, u32),
}

impl StretchedTiles {
    /// Parses a `preprocessor_config.json`; `file` is its name in errors, and `class` the class if
    /// the file names none. The processor of InternVL always cuts, whatever `crop_to_patches` says.
    ///
    /// # Errors
    /// As [`Processor::from_json`]; [`PictureError::Field`] for another class, and for sizes that
    /// the class does not take.
    pub fn from_json(
        text: &str,
        file: &str,
        class: &str,
        stretching: Stretching,
    ) -> Result<StretchedTiles, PictureError> {
        let processor = Processor::of_any_class(text, file, class)?;
        let settings = &processor.settings;
        let wrong = |field: &str, expected: &str, found: String| PictureError::Field {
            file: file.to_owned(),
            field: field.to_owned(),
            expected: expected.to_owned(),
            found,
        };
        let size = settings.resize.map(|(size, _)| size);
        let (grid, tile) = match (stretching, &settings.cut) {
            (Stretching::Idefics3, &Some(Cut::Idefics3 { tile, split })) => match size {
                Some(
                    other @ (SizeRule::ShortestEdge(_)
                    | SizeRule::Edges { .. }
                    | SizeRule::Within { .. }
                    | SizeRule::Smart { .. }),
                ) => {
                    let expected = "an object of longest_edge, or of height and width";
                    return Err(wrong("size", expected, format!("{other:?}")));
                }
                size => (Grid::Idefics3 { size, split }, tile),
            },
            (Stretching::GotOcr2, &Some(Cut::GotOcr2 { least, most })) => match size {
                Some(SizeRule::Exact { height, width }) if height == width => {
                    (Grid::GotOcr2 { least, most }, height)
                }
                Some(other) => return Err(wrong("size", "one square tile", format!("{other:?}"))),
                None => return Err(wrong("do_resize", "true", "false".to_owned())),
            },
            (stretching, other) => {
                let expected = match stretching {
                    Stretching::Idefics3 => "Idefics3ImageProcessor or SmolVLMImageProcessor",
                    Stretching::GotOcr2 => "GotOcr2ImageProcessor",
                };
                let found = Cut::described(other.as_ref());
                return Err(wrong("image_processor_type", expected, found));
            }
        };
        let filter = processor.settings.filter;
        Ok(StretchedTiles {
            processor,
            grid,
            tile,
            filter,
        })
    }

    /// Returns the side of a tile in pixels.
    pub fn tile(&self) -> usize {
        self.tile as usize
    }

    /// Returns the views of a picture of this size.
    ///
    /// # Errors
    /// [`PictureError::Size`] for a picture that is empty or too large, [`PictureError::Output`]
    /// for one that would be stretched to an absurd size.
    pub fn tiling(&self, width: u32, height: u32) -> Result<Tiling, PictureError> {
        let plan = self.plan(width, height)?;
        let side = self.tile as usize;
        let whole = View::whole(side, side);
        let tiles = self.tiles(&plan).map(|(top, left)| View {
            resized_height: plan.large.0 as usize,
            resized_width: plan.large.1 as usize,
            offset_y: top as isize,
            offset_x: left as isize,
            ..whole
        });
        Ok(Tiling {
            views: std::iter::once(whole).chain(tiles).collect(),
            grid: (plan.grid.0 as usize, plan.grid.1 as usize),
        })
    }

    /// Returns the encoder's input, view by view: `3 x tile x tile`, channel-major, normalised f32.
    ///
    /// # Errors
    /// As [`StretchedTiles::tiling`].
    pub fn process(&self, picture: &Picture) -> Result<Vec<Vec<f32>>, PictureError> {
        let plan = self.plan(picture.width(), picture.height())?;
        let resized = |picture: &Picture, (height, width): (u32, u32)| {
            resize(picture, width, height, self.filter)
        };
        let first = plan.first.map(|size| resized(picture, size)).transpose()?;
        let picture = first.as_ref().unwrap_or(picture);
        let tile = (self.tile, self.tile);
        let large = resized(picture, plan.large)?;
        let whole = match (self.grid, plan.grid) {
            (_, (1, 1)) => large.clone(),
            (Grid::Idefics3 { .. }, _) => resized(&large, tile)?,
            (Grid::GotOcr2 { .. }, _) => resized(picture, tile)?,
        };
        let mut views = vec![self.values(&whole, (0, 0))];
        let tiles = self.tiles(&plan);
        views.extend(tiles.map(|(top, left)| self.values(&large, (top, left))));
        Ok(views)
    }

    /// Returns the first row and column of every tile, row by row; none where there is one view.
    fn tiles(&self, plan: &Plan) -> impl Iterator<Item = (usize, usize)> + use<> {
        let (side, (rows, columns)) = (self.tile as usize, plan.grid);
        let (rows, columns) = match rows * columns {
            1 => (0, 0),
            _ => (rows as usize, columns as usize),
        };
        (0..rows).flat_map(move |i| (0..columns).map(move |j| (i * side, j * side)))
    }

    /// Returns the values of the tile that begins at that row and column of a stretched picture.
    fn values(&self, picture: &Picture, (top, left): (usize, usize)) -> Vec<f32> {
        let side = self.tile as usize;
        let mut out = Vec::with_capacity(3 * side * side);
        for (channel, values) in self.processor.values.iter().enumerate() {
            for y in top..top + side {
                let line = &picture.row(y)[3 * left..3 * (left + side)];
                let pixels = line.chunks_exact(3);
                out.extend(pixels.map(|pixel| values[usize::from(pixel[channel])]));
            }
        }
        out
    }

    fn plan(&self, width: u32, height: u32) -> Result<Plan, PictureError> {
        check_picture(width.into(), height.into())?;
        let tile = u64::from(self.tile);
        let (first, grid) = match self.grid {
            Grid::Idefics3 { size, split } => {
                let first = size.map(|size| resized_size(size, width.into(), height.into()));
                let (rows, columns) = first.unwrap_or((height.into(), width.into()));
                let grid = if split {
                    stretched(tile, rows, columns)
                } else {
                    (1, 1)
                };
                (first, grid)
            }
            Grid::GotOcr2 { least, most } => {
                let (rows, columns) = closest(self.tile, least, most, (width, height));
                (None, (rows.into(), columns.into()))
            }
        };
        let large = (grid.0 * tile, grid.1 * tile);
        let wrong = |expected: String, size: (u64, u64)| PictureError::Output {
            file: self.processor.file.clone(),
            width,
            height,
            expected,
            found: format!("{} x {}", size.1, size.0),
        };
        if grid.0.saturating_mul(grid.1) > MOST_TILES.into() {
            return Err(wrong(format!("at most {MOST_TILES} tiles"), grid));
        }
        let absurd = |size: &(u64, u64)| !(1..=MAX_PIXELS).contains(&size.0.saturating_mul(size.1));
        if let Some(size) = [Some(large), first].into_iter().flatten().find(absurd) {
            let expected = format!("1 to {MAX_PIXELS} pixels when stretched");
            return Err(wrong(expected, size));
        }
        let size = |size: (u64, u64)| (size.0 as u32, size.1 as u32);
        Ok(Plan {
            first: first.map(size),
            grid: size(grid),
            large: size(large),
        })
    }
}

/// Returns the rows and columns of tiles that a picture of so many rows and columns of pixels is
/// stretched to: Idefics3's `resize_for_vision_encoder`, in f64 as there.
fn stretched(tile: u64, rows: u64, columns: u64) -> (u64, u64) {
    let ratio = columns as f64 / rows as f64;
    if columns >= rows {
        let across = columns.div_ceil(tile);
        let rows = ((across * tile) as f64 / ratio) as u64;
        (rows.div_ceil(tile), across)
    } else {
        let down = rows.div_ceil(tile);
        let columns = ((down * tile) as f64 * ratio) as u64;
        (down, columns.div_ceil(tile))
    }
}

/// Returns the rows and columns of the grid whose shape is closest to the picture's; of equally
/// close ones the last, in the order of their tiles, that has less than twice the picture's pixels:
/// GotOcr2's `get_optimal_tiled_canvas`, in f64 as there.
fn closest(tile: u32, least: u32, most: u32, (width, height): (u32, u32)) -> (u32, u32) {
    let (w, h) = (f64::from(width), f64::from(height));
    let (ratio, area) = (w / h, w * h);
    let mut grids: Vec<(u32, u32)> = (1..=most)
        .flat_map(|columns| (1..=most / columns).map(move |rows| (rows, columns)))
        .filter(|(rows, columns)| rows * columns >= least)
        .collect();
    grids.sort_by_key(|(rows, columns)| rows * columns);
    let mut best = (f64::INFINITY, (1, 1));
    for (rows, columns) in grids {
        let distance = (ratio - f64::from(columns) / f64::from(rows)).abs();
        let pixels = f64::from(tile).powi(2) * f64::from(rows * columns);
        if distance < best.0 || (distance == best.0 && area > 0.5 * pixels) {
            best = (distance, (rows, columns));
        }
    }
    best.1
}

#[cfg(test)]
mod tests;
