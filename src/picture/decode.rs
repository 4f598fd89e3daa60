//! An 8-bit RGB picture, and how a file becomes one.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read, Seek};
use std::path::Path;

use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};

use super::PictureError;

/// The most pixels that a picture may have, 2^28: a little more than 16384 x 16383.
const MAX_PIXELS: u64 = 1 << 28;

/// The most bytes that a decoder may hold: eight for each of the most pixels, and half a gigabyte to work in.
const MAX_DECODER_BYTES: u64 = MAX_PIXELS * 8 + (1 << 29);

/// A picture in memory: `height` rows of `width` pixels of three u8 (red, green, blue), row after row without gaps.
/// It has at least one pixel and at most [`Picture::MAX_PIXELS`].
#[derive(Clone, PartialEq, Eq)]
pub struct Picture {
    width: u32,
    height: u32,
    rgb: Vec<u8>,
}

impl Picture {
    /// The most pixels that a picture may have, 2^28.
    pub const MAX_PIXELS: u64 = MAX_PIXELS;

    /// Reads and decodes a picture file. The format is told from the content, never from the name.
    ///
    /// PNG, JPEG, GIF, WebP, BMP, TIFF and PNM. The EXIF orientation is applied; of 16-bit samples the high byte is
    /// kept; grey, palette and CMYK become RGB; an alpha channel is dropped and the colours under it kept, as Pillow's
    /// `convert("RGB")` does; of an animation the first frame is taken.
    ///
    /// # Errors
    /// [`PictureError::Open`], [`PictureError::Decode`], and [`PictureError::Size`] for a picture that is empty or has
    /// more than [`Picture::MAX_PIXELS`], found from its header before anything is allocated for it.
    pub fn open(path: &Path) -> Result<Self, PictureError> {
        let name = path.display().to_string();
        match File::open(path) {
            Ok(file) => Self::read(BufReader::new(file), &name),
            Err(source) => Err(PictureError::Open { name, source }),
        }
    }

    /// Decodes a picture file that is in memory; `name` stands for it in errors. Otherwise as [`Picture::open`].
    ///
    /// # Errors
    /// As [`Picture::open`].
    pub fn decode(bytes: &[u8], name: &str) -> Result<Self, PictureError> {
        Self::read(Cursor::new(bytes), name)
    }

    /// Takes `3 * width * height` bytes, row-major RGB.
    ///
    /// # Errors
    /// [`PictureError::Size`] for an empty or too large picture, [`PictureError::Length`] if the bytes do not fit it.
    pub fn from_rgb(width: u32, height: u32, rgb: Vec<u8>) -> Result<Self, PictureError> {
        check_size("picture", width.into(), height.into())?;
        let expected = 3 * u64::from(width) * u64::from(height);
        if rgb.len() as u64 != expected {
            return Err(PictureError::Length {
                width,
                height,
                expected,
                found: rgb.len(),
            });
        }
        Ok(Self { width, height, rgb })
    }

    /// Columns.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// The bytes: `height * width * 3`, row-major, red first.
    pub fn rgb(&self) -> &[u8] {
        &self.rgb
    }

    /// Row `y`: `width * 3` bytes.
    pub(super) fn row(&self, y: usize) -> &[u8] {
        let bytes = self.width as usize * 3;
        &self.rgb[y * bytes..(y + 1) * bytes]
    }

    /// A picture whose size is known to be right, because it comes from another picture or was checked.
    pub(super) fn from_checked(width: u32, height: u32, rgb: Vec<u8>) -> Self {
        debug_assert_eq!(rgb.len(), width as usize * height as usize * 3);
        Self { width, height, rgb }
    }

    fn read<R: BufRead + Seek>(reader: R, name: &str) -> Result<Self, PictureError> {
        let failed = |reason: String| PictureError::Decode {
            name: name.to_owned(),
            reason,
        };
        let mut reader = ImageReader::new(reader)
            .with_guessed_format()
            .map_err(|error| failed(error.to_string()))?;
        let Some(format) = reader.format() else {
            return Err(failed(
                "it is not PNG, JPEG, GIF, WebP, BMP, TIFF or PNM".to_owned(),
            ));
        };
        if format == ImageFormat::Jpeg {
            // The decoder would fill up what is missing with grey.
            let mut bytes = reader.into_inner();
            let complete = bytes.rewind().and_then(|()| jpeg_is_complete(&mut bytes));
            if !complete
                .and_then(|complete| bytes.rewind().map(|()| complete))
                .map_err(|error| failed(error.to_string()))?
            {
                return Err(failed(
                    "the JPEG data end before the picture does".to_owned(),
                ));
            }
            reader = ImageReader::with_format(bytes, format);
        }
        let mut limits = Limits::no_limits();
        limits.max_alloc = Some(MAX_DECODER_BYTES);
        reader.limits(limits);
        let mut decoder = reader
            .into_decoder()
            .map_err(|error| failed(error.to_string()))?;
        let (width, height) = decoder.dimensions();
        check_size(name, width.into(), height.into())?;
        let orientation = decoder
            .orientation()
            .map_err(|error| failed(error.to_string()))?;
        let mut decoded =
            DynamicImage::from_decoder(decoder).map_err(|error| failed(error.to_string()))?;
        decoded.apply_orientation(orientation);
        let (width, height) = (decoded.width(), decoded.height());
        Self::from_rgb(width, height, into_rgb(decoded))
    }
}

impl fmt::Debug for Picture {
    /// The size, without the bytes.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Picture")
            .field("width", &self.width)
            .field("height", &self.height)
            .finish_non_exhaustive()
    }
}

/// Whether a JPEG stream reaches its end marker: ITU-T T.81, annex B. Segments are skipped by their length; in between,
/// the compressed data hold an 0xFF only before a zero or a restart marker.
fn jpeg_is_complete(reader: &mut impl BufRead) -> io::Result<bool> {
    let mut bytes = reader.bytes();
    let mut next = || bytes.next().transpose();
    let mut after_ff = false;
    while let Some(byte) = next()? {
        match byte {
            0xFF => after_ff = true,
            0xD9 if after_ff => return Ok(true),
            // Markers without a segment: start of image, restart, TEM. And no marker at all.
            0x00 | 0x01 | 0xD0..=0xD8 => after_ff = false,
            _ if after_ff => {
                let (Some(high), Some(low)) = (next()?, next()?) else {
                    return Ok(false);
                };
                for _ in 2..u16::from_be_bytes([high, low]) {
                    next()?;
                }
                after_ff = false;
            }
            _ => {}
        }
    }
    Ok(false)
}

/// Fails unless there is at least one pixel and at most [`MAX_PIXELS`].
pub(super) fn check_size(name: &str, width: u64, height: u64) -> Result<(), PictureError> {
    match width.checked_mul(height) {
        Some(1..=MAX_PIXELS) => Ok(()),
        _ => Err(PictureError::Size {
            name: name.to_owned(),
            width,
            height,
            limit: MAX_PIXELS,
        }),
    }
}

fn into_rgb(decoded: DynamicImage) -> Vec<u8> {
    // The image crate scales 16 bits to 8 with rounding; the usual readers keep the high byte.
    let high = |value: u16| (value >> 8) as u8;
    match decoded {
        DynamicImage::ImageLuma16(grey) => {
            grey.as_raw().iter().flat_map(|&v| [high(v); 3]).collect()
        }
        DynamicImage::ImageLumaA16(grey) => grey
            .as_raw()
            .chunks_exact(2)
            .flat_map(|p| [high(p[0]); 3])
            .collect(),
        DynamicImage::ImageRgb16(colour) => colour.as_raw().iter().map(|&v| high(v)).collect(),
        DynamicImage::ImageRgba16(colour) => colour
            .as_raw()
            .chunks_exact(4)
            .flat_map(|p| [high(p[0]), high(p[1]), high(p[2])])
            .collect(),
        other => other.into_rgb8().into_raw(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Recorded;
    use super::*;

    #[test]
    fn every_kind_of_file_decodes_or_says_why_not() {
        let recorded = Recorded::read("decode");
        for case in &recorded.cases {
            let name = case["name"].as_str().unwrap();
            let (_, file) = recorded.get(&format!("file_{name}")).unwrap();
            let decoded = Picture::decode(&file, name);
            let Some(expected) = recorded.picture(&format!("rgb_{name}")) else {
                let error = decoded.expect_err(name).to_string();
                let part = case["error"].as_str().unwrap();
                assert!(
                    error.starts_with(&format!("{name}: ")) && error.contains(part),
                    "{name}: {error}"
                );
                continue;
            };
            let found = decoded.unwrap();
            assert_eq!(
                (found.width(), found.height()),
                (expected.width(), expected.height()),
                "{name}"
            );
            let worst = found
                .rgb()
                .iter()
                .zip(expected.rgb())
                .map(|(a, b)| a.abs_diff(*b))
                .max()
                .unwrap();
            assert!(
                u64::from(worst) <= case["tolerance"].as_u64().unwrap(),
                "{name}: {worst} off"
            );
        }
    }

    #[test]
    fn bytes_that_do_not_fit_are_refused() {
        assert!(matches!(
            Picture::from_rgb(2, 2, vec![0; 11]),
            Err(PictureError::Length {
                expected: 12,
                found: 11,
                ..
            })
        ));
        assert!(matches!(
            Picture::from_rgb(0, 2, vec![]),
            Err(PictureError::Size { .. })
        ));
        assert!(matches!(
            Picture::from_rgb(u32::MAX, u32::MAX, vec![]),
            Err(PictureError::Size { .. })
        ));
    }

    #[test]
    fn a_missing_file_and_a_folder_are_errors_that_name_them() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing.png");
        let error = Picture::open(&missing).unwrap_err();
        assert!(
            matches!(&error, PictureError::Open { name, .. } if *name == missing.display().to_string()),
            "{error}"
        );
        let error = Picture::open(folder.path()).unwrap_err().to_string();
        assert!(
            error.starts_with(&folder.path().display().to_string()),
            "{error}"
        );
    }

    #[test]
    fn a_hundred_megapixels_decode() {
        let mut file = b"P5 10000 10000 255\n".to_vec();
        let header = file.len();
        file.resize(header + 100_000_000, 9);
        let picture = Picture::decode(&file, "large.pgm").unwrap();
        assert_eq!(
            (
                picture.width(),
                picture.height(),
                picture.rgb()[299_999_999]
            ),
            (10_000, 10_000, 9)
        );
    }
}
