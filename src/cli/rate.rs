//! The progress of a run: a bar on a terminal, otherwise a plain line at intervals.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::{note, signals};
use crate::run::Watch;

/// The time between two plain lines.
const PAUSE: Duration = Duration::from_secs(10);

/// A run's progress on standard error.
pub(super) struct Rate {
    quiet: bool,
    bar: ProgressBar,
    /// The start of the first sample, the number done at that time, and the time of the last line.
    started: Option<(Instant, usize, Instant)>,
}

impl Rate {
    /// Creates the display; it shows nothing if `quiet` is true.
    pub fn new(quiet: bool) -> Rate {
        Rate {
            quiet,
            bar: if quiet {
                ProgressBar::hidden()
            } else {
                ProgressBar::no_length()
            },
            started: None,
        }
    }

    /// Removes the bar from the screen.
    pub fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

impl Watch for Rate {
    fn at(&mut self, done: usize, total: usize, failed: usize) {
        let now = Instant::now();
        let begun = self.started.is_none();
        let (started, first, printed) = *self.started.get_or_insert((now, done, now));
        let elapsed = started.elapsed();
        let line = line(done, total, failed, done - first, elapsed);
        if begun {
            // The template is a valid constant; the default style is a fallback.
            let style = ProgressStyle::with_template("{wide_bar} {msg}");
            self.bar
                .set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            self.bar.set_length(total as u64);
            self.bar.enable_steady_tick(Duration::from_secs(1));
        }
        self.bar.set_position(done as u64);
        self.bar.set_message(line.clone());
        let due = begun || done == total || printed.elapsed() >= PAUSE;
        if self.bar.is_hidden() && !self.quiet && due {
            note(&line);
            self.started = Some((started, first, now));
        }
    }

    fn cancelled(&self) -> bool {
        signals::caught()
    }
}

/// Formats a line such as `120 of 2000 samples, 3 failed, 0.18 a second, 2 h 54 min left`.
fn line(done: usize, total: usize, failed: usize, worked: usize, elapsed: Duration) -> String {
    let mut parts = vec![format!("{done} of {total} samples")];
    if failed > 0 {
        parts.push(format!("{failed} failed"));
    }
    let rate = worked as f64 / elapsed.as_secs_f64();
    if worked > 0 && rate.is_finite() {
        parts.push(format!("{rate:.2} a second"));
        if done < total {
            parts.push(format!("{} left", span((total - done) as f64 / rate)));
        }
    }
    parts.join(", ")
}

fn span(seconds: f64) -> String {
    let seconds = seconds.round() as u64;
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds} s"),
        (0, _) => format!("{minutes} min {} s", seconds % 60),
        _ => format!("{hours} h {minutes} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_rate_and_time_left() {
        let at = |done, total, failed, worked, seconds| {
            line(done, total, failed, worked, Duration::from_secs(seconds))
        };
        assert_eq!(at(5, 20, 0, 0, 0), "5 of 20 samples");
        assert_eq!(
            at(15, 115, 2, 10, 100),
            "15 of 115 samples, 2 failed, 0.10 a second, 16 min 40 s left"
        );
        assert_eq!(at(20, 20, 0, 10, 5), "20 of 20 samples, 2.00 a second");
        assert_eq!(span(7200.4), "2 h 0 min");
        assert_eq!(span(59.6), "1 min 0 s");
    }
}
