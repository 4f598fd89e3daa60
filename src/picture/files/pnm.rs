//! PBM, PGM and PPM, raw and plain. Samples of another depth than eight bits are scaled and rounded
//! as in Pillow: colours to 255, greys deeper than 255 to 65535 and then clipped at 255.

use super::{Decoded, Source};
use crate::picture::PictureError;

/// Decodes a PNM file.
pub(super) fn decode(source: &Source) -> Result<Decoded, PictureError> {
    let (kind, rest) = match source.bytes {
        [b'P', kind @ b'1'..=b'6', rest @ ..] => (*kind, rest),
        _ => return Err(source.failed("its first line is not one of P1 to P6")),
    };
    let mut text = Text { rest };
    let mut number = |what: &str| {
        let token = text.token();
        let number = token.and_then(|token| std::str::from_utf8(token).ok()?.parse::<u32>().ok());
        number.ok_or_else(|| source.failed(format!("its header has no {what}")))
    };
    let (width, height) = (number("width")?, number("height")?);
    let bits = matches!(kind, b'1' | b'4');
    let most = if bits { 1 } else { number("maximum")? };
    source.check(width.into(), height.into())?;
    if !(1..65536).contains(&most) {
        return Err(source.failed(format!("expected a maximum of 1 to 65535, found {most}")));
    }
    let channels = if matches!(kind, b'3' | b'6') { 3 } else { 1 };
    let count = width as usize * height as usize * channels;
    let ended = || source.failed("the pixels end before the picture does");
    let samples = Samples {
        count,
        scale: Scale::new(bits, most, channels),
    };
    let values = match kind {
        b'1' => samples.plain_bits(&mut text),
        b'2' | b'3' => samples.plain(&mut text),
        b'4' => samples.bits(text.rest, width as usize),
        _ => samples.raw(text.rest),
    };
    let values = values.ok_or_else(ended)?;
    Ok(Decoded {
        width,
        height,
        rgb: match channels {
            1 => values.iter().flat_map(|&grey| [grey; 3]).collect(),
            _ => values,
        },
        orientation: 1,
    })
}

/// The unread rest of the file.
struct Text<'a> {
    rest: &'a [u8],
}

impl<'a> Text<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (&first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(first)
    }

    /// Reads the next word, and one blank after it. Comments extend to the end of their line.
    fn token(&mut self) -> Option<&'a [u8]> {
        loop {
            let start = self.rest;
            match self.byte()? {
                b'#' => while !matches!(self.byte(), None | Some(b'\n' | b'\r')) {},
                byte if blank(byte) => {}
                _ => {
                    let end = start.iter().position(|&byte| blank(byte) || byte == b'#');
                    let end = end.unwrap_or(start.len());
                    self.rest = &start[end..];
                    if self.rest.first().is_some_and(|&byte| blank(byte)) {
                        self.byte();
                    }
                    return Some(&start[..end]);
                }
            }
        }
    }
}

fn blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0B | 0x0C)
}

/// The conversion of a sample.
struct Scale {
    most: u32,
    /// The value that `most` is scaled to, before clipping at 255.
    white: f64,
}

impl Scale {
    fn new(bits: bool, most: u32, channels: usize) -> Scale {
        let deep = !bits && most > 255 && channels == 1;
        Scale {
            most,
            white: if deep { 65535.0 } else { 255.0 },
        }
    }

    fn of(&self, value: u32) -> u8 {
        let scaled = f64::from(value) / f64::from(self.most) * self.white;
        scaled.round_ties_even().min(255.0) as u8
    }
}

/// The samples of a picture, in one of four encodings. Reading returns `None` if they end too early
/// or exceed the maximum.
struct Samples {
    count: usize,
    scale: Scale,
}

impl Samples {
    fn raw(&self, data: &[u8]) -> Option<Vec<u8>> {
        if self.scale.most == 255 {
            return Some(data.get(..self.count)?.to_vec());
        }
        if self.scale.most < 256 {
            let data = data.get(..self.count)?;
            return Some(data.iter().map(|&v| self.scale.of(v.into())).collect());
        }
        let (words, _) = data.get(..self.count * 2)?.as_chunks::<2>();
        let value = |word: &[u8; 2]| self.scale.of(u16::from_be_bytes(*word).into());
        Some(words.iter().map(value).collect())
    }

    fn bits(&self, data: &[u8], width: usize) -> Option<Vec<u8>> {
        let row = width.div_ceil(8);
        let data = data.get(..row * (self.count / width))?;
        let mut values = Vec::with_capacity(self.count);
        for line in data.chunks_exact(row) {
            let black = |column: usize| line[column / 8] >> (7 - column % 8) & 1 == 1;
            values.extend((0..width).map(|column| if black(column) { 0 } else { 255 }));
        }
        Some(values)
    }

    fn plain(&self, text: &mut Text) -> Option<Vec<u8>> {
        let mut values = Vec::new();
        while values.len() < self.count {
            let value: u32 = std::str::from_utf8(text.token()?).ok()?.parse().ok()?;
            let value = Some(value).filter(|&value| value <= self.scale.most)?;
            values.push(self.scale.of(value));
        }
        Some(values)
    }

    /// Reads digits that may stand without blanks between them.
    fn plain_bits(&self, text: &mut Text) -> Option<Vec<u8>> {
        let mut values = Vec::new();
        while values.len() < self.count {
            for digit in text.token()? {
                values.push(match digit {
                    b'0' => 255,
                    b'1' => 0,
                    _ => return None,
                });
            }
        }
        values.truncate(self.count);
        Some(values)
    }
}
