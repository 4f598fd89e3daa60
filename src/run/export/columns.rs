//! Writing rows as Parquet columns.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parquet::basic::{Compression, ZstdLevel};
use parquet::data_type::{
    BoolType, ByteArray, ByteArrayType, DataType, DoubleType, FloatType, Int64Type,
};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::parser::parse_message_type;

use crate::run::{Result, RunError};

/// The type of a column's values. Every cell may be null.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// `i64`
    Integer,
    /// `u64`
    Unsigned,
    /// `f64`
    Number,
    /// `bool`
    Truth,
    /// UTF-8 text
    Text,
    /// A list of `i64`
    Integers,
    /// A list of `f64`
    Numbers,
    /// A list of `f32`
    Singles,
    /// A list of UTF-8
    Texts,
}

/// The value of one cell.
#[derive(Clone, Debug)]
pub enum Cell {
    /// A value of [`Kind::Integer`], or the bits of a [`Kind::Unsigned`] value
    Integer(Option<i64>),
    /// A value of [`Kind::Number`]
    Number(Option<f64>),
    /// A value of [`Kind::Truth`]
    Truth(Option<bool>),
    /// A value of [`Kind::Text`]
    Text(Option<String>),
    /// A value of [`Kind::Integers`]
    Integers(Option<Vec<i64>>),
    /// A value of [`Kind::Numbers`]
    Numbers(Option<Vec<f64>>),
    /// A value of [`Kind::Singles`]
    Singles(Option<Vec<f32>>),
    /// A value of [`Kind::Texts`]
    Texts(Option<Vec<String>>),
}

impl Kind {
    /// Returns the column's declaration in Parquet's schema language.
    fn declare(self, name: &str) -> String {
        let list = |element| {
            format!(
                "optional group {name} (LIST) {{ repeated group list {{ required {element}; }} }}"
            )
        };
        match self {
            Kind::Integer => format!("optional int64 {name};"),
            Kind::Unsigned => format!("optional int64 {name} (UINT_64);"),
            Kind::Number => format!("optional double {name};"),
            Kind::Truth => format!("optional boolean {name};"),
            Kind::Text => format!("optional binary {name} (UTF8);"),
            Kind::Integers => list("int64 element"),
            Kind::Numbers => list("double element"),
            Kind::Singles => list("float element"),
            Kind::Texts => list("binary element (UTF8)"),
        }
    }
}

/// Writes a Parquet file.
pub struct Writer {
    /// The final path, for messages.
    path: PathBuf,
    file: SerializedFileWriter<File>,
    rows: Vec<Vec<Cell>>,
}

impl Writer {
    /// Creates the file `name` in the folder `within`; its final folder is `folder`.
    pub fn new(
        folder: &Path,
        within: &Path,
        name: &str,
        columns: &[(&str, Kind)],
        manifest: &str,
    ) -> Result<Writer> {
        let path = folder.join(name);
        let columns = columns.iter().map(|(name, kind)| kind.declare(name));
        let schema = format!("message foveate {{ {} }}", columns.collect::<String>());
        let schema = parse_message_type(&schema).map_err(RunError::writing(&path))?;
        let key = KeyValue::new("foveate.run".to_string(), manifest.to_string());
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_key_value_metadata(Some(vec![key]))
            .build();
        let file = File::create(within.join(name)).map_err(RunError::writing(&path))?;
        let file = SerializedFileWriter::new(file, Arc::new(schema), Arc::new(properties));
        Ok(Writer {
            file: file.map_err(RunError::writing(&path))?,
            path,
            rows: Vec::new(),
        })
    }

    /// Adds a row to the buffer; [`Writer::flush`] writes it.
    pub fn row(&mut self, cells: Vec<Cell>) -> Result<()> {
        self.rows.push(cells);
        Ok(())
    }

    /// Writes the buffered rows as one row group.
    pub fn flush(&mut self) -> Result<()> {
        if self.rows.is_empty() {
            return Ok(());
        }
        let rows = std::mem::take(&mut self.rows);
        let failed = RunError::writing(&self.path);
        let mut group = self.file.next_row_group().map_err(&failed)?;
        let mut column = 0;
        while let Some(mut writer) = group.next_column().map_err(&failed)? {
            let cells = rows.iter().map(|row| &row[column]);
            write(&mut writer, cells).map_err(&failed)?;
            writer.close().map_err(&failed)?;
            column += 1;
        }
        group.close().map_err(&failed)?;
        Ok(())
    }

    /// Writes the remaining rows and closes the file.
    pub fn finish(mut self) -> Result<()> {
        self.flush()?;
        let finished = self.file.finish();
        finished.map(drop).map_err(RunError::writing(&self.path))
    }
}

type Written = parquet::errors::Result<()>;

/// Writes one column of a row group; all its cells are of one kind.
fn write<'a>(
    writer: &mut SerializedColumnWriter,
    cells: impl Iterator<Item = &'a Cell> + Clone,
) -> Written {
    let bytes = |text: &String| ByteArray::from(text.as_str());
    match cells.clone().next() {
        Some(Cell::Integer(_)) => scalars::<Int64Type>(
            writer,
            cells.map(|c| match c {
                Cell::Integer(v) => *v,
                _ => None,
            }),
        ),
        Some(Cell::Number(_)) => scalars::<DoubleType>(
            writer,
            cells.map(|c| match c {
                Cell::Number(v) => *v,
                _ => None,
            }),
        ),
        Some(Cell::Truth(_)) => scalars::<BoolType>(
            writer,
            cells.map(|c| match c {
                Cell::Truth(v) => *v,
                _ => None,
            }),
        ),
        Some(Cell::Text(_)) => scalars::<ByteArrayType>(
            writer,
            cells.map(|c| match c {
                Cell::Text(v) => v.as_ref().map(bytes),
                _ => None,
            }),
        ),
        Some(Cell::Integers(_)) => lists::<Int64Type>(
            writer,
            cells.map(|c| match c {
                Cell::Integers(v) => v.clone(),
                _ => None,
            }),
        ),
        Some(Cell::Numbers(_)) => lists::<DoubleType>(
            writer,
            cells.map(|c| match c {
                Cell::Numbers(v) => v.clone(),
                _ => None,
            }),
        ),
        Some(Cell::Singles(_)) => lists::<FloatType>(
            writer,
            cells.map(|c| match c {
                Cell::Singles(v) => v.clone(),
                _ => None,
            }),
        ),
        Some(Cell::Texts(_)) => lists::<ByteArrayType>(
            writer,
            cells.map(|c| match c {
                Cell::Texts(v) => v.as_ref().map(|texts| texts.iter().map(bytes).collect()),
                _ => None,
            }),
        ),
        None => Ok(()),
    }
}

fn scalars<T: DataType>(
    writer: &mut SerializedColumnWriter,
    cells: impl Iterator<Item = Option<T::T>>,
) -> Written {
    let (mut values, mut definitions) = (Vec::new(), Vec::new());
    for cell in cells {
        definitions.push(i16::from(cell.is_some()));
        values.extend(cell);
    }
    writer
        .typed::<T>()
        .write_batch(&values, Some(&definitions), None)?;
    Ok(())
}

/// Writes a column of lists. Definition levels: 0 null, 1 an empty list, 2 an element. Repetition
/// levels: 0 starts a cell, 1 continues it.
fn lists<T: DataType>(
    writer: &mut SerializedColumnWriter,
    cells: impl Iterator<Item = Option<Vec<T::T>>>,
) -> Written {
    let (mut values, mut definitions, mut repetitions) = (Vec::new(), Vec::new(), Vec::new());
    for cell in cells {
        let count = cell.as_ref().map_or(0, Vec::len);
        let empty = i16::from(cell.is_some());
        definitions.extend(std::iter::repeat_n(
            if count > 0 { 2 } else { empty },
            count.max(1),
        ));
        repetitions.extend((0..count.max(1)).map(|place| i16::from(place > 0)));
        values.extend(cell.into_iter().flatten());
    }
    writer
        .typed::<T>()
        .write_batch(&values, Some(&definitions), Some(&repetitions))?;
    Ok(())
}
