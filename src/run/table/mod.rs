//! Data files as rows: JSON, JSON lines, CSV, TSV, Parquet. What the columns mean is not known
//! here.

mod delimited;
mod json;
mod pages;
mod parquet;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::{BadRow, Result, RunError};
use crate::system::regular::open_regular;

/// The most bytes of a row of text: one may have a picture in base64.
const LONGEST_ROW: u64 = 64 << 20;

/// One row.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row {
    /// Cells by column. A picture with bytes of its own has its file's name here, where there is
    /// one.
    pub cells: Map<String, Value>,
    /// Cells that are bytes.
    pub bytes: Vec<(String, Vec<u8>)>,
}

/// A row's number, from 0, and the row or what is wrong with it.
pub type Numbered = Result<(usize, std::result::Result<Row, BadRow>)>;

/// Which rows are wanted, by number. The others are passed over without being decoded.
pub type Wanted = Arc<dyn Fn(usize) -> bool + Send + Sync>;

/// Rows in their order.
pub type Rows = Box<dyn Iterator<Item = Numbered>>;

/// How a file has its rows.
#[derive(Clone, Debug)]
enum Format {
    /// One JSON object a line.
    Lines,
    /// A JSON array of objects.
    Array,
    /// Fields with a delimiter between them, the first line their names.
    Delimited(u8),
    /// Apache Parquet.
    Parquet,
}

/// A data file.
#[derive(Clone, Debug)]
pub struct Table {
    path: PathBuf,
    format: Format,
    /// Columns; of JSON, all that any row has.
    pub columns: Vec<String>,
    /// Rows.
    pub rows: usize,
    /// Digest of the file, in hexadecimal.
    pub fingerprint: String,
}

impl Table {
    /// Opens a file, whose format its name's end says: .jsonl and .ndjson, .json, .csv, .tsv,
    /// .parquet. Reads it through once, to count its rows.
    ///
    /// # Errors
    /// A file that cannot be read, or is of no such format.
    pub fn open(path: &Path) -> Result<Table> {
        let ending = path.extension().and_then(|e| e.to_str()).unwrap_or("");
        let fingerprint = fingerprint(path)?;
        let format = match ending.to_ascii_lowercase().as_str() {
            "jsonl" | "ndjson" => Format::Lines,
            "json" if json::is_array(path)? => Format::Array,
            "json" => Format::Lines,
            "csv" => Format::Delimited(b','),
            "tsv" => Format::Delimited(b'\t'),
            "parquet" => Format::Parquet,
            _ => {
                return Err(RunError::Data {
                    path: path.display().to_string(),
                    expected: "a name that ends in .jsonl, .ndjson, .json, .csv, .tsv or .parquet"
                        .into(),
                    found: format!("the end {ending:?}"),
                });
            }
        };
        let (columns, rows) = match &format {
            Format::Lines => json::survey(path, false)?,
            Format::Array => json::survey(path, true)?,
            Format::Delimited(delimiter) => delimited::survey(path, *delimiter)?,
            Format::Parquet => parquet::survey(path)?,
        };
        if rows == 0 {
            return Err(RunError::Data {
                path: path.display().to_string(),
                expected: "at least one row".into(),
                found: "none".into(),
            });
        }
        Ok(Table {
            path: path.to_path_buf(),
            format,
            columns,
            rows,
            fingerprint,
        })
    }

    /// The rows that are wanted, read as they are asked for.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn read(&self, wanted: Wanted) -> Result<Rows> {
        self.read_columns(wanted, None)
    }

    /// The same with the columns of these names alone, where a format can pass over the others.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn read_columns(&self, wanted: Wanted, columns: Option<&[&str]>) -> Result<Rows> {
        match &self.format {
            Format::Lines => json::read(&self.path, false, wanted),
            Format::Array => json::read(&self.path, true, wanted),
            Format::Delimited(delimiter) => delimited::read(&self.path, *delimiter, wanted),
            Format::Parquet => parquet::read(&self.path, wanted, columns),
        }
    }
}

impl Row {
    /// A cell as text: numbers as they are written, bytes that are UTF-8; `None` where there is no
    /// such cell or nothing in it.
    pub fn text(&self, column: &str) -> Option<String> {
        match self.cells.get(column) {
            Some(Value::String(text)) => Some(text.clone()),
            Some(Value::Number(number)) => Some(number.to_string()),
            Some(Value::Bool(truth)) => Some(truth.to_string()),
            _ => {
                let (_, bytes) = self.bytes.iter().find(|(name, _)| name == column)?;
                String::from_utf8(bytes.clone()).ok()
            }
        }
        .filter(|text| !text.trim().is_empty())
    }

    /// A cell as it is, or the JSON that a cell of text holds; `None` where there is neither.
    pub fn json(&self, column: &str) -> Option<Value> {
        match self.cells.get(column) {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => serde_json::from_str(text).ok(),
            Some(value) => Some(value.clone()),
        }
    }

    /// A cell's bytes.
    pub fn bytes(&self, column: &str) -> Option<&[u8]> {
        let (_, bytes) = self.bytes.iter().find(|(name, _)| name == column)?;
        Some(bytes)
    }
}

/// SHA-256 of a file, its first 16 bytes, in hexadecimal.
pub fn fingerprint(path: &Path) -> Result<String> {
    let mut file = open_regular(path).map_err(RunError::reading(path))?;
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer).map_err(RunError::reading(path))? {
            0 => break,
            count => digest.update(&buffer[..count]),
        }
    }
    let bytes = digest.finalize();
    Ok(bytes[..16].iter().map(|b| format!("{b:02x}")).collect())
}

/// Opens a file of text behind its byte order mark, where it has one.
fn open(path: &Path) -> Result<BufReader<File>> {
    let file = open_regular(path).map_err(RunError::reading(path))?;
    let mut file = BufReader::with_capacity(1 << 18, file);
    let start = file.fill_buf().map_err(RunError::reading(path))?;
    match start {
        [0xEF, 0xBB, 0xBF, ..] => file.consume(3),
        [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] => {
            return Err(RunError::Data {
                path: path.display().to_string(),
                expected: "text in UTF-8".into(),
                found: "the byte order mark of UTF-16".into(),
            });
        }
        _ => {}
    }
    Ok(file)
}

/// Fails where two columns have the same name; columns without one are nobody's.
fn distinct(path: &Path, line: Option<usize>, columns: &[String]) -> Result<()> {
    let mut seen = std::collections::HashSet::new();
    let doubled = columns
        .iter()
        .find(|name| !name.is_empty() && !seen.insert(*name));
    let Some(name) = doubled else {
        return Ok(());
    };
    let line = line
        .map(|line| format!(": line {line}"))
        .unwrap_or_default();
    Err(RunError::Data {
        path: format!("{}{line}", path.display()),
        expected: "columns of different names".into(),
        found: format!("{name:?} twice"),
    })
}
