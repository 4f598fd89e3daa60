//! PNG encoding.

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{EncodableLayout, ImageBuffer, PixelWithColorType};

use super::{ReportError, Result};

/// Encodes a picture as a PNG file, favouring speed over size.
///
/// # Errors
/// Returns [`ReportError::Encode`] if encoding fails, for example for a picture without pixels.
pub fn png<P>(picture: &ImageBuffer<P, Vec<u8>>) -> Result<Vec<u8>>
where
    P: PixelWithColorType<Subpixel = u8>,
    [u8]: EncodableLayout,
{
    let mut bytes = Vec::new();
    picture
        .write_with_encoder(PngEncoder::new_with_quality(
            &mut bytes,
            CompressionType::Fast,
            FilterType::Adaptive,
        ))
        .map_err(|e| ReportError::Encode {
            reason: e.to_string(),
        })?;
    Ok(bytes)
}
