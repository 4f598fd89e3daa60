//! An 8-bit RGB picture, and how a file becomes one.

use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, Seek};
use std::path::Path;

use image::{DynamicImage, ImageDecoder, ImageReader, Limits};

use super::PictureError;

/// The most pixels that a picture may have, 2^28: a little more than 16384 x 16383.
const MAX_PIXELS: u64 = 1 << 28;

/// The most bytes that a decoder may hold: eight for each of the most pixels, and half a gigabyte to work in.
const MAX_DECODER_BYTES: u64 = MAX_PIXELS * 8 + (1 << 29);

/// A picture in memory: `height` rows of `width` pixels of three u8 (red, green, blue), row after row without gaps.
/// It has at least one pixel and at most [`Picture::MAX_PIXELS`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    width: u32,
    height: u32,
    rgb: Vec<u8>,
}

impl Picture {
    /// The most pixels that a picture may have, 2^28.
    pub const MAX_PIXELS: u64 = MAX_PIXELS;

    /// Reads and decodes a picture file. The format is told from the content, never from the name.
    ///
    /// PNG, JPEG, GIF, WebP, BMP, TIFF and PNM. The EXIF orientation is applied; of 16-bit samples the high byte is
    /// kept; grey, palette and CMYK become RGB; an alpha channel is dropped and the colours under it kept, as Pillow's
    /// `convert("RGB")` does; of an animation the first frame is taken.
    ///
    /// # Errors
    /// [`PictureError::Open`], [`PictureError::Decode`], and [`PictureError::Size`] for a picture that is empty or has
    /// more than [`Picture::MAX_PIXELS`], found from its header before anything is allocated for it.
    pub fn open(path: &Path) -> Result<Self, PictureError> {
        let name = path.display().to_string();
        match File::open(path) {
            Ok(file) => Self::read(BufReader::new(file), &name),
            Err(source) => Err(PictureError::Open { name, source }),
        }
    }

    /// Decodes a picture file that is in memory; `name` stands for it in errors. Otherwise as [`Picture::open`].
    ///
    /// # Errors
    /// As [`Picture::open`].
    pub fn decode(bytes: &[u8], name: &str) -> Result<Self, PictureError> {
        Self::read(Cursor::new(bytes), name)
    }

    /// Takes `3 * width * height` bytes, row-major RGB.
    ///
    /// # Errors
    /// [`PictureError::Size`] for an empty or too large picture, [`PictureError::Length`] if the bytes do not fit it.
    pub fn from_rgb(width: u32, height: u32, rgb: Vec<u8>) -> Result<Self, PictureError> {
        check_size("picture", width.into(), height.into())?;
        let expected = 3 * u64::from(width) * u64::from(height);
        if rgb.len() as u64 != expected {
            return Err(PictureError::Length { width, height, expected, found: rgb.len() });
        }
        Ok(Self { width, height, rgb })
    }

    /// Columns.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// The bytes: `height * width * 3`, row-major, red first.
    pub fn rgb(&self) -> &[u8] {
        &self.rgb
    }

    /// Row `y`: `width * 3` bytes.
    pub(super) fn row(&self, y: usize) -> &[u8] {
        let bytes = self.width as usize * 3;
        &self.rgb[y * bytes..(y + 1) * bytes]
    }

    /// A picture whose size is known to be right, because it comes from another picture or was checked.
    pub(super) fn from_checked(width: u32, height: u32, rgb: Vec<u8>) -> Self {
        debug_assert_eq!(rgb.len(), width as usize * height as usize * 3);
        Self { width, height, rgb }
    }

    fn read<R: BufRead + Seek>(reader: R, name: &str) -> Result<Self, PictureError> {
        let failed = |reason: String| PictureError::Decode { name: name.to_owned(), reason };
        let mut reader =
            ImageReader::new(reader).with_guessed_format().map_err(|error| failed(error.to_string()))?;
        if reader.format().is_none() {
            return Err(failed("it is not PNG, JPEG, GIF, WebP, BMP, TIFF or PNM".to_owned()));
        }
        let mut limits = Limits::no_limits();
        limits.max_alloc = Some(MAX_DECODER_BYTES);
        reader.limits(limits);
        let mut decoder = reader.into_decoder().map_err(|error| failed(error.to_string()))?;
        let (width, height) = decoder.dimensions();
        check_size(name, width.into(), height.into())?;
        let orientation = decoder.orientation().map_err(|error| failed(error.to_string()))?;
        let mut decoded =
            DynamicImage::from_decoder(decoder).map_err(|error| failed(error.to_string()))?;
        decoded.apply_orientation(orientation);
        let (width, height) = (decoded.width(), decoded.height());
        Self::from_rgb(width, height, into_rgb(decoded))
    }
}

/// Fails unless there is at least one pixel and at most [`MAX_PIXELS`].
pub(super) fn check_size(name: &str, width: u64, height: u64) -> Result<(), PictureError> {
    match width.checked_mul(height) {
        Some(1..=MAX_PIXELS) => Ok(()),
        _ => Err(PictureError::Size { name: name.to_owned(), width, height, limit: MAX_PIXELS }),
    }
}

fn into_rgb(decoded: DynamicImage) -> Vec<u8> {
    // The image crate scales 16 bits to 8 with rounding; the usual readers keep the high byte.
    let high = |value: u16| (value >> 8) as u8;
    match decoded {
        DynamicImage::ImageLuma16(grey) => grey.as_raw().iter().flat_map(|&v| [high(v); 3]).collect(),
        DynamicImage::ImageLumaA16(grey) => {
            grey.as_raw().chunks_exact(2).flat_map(|p| [high(p[0]); 3]).collect()
        }
        DynamicImage::ImageRgb16(colour) => colour.as_raw().iter().map(|&v| high(v)).collect(),
        DynamicImage::ImageRgba16(colour) => {
            colour.as_raw().chunks_exact(4).flat_map(|p| [high(p[0]), high(p[1]), high(p[2])]).collect()
        }
        other => other.into_rgb8().into_raw(),
    }
}
