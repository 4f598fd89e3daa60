//! The measurements: rates of the card, of every operation, and of whole models, as a table and as
//! JSON.

use serde_json::{Value, json};

use super::library;
use crate::cli::error::CliError;
use crate::cli::print;
use crate::cli::units::{bytes, scaled, time};
use crate::device::cuda::{Cuda, GemmBackend, Storage};
use crate::selftest::throughput::{Found, Goal, Limit, Line, Rates, measure, models, rates};
use crate::selftest::{Check, Extent};

/// The storage type of all measurements except the matrix rate.
const STORAGE: Storage = Storage::Bf16;

/// Measures a GPU and prints tables; returns the checks made on the way, and everything as JSON.
/// Missed goals are not errors.
///
/// # Errors
/// Returns the GPU's errors.
pub(super) fn run(
    device: &impl Fn(Storage, GemmBackend) -> crate::device::Result<Cuda>,
    gemm: GemmBackend,
    extent: Extent,
) -> Result<(Vec<Check>, Value), CliError> {
    let has_library = library(device, STORAGE)?.is_ok();
    let (mut checks, mut measured) = (Vec::new(), Vec::new());
    // The last storage type is the one whose rates everything is compared with.
    for storage in [Storage::F16, STORAGE] {
        let library = library(device, storage)?.ok();
        let (rates, checked) = rates(
            &device(storage, GemmBackend::Native)?,
            library.as_ref(),
            extent,
        )?;
        print(&card(&rates, storage))?;
        checks.extend(checked);
        measured.push((storage, rates));
    }
    let mut records = Vec::new();
    if let Some((storage, rates)) = measured.last() {
        for shapes in models(extent) {
            let native = || device(*storage, GemmBackend::Native);
            let chosen =
                (has_library && gemm != GemmBackend::Native).then_some(|| device(*storage, gemm));
            let measured = measure(native, chosen, shapes, rates, extent)?;
            let title = |name: &str| format!("{name}, batch {}, {storage}", shapes.batch);
            print(&table(&title(shapes.name), &measured.operations))?;
            if !measured.chosen.is_empty() {
                let title = title(&format!("{}, products the chosen way", shapes.name));
                print(&table(&title, &measured.chosen))?;
                print(&measured.choices.join("\n"))?;
            }
            print(&table(&title(shapes.whole), &measured.whole))?;
            records.push(json!({
                "shapes": shapes.name,
                "storage": storage.name(),
                "batch": shapes.batch,
                "operations": measured.operations,
                "chosen": measured.chosen,
                "choices": measured.choices,
                "model": shapes.whole,
                "whole": measured.whole,
            }));
        }
    }
    let rates: Vec<Value> = measured
        .iter()
        .map(|(storage, rates)| {
            json!({
                "storage": storage.name(),
                "copies": rates.copies,
                "matrix": rates.matrix(),
                "products": rates.products,
            })
        })
        .collect();
    Ok((checks, json!({ "rates": rates, "models": records })))
}

/// Formats the peak rates of the card.
fn card(rates: &Rates, storage: Storage) -> String {
    let products: Vec<String> = rates
        .products
        .iter()
        .map(|source| format!("{} {}FLOP/s", source.name, scaled(source.rate)))
        .collect();
    format!(
        "rates in {:4}  copies {}/s; products: {}",
        storage.name(),
        bytes(rates.copies),
        products.join(", ")
    )
}

/// Names of the columns; all except the first three are numbers.
const COLUMNS: [&str; 8] = [
    "family",
    "operation",
    "shape",
    "time",
    "rate",
    "share",
    "goal",
    "",
];

/// Aligns lines in columns.
fn table(title: &str, lines: &[Line]) -> String {
    let rows: Vec<[String; 8]> = std::iter::once(COLUMNS.map(String::from))
        .chain(lines.iter().map(row))
        .collect();
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..COLUMNS.len()).map(width).collect();
    let text = rows.iter().map(|row| {
        let cells = row.iter().zip(&widths).enumerate();
        let cells: Vec<String> = cells
            .map(|(column, (cell, &width))| match column {
                3..=6 => format!("{cell:>width$}"),
                _ => format!("{cell:width$}"),
            })
            .collect();
        cells.join("  ").trim_end().to_string()
    });
    let text: Vec<String> = std::iter::once(title.to_string()).chain(text).collect();
    format!("\n{}\n", text.join("\n"))
}

fn row(line: &Line) -> [String; 8] {
    let percent = |share: f64| format!("{:.1} %", share * 100.0);
    let goal = match line.goal {
        Some(Goal::Share(least)) => percent(least),
        Some(Goal::Seconds(most)) => time(most),
        None => String::new(),
    };
    let [time_taken, speed, of_rate, verdict] = match &line.found {
        Found::Missing { missing } => {
            let [a, b, c] = [const { String::new() }; 3];
            [a, b, c, format!("not measured: {missing}")]
        }
        Found::Measured {
            seconds,
            rate,
            share,
            evaluations_per_second,
            reached,
        } => {
            let speed = match (evaluations_per_second, rate, line.limit) {
                (Some(count), ..) => format!("{count:.1} evaluations/s"),
                (None, Some(rate), Limit::Products) => format!("{}FLOP/s", scaled(*rate)),
                (None, Some(rate), _) => format!("{}/s", bytes(*rate)),
                (None, None, _) => String::new(),
            };
            let verdict = match reached {
                Some(true) => "reached",
                Some(false) => "missed",
                None => "",
            };
            let share = share.map(percent).unwrap_or_default();
            [time(*seconds), speed, share, verdict.to_string()]
        }
    };
    [
        line.family.to_string(),
        line.name.clone(),
        line.shape.clone(),
        time_taken,
        speed,
        of_rate,
        goal,
        verdict,
    ]
}
