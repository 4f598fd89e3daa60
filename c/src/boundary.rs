//! The boundary to C: calls that never unwind, the last error, and what pointers point to.
//!
//! A pointer that is neither NULL, nor misaligned, nor of an impossible size is taken to be what
//! the header says: nothing can check that.

use std::any::Any;
use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::ptr;

use crate::status::{Failure, FoveateStatus, Result};

thread_local! {
    /// The message of this thread's last call that failed.
    static LAST: RefCell<Option<CString>> = const { RefCell::new(None) };
}

/// Runs the body of a function of the library. A failure becomes its status, and its message the
/// last error of this thread; so does a panic.
pub fn call(body: impl FnOnce() -> Result<()>) -> FoveateStatus {
    let failure = match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => return FoveateStatus::Ok,
        Ok(Err(failure)) => failure,
        Err(panic) => Failure::new(FoveateStatus::Internal, reason(&*panic)),
    };
    // C's strings end at the first NUL.
    let message = CString::new(failure.message.replace('\0', "\u{fffd}")).ok();
    // A thread that is ending keeps no message.
    let _ = LAST.try_with(|last| last.replace(message));
    failure.status
}

/// Returns the message of this thread's last call that failed, until the next one fails.
pub fn last_error() -> *const c_char {
    let message = |last: &RefCell<Option<CString>>| last.borrow().as_ref().map(|m| m.as_ptr());
    let message = LAST.try_with(message).ok().flatten();
    message.unwrap_or(c"".as_ptr())
}

/// Returns the message of a panic.
fn reason(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    let text = text.unwrap_or("no reason given");
    format!("a defect of foveate, please report it: {text}")
}

/// Checks that a pointer to `T` is neither NULL nor misaligned.
fn check<T>(name: &str, pointer: *const T) -> Result<()> {
    if pointer.is_null() {
        return Err(Failure::argument(name, "a pointer", "NULL"));
    }
    if !pointer.is_aligned() {
        let expected = format!("an address that is a multiple of {}", align_of::<T>());
        return Err(Failure::argument(name, &expected, format!("{pointer:p}")));
    }
    Ok(())
}

/// Reads a string of UTF-8.
///
/// # Safety
/// A pointer that is not NULL points to a string that NUL ends, and that lives and does not change
/// as long as the result is used.
pub unsafe fn text<'a>(name: &str, string: *const c_char) -> Result<&'a str> {
    check(name, string)?;
    // SAFETY: the caller's promise.
    let bytes = unsafe { CStr::from_ptr(string) };
    bytes.to_str().map_err(|error| {
        let at = error.valid_up_to();
        let byte = bytes.to_bytes().get(at).copied().unwrap_or_default();
        Failure::argument(
            name,
            "text in UTF-8",
            format!("byte 0x{byte:02x} at offset {at}"),
        )
    })
}

/// Reads a string of UTF-8 that may be left out.
///
/// # Safety
/// As [`text`].
pub unsafe fn optional_text<'a>(name: &str, string: *const c_char) -> Result<Option<&'a str>> {
    if string.is_null() {
        return Ok(None);
    }
    // SAFETY: the caller's promise.
    unsafe { text(name, string) }.map(Some)
}

/// Reads a path, of any bytes where the system's paths are.
///
/// # Safety
/// As [`text`].
pub unsafe fn path(name: &str, string: *const c_char) -> Result<PathBuf> {
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStrExt;
        check(name, string)?;
        // SAFETY: the caller's promise.
        let bytes = unsafe { CStr::from_ptr(string) }.to_bytes();
        Ok(std::ffi::OsStr::from_bytes(bytes).into())
    }
    #[cfg(not(unix))]
    // SAFETY: the caller's promise.
    unsafe { text(name, string) }.map(PathBuf::from)
}

/// Reads an array; NULL is the empty one.
///
/// # Safety
/// A pointer that is not NULL points to `count` elements that live and do not change as long as the
/// result is used.
pub unsafe fn array<'a, T>(name: &str, elements: *const T, count: usize) -> Result<&'a [T]> {
    if count == 0 {
        return Ok(&[]);
    }
    check(name, elements)?;
    if count > isize::MAX as usize / size_of::<T>() {
        let found = format!("{count} elements");
        return Err(Failure::argument(name, "an array that memory holds", found));
    }
    // SAFETY: the caller's promise; the pointer is aligned and the size possible.
    Ok(unsafe { std::slice::from_raw_parts(elements, count) })
}

/// Reads a structure.
///
/// # Safety
/// A pointer that is not NULL points to a `T` that lives and does not change as long as the result
/// is used.
pub unsafe fn read<'a, T>(name: &str, structure: *const T) -> Result<&'a T> {
    check(name, structure)?;
    // SAFETY: the caller's promise; the pointer is aligned.
    Ok(unsafe { &*structure })
}

/// Writes a result where the caller wants it.
///
/// # Safety
/// A pointer that is not NULL points to memory for a `T`.
pub unsafe fn write<T: Copy>(name: &str, place: *mut T, value: T) -> Result<()> {
    check(name, place)?;
    // SAFETY: the caller's promise; the pointer is aligned.
    unsafe { place.write(value) };
    Ok(())
}

/// Writes a result if the caller wants it: NULL leaves it out.
///
/// # Safety
/// As [`write`].
pub unsafe fn write_optional<T: Copy>(name: &str, place: *mut T, value: T) -> Result<()> {
    match place.is_null() {
        true => Ok(()),
        // SAFETY: the caller's promise.
        false => unsafe { write(name, place, value) },
    }
}

/// Copies an array into a buffer of `capacity` elements; a buffer that is NULL leaves it out.
///
/// # Safety
/// A buffer that is not NULL has memory for `capacity` elements.
pub unsafe fn copy<T: Copy>(
    name: &str,
    values: &[T],
    buffer: *mut T,
    capacity: usize,
) -> Result<()> {
    if buffer.is_null() {
        return match capacity {
            0 => Ok(()),
            _ => Err(Failure::argument(name, "a buffer", "NULL with a capacity")),
        };
    }
    check(name, buffer)?;
    if capacity < values.len() {
        let (needed, unit) = (values.len(), "elements");
        let message = format!("{name}: expected at least {needed} {unit}, found {capacity}");
        return Err(Failure::new(FoveateStatus::Buffer, message));
    }
    // SAFETY: the buffer is aligned and large enough by the caller's promise, and as memory of the
    // caller's it does not overlap the library's.
    unsafe { ptr::copy_nonoverlapping(values.as_ptr(), buffer, values.len()) };
    Ok(())
}

/// Copies a text into a buffer of `capacity` bytes, with NUL behind it, and writes its length
/// without the NUL to `length`. Both may be left out, each by NULL. A buffer that is too small
/// becomes the empty string.
///
/// # Safety
/// A buffer that is not NULL has memory for `capacity` bytes; `length` is as [`write`]'s place.
pub unsafe fn copy_text(
    text: &str,
    buffer: *mut c_char,
    capacity: usize,
    length: *mut usize,
) -> Result<()> {
    // SAFETY: the caller's promise.
    unsafe { write_optional("length", length, text.len()) }?;
    let bytes: Vec<u8> = text.bytes().chain([0]).collect();
    // SAFETY: the caller's promise; a `c_char` is a byte.
    let copied = unsafe { copy("buffer", &bytes, buffer.cast(), capacity) };
    if copied.is_err() && !buffer.is_null() && capacity > 0 {
        // SAFETY: there is memory for at least one byte.
        unsafe { buffer.write(0) };
    }
    copied
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_a_status() {
        let place = || 3_usize;
        let status = call(|| {
            let _ = [1, 2][place()];
            Ok(())
        });
        assert_eq!(status, FoveateStatus::Internal);
        // SAFETY: the message of this thread lives until the next failure.
        let message = unsafe { CStr::from_ptr(last_error()) };
        let message = message.to_str().unwrap();
        assert!(message.contains("index out of bounds"), "{message}");
    }

    #[test]
    fn a_message_is_that_of_its_thread() {
        let failed = call(|| Err(Failure::new(FoveateStatus::Other, "one\0two")));
        assert_eq!(failed, FoveateStatus::Other);
        let elsewhere = std::thread::spawn(|| {
            // SAFETY: the empty string.
            unsafe { CStr::from_ptr(last_error()) }.is_empty()
        });
        assert!(elsewhere.join().unwrap());
        assert_eq!(call(|| Ok(())), FoveateStatus::Ok);
        // SAFETY: the message of this thread lives until the next failure.
        let message = unsafe { CStr::from_ptr(last_error()) };
        assert_eq!(message.to_str(), Ok("one\u{fffd}two"));
    }
}
