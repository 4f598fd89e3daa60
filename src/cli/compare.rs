//! `foveate compare`: a comparison of the runs of several models on the same data.

use std::path::PathBuf;

use super::error::CliError;
use super::figures::{Statistics, rule, samples, table};
use super::output::OutputFolder;
use super::print;
use crate::analyse::{AnalyseSettings, Comparison, compare};
use crate::run::Run;

const JSON: &str = "comparison.json";
/// The largest number of unpaired samples that the output names; the JSON names all.
const NAMED: usize = 10;

#[derive(clap::Args)]
pub(super) struct Options {
    /// Folders of two or more runs of the same data
    #[arg(required = true, num_args = 2.., value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// The most salient share of cells, by whose overlap maps are compared
    #[arg(long, value_name = "SHARE", default_value_t = AnalyseSettings::default().top_share)]
    top_share: f64,
    #[command(flatten)]
    statistics: Statistics,
}

pub(super) fn run(options: &Options) -> Result<(), CliError> {
    let runs = options.runs.iter().map(|run| Run::open(run));
    let runs: Vec<Run> = runs.collect::<Result<_, _>>()?;
    let out = &options.statistics.out;
    let names = [&[JSON], &Comparison::PLOTS[..]].concat();
    let folder = OutputFolder::prepare(out, &names)?;
    let settings = AnalyseSettings {
        top_share: options.top_share,
        ..options.statistics.settings()
    };
    let comparison = compare(&runs, &settings)?;
    folder.write(&comparison, &comparison.plots()?)?;
    print(&format!(
        "{}\n\n{}\n{}written to {}",
        heading(&comparison),
        table(&comparison.figures, &comparison.statistics.bootstrap),
        rule(comparison.statistics.scores),
        out.display()
    ))
}

/// Formats the runs, the settings in which they differ, and the unpaired samples.
fn heading(comparison: &Comparison) -> String {
    let runs = comparison.runs.iter();
    let mut lines: Vec<String> = runs
        .map(|run| format!("{}: {}", run.name, samples(&run.counts)))
        .collect();
    if !comparison.settings_differ.is_empty() {
        lines.push("the runs differ in more than the model:".into());
        lines.extend(
            comparison
                .settings_differ
                .iter()
                .map(|line| format!("  {line}")),
        );
    }
    lines.push(format!("{} samples paired", comparison.paired));
    let unpaired = &comparison.unpaired;
    if !unpaired.is_empty() {
        lines.push(format!("{} samples not paired:", unpaired.len()));
        let named = unpaired.iter().take(NAMED);
        lines.extend(named.map(|sample| {
            let missing = sample
                .missing
                .iter()
                .map(|(run, why)| format!("{run}: {why}"));
            let missing = missing.collect::<Vec<_>>().join("; ");
            format!("  {} {:?} ({missing})", sample.index, sample.id)
        }));
        if unpaired.len() > NAMED {
            lines.push(format!(
                "  and {} more, named in {JSON}",
                unpaired.len() - NAMED
            ));
        }
    }
    lines.join("\n")
}
