//! An 8-bit RGB picture, and its decoding from a file.

use std::fmt;
use std::path::Path;

use image::metadata::Orientation;
use image::{DynamicImage, RgbImage};

use super::{Limits, PictureError, files};

/// The largest number of pixels of a resized picture, 2^28: a little more than 16384 x 16383.
const MAX_RESIZED: u64 = 1 << 28;

/// A picture in memory: `height` rows of `width` pixels of three u8 (red, green, blue), row after
/// row without gaps. It has at least one pixel and at most [`Picture::MAX_PIXELS`].
#[derive(Clone, PartialEq, Eq)]
pub struct Picture {
    width: u32,
    height: u32,
    rgb: Vec<u8>,
}

impl Picture {
    /// The largest number of pixels of a picture, 2^30. Files are read within the smaller
    /// [`Limits`].
    pub const MAX_PIXELS: u64 = 1 << 30;

    /// Reads and decodes a picture file within the default [`Limits`]. The format is detected from
    /// the content, never from the name.
    ///
    /// Reads PNG, JPEG, GIF, WebP, BMP, TIFF and PNM, to the same pixels as Pillow's
    /// `convert("RGB")` after `exif_transpose`, with the exceptions that `docs/pictures.md` lists:
    /// the picture is oriented by EXIF or XMP; of 16-bit colours the high byte is kept, 16-bit
    /// greys are clipped at 255; an alpha channel is dropped and the colours under it kept; of an
    /// animation the first frame is taken.
    ///
    /// # Errors
    /// [`PictureError::Open`] if the file cannot be opened, [`PictureError::FileSize`] if it is too
    /// large, [`PictureError::Decode`] if it is not a valid picture, and [`PictureError::TooLarge`]
    /// for a picture that is empty or exceeds a limit, checked in its header before anything is
    /// allocated for its pixels.
    pub fn open(path: &Path) -> Result<Self, PictureError> {
        Self::open_within(path, &Limits::default())
    }

    /// [`Picture::open`] within other limits.
    ///
    /// # Errors
    /// As [`Picture::open`].
    pub fn open_within(path: &Path, limits: &Limits) -> Result<Self, PictureError> {
        let name = path.display().to_string();
        let bytes = limits.read(path, &name, |head| files::format(head).is_some())?;
        Self::decode_within(&bytes, &name, limits)
    }

    /// Decodes a picture file in memory; `name` is its name in errors. Otherwise as
    /// [`Picture::open`].
    ///
    /// # Errors
    /// As [`Picture::open`].
    pub fn decode(bytes: &[u8], name: &str) -> Result<Self, PictureError> {
        Self::decode_within(bytes, name, &Limits::default())
    }

    /// [`Picture::decode`] within other limits.
    ///
    /// # Errors
    /// As [`Picture::open`].
    pub fn decode_within(bytes: &[u8], name: &str, limits: &Limits) -> Result<Self, PictureError> {
        let decoded = files::decode(&files::Source {
            bytes,
            name,
            limits,
        })?;
        let stored = Self::from_rgb(decoded.width, decoded.height, decoded.rgb)?;
        let turned = u8::try_from(decoded.orientation).ok();
        match turned.and_then(Orientation::from_exif) {
            None | Some(Orientation::NoTransforms) => Ok(stored),
            Some(orientation) => stored.turned(orientation),
        }
    }

    fn turned(self, orientation: Orientation) -> Result<Self, PictureError> {
        let expected = 3 * u64::from(self.width) * u64::from(self.height);
        let (width, height, found) = (self.width, self.height, self.rgb.len());
        let image = RgbImage::from_raw(width, height, self.rgb);
        let mut image = image
            .map(DynamicImage::ImageRgb8)
            .ok_or(PictureError::Length {
                width,
                height,
                expected,
                found,
            })?;
        image.apply_orientation(orientation);
        Self::from_rgb(image.width(), image.height(), image.into_rgb8().into_raw())
    }

    /// Creates a picture from `3 * width * height` bytes, row-major RGB.
    ///
    /// # Errors
    /// [`PictureError::Size`] for an empty or too large picture, [`PictureError::Length`] if the
    /// number of bytes does not match.
    pub fn from_rgb(width: u32, height: u32, rgb: Vec<u8>) -> Result<Self, PictureError> {
        check_picture(width.into(), height.into())?;
        let expected = 3 * u64::from(width) * u64::from(height);
        if rgb.len() as u64 != expected {
            return Err(PictureError::Length {
                width,
                height,
                expected,
                found: rgb.len(),
            });
        }
        Ok(Self { width, height, rgb })
    }

    /// Returns the number of columns.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Returns the number of rows.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// Returns the bytes: `height * width * 3`, row-major, red first.
    pub fn rgb(&self) -> &[u8] {
        &self.rgb
    }

    /// Returns row `y`: `width * 3` bytes.
    pub(super) fn row(&self, y: usize) -> &[u8] {
        let bytes = self.width as usize * 3;
        &self.rgb[y * bytes..(y + 1) * bytes]
    }

    /// Creates a picture whose size is known to be valid, because it comes from another picture or
    /// was checked.
    pub(super) fn from_checked(width: u32, height: u32, rgb: Vec<u8>) -> Self {
        debug_assert_eq!(rgb.len(), width as usize * height as usize * 3);
        Self { width, height, rgb }
    }
}

impl fmt::Debug for Picture {
    /// Shows the size, without the bytes.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Picture")
            .field("width", &self.width)
            .field("height", &self.height)
            .finish_non_exhaustive()
    }
}

/// Checks that there is at least one pixel and at most 2^28, the limit of pictures made from
/// others.
pub(super) fn check_size(name: &str, width: u64, height: u64) -> Result<(), PictureError> {
    within(name, width, height, MAX_RESIZED)
}

/// Checks that there is at least one pixel and at most [`Picture::MAX_PIXELS`].
pub(super) fn check_picture(width: u64, height: u64) -> Result<(), PictureError> {
    within("picture", width, height, Picture::MAX_PIXELS)
}

fn within(name: &str, width: u64, height: u64, limit: u64) -> Result<(), PictureError> {
    match width.checked_mul(height) {
        Some(pixels) if (1..=limit).contains(&pixels) => Ok(()),
        _ => Err(PictureError::Size {
            name: name.to_owned(),
            width,
            height,
            limit,
        }),
    }
}

#[cfg(test)]
mod tests;
