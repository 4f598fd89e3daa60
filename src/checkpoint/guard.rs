//! Execution of a checkpoint's tokenizer and template, which are not trusted.
//!
//! Both are small programs that come with a checkpoint. They are checked before they run (`shape`,
//! `jinja`), so that memory and recursion are bounded; the rest runs on a thread with a known stack
//! size, whose panics are caught and which is waited for only a limited time. It is a thread rather
//! than a process: a process would bound memory too, but this is a library as well as a program,
//! and a library that starts processes of a program that it does not know fails in its users'
//! programs. The cost is that a thread that takes too long cannot be ended: it is abandoned, and
//! the tokenizer that started it is not used again.

use crate::system::panics::caught;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

/// Bytes of the thread's stack; only the used part is allocated.
const STACK: usize = 64 << 20;
/// Time is counted in turns of this length, so that time in which the process was stopped hardly
/// counts.
const TURN: Duration = Duration::from_millis(50);
/// Turns allowed for text of ordinary length.
pub(super) const TURNS: usize = 30;
/// Turns allowed for reading a tokenizer: a large vocabulary on a busy machine.
pub(super) const READING: usize = 40 * TURNS;

/// Runs `work`, for at most `turns` turns.
///
/// # Errors
/// A message if it panics or takes longer.
pub(super) fn guarded<T: Send + 'static>(
    turns: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, String> {
    let (sender, receiver) = channel();
    let thread = std::thread::Builder::new()
        .stack_size(STACK)
        .spawn(move || {
            // After a timeout there is no receiver.
            let _ = sender.send(caught(work));
        });
    let thread = thread.map_err(|error| format!("no thread could be started: {error}"))?;
    for _ in 0..turns {
        match receiver.recv_timeout(TURN) {
            Ok(result) => {
                // Waits until the thread has freed its values.
                let _ = thread.join();
                return result;
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Err("its thread ended".to_string()),
        }
    }
    let seconds = TURN.as_secs_f64() * turns as f64;
    Err(format!("it takes more than {seconds} seconds"))
}
