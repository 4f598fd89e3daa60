//! `foveate methods`: the attribution methods.

use serde::Serialize;

use super::error::CliError;
use super::print;
use crate::explain::{Method, Schedule, Settings};

#[derive(clap::Args)]
pub(super) struct Options {
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

/// One method at its own default settings.
#[derive(Serialize)]
struct Entry {
    name: &'static str,
    summary: &'static str,
    /// The calls that it makes: gradients, or forward passes only.
    needs: &'static str,
    evaluations: Evaluations,
    suited_to: &'static str,
    /// The settings that it reads, of those that some methods do not.
    settings: &'static [&'static str],
}

/// Pictures evaluated by the model.
#[derive(Serialize)]
struct Evaluations {
    /// Forward and backward.
    gradients: usize,
    /// Forward alone.
    forwards: usize,
    /// Whether there may be more, depending on intermediate results.
    open_ended: bool,
}

impl Evaluations {
    fn of(schedule: &Schedule) -> Evaluations {
        let sum = |gradient| {
            let passes = schedule.passes.iter().filter(|p| p.gradient == gradient);
            passes.map(|pass| pass.blends * pass.calls).sum()
        };
        Evaluations {
            gradients: sum(true),
            forwards: sum(false),
            open_ended: schedule.open_ended,
        }
    }
}

impl Entry {
    fn of(method: Method) -> Entry {
        let settings = Settings::of(method);
        let method = method.with(&settings);
        let evaluations = Evaluations::of(&method.schedule(1));
        Entry {
            name: method.name(),
            summary: method.summary(),
            needs: match evaluations.gradients {
                0 => "forward passes",
                _ => "gradients",
            },
            evaluations,
            suited_to: method.suited_to(),
            settings: method.settings(),
        }
    }

    /// Formats the evaluations, as in ">= 300 g + 600 f".
    fn cost(&self) -> String {
        let Evaluations {
            gradients,
            forwards,
            open_ended,
        } = self.evaluations;
        let parts = [(gradients, "g"), (forwards, "f")];
        let parts = parts.iter().filter(|(n, _)| *n > 0);
        let parts: Vec<String> = parts.map(|(n, kind)| format!("{n} {kind}")).collect();
        let least = if open_ended { ">= " } else { "" };
        format!("{least}{}", parts.join(" + "))
    }
}

pub(super) fn run(options: &Options) -> Result<(), CliError> {
    let entries: Vec<Entry> = Method::ALL.into_iter().map(Entry::of).collect();
    if options.json {
        let json = serde_json::to_string_pretty(&entries).map_err(|e| CliError::Write {
            path: "standard output".into(),
            reason: e.to_string(),
        })?;
        print(&json)
    } else {
        print(&table(&entries))
    }
}

/// Formats the methods as a table, one on two lines.
fn table(entries: &[Entry]) -> String {
    let widest = |cell: &dyn Fn(&Entry) -> usize| entries.iter().map(cell).max().unwrap_or(0);
    let name = widest(&|entry| entry.name.len());
    let needs = widest(&|entry| entry.needs.len());
    let cost = widest(&|entry| entry.cost().len());
    let mut lines: Vec<String> = entries
        .iter()
        .flat_map(|entry| {
            [
                format!(
                    "{:name$}  {:needs$}  {:>cost$}  {}",
                    entry.name,
                    entry.needs,
                    entry.cost(),
                    entry.summary
                ),
                format!("{:name$}  {}", "", entry.suited_to),
            ]
        })
        .collect();
    lines.push(format!(
        "\nEvaluations of the model at each method's defaults, with a mask of {0} x {0} cells, \
         without curves and tests of the map: g forward and backward, f forward alone.",
        Settings::default().mask_size
    ));
    lines.join("\n")
}
