//! Rows of a text table by the value of a column, read when they are asked for.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use super::{Format, Row, Table, delimited};
use crate::run::{BadRow, Result, RunError};

/// The places of some rows of a CSV or TSV file, by the value of one column.
#[derive(Clone, Debug)]
pub struct Keyed {
    path: PathBuf,
    delimiter: u8,
    columns: Vec<String>,
    /// Bytes from the file's start; `None` where several rows have the value.
    places: Arc<HashMap<String, Option<u64>>>,
}

impl Table {
    /// Finds the rows in which `column` has one of the values `keys`. Returns `None` for formats
    /// whose rows can only be read in order.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read.
    pub fn keyed(&self, column: &str, keys: &HashSet<String>) -> Result<Option<Keyed>> {
        let Format::Delimited(delimiter) = self.format else {
            return Ok(None);
        };
        let mut places = HashMap::new();
        let at = self.columns.iter().position(|name| name == column);
        if let (Some(at), false) = (at, keys.is_empty()) {
            delimited::each(&self.path, delimiter, |byte, record| {
                let value = record.get(at).and_then(|value| str::from_utf8(value).ok());
                if let Some(value) = value.filter(|value| keys.contains(*value)) {
                    let place = places.entry(value.to_string());
                    place
                        .and_modify(|place| *place = None)
                        .or_insert(Some(byte));
                }
            })?;
        }
        Ok(Some(Keyed {
            path: self.path.clone(),
            delimiter,
            columns: self.columns.clone(),
            places: Arc::new(places),
        }))
    }
}

impl Keyed {
    /// Reads the row that has this value.
    ///
    /// # Errors
    /// Returns an error if no row has the value, or several have it, or the row cannot be read.
    pub fn row(&self, key: &str) -> std::result::Result<Row, BadRow> {
        let wrong =
            |found: &str| BadRow::new(format!("expected one row of index {key:?}, found {found}"));
        match self.places.get(key) {
            None => Err(wrong("none")),
            Some(None) => Err(wrong("several")),
            Some(&Some(byte)) => delimited::at(&self.path, self.delimiter, &self.columns, byte)
                .map_err(|error: RunError| BadRow::new(error.to_string()))?,
        }
    }
}
