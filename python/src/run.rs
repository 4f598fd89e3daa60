//! Runs over data sets.

use std::path::PathBuf;

use foveate::run::{Cell, Kind, Record, Table};
use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use pyo3::types::PyByteArray;

use crate::errors;

/// A run's folder.
#[pyclass(frozen, module = "foveate._foveate")]
pub struct Run(foveate::run::Run);

/// Opens a run's folder.
#[pyfunction]
pub fn read_run(folder: PathBuf) -> PyResult<Run> {
    foveate::run::Run::open(&folder)
        .map(Run)
        .map_err(errors::run)
}

/// A column: its name, its kind, its values with None for missing ones.
type Column<'py> = (&'static str, &'static str, Vec<Bound<'py, PyAny>>);

#[pymethods]
impl Run {
    /// The manifest as JSON.
    fn manifest(&self) -> PyResult<String> {
        let text = serde_json::to_string(self.0.manifest());
        text.map_err(|error| errors::raise("RunError", &error.to_string(), None))
    }

    /// The records as JSON.
    fn records(&self, py: Python) -> PyResult<Vec<String>> {
        let read = py.detach(|| {
            let text = |record: Record| serde_json::to_string(&record);
            let texts = self.0.records()?.map(|record| Ok(text(record?)));
            texts.collect::<foveate::run::Result<Vec<_>>>()
        });
        let texts = read.map_err(errors::run)?.into_iter();
        let failed = |error: serde_json::Error| errors::raise("RunError", &error.to_string(), None);
        texts.map(|text| text.map_err(failed)).collect()
    }

    /// The columns of the table of samples.
    fn samples<'py>(&self, py: Python<'py>) -> PyResult<Vec<Column<'py>>> {
        let table = py.detach(|| foveate::run::samples(&self.0));
        columns(py, table.map_err(errors::run)?)
    }

    /// The columns of the table of tokens.
    fn tokens<'py>(&self, py: Python<'py>) -> PyResult<Vec<Column<'py>>> {
        let table = py.detach(|| foveate::run::tokens(&self.0));
        columns(py, table.map_err(errors::run)?)
    }
}

/// Converts a table to columns.
fn columns(py: Python<'_>, table: Table) -> PyResult<Vec<Column<'_>>> {
    let mut columns: Vec<Column> = table
        .columns
        .iter()
        .map(|&(name, kind)| (name, word(kind), Vec::with_capacity(table.rows.len())))
        .collect();
    for row in table.rows {
        for (cell, (column, &(_, kind))) in
            row.into_iter().zip(columns.iter_mut().zip(table.columns))
        {
            column.2.push(value(py, cell, kind)?);
        }
    }
    Ok(columns)
}

/// Returns the word for a kind.
fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Integer => "integer",
        Kind::Unsigned => "unsigned",
        Kind::Number => "number",
        Kind::Truth => "truth",
        Kind::Text => "text",
        Kind::Integers | Kind::Numbers | Kind::Texts => "list",
        Kind::Singles => "array",
    }
}

/// Converts a cell.
fn value(py: Python<'_>, cell: Cell, kind: Kind) -> PyResult<Bound<'_, PyAny>> {
    match (cell, kind) {
        // Its bits, as Parquet stores it.
        (Cell::Integer(value), Kind::Unsigned) => {
            value.map(|bits| bits as u64).into_bound_py_any(py)
        }
        (Cell::Integer(value), _) => value.into_bound_py_any(py),
        (Cell::Number(value), _) => value.into_bound_py_any(py),
        (Cell::Truth(value), _) => value.into_bound_py_any(py),
        (Cell::Text(value), _) => value.into_bound_py_any(py),
        (Cell::Integers(value), _) => value.into_bound_py_any(py),
        (Cell::Numbers(value), _) => value.into_bound_py_any(py),
        (Cell::Texts(value), _) => value.into_bound_py_any(py),
        (Cell::Singles(value), _) => {
            let bytes = |values: Vec<f32>| PyByteArray::new(py, bytemuck::cast_slice(&values));
            value.map(bytes).into_bound_py_any(py)
        }
    }
}
