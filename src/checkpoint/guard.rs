//! Where a stranger's tokenizer and template run.
//!
//! Both are small programs that come with a checkpoint. Their shape is checked before they run
//! (`shape`, `jinja`), so that memory and recursion have bounds; what is left runs on a thread with
//! a known stack, where a panic is caught and which is waited for so long and no longer. A thread
//! and not a process of its own: a process would bound memory too, but this is a library as well as
//! a program, and a library that starts processes of a program it does not know of fails in its
//! users' programs. The price is that a thread that takes too long cannot be ended: it is left
//! behind, and the tokenizer that started it is not used again.

use crate::system::panics::caught;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

/// Bytes of the thread's stack; only what is used is ever there.
const STACK: usize = 64 << 20;
/// Time is counted in turns of so long, so that a process that was stopped for a while does not
/// seem to have worked.
const TURN: Duration = Duration::from_millis(50);
/// Turns that text of ordinary length may take.
pub(super) const TURNS: usize = 30;
/// Turns that reading a tokenizer may take: a large vocabulary on a busy machine.
pub(super) const READING: usize = 40 * TURNS;

/// Runs `work`, for at most `turns` turns.
///
/// # Errors
/// The reason, when it panics or takes longer.
pub(super) fn guarded<T: Send + 'static>(
    turns: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, String> {
    let (sender, receiver) = channel();
    let thread = std::thread::Builder::new()
        .stack_size(STACK)
        .spawn(move || {
            // Nobody listens any more where this took too long.
            let _ = sender.send(caught(work));
        });
    let thread = thread.map_err(|error| format!("no thread could be started: {error}"))?;
    for _ in 0..turns {
        match receiver.recv_timeout(TURN) {
            Ok(result) => {
                // What the thread holds is freed before it ends.
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
