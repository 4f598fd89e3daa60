//! Signals that tell the program to end: Ctrl-C (SIGINT) and SIGTERM.
//!
//! While a [`Graceful`] part of a command runs, the first signal is only noted: the command looks
//! at [`caught`] between two batches, gives up what it is at, and ends in order. At all other
//! times, and with the second signal, the process ends at once; what is temporary is taken away
//! before, and a set of files that is being placed is placed. The exit code is 128 and the signal's
//! number, as shells have it.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// A signal, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Signal(i32);

struct State {
    /// What is said to the first signal, where that is to be noted and no more.
    graceful: Option<&'static str>,
    caught: Option<Signal>,
}

static STATE: Mutex<State> = Mutex::new(State {
    graceful: None,
    caught: None,
});

fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A part of a command that ends in order at the first signal. It ends where this is dropped, too.
pub(super) struct Graceful(());

impl Graceful {
    /// Begins it. `quiet` leaves the note out that the signal was heard.
    pub fn begin(quiet: bool) -> Graceful {
        state().graceful = Some(match quiet {
            true => "",
            false => "the batch in work is the last; a second signal ends at once",
        });
        Graceful(())
    }

    /// Ends it, and says whether a signal came.
    pub fn end(self) -> Option<Signal> {
        state().caught
    }
}

impl Drop for Graceful {
    fn drop(&mut self) {
        state().graceful = None;
    }
}

/// Whether a signal came in a graceful part.
pub(super) fn caught() -> bool {
    state().caught.is_some()
}

impl Signal {
    /// What the process ends with.
    pub fn exit_code(self) -> u8 {
        u8::try_from(128 + self.0).unwrap_or(1)
    }
}

impl std::fmt::Display for Signal {
    #[cfg(unix)]
    fn fmt(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
        match signal_hook::low_level::signal_name(self.0) {
            Some(name) => formatter.write_str(name),
            None => write!(formatter, "signal {}", self.0),
        }
    }

    #[cfg(not(unix))]
    fn fmt(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(formatter, "signal {}", self.0)
    }
}

/// Begins to listen. Where that is not possible, signals do what they do by default.
#[cfg(unix)]
pub(super) fn listen() {
    use signal_hook::consts::{SIGINT, SIGTERM};
    if let Ok(mut signals) = signal_hook::iterator::Signals::new([SIGINT, SIGTERM]) {
        std::thread::spawn(move || signals.forever().map(Signal).for_each(heard));
    }
}

/// Elsewhere signals do what they do by default.
#[cfg(not(unix))]
pub(super) fn listen() {}

#[cfg(unix)]
fn heard(signal: Signal) {
    // Held to the end of the process where this is the end: a graceful part that ends meanwhile
    // does not go on.
    let mut state = state();
    if let (Some(words), None) = (state.graceful, state.caught) {
        state.caught = Some(signal);
        drop(state);
        if !words.is_empty() {
            super::note(&format!("{signal}: {words}"));
        }
        return;
    }
    crate::system::whole::abandon();
    super::note(&format!("stopped by {signal}"));
    signal_hook::low_level::exit(signal.exit_code().into());
}
