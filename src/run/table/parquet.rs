//! Apache Parquet, row by row.

use std::fs::File;
use std::path::Path;

use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::reader::TreeBuilder;
use parquet::record::{Field, Row as Record};
use serde_json::{Map, Value, json};

use super::{Row, Rows, Wanted};
use crate::run::{Result, RunError};

/// Rows that are decoded at a time: pictures are large.
const BATCH: usize = 8;

fn reader(path: &Path) -> Result<SerializedFileReader<File>> {
    let file = File::open(path).map_err(RunError::reading(path))?;
    SerializedFileReader::new(file).map_err(|error| RunError::Data {
        path: path.display().to_string(),
        expected: "a Parquet file".into(),
        found: error.to_string(),
    })
}

/// Columns, and the number of rows.
pub fn survey(path: &Path) -> Result<(Vec<String>, usize)> {
    let reader = reader(path)?;
    let metadata = reader.metadata().file_metadata();
    let fields = metadata.schema().get_fields();
    let columns = fields.iter().map(|f| f.name().to_string()).collect();
    Ok((columns, usize::try_from(metadata.num_rows()).unwrap_or(0)))
}

/// The rows. Row groups of which none is wanted are not read.
pub fn read(path: &Path, wanted: Wanted) -> Result<Rows> {
    let reader = reader(path)?;
    let path = path.to_path_buf();
    let groups = reader.num_row_groups();
    let mut first = 0;
    let mut group = 0;
    let mut rows = None;
    Ok(Box::new(std::iter::from_fn(move || {
        loop {
            if let Some((records, number)) = &mut rows {
                let records: &mut parquet::record::reader::ReaderIter = records;
                let number: &mut std::ops::Range<usize> = number;
                while let (Some(record), Some(number)) = (records.next(), number.next()) {
                    if wanted(number) {
                        let row = record.map(|r| (number, Ok(row(r))));
                        return Some(row.map_err(RunError::reading(&path)));
                    }
                }
                rows = None;
            }
            while rows.is_none() {
                if group == groups {
                    return None;
                }
                let opened = match reader.get_row_group(group) {
                    Ok(opened) => opened,
                    Err(error) => return Some(Err(RunError::reading(&path)(error))),
                };
                let count = usize::try_from(opened.metadata().num_rows()).unwrap_or(0);
                let numbers = first..first + count;
                group += 1;
                first += count;
                if numbers.clone().any(|number| wanted(number)) {
                    let schema = reader.metadata().file_metadata().schema_descr_ptr();
                    let builder = TreeBuilder::new().with_batch_size(BATCH);
                    match builder.as_iter(schema, &*opened) {
                        Ok(records) => rows = Some((records, numbers)),
                        Err(error) => return Some(Err(RunError::reading(&path)(error))),
                    }
                }
            }
        }
    })))
}

fn row(record: Record) -> Row {
    let mut row = Row::default();
    for (name, field) in record.into_columns() {
        match field {
            Field::Bytes(bytes) => row.bytes.push((name, bytes.data().to_vec())),
            // How the datasets library stores pictures: their bytes, and what the file was called.
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

/// A field as JSON. Bytes inside lists and groups are left out.
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
        Field::Null | Field::Bytes(_) => Value::Null,
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
