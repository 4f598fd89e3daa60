//! GIF. Its frame is placed on the canvas as in Pillow: the rest is the transparent colour if there
//! is one, else the first colour; a frame that extends beyond the canvas enlarges it.

use std::borrow::Cow;

use ::gif::{ColorOutput, DecodeOptions, MemoryLimit};

use super::png::colour;
use super::{Decoded, Source};
use crate::picture::PictureError;

/// The offset of the screen's flags, and of the data after the screen.
const FLAGS: usize = 10;
const AFTER_SCREEN: usize = 13;
/// The flag of a global colour table; with it the low three bits give the number of its colours.
const HAS_TABLE: u8 = 0x80;

/// Decodes the first frame of a GIF file.
pub(super) fn decode(source: &Source) -> Result<Decoded, PictureError> {
    let failed = |error: ::gif::DecodingError| source.failed(error);
    let file = with_table(source.bytes);
    let mut options = DecodeOptions::new();
    options.set_color_output(ColorOutput::Indexed);
    // Allocations are checked below.
    options.set_memory_limit(MemoryLimit::Unlimited);
    let mut decoder = options.read_info(&*file).map_err(failed)?;
    let (screen_width, screen_height) = (decoder.width(), decoder.height());
    let Some(frame) = decoder.next_frame_info().map_err(failed)? else {
        return Err(source.failed("it has no frame"));
    };
    let (left, top) = (usize::from(frame.left), usize::from(frame.top));
    let (columns, rows) = (usize::from(frame.width), usize::from(frame.height));
    let around = frame.transparent.unwrap_or(0);
    let width = usize::from(screen_width).max(left + columns);
    let height = usize::from(screen_height).max(top + rows);
    source.check(width as u64, height as u64)?;
    let mut indices = vec![0; columns * rows];
    decoder.read_into_buffer(&mut indices).map_err(failed)?;
    let palette = decoder.palette().map_err(failed)?;
    let mut rgb = colour(palette, around).repeat(width * height);
    if columns > 0 {
        for (line, indices) in indices.chunks_exact(columns).enumerate() {
            let out = &mut rgb[((top + line) * width + left) * 3..][..columns * 3];
            for (out, &index) in out.chunks_exact_mut(3).zip(indices) {
                out.copy_from_slice(&colour(palette, index));
            }
        }
    }
    Ok(Decoded {
        width: width as u32,
        height: height as u32,
        rgb,
        orientation: 1,
    })
}

/// Adds a table of greys to a file without a global table: indices without a table are greys.
fn with_table(file: &[u8]) -> Cow<'_, [u8]> {
    match file.get(FLAGS) {
        Some(flags) if flags & HAS_TABLE == 0 && file.len() >= AFTER_SCREEN => {
            let greys = (0..=255_u8).flat_map(|grey| [grey; 3]);
            let mut with: Vec<u8> = file[..AFTER_SCREEN].iter().copied().chain(greys).collect();
            with[FLAGS] |= HAS_TABLE | 7;
            with.extend_from_slice(&file[AFTER_SCREEN..]);
            Cow::Owned(with)
        }
        _ => Cow::Borrowed(file),
    }
}
