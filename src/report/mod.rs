//! The pictures that show an explanation: the map over the picture, the curves, the answer's words.

mod curves;
mod error;
mod font;
mod overlay;
mod tokens;

#[cfg(test)]
mod tests;

use std::io::Cursor;

use image::{EncodableLayout, ImageBuffer, ImageFormat, PixelWithColorType};

pub use curves::{CurvesPlot, curves};
pub use error::ReportError;
pub use overlay::{overlay, saliency_grey};
pub use tokens::{TokenShade, tokens};

/// Result of drawing.
pub type Result<T> = std::result::Result<T, ReportError>;

/// A picture as the bytes of a PNG file.
///
/// # Errors
/// [`ReportError::Encode`].
pub fn png<P>(picture: &ImageBuffer<P, Vec<u8>>) -> Result<Vec<u8>>
where
    P: PixelWithColorType<Subpixel = u8>,
    [u8]: EncodableLayout,
{
    let mut bytes = Cursor::new(Vec::new());
    picture
        .write_to(&mut bytes, ImageFormat::Png)
        .map_err(|e| ReportError::Encode {
            reason: e.to_string(),
        })?;
    Ok(bytes.into_inner())
}
