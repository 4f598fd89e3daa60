//! The formats that the `image` crate decodes on its own.

use std::io::Cursor;

use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};

use super::orientation::orientation;
use super::{Decoded, Source};
use crate::picture::PictureError;

/// Decodes a file of a known format.
pub(super) fn decode(source: &Source, format: ImageFormat) -> Result<Decoded, PictureError> {
    let failed = |error: image::ImageError| source.failed(error);
    let mut reader = ImageReader::with_format(Cursor::new(source.bytes), format);
    let mut limits = Limits::no_limits();
    // The memory of a decoder: the deepest pixels, and working memory.
    limits.max_alloc = Some(source.limits.max_bytes.saturating_mul(2));
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(failed)?;
    let (width, height) = decoder.dimensions();
    source.check(width.into(), height.into())?;
    let exif = decoder.exif_metadata().unwrap_or_default();
    let xmp = decoder.xmp_metadata().unwrap_or_default();
    let decoded = DynamicImage::from_decoder(decoder).map_err(failed)?;
    Ok(Decoded {
        width,
        height,
        rgb: into_rgb(decoded),
        orientation: orientation(exif.as_deref(), xmp.as_deref()),
    })
}

/// Converts a decoded picture to the bytes that Pillow has: of 16-bit colours the high byte, 16-bit
/// greys and numbers clipped at 255.
fn into_rgb(decoded: DynamicImage) -> Vec<u8> {
    let high = |value: u16| (value >> 8) as u8;
    let cut = |value: u16| value.min(255) as u8;
    match decoded {
        DynamicImage::ImageLuma16(grey) => {
            grey.as_raw().iter().flat_map(|&v| [cut(v); 3]).collect()
        }
        DynamicImage::ImageLumaA16(grey) => {
            let (pixels, _) = grey.as_raw().as_chunks::<2>();
            pixels.iter().flat_map(|p| [high(p[0]); 3]).collect()
        }
        DynamicImage::ImageRgb16(colour) => colour.as_raw().iter().map(|&v| high(v)).collect(),
        DynamicImage::ImageRgba16(colour) => {
            let (pixels, _) = colour.as_raw().as_chunks::<4>();
            let rgb = pixels.iter().flat_map(|p| [p[0], p[1], p[2]]);
            rgb.map(high).collect()
        }
        DynamicImage::ImageRgb32F(colour) => colour.as_raw().iter().map(|&v| v as u8).collect(),
        other => other.into_rgb8().into_raw(),
    }
}
