//! Calls into a library that panics at files that are not as they should be.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// What `work` gives, or what it panicked with. Nothing is written to standard error then. State that `work` changes must not be used
/// after a panic.
pub fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |info| {
            if !GUARDED.get() {
                before(info);
            }
        }));
    });
    let outer = GUARDED.replace(true);
    let result = catch_unwind(AssertUnwindSafe(work));
    GUARDED.set(outer);
    result.map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        format!(
            "the reader gave up: {}",
            text.unwrap_or("it did not say why")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error() {
        let place = || 3_usize;
        let message = guarded(|| [1, 2][place()]).unwrap_err();
        assert!(message.contains("index out of bounds"), "{message}");
        assert_eq!(guarded(|| 7), Ok(7));
        assert!(!GUARDED.get());
    }
}
