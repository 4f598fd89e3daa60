//! BMP, by the `image` crate. For 16-bit pixels that crate rounds when it scales to eight bits, and
//! Pillow truncates.

use image::ImageFormat;

use super::{Decoded, Source, others};
use crate::picture::PictureError;

/// Decodes a BMP file.
pub(super) fn decode(source: &Source) -> Result<Decoded, PictureError> {
    let mut decoded = others::decode(source, ImageFormat::Bmp)?;
    if let Some(levels) = levels(source.bytes) {
        for pixel in decoded.rgb.chunks_exact_mut(3) {
            for (value, most) in pixel.iter_mut().zip(levels) {
                let stored = (u32::from(*value) * most + 127) / 255;
                *value = (stored * 255 / most) as u8;
            }
        }
    }
    Ok(decoded)
}

/// Returns the largest stored values of red, green and blue, if a pixel has 16 bits in one of the
/// two usual layouts.
fn levels(file: &[u8]) -> Option<[u32; 3]> {
    let number = |at: usize| {
        file.get(at..)?
            .first_chunk()
            .map(|b| u32::from_le_bytes(*b))
    };
    let [header, bits, packing] = [number(14)?, number(28)? & 0xFFFF, number(30)?];
    if header < 40 || bits != 16 {
        return None;
    }
    match (packing, number(58)) {
        (0, _) | (3, Some(0x3E0)) => Some([31; 3]),
        (3, Some(0x7E0)) => Some([31, 63, 31]),
        _ => None,
    }
}
