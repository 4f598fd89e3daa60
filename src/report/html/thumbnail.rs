//! Reduced pictures.

use image::ExtendedColorType;
use image::codecs::jpeg::JpegEncoder;

use super::embed::base64;
use crate::report::{ReportError, Result, reduced};

/// The longer side of a picture on a page, in pixels; smaller pictures keep their size.
pub const THUMBNAIL: u32 = 320;
/// JPEG quality, 1 to 100.
const QUALITY: u8 = 75;

/// Reduces a picture (RGB, row by row, `width * height * 3` bytes) to at most [`THUMBNAIL`] pixels
/// per side, and returns it as the `data:` URL of a JPEG.
///
/// # Errors
/// Returns [`ReportError::Size`] for a picture without pixels, and [`ReportError::Length`] if the
/// number of bytes does not match.
pub fn thumbnail(rgb: &[u8], width: u32, height: u32) -> Result<String> {
    address(rgb, width, height, THUMBNAIL)
}

/// Reduces a picture to at most `longest` pixels per side; otherwise as [`thumbnail`].
///
/// # Errors
/// As [`thumbnail`].
pub(crate) fn address(rgb: &[u8], width: u32, height: u32, longest: u32) -> Result<String> {
    let small = reduced(rgb, width, height, longest)?;
    let mut bytes = Vec::new();
    let encoder = &mut JpegEncoder::new_with_quality(&mut bytes, QUALITY);
    let rgb8 = ExtendedColorType::Rgb8;
    let encoded = match &small {
        Some(small) => encoder.encode(small, small.width(), small.height(), rgb8),
        None => encoder.encode(rgb, width, height, rgb8),
    };
    encoded.map_err(ReportError::page)?;
    Ok(format!("data:image/jpeg;base64,{}", base64(&bytes)))
}
