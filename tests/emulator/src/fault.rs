//! The report of a kernel's fault on one line.

use std::ffi::{CString, c_void};
use std::io::{self, Write};
use std::path::Path;

use crate::runtime::Fault;

/// Prints the fault on standard error: kernel, block, thread, error, and place in the source.
pub fn report(kernel: &str, fault: &Fault) -> CString {
    let what = fault
        .what
        .split(|byte| *byte == 0)
        .next()
        .unwrap_or_default();
    let what = String::from_utf8_lossy(what);
    let [bx, by, bz] = fault.block;
    let [tx, ty, tz] = fault.thread;
    let place = if fault.pc.is_null() {
        String::new()
    } else {
        format!(" (at {})", place(fault.pc))
    };
    let line = format!(
        "kernel {kernel}, block ({bx}, {by}, {bz}), thread ({tx}, {ty}, {tz}): {what}{place}"
    );
    // One write, so that lines of several processes do not mix; a closed standard error is not a
    // failure.
    let _ = io::stderr().write_all(format!("foveate-emulator: {line}\n").as_bytes());
    CString::new(line).unwrap_or_default()
}

/// Returns the source line before `pc`, and those that it was inlined into, from the innermost; the
/// address if there is no line information.
fn place(pc: *const c_void) -> String {
    let mut lines: Vec<String> = Vec::new();
    backtrace::resolve(
        pc.cast::<u8>().wrapping_sub(1).cast_mut().cast(),
        |symbol| {
            let Some((file, line)) = symbol.filename().zip(symbol.lineno()) else {
                return;
            };
            let file = file
                .file_name()
                .unwrap_or(Path::new("?").as_os_str())
                .to_string_lossy()
                .into_owned();
            if !file.starts_with("emulated_") && lines.len() < 4 {
                lines.push(format!("{file}:{line}"));
            }
        },
    );
    if lines.is_empty() {
        format!("pc {pc:p}")
    } else {
        lines.join(" < ")
    }
}
