//! Data files as rows: JSON, JSON lines, CSV, TSV, Parquet. The meaning of the columns is not known
//! here.

mod delimited;
mod json;
mod keyed;
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

pub use keyed::Keyed;

use super::{BadRow, Result, RunError};
use crate::system::regular::open_regular;

/// The largest size of a row of text in bytes: one may contain a picture in base64.
const LONGEST_ROW: u64 = 64 << 20;

/// One row.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row {
    /// Cells by column. For a picture stored as bytes, this holds its file name, if any; for a list
    /// of them the names.
    pub cells: Map<String, Value>,
    /// Cells that are bytes; of a list, each element, in order.
    pub bytes: Vec<(String, Vec<u8>)>,
}

/// A row's number, from 0, and the row or the error in it.
pub type Numbered = Result<(usize, std::result::Result<Row, BadRow>)>;

/// Selects rows by number. The others are skipped without being decoded.
pub type Wanted = Arc<dyn Fn(usize) -> bool + Send + Sync>;

/// Rows in order.
pub type Rows = Box<dyn Iterator<Item = Numbered>>;

/// The format of a data file.
#[derive(Clone, Debug)]
enum Format {
    /// One JSON object per line.
    Lines,
    /// A JSON array of objects.
    Array,
    /// Fields separated by a delimiter, with their names in the first line.
    Delimited(u8),
    /// Apache Parquet.
    Parquet,
    /// Several files of Apache Parquet below a folder, with their numbers of rows.
    Parquets(Vec<(PathBuf, usize)>),
}

/// A data file.
#[derive(Clone, Debug)]
pub struct Table {
    path: PathBuf,
    format: Format,
    /// The columns; for JSON, all that occur in any row.
    pub columns: Vec<String>,
    /// Number of rows.
    pub rows: usize,
    /// Digest of the file, in hexadecimal.
    pub fingerprint: String,
}

impl Table {
    /// Opens a file, whose extension determines its format: .jsonl and .ndjson, .json, .csv, .tsv,
    /// .parquet. Reads the whole file to count its rows.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read, or has none of these formats.
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
            Format::Parquet | Format::Parquets(_) => parquet::survey(path)?,
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

    /// Opens Parquet files of the same columns below a folder as one table, in this order.
    ///
    /// # Errors
    /// Returns an error if a file cannot be read, if they differ in their columns, or if they have
    /// no row.
    pub fn open_all(folder: &Path, names: &[String]) -> Result<Table> {
        let (mut files, mut rows) = (Vec::new(), 0_usize);
        let mut columns: Option<Vec<String>> = None;
        let mut digest = Sha256::new();
        let wrong = |path: &Path, expected: String, found: String| RunError::Data {
            path: path.display().to_string(),
            expected,
            found,
        };
        for name in names {
            let path = folder.join(name);
            digest.update(format!("{name}\n{}\n", fingerprint(&path)?));
            let (own, count) = parquet::survey(&path)?;
            let first = columns.get_or_insert_with(|| own.clone());
            let (mut sorted, mut expected) = (own, first.clone());
            sorted.sort_unstable();
            expected.sort_unstable();
            if sorted != expected {
                let expected = format!("the columns of {}: {}", names[0], expected.join(", "));
                return Err(wrong(&path, expected, sorted.join(", ")));
            }
            rows = rows.saturating_add(count);
            files.push((path, count));
        }
        let Some(columns) = columns.filter(|_| rows > 0) else {
            return Err(wrong(folder, "at least one row".into(), "none".into()));
        };
        Ok(Table {
            path: folder.to_path_buf(),
            format: Format::Parquets(files),
            columns,
            rows,
            fingerprint: shortened(digest),
        })
    }

    /// Returns whether the fields are separated by tabs.
    pub fn is_tsv(&self) -> bool {
        matches!(self.format, Format::Delimited(b'\t'))
    }

    /// Returns the wanted rows, read lazily.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read.
    pub fn read(&self, wanted: Wanted) -> Result<Rows> {
        self.read_columns(wanted, None)
    }

    /// Returns the wanted rows with only the named columns, if the format can skip the others.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read.
    pub fn read_columns(&self, wanted: Wanted, columns: Option<&[&str]>) -> Result<Rows> {
        match &self.format {
            Format::Lines => json::read(&self.path, false, wanted),
            Format::Array => json::read(&self.path, true, wanted),
            Format::Delimited(delimiter) => delimited::read(&self.path, *delimiter, wanted),
            Format::Parquet => parquet::read(&self.path, wanted, columns),
            Format::Parquets(files) => Ok(parquet::read_all(files.clone(), wanted, columns)),
        }
    }
}

impl Row {
    /// Returns a cell as text: numbers as written, or bytes that are UTF-8; `None` if the cell is
    /// missing or empty.
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

    /// Returns a cell's value, or the JSON in a text cell; `None` if there is neither.
    pub fn json(&self, column: &str) -> Option<Value> {
        match self.cells.get(column) {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => serde_json::from_str(text).ok(),
            Some(value) => Some(value.clone()),
        }
    }

    /// Returns a cell's bytes; the first where a list has several.
    pub fn bytes(&self, column: &str) -> Option<&[u8]> {
        self.all_bytes(column).next()
    }

    /// Returns the bytes of each element of a list, or of a cell.
    pub fn all_bytes(&self, column: &str) -> impl Iterator<Item = &[u8]> {
        let own = self.bytes.iter().filter(move |(name, _)| name == column);
        own.map(|(_, bytes)| &bytes[..])
    }
}

/// Returns the first 16 bytes of a file's SHA-256, in hexadecimal.
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
    Ok(shortened(digest))
}

/// Returns the first 16 bytes of a digest, in hexadecimal.
fn shortened(digest: Sha256) -> String {
    let bytes = digest.finalize();
    bytes[..16].iter().map(|b| format!("{b:02x}")).collect()
}

/// Opens a text file after its byte order mark, if any.
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

/// Returns an error if two columns have the same name; columns without a name are ignored.
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
