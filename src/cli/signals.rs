//! Signals that ask the program to end: Ctrl-C (SIGINT) and SIGTERM.
//!
//! While a [`Graceful`] part of a command runs, the first signal is only recorded: the command
//! checks [`caught`] between batches, abandons its current work, and ends in order. At all other
//! times, and on the second signal, the process ends at once; temporary files are removed first,
//! and a set of files that is being put in place is completed. The exit code is 128 plus the
//! signal's number, as in shells.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// A signal number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signal(i32);

struct State {
    /// The message for the first signal, if it is only to be recorded.
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

/// A part of a command that ends in order on the first signal. Dropping this value also ends the
/// part.
pub(super) struct Graceful(());

impl Graceful {
    /// Begins the part. `quiet` suppresses the note that the signal was received.
    pub fn begin(quiet: bool) -> Graceful {
        state().graceful = Some(match quiet {
            true => "",
            false => "the batch in work is the last; a second signal ends at once",
        });
        Graceful(())
    }

    /// Ends the part, and returns the signal, if any.
    pub fn end(self) -> Option<Signal> {
        state().caught
    }
}

impl Drop for Graceful {
    fn drop(&mut self) {
        state().graceful = None;
    }
}

/// Returns whether a signal was received in a graceful part.
pub(super) fn caught() -> bool {
    state().caught.is_some()
}

impl Signal {
    /// Returns the exit code of the process.
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

/// Starts listening. If that is not possible, signals keep their default effect.
#[cfg(unix)]
pub(super) fn listen() {
    use signal_hook::consts::{SIGINT, SIGTERM};
    if let Ok(mut signals) = signal_hook::iterator::Signals::new([SIGINT, SIGTERM]) {
        std::thread::spawn(move || signals.forever().map(Signal).for_each(heard));
    }
}

/// Does nothing: on other systems signals keep their default effect.
#[cfg(not(unix))]
pub(super) fn listen() {}

#[cfg(unix)]
fn heard(signal: Signal) {
    // Held until the process exits, so that a graceful part that ends meanwhile does not continue.
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
