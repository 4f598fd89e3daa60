//! Progress bars on standard error, if it is a terminal.

use indicatif::{ProgressBar, ProgressStyle};

use super::signals;
use crate::explain::{Progress, Stage};

/// A progress bar, replaced at every stage.
pub(super) struct Bars {
    bar: ProgressBar,
}

impl Bars {
    /// Creates the bars; they show nothing if `quiet` is true.
    pub fn new(quiet: bool) -> Bars {
        Bars {
            bar: if quiet {
                ProgressBar::hidden()
            } else {
                ProgressBar::no_length()
            },
        }
    }

    /// Removes the bar from the screen.
    pub fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

impl Progress for Bars {
    fn begin(&mut self, stage: Stage, total: Option<usize>) {
        let (name, unit) = match stage {
            Stage::Prepare => ("preparing", ""),
            Stage::Answer => ("answering", "tokens"),
            Stage::Select => ("selecting key tokens", "evaluations"),
            Stage::Optimise => ("optimising the mask", "evaluations"),
            Stage::Curves => ("deletion and insertion", "evaluations"),
            Stage::Faithfulness => ("testing the map", "evaluations"),
            Stage::Each => ("masks of the words", "evaluations"),
        };
        self.bar.reset();
        let template = match total {
            Some(total) => {
                self.bar.set_length(total as u64);
                "{msg:24} {wide_bar} {pos}/{len} {prefix} {eta}"
            }
            None => {
                self.bar.unset_length();
                "{msg:24} {spinner} {pos} {prefix}"
            }
        };
        // The templates are valid constants; the default style is a fallback.
        self.bar.set_style(
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        self.bar.set_message(name);
        self.bar.set_prefix(unit);
        self.bar.tick();
    }

    fn advance(&mut self, count: usize) {
        self.bar.inc(count as u64);
    }

    fn cancelled(&self) -> bool {
        signals::caught()
    }
}
