//! A plan as a table.

use super::Report;
use crate::cli::units::{bytes, scaled, time};
use crate::explain::Stage;
use crate::lvlm::{Parts, Tally};

/// The cost of one part of a model.
type Part = fn(&Parts<Tally>) -> Tally;

/// Formats the plan as a table.
pub(in crate::cli) fn table(report: &Report) -> String {
    let mut text = Lines(vec![report.model.clone()]);
    let (tokens, card, memory) = (&report.tokens, &report.card, &report.memory);
    let lengths = tokens.lengths;
    text.row(
        "tokens",
        &format!(
            "{} visual, {} of text before the picture and {} behind, answer {}, key {}",
            tokens.image, lengths.before, lengths.after, lengths.answer, tokens.keys
        ),
    );
    text.row(
        "card",
        &format!(
            "{}: {}, {}FLOPS in bf16, {}/s; {} % of both rates reached",
            card.name,
            bytes(card.memory),
            scaled(card.rate),
            bytes(card.bandwidth),
            report.fraction * 100.0
        ),
    );

    text.head("memory", &[]);
    let weights = memory.weights;
    let size = |n: usize| bytes(n as f64);
    text.row("weights", &format!(
        "{} in 2 bytes each: vision encoder {}, projector {}, decoder {}, vocabulary projection {}",
        size(memory.weights_total), size(weights.vision), size(weights.projector),
        size(weights.decoder), size(weights.vocabulary)
    ));
    text.row(
        "activations",
        &format!(
            "{} allowed, {} whatever the batch, {} of it keys and values of the prompt",
            size(memory.budget),
            size(memory.fixed),
            size(memory.prefix)
        ),
    );
    text.row(
        "per blend",
        &format!(
            "{} kept, {} recomputed, {} forward only",
            size(memory.per_blend.kept),
            size(memory.per_blend.recomputed),
            size(memory.per_blend.forward)
        ),
    );
    let used = format!("{} with the weights", size(memory.used));
    text.row("largest batch", &used);

    text.head(
        "per evaluation",
        &["forward", "", "gradient", "", "recomputed", ""],
    );
    let each = [
        &report.evaluation.forward,
        &report.evaluation.gradient,
        &report.evaluation.gradient_recomputed,
    ];
    let parts: [(&str, Part); 6] = [
        ("blend", |p| p.blend),
        ("vision encoder", |p| p.vision),
        ("projector", |p| p.projector),
        ("decoder", |p| p.decoder),
        ("vocabulary", |p| p.vocabulary),
        ("all", Parts::total),
    ];
    for (name, part) in parts {
        let costs = each.iter().map(|parts| part(parts));
        let cells: Vec<String> = costs
            .flat_map(|cost| [operations(cost.operations), bytes(cost.bytes)])
            .collect();
        text.cells(name, &cells);
    }

    text.head(
        "per picture",
        &[
            "evaluations",
            "batches",
            "of at most",
            "operations",
            "bytes",
            "time",
        ],
    );
    for phase in &report.phases {
        let name = match phase.stage {
            Stage::Prepare => "prompt",
            Stage::Answer => "greedy answer",
            Stage::Select => "key tokens",
            Stage::Optimise if phase.keep == Some("inputs") => "mask, recomputed",
            Stage::Optimise => "mask",
            Stage::Curves => "curves",
            Stage::Faithfulness => "faithfulness",
            Stage::Each if phase.keep == Some("inputs") => "each, recomputed",
            Stage::Each => "mask for each",
        };
        let count = |n: usize| {
            if n == 0 {
                "-".to_string()
            } else {
                n.to_string()
            }
        };
        text.cells(
            name,
            &[
                count(phase.evaluations),
                count(phase.batches),
                count(phase.batch),
                operations(phase.cost.operations),
                bytes(phase.cost.bytes),
                time(phase.seconds),
            ],
        );
    }
    let total = &report.total;
    text.cells(
        "all",
        &[
            total.evaluations.to_string(),
            String::new(),
            String::new(),
            operations(total.operations),
            bytes(total.bytes),
            time(total.seconds),
        ],
    );
    text.row(
        "rate",
        &format!(
            "{:.0} pictures per hour and card; {} of one card per 1000 pictures",
            total.pictures_per_hour,
            time(total.hours_per_1000_pictures * 3600.0)
        ),
    );
    text.0.push(
        "Operations are two per multiply-add of a product. Work of the host \
         (decoding, blur, the mask's update) is not counted."
            .into(),
    );
    text.0.join("\n")
}

/// Formats a number of operations, such as `12.9 T`.
fn operations(value: f64) -> String {
    scaled(value).trim_end().to_string()
}

struct Lines(Vec<String>);

impl Lines {
    fn row(&mut self, label: &str, value: &str) {
        self.0.push(format!("  {label:<16} {value}"));
    }

    fn cells(&mut self, label: &str, cells: &[impl AsRef<str>]) {
        let cells: String = cells
            .iter()
            .map(|cell| format!(" {:>11}", cell.as_ref()))
            .collect();
        self.0.push(format!("  {label:<16}{}", cells.trim_end()));
    }

    /// Adds a heading with the names of columns.
    fn head(&mut self, label: &str, columns: &[&str]) {
        let cells: String = columns.iter().map(|cell| format!(" {cell:>11}")).collect();
        let line = format!("{label:<18}{cells}");
        self.0.push(line.trim_end().to_string());
    }
}
