//! Settings by keyword.

use std::ffi::c_char;

use engine::cli::keywords::Keyword;

use crate::boundary;
use crate::status::Result;

/// An option of `foveate explain` by its name, such as {"mask_size", "16"}: the same names, values,
/// defaults and checks. An option that may be given several times is one setting per value.
#[repr(C)]
pub struct FoveateSetting {
    /// The name without dashes in front, with underscores or dashes inside.
    name: *const c_char,
    /// The value as on the command line; NULL for an option that takes none, such as "no_curves".
    value: *const c_char,
}

/// Reads an array of settings.
///
/// # Safety
/// A pointer that is not NULL points to `count` settings of strings that NUL ends.
pub unsafe fn keywords(settings: *const FoveateSetting, count: usize) -> Result<Vec<Keyword>> {
    // SAFETY: the caller's promise.
    let settings = unsafe { boundary::array("settings", settings, count) }?;
    let keywords = settings.iter().map(|setting| {
        // SAFETY: the caller's promise.
        let name = unsafe { boundary::text("name of a setting", setting.name) }?;
        // SAFETY: the caller's promise.
        let value = unsafe { boundary::optional_text(name, setting.value) }?;
        Ok((name.replace('_', "-"), value.map(str::to_string)))
    });
    keywords.collect()
}
