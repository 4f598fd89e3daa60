//! Apache Parquet, row by row.

use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::reader::{ReaderIter, TreeBuilder};
use parquet::record::{Field, Row as Record};
use parquet::schema::types::{SchemaDescriptor, Type};
use serde_json::{Map, Value, json};

use super::pages::{check_pages, check_schema};
use super::{Numbered, Row, Rows, Wanted, distinct};
use crate::run::{BadRow, Result, RunError};
use crate::system::panics::caught;
use crate::system::regular::open_regular;

/// Number of rows decoded at a time: pictures are large.
const BATCH: usize = 8;

fn reader(path: &Path) -> Result<SerializedFileReader<File>> {
    let mut file = open_regular(path).map_err(RunError::reading(path))?;
    check_schema(&mut file).map_err(wrong(path))?;
    let opened = caught(|| SerializedFileReader::new(file).map_err(|error| error.to_string()));
    opened.and_then(|opened| opened).map_err(wrong(path))
}

fn wrong(path: &Path) -> impl Fn(String) -> RunError {
    |found| RunError::Data {
        path: path.display().to_string(),
        expected: "a Parquet file".into(),
        found,
    }
}

/// Returns the columns, and the number of rows. Sizes and counts have been checked against the
/// file.
pub fn survey(path: &Path) -> Result<(Vec<String>, usize)> {
    let reader = reader(path)?;
    let mut file = open_regular(path).map_err(RunError::reading(path))?;
    let checked = caught(|| check_pages(&mut file, reader.metadata()));
    checked.and_then(|checked| checked).map_err(wrong(path))?;
    let metadata = reader.metadata().file_metadata();
    let fields = metadata.schema().get_fields();
    let columns: Vec<String> = fields.iter().map(|f| f.name().to_string()).collect();
    distinct(path, None, &columns)?;
    Ok((columns, usize::try_from(metadata.num_rows()).unwrap_or(0)))
}

/// Reads the rows with the named columns, or all. Row groups without a wanted row are not read.
pub fn read(path: &Path, wanted: Wanted, columns: Option<&[&str]>) -> Result<Rows> {
    let reader = reader(path)?;
    let schema = reader.metadata().file_metadata().schema();
    let fields = schema.get_fields().iter();
    let fields = fields.filter(|field| columns.is_none_or(|names| names.contains(&field.name())));
    let chosen = Type::group_type_builder(schema.name()).with_fields(fields.cloned().collect());
    let chosen = chosen
        .build()
        .map_err(|error| wrong(path)(error.to_string()))?;
    Ok(Box::new(Groups {
        path: path.to_path_buf(),
        columns: SchemaDescriptor::new(chosen.into()).into(),
        reader,
        wanted,
        next: 0,
        first: 0,
        rows: None,
        broken: String::new(),
        numbers: 0..0,
    }))
}

/// Reads the rows of several files one after the other; each has as many rows as are named.
pub fn read_all(files: Vec<(PathBuf, usize)>, wanted: Wanted, columns: Option<&[&str]>) -> Rows {
    let columns: Option<Vec<String>> =
        columns.map(|columns| columns.iter().map(|name| name.to_string()).collect());
    let mut next = 0_usize;
    Box::new(files.into_iter().flat_map(move |(path, rows)| {
        let first = next;
        next = next.saturating_add(rows);
        let wanted = wanted.clone();
        let within = move |number: usize| number < rows && wanted(first.saturating_add(number));
        if !(0..rows).any(&within) {
            return Box::new(std::iter::empty()) as Rows;
        }
        let columns: Option<Vec<&str>> = columns
            .as_ref()
            .map(|columns| columns.iter().map(String::as_str).collect());
        match read(&path, Arc::new(within), columns.as_deref()) {
            Ok(rows) => {
                Box::new(rows.map(move |row| row.map(|(number, row)| (first + number, row))))
            }
            Err(error) => Box::new(std::iter::once(Err(error))),
        }
    }))
}

/// An iterator over the rows of a file's row groups.
struct Groups {
    path: PathBuf,
    columns: Arc<SchemaDescriptor>,
    reader: SerializedFileReader<File>,
    wanted: Wanted,
    /// The next row group to read, and its first row.
    next: usize,
    first: usize,
    /// The rows of the current group, and their numbers. The remaining rows of a group that cannot
    /// be read further are `broken`.
    rows: Option<ReaderIter>,
    broken: String,
    numbers: Range<usize>,
}

/// Why a row could not be read: the library panicked, or the disk failed.
enum Fault {
    Row(String),
    Disk(String),
}

impl From<ParquetError> for Fault {
    fn from(error: ParquetError) -> Fault {
        let source = match &error {
            ParquetError::External(source) => source.downcast_ref::<std::io::Error>(),
            _ => None,
        };
        // A decompressor's error is of this kind too, but is not one of the system's.
        match source.and_then(std::io::Error::raw_os_error) {
            Some(_) => Fault::Disk(error.to_string()),
            None => Fault::Row(error.to_string()),
        }
    }
}

impl Iterator for Groups {
    type Item = Numbered;

    fn next(&mut self) -> Option<Numbered> {
        loop {
            let Some(number) = self.numbers.next() else {
                match self.open() {
                    Some(Ok(())) => continue,
                    Some(Err(error)) => return Some(Err(error)),
                    None => return None,
                }
            };
            let row = match &mut self.rows {
                Some(rows) => caught(|| rows.next())
                    .unwrap_or_else(|panic| Some(Err(ParquetError::General(panic)))),
                None => None,
            };
            let row = match row {
                Some(Ok(record)) => Ok(row_of(record)),
                Some(Err(error)) => match Fault::from(error) {
                    Fault::Disk(reason) => return Some(Err(RunError::reading(&self.path)(reason))),
                    Fault::Row(reason) => {
                        // The position of the next row is unknown now.
                        self.stop(reason);
                        Err(BadRow::new(self.broken.clone()))
                    }
                },
                None => {
                    if self.broken.is_empty() {
                        self.stop("fewer rows than it says".into());
                    }
                    Err(BadRow::new(self.broken.clone()))
                }
            };
            if (self.wanted)(number) {
                return Some(Ok((number, row)));
            }
        }
    }
}

impl Groups {
    /// Opens the next row group with a wanted row.
    fn open(&mut self) -> Option<Result<()>> {
        loop {
            if self.next == self.reader.num_row_groups() {
                return None;
            }
            let group = self.next;
            let count = self.reader.metadata().row_group(group).num_rows();
            let numbers = self.first
                ..self
                    .first
                    .saturating_add(usize::try_from(count).unwrap_or(0));
            self.next += 1;
            self.first = numbers.end;
            if !numbers.clone().any(|number| (self.wanted)(number)) {
                continue;
            }
            self.numbers = numbers;
            self.broken.clear();
            let opened = caught(|| {
                let opened = self.reader.get_row_group(group)?;
                let builder = TreeBuilder::new().with_batch_size(BATCH);
                builder.as_iter(self.columns.clone(), &*opened)
            });
            match opened {
                Ok(Ok(rows)) => self.rows = Some(rows),
                Ok(Err(error)) => match Fault::from(error) {
                    Fault::Disk(reason) => return Some(Err(RunError::reading(&self.path)(reason))),
                    Fault::Row(reason) => self.stop(reason),
                },
                Err(panic) => self.stop(panic),
            }
            return Some(Ok(()));
        }
    }

    /// Abandons the current row group.
    fn stop(&mut self, reason: String) {
        // The library's remaining state may also panic when dropped.
        let rows = self.rows.take();
        let _ = caught(move || drop(rows));
        self.broken = format!(
            "row group {}: cannot be read from here on: {reason}",
            self.next - 1
        );
    }
}

fn row_of(record: Record) -> Row {
    let mut row = Row::default();
    for (name, field) in record.into_columns() {
        // A list of one picture is read as a picture.
        let field = match field {
            Field::ListInternal(list)
                if list.elements().len() == 1 && is_bytes(&list.elements()[0]) =>
            {
                list.elements()[0].clone()
            }
            field => field,
        };
        match field {
            Field::ListInternal(list) if list.elements().iter().any(|f| picture(f).is_some()) => {
                // Of several pictures, all are bytes, or none is: a name beside bytes says nothing.
                let all: Option<Vec<_>> = list.elements().iter().map(picture).collect();
                let (names, pictures): (Vec<_>, Vec<_>) =
                    all.unwrap_or_default().into_iter().unzip();
                row.bytes
                    .extend(pictures.into_iter().map(|bytes| (name.clone(), bytes)));
                row.cells.insert(name, Value::Array(names));
            }
            Field::Bytes(bytes) => row.bytes.push((name, bytes.data().to_vec())),
            // The datasets library stores pictures as their bytes and their file name.
            Field::Group(group) if group.get_column_iter().any(|(name, _)| name == "bytes") => {
                let mut path = Value::Null;
                for (part, field) in group.into_columns() {
                    match field {
                        Field::Bytes(bytes) if part == "bytes" => {
                            row.bytes.push((name.clone(), bytes.data().to_vec()));
                        }
                        field if part == "path" => path = value(field),
                        _ => {}
                    }
                }
                row.cells.insert(name, path);
            }
            field => {
                row.cells.insert(name, value(field));
            }
        }
    }
    row
}

/// Returns the file name and the bytes of an element of a list that is a picture; text that is stored
/// as bytes is none.
fn picture(field: &Field) -> Option<(Value, Vec<u8>)> {
    let bytes = |field: &Field| match field {
        Field::Bytes(bytes) => Some(bytes.data().to_vec()),
        _ => None,
    };
    match field {
        Field::Bytes(_) => bytes(field)
            .filter(|bytes| !bytes.is_ascii())
            .map(|bytes| (Value::Null, bytes)),
        Field::Group(group) => {
            let part = |wanted: &str| {
                let mut parts = group.get_column_iter();
                parts
                    .find(|(name, _)| *name == wanted)
                    .map(|(_, part)| part)
            };
            let bytes = bytes(part("bytes")?)?;
            let name = part("path").map_or(Value::Null, |path| value(path.clone()));
            Some((name, bytes))
        }
        _ => None,
    }
}

fn is_bytes(field: &Field) -> bool {
    match field {
        Field::Bytes(_) => true,
        Field::Group(group) => group.get_column_iter().any(|(name, _)| name == "bytes"),
        _ => false,
    }
}

/// Converts a field to JSON. Bytes inside lists and groups are left out unless they are ASCII, as
/// the counts of a segmentation.
fn value(field: Field) -> Value {
    match field {
        Field::Bool(v) => json!(v),
        Field::Byte(v) => json!(v),
        Field::Short(v) => json!(v),
        Field::Int(v) | Field::Date(v) | Field::TimeMillis(v) => json!(v),
        Field::Long(v)
        | Field::TimeMicros(v)
        | Field::TimestampMillis(v)
        | Field::TimestampMicros(v) => json!(v),
        Field::UByte(v) => json!(v),
        Field::UShort(v) => json!(v),
        Field::UInt(v) => json!(v),
        Field::ULong(v) => json!(v),
        Field::Float16(v) => json!(v.to_f32()),
        Field::Float(v) => json!(v),
        Field::Double(v) => json!(v),
        Field::Str(v) => json!(v),
        Field::Bytes(bytes) => match bytes.as_utf8() {
            Ok(text) if text.is_ascii() => json!(text),
            _ => Value::Null,
        },
        Field::Null => Value::Null,
        Field::Decimal(_) => json!(field.to_string()),
        Field::ListInternal(list) => list.elements().iter().cloned().map(value).collect(),
        Field::Group(group) => {
            let members = group.into_columns().into_iter();
            Value::Object(
                members
                    .map(|(name, f)| (name, value(f)))
                    .collect::<Map<_, _>>(),
            )
        }
        Field::MapInternal(map) => {
            let entries = map.entries().iter();
            Value::Object(
                entries
                    .map(|(k, v)| (k.to_string(), value(v.clone())))
                    .collect(),
            )
        }
    }
}
