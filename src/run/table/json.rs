//! JSON: one object per line, or an array of objects. Either is read one object at a time.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::{Map, Value};

use super::{LONGEST_ROW, Row, Rows, Wanted, open};
use crate::run::files::too_long;
use crate::run::{BadRow, Result, RunError};

/// Checks whether a file is one array, rather than lines of objects.
pub fn is_array(path: &Path) -> Result<bool> {
    let mut file = open(path)?;
    let next = peek(&mut file, &mut 1).map_err(RunError::reading(path))?;
    Ok(next == Some(b'['))
}

/// Returns the columns that any row has, and the number of rows: non-blank lines, or the elements
/// of an array.
pub fn survey(path: &Path, array: bool) -> Result<(Vec<String>, usize)> {
    let (mut columns, mut rows) = (Map::new(), 0);
    let mut texts = Texts::open(path, array)?;
    while let Some((line, text)) = texts.next()? {
        rows += 1;
        match serde_json::from_slice::<Names>(&text) {
            Ok(row) => columns.extend(row.0.into_iter().map(|name| (name, Value::Null))),
            // After invalid JSON the next element of an array cannot be found.
            Err(error) if array && !error.is_data() => {
                return Err(texts.wrong(line, reason(&error)));
            }
            // An element that is not an object is an error of its row alone.
            Err(_) => {}
        }
    }
    Ok((columns.into_iter().map(|(name, _)| name).collect(), rows))
}

/// Reads the rows.
pub fn read(path: &Path, array: bool, wanted: Wanted) -> Result<Rows> {
    let mut texts = Texts::open(path, array)?;
    let mut number = 0..;
    Ok(Box::new(std::iter::from_fn(move || {
        loop {
            let (line, text) = match texts.next() {
                Ok(text) => text?,
                Err(error) => return Some(Err(error)),
            };
            let number = number.next()?;
            if wanted(number) {
                let row = row(&text);
                let row = row.map_err(|message| BadRow::new(format!("line {line}: {message}")));
                return Some(Ok((number, row)));
            }
        }
    })))
}

fn row(text: &[u8]) -> std::result::Result<Row, String> {
    match serde_json::from_slice(text) {
        Ok(Cells(cells)) => Ok(Row {
            cells,
            bytes: Vec::new(),
        }),
        Err(error) if error.is_data() => Err(match serde_json::from_slice::<Value>(text) {
            Ok(value) if !value.is_object() => {
                format!("expected a JSON object, found {}", kind(&value))
            }
            _ => reason(&error),
        }),
        Err(error) => Err(format!("not valid JSON: {}", reason(&error))),
    }
}

/// Returns the reason of an error, without the position within the row.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    text.strip_suffix(&place).unwrap_or(&text).to_string()
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

/// The names of an object's members, in order; their values are skipped.
struct Names(Vec<String>);

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Names, D::Error> {
        let mut names = Vec::new();
        let push = |name, _: IgnoredAny| {
            names.push(name);
            Ok(())
        };
        deserializer.deserialize_map(Members(push, PhantomData))?;
        Ok(Names(names))
    }
}

/// An object's members, with distinct names.
struct Cells(Map<String, Value>);

impl<'de> Deserialize<'de> for Cells {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Cells, D::Error> {
        let mut cells = Map::new();
        let insert = |name: String, value: Value| {
            if cells.contains_key(&name) {
                return Err(format!("the column {name:?} is there twice"));
            }
            cells.insert(name, value);
            Ok(())
        };
        deserializer.deserialize_map(Members(insert, PhantomData))?;
        Ok(Cells(cells))
    }
}

/// Calls a function with every member of an object, in order.
struct Members<F, V>(F, PhantomData<V>);

impl<'de, V, F> Visitor<'de> for Members<F, V>
where
    V: Deserialize<'de>,
    F: FnMut(String, V) -> std::result::Result<(), String>,
{
    type Value = ();

    fn expecting(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> std::result::Result<(), A::Error> {
        while let Some((name, value)) = map.next_entry()? {
            (self.0)(name, value).map_err(A::Error::custom)?;
        }
        Ok(())
    }
}

/// The rows of a file as text, each with the number of its first line.
struct Texts {
    path: PathBuf,
    file: BufReader<File>,
    array: bool,
    line: usize,
    begun: bool,
}

impl Texts {
    fn open(path: &Path, array: bool) -> Result<Texts> {
        Ok(Texts {
            file: open(path)?,
            path: path.to_path_buf(),
            array,
            line: 1,
            begun: false,
        })
    }

    fn wrong(&self, line: usize, found: String) -> RunError {
        RunError::Data {
            path: format!("{}: line {line}", self.path.display()),
            expected: "a JSON array of objects, or one object a line".into(),
            found,
        }
    }

    fn next(&mut self) -> Result<Option<(usize, Vec<u8>)>> {
        let next = if self.array {
            self.element()?
        } else {
            self.line()?
        };
        if let Some((line, text)) = &next
            && text.len() as u64 > LONGEST_ROW
        {
            return Err(self.wrong(*line, too_long("row", LONGEST_ROW).to_string()));
        }
        Ok(next)
    }

    /// Returns the next non-blank line.
    fn line(&mut self) -> Result<Option<(usize, Vec<u8>)>> {
        use std::io::Read;
        let mut text = Vec::new();
        loop {
            let mut file = (&mut self.file).take(LONGEST_ROW + 1);
            let read = file.read_until(b'\n', &mut text);
            if read.map_err(RunError::reading(&self.path))? == 0 {
                return Ok(None);
            }
            self.line += 1;
            if text.iter().any(|b| !b.is_ascii_whitespace()) {
                return Ok(Some((self.line - 1, text)));
            }
            text.clear();
        }
    }

    /// Returns the next element of the array, up to the comma or the bracket after it.
    fn element(&mut self) -> Result<Option<(usize, Vec<u8>)>> {
        let path = self.path.clone();
        let failed = RunError::reading(&path);
        let mark = peek(&mut self.file, &mut self.line).map_err(&failed)?;
        self.file.consume(1);
        let first = !self.begun;
        self.begun = true;
        match mark {
            Some(b'[') if first => {
                if peek(&mut self.file, &mut self.line).map_err(&failed)? == Some(b']') {
                    return self.element();
                }
            }
            Some(b',') => {}
            Some(b']') => {
                return match peek(&mut self.file, &mut self.line).map_err(&failed)? {
                    None => Ok(None),
                    Some(_) => Err(self.wrong(self.line, "more behind the array".into())),
                };
            }
            _ => return Err(self.wrong(self.line, "an array without an end".into())),
        }
        peek(&mut self.file, &mut self.line).map_err(&failed)?;
        let line = self.line;
        let (mut text, mut depth, mut quoted, mut escaped) = (Vec::new(), 0_u64, false, false);
        while let Some(&byte) = self.file.fill_buf().map_err(&failed)?.first() {
            match byte {
                _ if escaped => escaped = false,
                b'\\' if quoted => escaped = true,
                b'"' => quoted = !quoted,
                _ if quoted => {}
                b'[' | b'{' => depth += 1,
                b',' | b']' if depth == 0 => break,
                b']' | b'}' => depth = depth.saturating_sub(1),
                _ => {}
            }
            self.line += usize::from(byte == b'\n');
            text.push(byte);
            if text.len() as u64 > LONGEST_ROW {
                break;
            }
            self.file.consume(1);
        }
        Ok(Some((line, text)))
    }
}

/// Returns the next byte that is not white space, without consuming it.
fn peek(file: &mut impl BufRead, line: &mut usize) -> std::io::Result<Option<u8>> {
    loop {
        match file.fill_buf()?.first() {
            Some(byte) if byte.is_ascii_whitespace() => {
                *line += usize::from(*byte == b'\n');
                file.consume(1);
            }
            other => return Ok(other.copied()),
        }
    }
}

/// Returns the cells of a row, in order.
pub fn cells(names: &[String], values: impl Iterator<Item = Value>) -> Map<String, Value> {
    names.iter().cloned().zip(values).collect()
}
