//! JPEG, decoded by libjpeg-turbo's code: its inverse transform, its smooth upsampling and its
//! colours are those of Pillow; other decoders differ from them in one sample of five.
//!
//! The library gets the whole file at once through a source that cannot be refilled: where data are
//! missing it stops, and the file is refused, as by Pillow. Damage inside the data is only a
//! warning in the library, as in Pillow.

use std::any::Any;
use std::ffi::{c_char, c_int, c_long};
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use mozjpeg_sys::{
    J_COLOR_SPACE, boolean, jpeg_common_struct, jpeg_create_decompress, jpeg_decompress_struct,
    jpeg_destroy_decompress, jpeg_error_mgr, jpeg_finish_decompress, jpeg_progress_mgr,
    jpeg_read_header, jpeg_read_scanlines, jpeg_resync_to_restart, jpeg_source_mgr,
    jpeg_start_decompress, jpeg_std_error,
};

use super::orientation::orientation;
use super::{Decoded, Source, cmyk_to_rgb};
use crate::picture::PictureError;

/// The largest number of passes over a progressive picture. Encoders make 10 and optimisers 20; a
/// small file may request thousands.
const MAX_SCANS: c_int = 200;

/// The result of `jpeg_read_header` for a header of a picture, as opposed to tables only.
const JPEG_HEADER_OK: c_int = 1;
const JPEG_HEADER_TABLES_ONLY: c_int = 2;

/// Decodes a JPEG file.
pub(super) fn decode(source: &Source) -> Result<Decoded, PictureError> {
    let (width, height, rgb) = pixels(source)?;
    let (exif, xmp) = metadata(source.bytes);
    Ok(Decoded {
        width,
        height,
        rgb,
        orientation: orientation(exif.as_deref(), xmp),
    })
}

/// Returns the EXIF block, joined from its segments, and the last XMP packet; only segments before
/// the first scan are read.
fn metadata(bytes: &[u8]) -> (Option<Vec<u8>>, Option<&[u8]>) {
    const EXIF: &[u8] = b"Exif\0\0";
    const XMP: &[u8] = b"http://ns.adobe.com/xap/1.0/\0";
    let (mut exif, mut xmp) = (None::<Vec<u8>>, None);
    let mut at = 2;
    while let Some(&[mark, kind]) = bytes.get(at..at + 2) {
        match (mark, kind) {
            (0xFF, 0xDA | 0xD9) => break,
            // Fill bytes, and markers without a segment.
            (0xFF, 0xFF) => at += 1,
            (0xFF, 0x00 | 0x01 | 0xD0..=0xD8) => at += 2,
            (0xFF, _) => {
                let Some(&[high, low]) = bytes.get(at + 2..at + 4) else {
                    break;
                };
                let end = at + 2 + usize::from(u16::from_be_bytes([high, low])).max(2);
                let Some(body) = bytes.get(at + 4..end) else {
                    break;
                };
                if kind == 0xE1 && body.starts_with(EXIF) {
                    let part = &body[if exif.is_some() { EXIF.len() } else { 0 }..];
                    exif.get_or_insert_default().extend_from_slice(part);
                } else if kind == 0xE1 && body.starts_with(XMP) {
                    xmp = Some(&body[XMP.len()..]);
                }
                at = end;
            }
            _ => at += 1,
        }
    }
    (exif, xmp)
}

/// Returns columns, rows and RGB bytes.
fn pixels(source: &Source) -> Result<(u32, u32, Vec<u8>), PictureError> {
    // SAFETY: zeros are a value of each of these C structures; the library sets what it needs
    // before it reads it.
    let (mut errors, mut progress, mut decoder): (
        jpeg_error_mgr,
        jpeg_progress_mgr,
        jpeg_decompress_struct,
    ) = unsafe { (mem::zeroed(), mem::zeroed(), mem::zeroed()) };
    let mut input = jpeg_source_mgr {
        next_input_byte: source.bytes.as_ptr(),
        bytes_in_buffer: source.bytes.len(),
        init_source: Some(nothing),
        fill_input_buffer: Some(no_more),
        skip_input_data: Some(skip),
        resync_to_restart: Some(resync),
        term_source: Some(nothing),
    };
    // SAFETY: the pointer is to `errors`, which outlives the decoder.
    unsafe { jpeg_std_error(&mut errors) };
    errors.error_exit = Some(fail);
    errors.output_message = Some(silent);
    errors.emit_message = Some(unspoken);
    progress.progress_monitor = Some(count_scans);
    decoder.common.err = &mut errors;
    let result = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: the decoder's error manager is set.
        unsafe { jpeg_create_decompress(&mut decoder) };
        decoder.src = &mut input;
        decoder.common.progress = &mut progress;
        decompress(&mut decoder, source)
    }));
    // SAFETY: the decoder was created, or its zeros say that it was not, and then this does
    // nothing.
    unsafe { jpeg_destroy_decompress(&mut decoder) };
    result.unwrap_or_else(|payload| Err(source.failed(reason(payload))))
}

/// Returns the library's message of a fatal error.
fn reason(payload: Box<dyn Any + Send>) -> String {
    match payload.downcast::<GaveUp>() {
        Ok(gave_up) => gave_up.0,
        Err(other) => resume_unwind(other),
    }
}

/// Reads header and pixels with a decoder that has its source.
fn decompress(
    decoder: &mut jpeg_decompress_struct,
    source: &Source,
) -> Result<(u32, u32, Vec<u8>), PictureError> {
    let cut = || source.failed("the JPEG data end before the picture does");
    // SAFETY: here and below the decoder is created, has a source, and the calls are in the order
    // that the library requires.
    let mut header = JPEG_HEADER_TABLES_ONLY;
    while header == JPEG_HEADER_TABLES_ONLY {
        header = unsafe { jpeg_read_header(decoder, 0) };
    }
    if header != JPEG_HEADER_OK {
        return Err(cut());
    }
    source.check(decoder.image_width.into(), decoder.image_height.into())?;
    let (channels, colours) = match decoder.num_components {
        1 => (1, J_COLOR_SPACE::JCS_GRAYSCALE),
        3 => (3, J_COLOR_SPACE::JCS_RGB),
        4 => (4, J_COLOR_SPACE::JCS_CMYK),
        found => {
            let reason = format!("expected 1, 3 or 4 channels, found {found}");
            return Err(source.failed(reason));
        }
    };
    decoder.out_color_space = colours;
    if unsafe { jpeg_start_decompress(decoder) } == 0 {
        return Err(cut());
    }
    let (width, height) = (decoder.output_width, decoder.output_height);
    let mut rgb = vec![0; width as usize * height as usize * 3];
    let mut line = vec![0_u8; width as usize * channels];
    for out in rgb.chunks_exact_mut(width as usize * 3) {
        let mut row = line.as_mut_ptr();
        // SAFETY: `row` has room for a row of `output_width` pixels of `channels` samples.
        if unsafe { jpeg_read_scanlines(decoder, &mut row, 1) } != 1 {
            return Err(cut());
        }
        match channels {
            1 => {
                let pairs = out.chunks_exact_mut(3).zip(&line);
                pairs.for_each(|(out, &grey)| out.fill(grey));
            }
            3 => out.copy_from_slice(&line),
            _ => {
                // Inks are inverted in Adobe's files, and Pillow treats all others the same.
                let (pixels, _) = line.as_chunks::<4>();
                for (out, pixel) in out.chunks_exact_mut(3).zip(pixels) {
                    out.copy_from_slice(&cmyk_to_rgb(pixel.map(|ink| 255 - ink)));
                }
            }
        }
    }
    // Missing data after the last row, even a missing end marker, is not an error.
    unsafe { jpeg_finish_decompress(decoder) };
    Ok((width, height, rgb))
}

/// The library's message of a fatal error, carried by unwinding through the library's frames.
struct GaveUp(String);

unsafe extern "C-unwind" fn fail(decoder: &mut jpeg_common_struct) {
    type Format = unsafe extern "C-unwind" fn(*mut jpeg_common_struct, *mut c_char);
    // The library's JMSG_LENGTH_MAX.
    let mut text = [0_u8; 200];
    // SAFETY: the error manager is the one that was set, and its function writes at most that many
    // bytes, including a final zero. The crate declares it as if it wrote nothing.
    unsafe {
        if let Some(format) = (*decoder.err).format_message {
            let format: Format = mem::transmute::<*const (), Format>(format as *const ());
            format(decoder, text.as_mut_ptr().cast());
        }
    }
    let length = memchr::memchr(0, &text).unwrap_or(0);
    let text = String::from_utf8_lossy(&text[..length]).into_owned();
    // Not a panic: panic hooks are not called.
    resume_unwind(Box::new(GaveUp(text)))
}

unsafe extern "C-unwind" fn silent(_: &mut jpeg_common_struct) {}

unsafe extern "C-unwind" fn unspoken(_: &mut jpeg_common_struct, _: c_int) {}

unsafe extern "C-unwind" fn nothing(_: &mut jpeg_decompress_struct) {}

unsafe extern "C-unwind" fn no_more(_: &mut jpeg_decompress_struct) -> boolean {
    0
}

unsafe extern "C-unwind" fn skip(decoder: &mut jpeg_decompress_struct, bytes: c_long) {
    // SAFETY: the source is the one that was set, whose pointer has `bytes_in_buffer` bytes behind
    // it.
    unsafe {
        let input = &mut *decoder.src;
        let bytes = usize::try_from(bytes)
            .unwrap_or(0)
            .min(input.bytes_in_buffer);
        input.next_input_byte = input.next_input_byte.add(bytes);
        input.bytes_in_buffer -= bytes;
    }
}

unsafe extern "C-unwind" fn resync(decoder: &mut jpeg_decompress_struct, wanted: c_int) -> boolean {
    // SAFETY: called by the library with its own decoder.
    unsafe { jpeg_resync_to_restart(decoder, wanted) }
}

unsafe extern "C-unwind" fn count_scans(decoder: &mut jpeg_common_struct) {
    // SAFETY: only decoders have this monitor, and their structure begins with the common one.
    let decoder = unsafe { &*std::ptr::from_mut(decoder).cast::<jpeg_decompress_struct>() };
    if decoder.input_scan_number > MAX_SCANS {
        let reason = format!("more than {MAX_SCANS} scans");
        resume_unwind(Box::new(GaveUp(reason)))
    }
}
