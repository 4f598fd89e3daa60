//! A model's image processor, which converts a picture to its encoder's input.

use super::config::{LARGEST_RATIO, Patches, Settings, SizeRule, smart_resize};
use super::decode::{check_picture, check_size};
use super::{Picture, PictureError, Window, resize_window};
use crate::blend::View;

/// The largest number of pixels of a view, 4096 x 4096: far more than any encoder takes, few enough
/// to hold as f32.
const MAX_VIEW_PIXELS: u64 = 1 << 24;
/// The default class of a file that names none, for an encoder without a model.
const CLIP_CLASS: &str = "CLIPImageProcessor";

/// An image processor as `preprocessor_config.json` describes it: the processing of transformers'
/// `CLIPImageProcessor`, `LlavaImageProcessor`, `SiglipImageProcessor`, `Gemma3ImageProcessor` and
/// `Qwen2VLImageProcessor` with their Pillow backend, in the same order and with the same rounding:
/// pad to a square of the mean colour, resize, crop the centre (missing pixels are black), rescale,
/// normalise.
#[derive(Clone, Debug)]
pub struct Processor {
    pub(super) file: String,
    pub(super) settings: Settings,
    /// The value that each u8 of each channel maps to.
    pub(super) values: [Vec<f32>; 3],
}

/// The geometry of the processing of one picture, in pixels.
struct Plan {
    /// The picture's position in the square that it is padded to; without padding the whole
    /// picture.
    square: Window,
    side: (u32, u32),
    /// Rows and columns after resizing.
    resized: (u32, u32),
    /// Rows and columns of the view, and the row and column of the resized picture at which it
    /// starts.
    view: (u32, u32),
    start: (i64, i64),
}

impl Processor {
    /// Parses a `preprocessor_config.json`, or a `processor_config.json` that nests it under
    /// `image_processor`; `file` is its name in errors. Absent fields have the defaults of the
    /// class that the file names, of CLIP if it names none; the bare integers of old files are
    /// accepted as sizes. A null does not select the default: flags are then false, and a required
    /// value that is null is an error.
    ///
    /// # Errors
    /// [`PictureError::Syntax`] if the text is not JSON, and [`PictureError::Field`] for an
    /// unsupported class, a wrong type, a size of zero, a standard deviation that is not above
    /// zero, or numbers that do not stay finite in f32.
    pub fn from_json(text: &str, file: &str) -> Result<Self, PictureError> {
        Self::of_class(text, file, CLIP_CLASS)
    }

    /// Parses like [`Processor::from_json`], but `class` is the class if the file names none, such
    /// as `LlavaImageProcessor`.
    ///
    /// # Errors
    /// As [`Processor::from_json`].
    pub fn of_class(text: &str, file: &str, class: &str) -> Result<Self, PictureError> {
        let processor = Self::of_any_class(text, file, class)?;
        let other = match (&processor.settings.cut, processor.settings.patches) {
            (Some(_), _) => "one that cuts pictures into tiles",
            (_, Some(_)) => "one whose views have the picture's shape",
            (None, None) => return Ok(processor),
        };
        Err(PictureError::Field {
            file: file.to_owned(),
            field: "image_processor_type".to_owned(),
            expected: "a processor that makes one view".to_owned(),
            found: other.to_owned(),
        })
    }

    /// Parses like [`Processor::of_class`] the config of `Qwen2VLImageProcessor`, which resizes a
    /// picture to whole patches. Returns these too.
    ///
    /// # Errors
    /// As [`Processor::from_json`]; [`PictureError::Field`] for another class.
    pub fn of_patches(
        text: &str,
        file: &str,
        class: &str,
    ) -> Result<(Self, Patches), PictureError> {
        let processor = Self::of_any_class(text, file, class)?;
        match processor.settings.patches {
            Some(patches) => Ok((processor, patches)),
            None => Err(PictureError::Field {
                file: file.to_owned(),
                field: "image_processor_type".to_owned(),
                expected: "Qwen2VLImageProcessor".to_owned(),
                found: "one of another class".to_owned(),
            }),
        }
    }

    /// Parses like [`Processor::of_class`], but accepts every class.
    pub(super) fn of_any_class(text: &str, file: &str, class: &str) -> Result<Self, PictureError> {
        let settings = Settings::from_json(text, file, class)?;
        let values = [0, 1, 2].map(|channel| values(&settings, channel));
        if values.iter().flatten().any(|value| !value.is_finite()) {
            return Err(PictureError::Field {
                file: file.to_owned(),
                field: "rescale_factor, image_mean, image_std".to_owned(),
                expected: "finite values in f32".to_owned(),
                found: format!(
                    "{:?}, {:?}, {:?}",
                    settings.rescale, settings.mean, settings.std
                ),
            });
        }
        Ok(Self {
            file: file.to_owned(),
            settings,
            values,
        })
    }

    /// Sets whether the picture is first padded to a square of the mean colour, with the picture in
    /// the middle: `image_aspect_ratio: "pad"` in the original LLaVA's model config.
    #[must_use]
    pub fn with_pad_to_square(mut self, pad: bool) -> Self {
        self.settings.pad_to_square = pad;
        self
    }

    /// Sets padding to a square, which is then resized to `edge` pixels each way. `padding` is the
    /// padding's colour, channels from 0 to 1; if `None`, the processor's own mean.
    #[must_use]
    pub fn with_square(mut self, edge: u32, padding: Option<[f64; 3]>) -> Self {
        self = self.with_edge(edge).with_pad_to_square(true);
        self.settings.padding = padding;
        self
    }

    /// Sets the views to `edge` pixels each way: the shorter edge is resized to it, and the centre
    /// cropped.
    #[must_use]
    pub fn with_edge(mut self, edge: u32) -> Self {
        let filter = self.settings.resize.map(|(_, filter)| filter);
        let filter = filter.unwrap_or(super::Filter::Bicubic);
        self.settings.resize = Some((SizeRule::ShortestEdge(edge), filter));
        self.settings.crop = Some((edge, edge));
        self
    }

    /// Returns the values subtracted from the rescaled channels; zero if the config does not
    /// normalise.
    pub fn mean(&self) -> [f32; 3] {
        if self.settings.normalize {
            self.settings.mean.map(|mean| mean as f32)
        } else {
            [0.0; 3]
        }
    }

    /// Returns the values that the channels are then divided by; one if the config does not
    /// normalise.
    pub fn std(&self) -> [f32; 3] {
        if self.settings.normalize {
            self.settings.std.map(|std| std as f32)
        } else {
            [1.0; 3]
        }
    }

    /// Returns the rows and columns of [`Processor::process`]'s result for a picture of this size.
    ///
    /// # Errors
    /// [`PictureError::Output`] if that is empty or absurdly large, [`PictureError::Size`] if the
    /// square around the picture has more than [`Picture::MAX_PIXELS`].
    pub fn output_size(&self, width: u32, height: u32) -> Result<(usize, usize), PictureError> {
        self.plan(width, height)
            .map(|plan| (plan.view.0 as usize, plan.view.1 as usize))
    }

    /// Returns the position of [`Processor::process`]'s result in the plane of a picture of this
    /// size.
    ///
    /// With padding to a square, the picture's own part of the resized square is counted in
    /// fractions of a pixel.
    ///
    /// # Errors
    /// As [`Processor::output_size`].
    pub fn view(&self, width: u32, height: u32) -> Result<View, PictureError> {
        let plan = self.plan(width, height)?;
        // In units of 1 / side of a pixel; the square is as many pixels of the picture wide as
        // high.
        let unit = match self.settings.pad_to_square {
            true => i64::from(plan.side.0),
            false => 1,
        };
        let scaled = |length: u32, to: u32, side: u32| {
            i64::from(length) * i64::from(to) * unit / i64::from(side.max(1))
        };
        let (side_width, side_height) = plan.side;
        let inner_height = scaled(plan.square.height, plan.resized.0, side_height);
        let inner_width = scaled(plan.square.width, plan.resized.1, side_width);
        let above = scaled(plan.square.top, plan.resized.0, side_height);
        let before = scaled(plan.square.left, plan.resized.1, side_width);
        Ok(View {
            height: plan.view.0 as usize,
            width: plan.view.1 as usize,
            resized_height: inner_height as usize,
            resized_width: inner_width as usize,
            offset_y: (plan.start.0 * unit - above) as isize,
            offset_x: (plan.start.1 * unit - before) as isize,
            unit: unit as usize,
        })
    }

    /// Returns the picture after padding and resizing, before the crop, for tests.
    #[cfg(test)]
    pub(super) fn resized_rgb(&self, picture: &Picture) -> Result<Picture, PictureError> {
        let plan = self.plan(picture.width(), picture.height())?;
        let padded = self.padded(picture, &plan)?;
        let picture = padded.as_ref().unwrap_or(picture);
        match self.settings.resize {
            Some((_, filter)) => super::resize(picture, plan.resized.1, plan.resized.0, filter),
            None => Ok(picture.clone()),
        }
    }

    /// Returns the encoder's input: 3 x h x w (of [`Processor::output_size`]), channel-major,
    /// normalised f32. Only the cropped part of the resized picture is computed.
    ///
    /// # Errors
    /// As [`Processor::output_size`].
    pub fn process(&self, picture: &Picture) -> Result<Vec<f32>, PictureError> {
        let plan = self.plan(picture.width(), picture.height())?;
        let padded = self.padded(picture, &plan)?;
        let picture = padded.as_ref().unwrap_or(picture);
        let (rows, row_at) = overlap(plan.start.0, plan.view.0, plan.resized.0);
        let (columns, column_at) = overlap(plan.start.1, plan.view.1, plan.resized.1);
        let window = Window {
            left: columns.0,
            top: rows.0,
            width: columns.1,
            height: rows.1,
        };
        let filter = self
            .settings
            .resize
            .map_or(super::Filter::Nearest, |(_, filter)| filter);
        let part = resize_window(picture, plan.resized.1, plan.resized.0, filter, window)?;

        let (height, width) = (plan.view.0 as usize, plan.view.1 as usize);
        let mut out = Vec::with_capacity(3 * height * width);
        for (channel, values) in self.values.iter().enumerate() {
            let plane = out.len();
            out.resize(plane + height * width, values[0]);
            for y in 0..rows.1 as usize {
                let line = plane + (row_at + y) * width + column_at;
                let line = &mut out[line..line + columns.1 as usize];
                for (out, pixel) in line.iter_mut().zip(part.row(y).chunks_exact(3)) {
                    *out = values[usize::from(pixel[channel])];
                }
            }
        }
        Ok(out)
    }

    fn plan(&self, width: u32, height: u32) -> Result<Plan, PictureError> {
        check_picture(width.into(), height.into())?;
        let mut square = Window {
            left: 0,
            top: 0,
            width,
            height,
        };
        let mut side = (width, height);
        if self.settings.pad_to_square {
            let longest = width.max(height);
            check_size("picture padded to a square", longest.into(), longest.into())?;
            square.left = (longest - width) / 2;
            square.top = (longest - height) / 2;
            side = (longest, longest);
        }
        let absurd = |found: (u64, u64), expected: String| PictureError::Output {
            file: self.file.clone(),
            width,
            height,
            expected,
            found: format!("{} x {}", found.1, found.0),
        };
        let (short, long) = (width.min(height), width.max(height));
        if self.settings.patches.is_some() && f64::from(long) / f64::from(short) > LARGEST_RATIO {
            let expected = format!("a side of at most {LARGEST_RATIO} times the other");
            return Err(absurd((height.into(), width.into()), expected));
        }
        let resized = match self.settings.resize {
            Some((rule, _)) => resized_size(rule, side.0.into(), side.1.into()),
            None => (side.1.into(), side.0.into()),
        };
        // Pillow counts pixels in i32.
        let edge = |edge: u64| {
            u32::try_from(edge)
                .ok()
                .filter(|&edge| edge > 0 && edge <= i32::MAX as u32)
        };
        let (Some(resized_height), Some(resized_width)) = (edge(resized.0), edge(resized.1)) else {
            return Err(absurd(
                resized,
                format!("edges from 1 to {} when resized", i32::MAX),
            ));
        };
        let resized = (resized_height, resized_width);
        let view = self.settings.crop.unwrap_or(resized);
        let pixels = u64::from(view.0) * u64::from(view.1);
        if pixels > MAX_VIEW_PIXELS {
            return Err(absurd(
                (view.0.into(), view.1.into()),
                format!("at most {MAX_VIEW_PIXELS} pixels"),
            ));
        }
        let start = |resized: u32, view: u32| (i64::from(resized) - i64::from(view)).div_euclid(2);
        let start = (start(resized.0, view.0), start(resized.1, view.1));
        Ok(Plan {
            square,
            side,
            resized,
            view,
            start,
        })
    }

    /// Returns the square of the mean colour with the picture in its middle, if the plan has one
    /// larger than the picture.
    fn padded(&self, picture: &Picture, plan: &Plan) -> Result<Option<Picture>, PictureError> {
        let (width, height) = plan.side;
        if (width, height) == (picture.width(), picture.height()) {
            return Ok(None);
        }
        // The original casts to an integer, which truncates.
        let colour = self.settings.padding.unwrap_or(self.settings.mean);
        let colour = colour.map(|channel| (channel * 255.0).trunc());
        if colour.iter().any(|value| !(0.0..=255.0).contains(value)) {
            return Err(PictureError::Field {
                file: self.file.clone(),
                field: "image_mean".to_owned(),
                expected: "numbers from 0 to 1, as the padding's colour".to_owned(),
                found: format!("{:?}", self.settings.mean),
            });
        }
        let mut rgb = colour
            .map(|value| value as u8)
            .repeat(width as usize * height as usize);
        let bytes = picture.width() as usize * 3;
        for y in 0..picture.height() as usize {
            let at =
                ((plan.square.top as usize + y) * width as usize + plan.square.left as usize) * 3;
            rgb[at..at + bytes].copy_from_slice(picture.row(y));
        }
        Ok(Some(Picture::from_checked(width, height, rgb)))
    }
}

/// Returns the values that the u8 values of a channel map to: rescaled in f64 and rounded to f32,
/// then normalised in f32.
fn values(settings: &Settings, channel: usize) -> Vec<f32> {
    (0..=255_u8)
        .map(|value| {
            let value = settings.rescale.map_or(f32::from(value), |factor| {
                (f64::from(value) * factor) as f32
            });
            match settings.normalize {
                true => (value - settings.mean[channel] as f32) / settings.std[channel] as f32,
                false => value,
            }
        })
        .collect()
}

/// Returns the rows and columns of the resized picture. transformers divides in f64 and truncates.
pub(super) fn resized_size(rule: SizeRule, width: u64, height: u64) -> (u64, u64) {
    let (short, long) = (width.min(height), width.max(height));
    let (new_short, new_long) = match rule {
        SizeRule::Exact { height, width } => return (height.into(), width.into()),
        SizeRule::LongestEdge(edge) => return longest_edge(edge.into(), width, height),
        SizeRule::Smart {
            factor,
            least,
            most,
        } => return smart_resize((factor, least, most), width, height),
        SizeRule::Within {
            height: max_height,
            width: max_width,
        } => {
            let scale =
                (f64::from(max_height) / height as f64).min(f64::from(max_width) / width as f64);
            return (
                (height as f64 * scale) as u64,
                (width as f64 * scale) as u64,
            );
        }
        // The exact quotient: truncating its f64 value gives the same for accepted edges.
        SizeRule::ShortestEdge(edge) => (u64::from(edge), u64::from(edge) * long / short),
        SizeRule::Edges { shortest, longest } => {
            let (shortest, longest) = (f64::from(shortest), f64::from(longest));
            let (short, long) = (short as f64, long as f64);
            if long / short * shortest > longest {
                let exact = longest * short / long;
                let rounded = exact.round_ties_even();
                let same = short == rounded;
                (
                    rounded as u64,
                    if same {
                        long as u64
                    } else {
                        (exact * long / short) as u64
                    },
                )
            } else {
                (shortest as u64, (shortest * long / short) as u64)
            }
        }
    };
    if width < height {
        (new_long, new_short)
    } else {
        (new_short, new_long)
    }
}

/// Returns the rows and columns of a picture whose longer edge becomes `edge`, as Idefics3's
/// `get_resize_output_image_size`: the shorter one is made even, and then none is above 4096.
fn longest_edge(edge: u64, width: u64, height: u64) -> (u64, u64) {
    const LIMIT: u64 = 4096;
    let ratio = |width: u64, height: u64| width as f64 / height as f64;
    let long = edge as f64;
    let (columns, rows) = match width >= height {
        true => (
            edge,
            ((long / ratio(width, height)) as u64).next_multiple_of(2),
        ),
        false => (
            ((long * ratio(width, height)) as u64).next_multiple_of(2),
            edge,
        ),
    };
    let (columns, rows) = (columns.max(1), rows.max(1));
    let long = LIMIT as f64;
    let (columns, rows) = match columns >= rows {
        true if columns > LIMIT => (LIMIT, (long / ratio(columns, rows)) as u64),
        false if rows > LIMIT => ((long * ratio(columns, rows)) as u64, LIMIT),
        _ => (columns, rows),
    };
    (rows.max(1), columns.max(1))
}

/// Returns the part of `length` pixels from `start` on that lies in `0..limit`, as its first pixel
/// and its length, and its offset in those `length` pixels. A centre crop always has such a part.
fn overlap(start: i64, length: u32, limit: u32) -> ((u32, u32), usize) {
    let first = start.max(0);
    let end = (start + i64::from(length)).min(limit.into());
    (
        (first as u32, (end - first) as u32),
        (first - start) as usize,
    )
}

#[cfg(test)]
mod tests;
