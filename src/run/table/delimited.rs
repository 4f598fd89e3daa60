//! CSV and TSV, quoted as RFC 4180 says; the first line names the columns.

use std::path::Path;

use csv::{ByteRecord, ReaderBuilder};
use serde_json::Value;

use super::json::cells;
use super::{Row, Rows, Wanted, open};
use crate::run::{BadRow, Result, RunError};

type Reader = csv::Reader<std::io::BufReader<std::fs::File>>;

fn reader(path: &Path, delimiter: u8) -> Result<Reader> {
    // Records of another length are taken as they come, so that one of them does not hide the rest; they are refused below.
    let mut builder = ReaderBuilder::new();
    builder.delimiter(delimiter).flexible(true);
    Ok(builder.from_reader(open(path)?))
}

/// Columns, and the number of records.
pub fn survey(path: &Path, delimiter: u8) -> Result<(Vec<String>, usize)> {
    let mut reader = reader(path, delimiter)?;
    let columns = columns(&mut reader, path)?;
    let (mut record, mut rows) = (ByteRecord::new(), 0);
    while reader
        .read_byte_record(&mut record)
        .map_err(RunError::reading(path))?
    {
        rows += 1;
    }
    Ok((columns, rows))
}

fn columns(reader: &mut Reader, path: &Path) -> Result<Vec<String>> {
    let header = reader.headers().map_err(RunError::reading(path))?;
    Ok(header.iter().map(|name| name.trim().to_string()).collect())
}

/// The records.
pub fn read(path: &Path, delimiter: u8, wanted: Wanted) -> Result<Rows> {
    let mut reader = reader(path, delimiter)?;
    let columns = columns(&mut reader, path)?;
    let path = path.to_path_buf();
    let mut number = 0..;
    let mut record = ByteRecord::new();
    Ok(Box::new(std::iter::from_fn(move || {
        loop {
            match reader.read_byte_record(&mut record) {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => return Some(Err(RunError::reading(&path)(error))),
            }
            let number = number.next()?;
            if wanted(number) {
                return Some(Ok((number, row(&columns, &record))));
            }
        }
    })))
}

fn row(columns: &[String], record: &ByteRecord) -> std::result::Result<Row, BadRow> {
    if record.len() != columns.len() {
        return Err(BadRow::new(format!(
            "expected {} fields, one for each column, found {}",
            columns.len(),
            record.len()
        )));
    }
    let text = |field: &[u8]| String::from_utf8(field.to_vec()).map(Value::String);
    let values: std::result::Result<Vec<Value>, _> = record.iter().map(text).collect();
    match values {
        Ok(values) => Ok(Row {
            cells: cells(columns, values.into_iter()),
            bytes: Vec::new(),
        }),
        Err(_) => Err(BadRow::new("not valid UTF-8")),
    }
}
