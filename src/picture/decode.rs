//! An 8-bit RGB picture, and its decoding from a file.

use std::fmt;
use std::path::Path;

use image::metadata::Orientation;
use image::{DynamicImage, RgbImage};

use super::{Limits, PictureError, files};

/// The largest number of pixels of a resized picture, 2^28: a little more than 16384 x 16383.
const MAX_RESIZED: u64 = 1 << 28;

/// A picture in memory: `height` rows of `width` pixels of three u8 (red, green, blue), row after
/// row without gaps. It has at least one pixel and at most [`Picture::MAX_PIXELS`].
#[derive(Clone, PartialEq, Eq)]
pub struct Picture {
    width: u32,
    height: u32,
    rgb: Vec<u8>,
}

impl Picture {
    /// The largest number of pixels of a picture, 2^30. Files are read within the smaller
    /// [`Limits`].
    pub const MAX_PIXELS: u64 = 1 << 30;

    /// Reads and decodes a picture file within the default [`Limits`]. The format is detected from
    /// the content, never from the name.
    ///
    /// Reads PNG, JPEG, GIF, WebP, BMP, TIFF and PNM, to the same pixels as Pillow's
    /// `convert("RGB")` after `exif_transpose`, with the exceptions that `docs/pictures.md` lists:
    /// the picture is oriented by EXIF or XMP; of 16-bit colours the high byte is kept, 16-bit
    /// greys are clipped at 255; an alpha channel is dropped and the colours under it kept; of an
    /// animation the first frame is taken.
    ///
    /// # Errors
    /// [`PictureError::Open`] if the file cannot be opened, [`PictureError::FileSize`] if it is too
    /// large, [`PictureError::Decode`] if it is not a valid picture, and [`PictureError::TooLarge`]
    /// for a picture that is empty or exceeds a limit, checked in its header before anything is
    /// allocated for its pixels.
    pub fn open(path: &Path) -> Result<Self, PictureError> {
        Self::open_within(path, &Limits::default())
    }

    /// [`Picture::open`] within other limits.
    ///
    /// # Errors
    /// As [`Picture::open`].
    pub fn open_within(path: &Path, limits: &Limits) -> Result<Self, PictureError> {
        let name = path.display().to_string();
        let bytes = limits.read(path, &name, |head| files::format(head).is_some())?;
        Self::decode_within(&bytes, &name, limits)
    }

    /// Decodes a picture file in memory; `name` is its name in errors. Otherwise as
    /// [`Picture::open`].
    ///
    /// # Errors
    /// As [`Picture::open`].
    pub fn decode(bytes: &[u8], name: &str) -> Result<Self, PictureError> {
        Self::decode_within(bytes, name, &Limits::default())
    }

    /// [`Picture::decode`] within other limits.
    ///
    /// # Errors
    /// As [`Picture::open`].
    pub fn decode_within(bytes: &[u8], name: &str, limits: &Limits) -> Result<Self, PictureError> {
        let decoded = files::decode(&files::Source {
            bytes,
            name,
            limits,
        })?;
        let stored = Self::from_rgb(decoded.width, decoded.height, decoded.rgb)?;
        let turned = u8::try_from(decoded.orientation).ok();
        match turned.and_then(Orientation::from_exif) {
            None | Some(Orientation::NoTransforms) => Ok(stored),
            Some(orientation) => stored.turned(orientation),
        }
    }

    fn turned(self, orientation: Orientation) -> Result<Self, PictureError> {
        let expected = 3 * u64::from(self.width) * u64::from(self.height);
        let (width, height, found) = (self.width, self.height, self.rgb.len());
        let image = RgbImage::from_raw(width, height, self.rgb);
        let mut image = image
            .map(DynamicImage::ImageRgb8)
            .ok_or(PictureError::Length {
                width,
                height,
                expected,
                found,
            })?;
        image.apply_orientation(orientation);
        Self::from_rgb(image.width(), image.height(), image.into_rgb8().into_raw())
    }

    /// Creates a picture from `3 * width * height` bytes, row-major RGB.
    ///
    /// # Errors
    /// [`PictureError::Size`] for an empty or too large picture, [`PictureError::Length`] if the
    /// number of bytes does not match.
    pub fn from_rgb(width: u32, height: u32, rgb: Vec<u8>) -> Result<Self, PictureError> {
        check_picture(width.into(), height.into())?;
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

    /// Returns the number of columns.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Returns the number of rows.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// Returns the bytes: `height * width * 3`, row-major, red first.
    pub fn rgb(&self) -> &[u8] {
        &self.rgb
    }

    /// Returns row `y`: `width * 3` bytes.
    pub(super) fn row(&self, y: usize) -> &[u8] {
        let bytes = self.width as usize * 3;
        &self.rgb[y * bytes..(y + 1) * bytes]
    }

    /// Creates a picture whose size is known to be valid, because it comes from another picture or
    /// was checked.
    pub(super) fn from_checked(width: u32, height: u32, rgb: Vec<u8>) -> Self {
        debug_assert_eq!(rgb.len(), width as usize * height as usize * 3);
        Self { width, height, rgb }
    }
}

impl fmt::Debug for Picture {
    /// Shows the size, without the bytes.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Picture")
            .field("width", &self.width)
            .field("height", &self.height)
            .finish_non_exhaustive()
    }
}

/// Checks that there is at least one pixel and at most 2^28, the limit of pictures made from
/// others.
pub(super) fn check_size(name: &str, width: u64, height: u64) -> Result<(), PictureError> {
    within(name, width, height, MAX_RESIZED)
}

/// Checks that there is at least one pixel and at most [`Picture::MAX_PIXELS`].
pub(super) fn check_picture(width: u64, height: u64) -> Result<(), PictureError> {
    within("picture", width, height, Picture::MAX_PIXELS)
}

fn within(name: &str, width: u64, height: u64, limit: u64) -> Result<(), PictureError> {
    match width.checked_mul(height) {
        Some(pixels) if (1..=limit).contains(&pixels) => Ok(()),
        _ => Err(PictureError::Size {
            name: name.to_owned(),
            width,
            height,
            limit,
        }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::testing::Recorded;
    use super::*;

    /// All cases are checked before the test fails, so that one run shows every difference.
    #[test]
    fn every_kind_of_file_decodes_as_in_pillow_or_says_why_not() {
        let recorded = Recorded::read("decode");
        let faults: Vec<String> = recorded
            .cases
            .iter()
            .filter_map(|case| {
                let name = case["name"].as_str().unwrap();
                fault(&recorded, case, name).map(|fault| format!("{name}: {fault}"))
            })
            .collect();
        assert!(recorded.cases.len() > 200);
        assert!(faults.is_empty(), "{}", faults.join("\n"));
    }

    /// Returns a description of the difference between a case and its record, if any.
    fn fault(recorded: &Recorded, case: &Value, name: &str) -> Option<String> {
        let (_, file) = recorded.get(&format!("file_{name}")).unwrap();
        let decoded = Picture::decode(&file, name);
        let (found, expected) = match (decoded, recorded.picture(&format!("rgb_{name}"))) {
            (Ok(found), Some(expected)) => (found, expected),
            (Err(error), Some(_)) => return Some(error.to_string()),
            (Ok(_), None) => return Some("decodes".to_owned()),
            (Err(error), None) => {
                let error = error.to_string();
                let part = case["error"].as_str().unwrap();
                let says = error.starts_with(&format!("{name}: ")) && error.contains(part);
                return (!says).then_some(error);
            }
        };
        let sizes = [&found, &expected].map(|picture| (picture.width(), picture.height()));
        if sizes[0] != sizes[1] {
            return Some(format!("found and expected sizes {sizes:?}"));
        }
        let pairs = || found.rgb().iter().zip(expected.rgb());
        let worst = pairs().map(|(a, b)| a.abs_diff(*b)).max().unwrap();
        let differ = pairs().filter(|(a, b)| a != b).count();
        let allowed = case["tolerance"].as_u64().unwrap();
        let wrong = u64::from(worst) > allowed;
        wrong.then(|| {
            format!(
                "{differ} samples of {} differ, by {worst}",
                found.rgb().len()
            )
        })
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
    #[test]
    fn limits_hold_before_anything_is_allocated_and_can_be_raised() {
        // A GIF of 35 bytes with a header of 262 megapixels, and a picture one pixel wide.
        let gif = b"GIF89a\xff\x3f\xff\x3f\0\0\0,\0\0\0\0\xff\x3f\xff\x3f\0\x02\x02\x4c\x01\0;";
        let thin = b"P5 1 65537 255\n".iter().copied().chain([0; 65537]);
        let thin: Vec<u8> = thin.collect();
        for (file, size) in [(&gif[..], "16383 x 16383"), (&thin, "1 x 65537")] {
            let error = Picture::decode(file, "large").unwrap_err();
            assert!(matches!(error, PictureError::TooLarge { .. }), "{error}");
            let error = error.to_string();
            assert!(
                error.contains(size) && error.contains("--max-pixels"),
                "{error}"
            );
        }
        let raised = Picture::decode_within(&thin, "thin", &Limits::of_pixels(65537)).unwrap();
        assert_eq!((raised.width(), raised.height()), (1, 65537));
        let error = Picture::decode_within(&thin, "thin", &Limits::of_pixels(65536));
        assert!(matches!(error, Err(PictureError::TooLarge { .. })));
    }

    #[test]
    fn only_regular_files_of_a_bounded_length_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("long.pgm");
        std::fs::write(&path, b"P5 1 1 255\n\x07").unwrap();
        let limits = |max_bytes| Limits {
            max_bytes,
            ..Limits::default()
        };
        let error = Picture::open_within(&path, &limits(11)).unwrap_err();
        assert!(
            matches!(
                error,
                PictureError::FileSize {
                    found: 12,
                    limit: 11,
                    ..
                }
            ),
            "{error}"
        );
        let picture = Picture::open_within(&path, &limits(12)).unwrap();
        assert_eq!(picture.rgb(), [7; 3]);
        #[cfg(unix)]
        for endless in ["/dev/zero", "/dev/null"] {
            let error = Picture::open(Path::new(endless)).unwrap_err();
            let message = error.to_string();
            assert!(message.contains("expected a regular file"), "{message}");
        }
    }
}
