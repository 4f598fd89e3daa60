//! Picture files: the pixels and the orientation of each format, as Pillow reads them.

mod bmp;
mod gif;
mod jpeg;
mod orientation;
mod others;
mod png;
mod pnm;
mod tiff;

use image::ImageFormat;

use super::{Limits, PictureError};

/// A file in memory.
pub(super) struct Source<'a> {
    /// Its bytes.
    pub bytes: &'a [u8],
    /// The picture's name in errors.
    pub name: &'a str,
    /// The limits on the picture.
    pub limits: &'a Limits,
}

/// The contents of a file.
pub(super) struct Decoded {
    /// Columns, as stored.
    pub width: u32,
    /// Rows, as stored.
    pub height: u32,
    /// `height * width * 3`, row-major.
    pub rgb: Vec<u8>,
    /// The orientation by EXIF's numbers: 1 to 8; anything else is upright.
    pub orientation: u64,
}

impl Source<'_> {
    /// Creates the error of a picture that does not decode.
    fn failed(&self, reason: impl ToString) -> PictureError {
        PictureError::Decode {
            name: self.name.to_owned(),
            reason: reason.to_string(),
        }
    }

    /// Checks that a picture of this size may be decoded.
    fn check(&self, width: u64, height: u64) -> Result<(), PictureError> {
        self.limits.check(self.name, width, height)
    }
}

/// Returns the format of a file with these first bytes, if it is supported.
pub(super) fn format(head: &[u8]) -> Option<ImageFormat> {
    let read = [
        ImageFormat::Png,
        ImageFormat::Jpeg,
        ImageFormat::Gif,
        ImageFormat::WebP,
        ImageFormat::Bmp,
        ImageFormat::Tiff,
        ImageFormat::Pnm,
    ];
    let format = image::guess_format(head).ok()?;
    read.contains(&format).then_some(format)
}

/// Decodes a file of any format.
pub(super) fn decode(source: &Source) -> Result<Decoded, PictureError> {
    match format(source.bytes) {
        Some(ImageFormat::Jpeg) => jpeg::decode(source),
        Some(ImageFormat::Png) => png::decode(source),
        Some(ImageFormat::Gif) => gif::decode(source),
        Some(ImageFormat::Bmp) => bmp::decode(source),
        Some(ImageFormat::Tiff) => tiff::decode(source),
        Some(ImageFormat::Pnm) if !source.bytes.starts_with(b"P7") => pnm::decode(source),
        Some(format) => others::decode(source, format),
        None => Err(source.failed("it is not PNG, JPEG, GIF, WebP, BMP, TIFF or PNM")),
    }
}

/// Converts a CMYK pixel to RGB as Pillow does.
fn cmyk_to_rgb([cyan, magenta, yellow, black]: [u8; 4]) -> [u8; 3] {
    let white = u32::from(255 - black);
    [cyan, magenta, yellow].map(|ink| {
        // The product divided by 255, rounded.
        let product = u32::from(ink) * white + 128;
        white.saturating_sub((product + (product >> 8)) >> 8) as u8
    })
}
