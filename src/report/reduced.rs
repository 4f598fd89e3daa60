//! Pictures of fewer pixels.

use image::{ImageBuffer, Rgb, RgbImage, imageops};

use super::overlay::pixels;
use super::{ReportError, Result};

/// Reduces a picture (RGB, row by row, `width * height * 3` bytes) to at most `longest` pixels per
/// side. Returns `None` if it has no more.
///
/// # Errors
/// Returns [`ReportError::Size`] for a picture without pixels, and [`ReportError::Length`] if the
/// number of bytes does not match.
pub fn reduced(rgb: &[u8], width: u32, height: u32, longest: u32) -> Result<Option<RgbImage>> {
    let (expected, found) = (pixels(width, height, 3)?, rgb.len());
    let picture = ImageBuffer::<Rgb<u8>, &[u8]>::from_raw(width, height, rgb)
        .filter(|_| found == expected)
        .ok_or(ReportError::Length {
            what: "picture",
            expected,
            found,
        })?;
    let most = width.max(height);
    let side = |side: u32| {
        let exact = f64::from(side) * f64::from(longest) / f64::from(most);
        (exact.round() as u32).max(1)
    };
    let small = || imageops::thumbnail(&picture, side(width), side(height));
    Ok((most > longest).then(small))
}
