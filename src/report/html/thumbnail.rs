//! Reduced pictures.

use image::codecs::jpeg::JpegEncoder;
use image::{ExtendedColorType, ImageBuffer, Rgb, imageops};

use super::embed::base64;
use crate::report::overlay::pixels;
use crate::report::{ReportError, Result};

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
    let what = "picture";
    let (expected, found) = (pixels(width, height, 3)?, rgb.len());
    let picture = ImageBuffer::<Rgb<u8>, &[u8]>::from_raw(width, height, rgb)
        .filter(|_| found == expected)
        .ok_or(ReportError::Length {
            what,
            expected,
            found,
        })?;
    let small = |side: u32| {
        let longest = width.max(height);
        let exact = f64::from(side) * f64::from(THUMBNAIL) / f64::from(longest);
        if longest <= THUMBNAIL {
            side
        } else {
            (exact.round() as u32).max(1)
        }
    };
    let (width, height) = (small(width), small(height));
    let mut bytes = Vec::new();
    let encoder = &mut JpegEncoder::new_with_quality(&mut bytes, QUALITY);
    let encoded = if (width, height) == picture.dimensions() {
        encoder.encode(rgb, width, height, ExtendedColorType::Rgb8)
    } else {
        let picture = imageops::thumbnail(&picture, width, height);
        encoder.encode(&picture, width, height, ExtendedColorType::Rgb8)
    };
    encoded.map_err(ReportError::page)?;
    Ok(format!("data:image/jpeg;base64,{}", base64(&bytes)))
}
