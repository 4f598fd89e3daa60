//! PNG. The `png` crate unpacks the pixels; the chunks and checksums that count are selected here
//! as in Pillow: every checksum before the first IDAT, and none from there on.

use std::borrow::Cow;
use std::io::{Cursor, Read};

use ::png::{ColorType, DecodeOptions, Decoder, Limits};
use flate2::read::ZlibDecoder;

use super::orientation::orientation;
use super::{Decoded, Source};
use crate::picture::PictureError;

const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";
/// The largest size in bytes of an uncompressed text, Pillow's limit.
const MAX_TEXT: u64 = 1 << 20;

/// Decodes a PNG file; of an animation, the first picture.
pub(super) fn decode(source: &Source) -> Result<Decoded, PictureError> {
    let chunks = Chunks::read(source)?;
    let header = chunks.header;
    source.check(header.width.into(), header.height.into())?;
    let mut options = DecodeOptions::default();
    options.set_ignore_crc(true);
    options.set_ignore_adler32(false);
    let mut decoder = Decoder::new_with_options(Cursor::new(chunks.essential()), options);
    decoder.set_limits(Limits { bytes: usize::MAX });
    let mut reader = decoder.read_info().map_err(|e| source.failed(e))?;
    let (colours, depth) = reader.output_color_type();
    let length = reader.output_buffer_size();
    let mut packed = vec![0; length.ok_or_else(|| source.failed("it is too large"))?];
    let found = reader
        .next_frame(&mut packed)
        .map_err(|e| source.failed(e))?;
    let row = Row {
        colours,
        depth: depth as u8,
        palette: chunks.palette,
    };
    let width = header.width as usize;
    let mut rgb = Vec::with_capacity(width * header.height as usize * 3);
    for line in packed.chunks_exact(found.line_size.max(1)) {
        row.unpack(line, width, &mut rgb);
    }
    Ok(Decoded {
        width: header.width,
        height: header.height,
        rgb,
        orientation: chunks.orientation(source)?,
    })
}

/// The packing of the samples of a row.
struct Row<'a> {
    colours: ColorType,
    /// Bits per sample.
    depth: u8,
    palette: &'a [u8],
}

impl Row<'_> {
    /// Appends a row's pixels. Of 16-bit samples the high byte is kept, but grey ones are clipped
    /// at 255.
    fn unpack(&self, line: &[u8], width: usize, out: &mut Vec<u8>) {
        let bytes = usize::from(self.depth / 8).max(1);
        let every = |samples: usize| line.chunks_exact(samples * bytes);
        match (self.colours, self.depth) {
            (ColorType::Grayscale, 16) => out.extend(every(1).flat_map(|grey| match grey {
                [0, low] => [*low; 3],
                _ => [255; 3],
            })),
            (ColorType::Grayscale, depth) => {
                let scale = (255 / ((1_u16 << depth) - 1)) as u8;
                let samples = samples(line, depth).take(width);
                out.extend(samples.flat_map(|grey| [grey * scale; 3]));
            }
            (ColorType::Indexed, depth) => {
                let samples = samples(line, depth).take(width);
                out.extend(samples.flat_map(|index| colour(self.palette, index)));
            }
            (ColorType::GrayscaleAlpha, _) => out.extend(every(2).flat_map(|pixel| [pixel[0]; 3])),
            (ColorType::Rgb, 8) => out.extend_from_slice(line),
            (ColorType::Rgb | ColorType::Rgba, _) => {
                let samples = if self.colours == ColorType::Rgb { 3 } else { 4 };
                let pixel = |pixel: &[u8]| [pixel[0], pixel[bytes], pixel[2 * bytes]];
                out.extend(every(samples).flat_map(pixel));
            }
        }
    }
}

/// Returns the samples of a row that has one or several per byte.
pub(super) fn samples(line: &[u8], depth: u8) -> impl Iterator<Item = u8> + '_ {
    let of_byte =
        move |byte: u8| (0..8 / depth).map(move |index| (byte << (index * depth)) >> (8 - depth));
    line.iter().flat_map(move |&byte| of_byte(byte))
}

/// Returns a colour of a palette of RGB bytes; black if the index is beyond its end.
pub(super) fn colour(palette: &[u8], index: u8) -> [u8; 3] {
    let (colours, _) = palette.as_chunks::<3>();
    colours.get(usize::from(index)).copied().unwrap_or_default()
}

#[derive(Clone, Copy)]
struct Header<'a> {
    width: u32,
    height: u32,
    /// Depth, colours, packing, filters, interlacing.
    rest: &'a [u8],
}

/// The chunks of a file that are used.
struct Chunks<'a> {
    header: Header<'a>,
    palette: &'a [u8],
    /// The bodies of the first consecutive IDAT chunks.
    data: Vec<&'a [u8]>,
    exif: Option<&'a [u8]>,
    /// An EXIF block as hexadecimal text, which other programs write.
    profile: Option<Cow<'a, [u8]>>,
    xmp: Option<Cow<'a, [u8]>>,
}

impl<'a> Chunks<'a> {
    fn read(source: &Source<'a>) -> Result<Chunks<'a>, PictureError> {
        let mut header = None;
        let mut chunks = Chunks {
            header: Header {
                width: 0,
                height: 0,
                rest: &[],
            },
            palette: &[],
            data: Vec::new(),
            exif: None,
            profile: None,
            xmp: None,
        };
        let mut rest = &source.bytes[SIGNATURE.len().min(source.bytes.len())..];
        // Pillow reads the chunks before the pixels strictly, then the pixels, then the chunks
        // after them as far as they are valid.
        let mut after = false;
        while let Some((length, kind, body, checksum)) = next(&mut rest) {
            if kind == *b"IEND" || (!kind.is_ascii() && after) {
                break;
            }
            let first = chunks.data.is_empty();
            if kind == *b"IDAT" {
                if !after {
                    chunks.data.push(body);
                }
                continue;
            }
            after = !first;
            let name = kind.escape_ascii();
            if body.len() < length {
                // A truncated last chunk after the pixels is not an error.
                if after {
                    break;
                }
                return Err(source.failed(format!("the file ends in its {name} chunk")));
            }
            if first && checksum != Some(checksum_of(&kind, body)) {
                let reason = format!("the {name} chunk before the pixels has a wrong checksum");
                return Err(source.failed(reason));
            }
            match &kind {
                b"IHDR" if first => header = Some(body),
                b"PLTE" if first => chunks.palette = body,
                b"eXIf" => chunks.exif = Some(body),
                b"tEXt" | b"zTXt" | b"iTXt" => chunks.text(&kind, body),
                _ => {}
            }
        }
        let header = header.and_then(|body: &[u8]| body.split_first_chunk::<8>());
        match header {
            Some((size, rest)) if rest.len() >= 5 => {
                let [a, b, c, d, e, f, g, h] = *size;
                chunks.header = Header {
                    width: u32::from_be_bytes([a, b, c, d]),
                    height: u32::from_be_bytes([e, f, g, h]),
                    rest,
                };
            }
            _ => return Err(source.failed("it has no IHDR chunk of 13 bytes")),
        }
        if chunks.header.width == 0 || chunks.header.height == 0 || chunks.data.is_empty() {
            return Err(source.failed("it has no pixels"));
        }
        Ok(chunks)
    }

    /// Keeps the texts that may contain the orientation.
    fn text(&mut self, kind: &[u8; 4], body: &'a [u8]) {
        let Some((key, value)) = split_at_zero(body) else {
            return;
        };
        let place = match key {
            b"Raw profile type exif" => &mut self.profile,
            b"XML:com.adobe.xmp" => &mut self.xmp,
            _ => return,
        };
        let text = match kind {
            b"tEXt" => Some(Cow::Borrowed(value)),
            b"zTXt" => value.split_first().and_then(|(_, packed)| inflate(packed)),
            _ => international(value),
        };
        *place = text.or(place.take());
    }

    /// Rebuilds the file with only the chunks that a decoder of the pixels needs.
    fn essential(&self) -> Vec<u8> {
        let length: usize = self.data.iter().map(|part| part.len() + 12).sum();
        let mut file = Vec::with_capacity(length + self.palette.len() + 64);
        let mut chunk = |kind: &[u8; 4], body: &[&[u8]]| {
            let length: usize = body.iter().map(|part| part.len()).sum();
            file.extend_from_slice(&(length as u32).to_be_bytes());
            file.extend_from_slice(kind);
            body.iter().for_each(|part| file.extend_from_slice(part));
            file.extend_from_slice(&[0; 4]);
        };
        let size = [
            self.header.width.to_be_bytes(),
            self.header.height.to_be_bytes(),
        ];
        // Pillow only checks the first two and the last.
        let rest = [self.header.rest[0], self.header.rest[1], 0, 0];
        let interlaced = [u8::from(self.header.rest[4] != 0)];
        chunk(b"IHDR", &[&size.concat(), &rest, &interlaced]);
        let palette = &self.palette[..(self.palette.len() / 3 * 3).min(768)];
        if self.header.rest[1] == 3 {
            chunk(
                b"PLTE",
                &[if palette.is_empty() { &[0; 3] } else { palette }],
            );
        }
        for part in &self.data {
            chunk(b"IDAT", &[part]);
        }
        chunk(b"IEND", &[]);
        [SIGNATURE, &file].concat()
    }

    fn orientation(&self, source: &Source) -> Result<u64, PictureError> {
        let xmp = self.xmp.as_deref();
        let profile = match (self.exif, &self.profile) {
            (None, Some(profile)) => Some(bytes_of(profile).ok_or_else(|| {
                source.failed("its text \"Raw profile type exif\" is not hexadecimal")
            })?),
            _ => None,
        };
        Ok(orientation(self.exif.or(profile.as_deref()), xmp))
    }
}

/// A chunk: its stated length, kind, its body as far as present, checksum.
type Chunk<'a> = (usize, [u8; 4], &'a [u8], Option<u32>);

/// Reads the next chunk.
fn next<'a>(rest: &mut &'a [u8]) -> Option<Chunk<'a>> {
    let (length, after) = rest.split_first_chunk::<4>()?;
    let (kind, after) = after.split_first_chunk::<4>()?;
    let length = u32::from_be_bytes(*length) as usize;
    let (body, after) = after.split_at(length.min(after.len()));
    let checksum = after.first_chunk::<4>().map(|sum| u32::from_be_bytes(*sum));
    *rest = after.get(4..).unwrap_or_default();
    Some((length, *kind, body, checksum))
}

fn checksum_of(kind: &[u8], body: &[u8]) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    sum.update(kind);
    sum.update(body);
    sum.finalize()
}

fn split_at_zero(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = memchr::memchr(0, bytes)?;
    Some((&bytes[..at], &bytes[at + 1..]))
}

/// Returns the text of an iTXt chunk, after its key, a flag and a method of compression, a language
/// and the translated key.
fn international(value: &[u8]) -> Option<Cow<'_, [u8]>> {
    let (&[packed, method], rest) = value.split_first_chunk::<2>()?;
    let (_, rest) = split_at_zero(rest)?;
    let (_, text) = split_at_zero(rest)?;
    match (packed, method) {
        (0, _) => Some(Cow::Borrowed(text)),
        (_, 0) => inflate(text),
        _ => None,
    }
}

/// Decompresses a text, if it is complete and not too long.
fn inflate(packed: &[u8]) -> Option<Cow<'static, [u8]>> {
    let mut text = Vec::new();
    let mut unpacked = ZlibDecoder::new(packed).take(MAX_TEXT);
    unpacked.read_to_end(&mut text).ok()?;
    Some(Cow::Owned(text))
}

/// Decodes the bytes of a profile from hexadecimal digits, from its fourth line on.
fn bytes_of(profile: &[u8]) -> Option<Vec<u8>> {
    let digits: Vec<u8> = profile
        .split(|&byte| byte == b'\n')
        .skip(3)
        .flatten()
        .filter(|byte| !byte.is_ascii_whitespace())
        .copied()
        .collect();
    let (pairs, []) = digits.as_chunks::<2>() else {
        return None;
    };
    let value = |digit: u8| char::from(digit).to_digit(16);
    pairs
        .iter()
        .map(|&[high, low]| Some((value(high)? << 4 | value(low)?) as u8))
        .collect()
}
