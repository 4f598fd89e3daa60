//! Rows in the benchmarks' formats, made up here, and the samples expected from them.

mod benchmarks;
mod options;
mod table;
mod vlmevalkit;

use serde_json::{Value, json};

use super::*;
use crate::run::{EvidenceSource, ImageFolder, Right};

fn row(cells: Value) -> Row {
    Row {
        cells: cells.as_object().unwrap().clone(),
        bytes: Vec::new(),
    }
}

fn with_bytes(cells: Value, column: &str, bytes: &[u8]) -> Row {
    Row {
        bytes: vec![(column.to_string(), bytes.to_vec())],
        ..row(cells)
    }
}

fn reading(ask: Ask) -> Reading {
    Reading {
        ask,
        ..Reading::default()
    }
}

fn both(layout: Layout, row: &Row, index: usize) -> (Sample, Sample) {
    let sample = |ask| layout.sample(row, index, &reading(ask)).unwrap();
    (sample(Ask::Open), sample(Ask::Choice))
}

fn names(row: &Row) -> Vec<String> {
    row.cells.keys().cloned().collect()
}

fn right(text: &str, letter: char) -> Option<Right> {
    Some(Right {
        text: Some(text.into()),
        letter: Some(letter),
        ..Right::default()
    })
}
