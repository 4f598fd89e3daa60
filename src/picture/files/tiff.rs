//! TIFF, by the `image` crate; by the underlying `tiff` crate for formats that the former does not
//! read, or rounds differently from Pillow: palettes, inks, and greys of 32 bits.

use std::io::Cursor;

use ::tiff::ColorType;
use ::tiff::decoder::{Decoder, DecodingResult, Limits};
use image::ImageFormat;

use super::orientation::{Field, XMP, field, orientation};
use super::png::samples;
use super::{Decoded, Source, cmyk_to_rgb, others};
use crate::picture::PictureError;

/// Tags of a directory, and the value of a tag for palette colours.
const BITS: u16 = 258;
const PHOTOMETRIC: u16 = 262;
const TABLE: u16 = 320;
const PALETTE: u64 = 3;

/// Decodes the first picture of a TIFF file.
pub(super) fn decode(source: &Source) -> Result<Decoded, PictureError> {
    let xmp = field(source.bytes, XMP).map(|field| field.bytes);
    let orientation = orientation(Some(source.bytes), xmp);
    let decoded = match field(source.bytes, PHOTOMETRIC) {
        Some(kind) if kind.number() == Some(PALETTE) => palette(source, &kind)?,
        _ => colours(source)?,
    };
    Ok(Decoded {
        orientation,
        ..decoded
    })
}

/// A decoder of a file, with columns and rows.
type Opened<'a> = (Decoder<Cursor<&'a [u8]>>, u32, u32);

/// Opens a file and checks its size.
fn open<'a>(source: &Source, bytes: &'a [u8]) -> Result<Opened<'a>, PictureError> {
    let room = usize::try_from(source.limits.max_pixels.saturating_mul(8)).unwrap_or(usize::MAX);
    let mut limits = Limits::default();
    limits.decoding_buffer_size = room;
    limits.intermediate_buffer_size = room;
    let decoder = Decoder::new(Cursor::new(bytes)).map_err(|e| source.failed(e))?;
    let mut decoder = decoder.with_limits(limits);
    let (width, height) = decoder.dimensions().map_err(|e| source.failed(e))?;
    source.check(width.into(), height.into())?;
    Ok((decoder, width, height))
}

fn colours(source: &Source) -> Result<Decoded, PictureError> {
    let failed = |error: ::tiff::TiffError| source.failed(error);
    let (mut decoder, width, height) = open(source, source.bytes)?;
    let kind = decoder.colortype().map_err(failed)?;
    if !matches!(kind, ColorType::CMYK(8) | ColorType::Gray(32)) {
        return others::decode(source, ImageFormat::Tiff);
    }
    let rgb: Vec<u8> = match (kind, decoder.read_image().map_err(failed)?) {
        (ColorType::CMYK(8), DecodingResult::U8(inks)) => {
            let (pixels, _) = inks.as_chunks::<4>();
            pixels.iter().flat_map(|&p| cmyk_to_rgb(p)).collect()
        }
        // Numbers are clipped at 0 and at 255.
        (_, DecodingResult::F32(greys)) => greys.iter().flat_map(|&v| [v as u8; 3]).collect(),
        (_, DecodingResult::U32(greys)) => {
            let cut = |v: u32| v.min(255) as u8;
            greys.iter().flat_map(|&v| [cut(v); 3]).collect()
        }
        (_, DecodingResult::I32(greys)) => {
            let cut = |v: i32| v.clamp(0, 255) as u8;
            greys.iter().flat_map(|&v| [cut(v); 3]).collect()
        }
        _ => return Err(source.failed("its samples are of a kind that is not read")),
    };
    filled(source, width, height, rgb)
}

/// Decodes a palette picture: its indices are read as greys.
fn palette(source: &Source, kind: &Field) -> Result<Decoded, PictureError> {
    let failed = |error: ::tiff::TiffError| source.failed(error);
    let depth = field(source.bytes, BITS).and_then(|bits| bits.number());
    let depth = match depth.unwrap_or(1) {
        depth @ (1 | 2 | 4 | 8) => depth as u8,
        found => {
            let reason = format!("expected indices of 1, 2, 4 or 8 bits, found {found}");
            return Err(source.failed(reason));
        }
    };
    let table = field(source.bytes, TABLE).map(|table| table.numbers());
    let table = table.ok_or_else(|| source.failed("it has no table of colours"))?;
    let colours = table.len() / 3;
    let mut greys = source.bytes.to_vec();
    let at = kind.bytes.as_ptr() as usize - source.bytes.as_ptr() as usize;
    let value = &mut greys[at..at + kind.bytes.len()];
    value.fill(0);
    // 1: black is zero.
    let low = if kind.big_endian { value.len() - 1 } else { 0 };
    value[low] = 1;
    let (mut decoder, width, height) = open(source, &greys)?;
    let DecodingResult::U8(packed) = decoder.read_image().map_err(failed)? else {
        return Err(source.failed("its indices are not of 8 bits at most"));
    };
    // All reds come first, then all greens, then all blues, of 16 bits each.
    let colour = |index: u8| {
        let part = |part: usize| match usize::from(index) < colours {
            true => (table[part * colours + usize::from(index)] >> 8) as u8,
            false => 0,
        };
        [part(0), part(1), part(2)]
    };
    let row = (width as usize * usize::from(depth)).div_ceil(8);
    let mut rgb = Vec::with_capacity(width as usize * height as usize * 3);
    for line in packed.chunks_exact(row) {
        rgb.extend(samples(line, depth).take(width as usize).flat_map(colour));
    }
    filled(source, width, height, rgb)
}

/// Checks that the bytes match the pixels, which they do not if channels are stored in planes.
fn filled(source: &Source, width: u32, height: u32, rgb: Vec<u8>) -> Result<Decoded, PictureError> {
    if rgb.len() as u64 != 3 * u64::from(width) * u64::from(height) {
        return Err(source.failed("its samples are stored in a way that is not read"));
    }
    Ok(Decoded {
        width,
        height,
        rgb,
        orientation: 1,
    })
}
