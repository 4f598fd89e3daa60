//! JSON: one object a line, or an array of objects.

use std::io::{BufRead, Read};
use std::path::Path;
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
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

/// The columns that any row has, and the number of lines that are not blank.
pub fn survey(path: &Path) -> Result<(Vec<String>, usize)> {
    let (mut columns, mut rows) = (Map::new(), 0);
    let mut lines = Lines { file: open(path)? };
    while let Some(line) = lines.next().map_err(RunError::reading(path))? {
        rows += 1;
        // A line that is no object is that row's own matter.
        if let Ok(row) = serde_json::from_slice::<Names>(&line) {
            columns.extend(row.0.into_iter().map(|name| (name, Value::Null)));
        }
    }
    Ok((columns.into_iter().map(|(name, _)| name).collect(), rows))
}

/// The columns that any of these rows has.
pub fn columns(rows: &[Value]) -> Vec<String> {
    let mut columns = Map::new();
    for row in rows.iter().filter_map(Value::as_object) {
        columns.extend(row.keys().map(|name| (name.clone(), Value::Null)));
    }
    columns.into_iter().map(|(name, _)| name).collect()
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

/// The names of an object's members, in their order; what they hold is passed over.
struct Names(Vec<String>);

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Names, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Names;

            fn expecting(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(
                self,
                mut map: A,
            ) -> std::result::Result<Names, A::Error> {
                let mut names = Vec::new();
                while let Some((name, _)) = map.next_entry::<String, IgnoredAny>()? {
                    names.push(name);
                }
                Ok(Names(names))
            }
        }
        deserializer.deserialize_map(Members)
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
