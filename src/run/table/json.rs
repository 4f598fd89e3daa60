//! JSON: one object a line, or an array of objects.

use std::io::{BufRead, Read};
use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::{Numbered, Row, Rows, Wanted, open};
use crate::run::{BadRow, Result, RunError};

/// The rows of a file that is one array of objects; `None` for a file that begins otherwise, as one of lines does.
pub fn array(path: &Path) -> Result<Option<Vec<Value>>> {
    let mut file = open(path)?;
    let mut text = String::new();
    let start = file.fill_buf().map_err(RunError::reading(path))?;
    if start.iter().find(|b| !b.is_ascii_whitespace()) != Some(&b'[') {
        return Ok(None);
    }
    file.read_to_string(&mut text)
        .map_err(RunError::reading(path))?;
    match serde_json::from_str(&text) {
        Ok(rows) => Ok(Some(rows)),
        Err(error) => Err(RunError::Data {
            path: path.display().to_string(),
            expected: "a JSON array of objects, or one object a line".into(),
            found: error.to_string(),
        }),
    }
}

/// The first row's columns, and the number of lines that are not blank.
pub fn survey(path: &Path) -> Result<(Vec<String>, usize)> {
    let (mut columns, mut rows) = (None, 0);
    let mut lines = Lines { file: open(path)? };
    while let Some(line) = lines.next().map_err(RunError::reading(path))? {
        rows += 1;
        columns.get_or_insert_with(|| self::columns(serde_json::from_slice(&line).ok().as_ref()));
    }
    Ok((columns.unwrap_or_default(), rows))
}

/// The names of an object's members.
pub fn columns(row: Option<&Value>) -> Vec<String> {
    let members = row.and_then(Value::as_object);
    members.map_or_else(Vec::new, |m| m.keys().cloned().collect())
}

/// The rows of a file of lines.
pub fn lines(path: &Path, wanted: Wanted) -> Result<Rows> {
    let mut lines = Lines { file: open(path)? };
    let path = path.to_path_buf();
    let mut number = 0..;
    Ok(Box::new(std::iter::from_fn(move || {
        loop {
            let line = match lines.next() {
                Ok(line) => line?,
                Err(error) => return Some(Err(RunError::reading(&path)(error))),
            };
            let number = number.next()?;
            if wanted(number) {
                let row = match serde_json::from_slice(&line) {
                    Ok(value) => row(value),
                    Err(error) => Err(BadRow::new(format!("not valid JSON: {error}"))),
                };
                return Some(Ok((number, row)));
            }
        }
    })))
}

/// The rows of an array.
pub fn items(rows: Arc<Vec<Value>>, wanted: Wanted) -> Rows {
    let wanted = (0..rows.len()).filter(move |&number| wanted(number));
    Box::new(wanted.map(move |number| -> Numbered { Ok((number, row(rows[number].clone()))) }))
}

fn row(value: Value) -> std::result::Result<Row, BadRow> {
    match value {
        Value::Object(cells) => Ok(Row {
            cells,
            bytes: Vec::new(),
        }),
        other => Err(BadRow::new(format!(
            "expected a JSON object, found {}",
            kind(&other)
        ))),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// Lines that are not blank.
struct Lines<R> {
    file: R,
}

impl<R: BufRead> Lines<R> {
    fn next(&mut self) -> std::io::Result<Option<Vec<u8>>> {
        let mut line = Vec::new();
        while self.file.read_until(b'\n', &mut line)? > 0 {
            if line.iter().any(|b| !b.is_ascii_whitespace()) {
                return Ok(Some(line));
            }
            line.clear();
        }
        Ok(None)
    }
}

/// Cells of a row, in order.
pub fn cells(names: &[String], values: impl Iterator<Item = Value>) -> Map<String, Value> {
    names.iter().cloned().zip(values).collect()
}
