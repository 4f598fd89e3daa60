//! Limits on the size of a picture file.

use std::io::{self, Read};
use std::path::Path;

use super::{Picture, PictureError};
use crate::system::regular::open_regular;

/// Limits on a picture file, checked before anything is allocated for its pixels.
///
/// With the defaults a machine with 24 GB of memory survives any file in seconds: as many pixels as
/// Pillow reads without an error, at most 65,536 on a side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The largest number of pixels, at most [`Picture::MAX_PIXELS`].
    pub max_pixels: u64,
    /// The largest number of columns, and of rows: a picture one pixel wide is slow for its number
    /// of pixels.
    pub max_side: u32,
    /// The largest size of the file in bytes.
    pub max_bytes: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            max_pixels: Limits::DEFAULT_PIXELS,
            max_side: 1 << 16,
            max_bytes: Limits::bytes_for(Limits::DEFAULT_PIXELS),
        }
    }
}

impl Limits {
    /// Returns the limits of a further picture of the same question: the sum of its pictures' pixels
    /// is limited as that of one.
    #[must_use]
    pub fn after(self, picture: &Picture) -> Limits {
        let pixels = u64::from(picture.width()) * u64::from(picture.height());
        Limits {
            max_pixels: self.max_pixels.saturating_sub(pixels),
            ..self
        }
    }

    /// Twice 89,478,485: Pillow refuses pictures of more pixels.
    pub const DEFAULT_PIXELS: u64 = 178_956_970;

    /// Returns limits for `max_pixels` pixels, in any shape, and a file that holds them in any
    /// depth.
    pub fn of_pixels(max_pixels: u64) -> Limits {
        Limits {
            max_pixels,
            max_side: u32::MAX,
            max_bytes: Limits::bytes_for(max_pixels),
        }
    }

    /// Returns the bytes of four 16-bit channels per pixel, and room for metadata.
    fn bytes_for(max_pixels: u64) -> u64 {
        max_pixels.saturating_mul(8).saturating_add(64 << 20)
    }

    /// Checks that there is at least one pixel and that no limit is exceeded.
    pub(super) fn check(&self, name: &str, width: u64, height: u64) -> Result<(), PictureError> {
        let pixels = width.checked_mul(height);
        let most = self.max_pixels.min(Picture::MAX_PIXELS);
        let side = u64::from(self.max_side);
        match pixels {
            Some(pixels) if (1..=most).contains(&pixels) && width <= side && height <= side => {
                Ok(())
            }
            _ => Err(PictureError::TooLarge {
                name: name.to_owned(),
                width,
                height,
                limit: most,
                side: self.max_side,
            }),
        }
    }

    /// Reads a regular file, if `wanted` recognises its first bytes as a picture's; else returns
    /// only those first bytes.
    pub(super) fn read(
        &self,
        path: &Path,
        name: &str,
        wanted: impl Fn(&[u8]) -> bool,
    ) -> Result<Vec<u8>, PictureError> {
        let failed = |source: io::Error| PictureError::Open {
            name: name.to_owned(),
            source,
        };
        let mut file = open_regular(path).map_err(failed)?;
        let too_long = |found: u64| PictureError::FileSize {
            name: name.to_owned(),
            found,
            limit: self.max_bytes,
        };
        let length = file.metadata().map_err(failed)?.len();
        let mut bytes = Vec::new();
        file.by_ref()
            .take(HEAD)
            .read_to_end(&mut bytes)
            .map_err(failed)?;
        if !wanted(&bytes) {
            return Ok(bytes);
        }
        if length > self.max_bytes {
            return Err(too_long(length));
        }
        let rest = usize::try_from(length.saturating_sub(HEAD)).unwrap_or(usize::MAX);
        bytes
            .try_reserve_exact(rest)
            .map_err(|_| failed(io::ErrorKind::OutOfMemory.into()))?;
        // The file may grow while it is read.
        file.take((self.max_bytes - bytes.len() as u64).saturating_add(1))
            .read_to_end(&mut bytes)
            .map_err(failed)?;
        match bytes.len() as u64 {
            found if found > self.max_bytes => Err(too_long(found)),
            _ => Ok(bytes),
        }
    }
}

/// Number of bytes that identify a picture's format.
const HEAD: u64 = 64;
