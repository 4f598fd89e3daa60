//! Converts panics of libraries that read untrusted files to errors.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    static CATCHING: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work` and returns its result. A panic writes nothing to standard error. State that `work`
/// changes must not be used after a panic.
///
/// # Errors
/// The first line of the panic's message.
pub(crate) fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |panic| {
            if !CATCHING.get() {
                before(panic);
            }
        }));
    });
    let outer = CATCHING.replace(true);
    let result = catch_unwind(AssertUnwindSafe(work));
    CATCHING.set(outer);
    result.map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        let line = text.and_then(|text| text.lines().next());
        format!("the reader gave up: {}", line.unwrap_or("no reason given"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error() {
        let place = || 3_usize;
        let message = caught(|| [1, 2][place()]).unwrap_err();
        assert!(message.contains("index out of bounds"), "{message}");
        assert_eq!(caught(|| 7), Ok(7));
        assert!(!CATCHING.get());
    }
}
