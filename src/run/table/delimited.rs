//! CSV and TSV, quoted according to RFC 4180; the first line names the columns.

use std::io::{BufRead, Seek, SeekFrom};
use std::path::Path;

use csv::{ByteRecord, ReaderBuilder};
use serde_json::Value;

use super::json::cells;
use super::{LONGEST_ROW, Row, Rows, Wanted, distinct, open};
use crate::run::files::too_long;
use crate::run::{BadRow, Result, RunError};

/// The largest number of columns.
const MOST_COLUMNS: usize = 10_000;

type Reader = csv::Reader<std::io::BufReader<std::fs::File>>;

fn reader(path: &Path, delimiter: u8) -> Result<Reader> {
    Ok(builder(delimiter).from_reader(open(path)?))
}

fn builder(delimiter: u8) -> ReaderBuilder {
    // Records of another length are read, so that one of them does not hide the rest; they are
    // refused below.
    let mut builder = ReaderBuilder::new();
    builder.delimiter(delimiter).flexible(true);
    builder
}

/// Returns the columns, and the number of records.
pub fn survey(path: &Path, delimiter: u8) -> Result<(Vec<String>, usize)> {
    check(path, delimiter)?;
    let mut reader = reader(path, delimiter)?;
    let columns = columns(&mut reader, path)?;
    distinct(path, Some(1), &columns)?;
    let (mut record, mut rows) = (ByteRecord::new(), 0);
    while reader
        .read_byte_record(&mut record)
        .map_err(RunError::reading(path))?
    {
        rows += 1;
    }
    Ok((columns, rows))
}

/// Checks that every quoted field that continues beyond its line ends properly, with a quote before
/// a delimiter or a line end, and that no row is too long. An unclosed quote takes the rows below
/// into its field, up to the next quote or the end of the file.
fn check(path: &Path, delimiter: u8) -> Result<()> {
    enum At {
        Start,
        Plain,
        /// Inside quotes that began on this line.
        Quoted(usize),
        /// After a quote inside quotes: their end, or the first half of an escaped quote.
        Quote(usize),
    }
    let mut file = open(path)?;
    let (mut at, mut line, mut row, mut long, mut after_return) = (At::Start, 1, 1, 0_u64, false);
    let wrong = |line: usize, expected: &str, found: String| RunError::Data {
        path: format!("{}: line {line}", path.display()),
        expected: expected.into(),
        found,
    };
    const QUOTED: &str =
        "a quoted field that ends with a quote before a delimiter or the end of its line";
    loop {
        let bytes = file.fill_buf().map_err(RunError::reading(path))?;
        if bytes.is_empty() {
            break;
        }
        for &byte in bytes {
            let ends = matches!(byte, b'\r' | b'\n');
            // A carriage return and a line feed together end one line.
            line += usize::from(ends && !(byte == b'\n' && after_return));
            after_return = byte == b'\r';
            at = match at {
                At::Start if byte == b'"' => At::Quoted(line),
                At::Quoted(from) if byte == b'"' => At::Quote(from),
                At::Quoted(from) => At::Quoted(from),
                At::Quote(from) if byte == b'"' => At::Quoted(from),
                _ if byte == delimiter || ends => At::Start,
                At::Quote(from) if from < line => {
                    return Err(wrong(
                        from,
                        QUOTED,
                        format!("one that goes on behind a quote in line {line}"),
                    ));
                }
                _ => At::Plain,
            };
            long += 1;
            if ends && matches!(at, At::Start) {
                (long, row) = (0, line);
            } else if long > LONGEST_ROW {
                return Err(wrong(row, "rows", too_long("row", LONGEST_ROW).to_string()));
            }
        }
        let read = bytes.len();
        file.consume(read);
    }
    match at {
        At::Quoted(from) => Err(wrong(
            from,
            QUOTED,
            "no such quote up to the end of the file".into(),
        )),
        _ => Ok(()),
    }
}

fn columns(reader: &mut Reader, path: &Path) -> Result<Vec<String>> {
    let header = reader.headers().map_err(RunError::reading(path))?;
    if header.len() > MOST_COLUMNS {
        return Err(RunError::Data {
            path: path.display().to_string(),
            expected: format!("at most {MOST_COLUMNS} columns"),
            found: header.len().to_string(),
        });
    }
    Ok(header.iter().map(|name| name.trim().to_string()).collect())
}

/// Reads the records.
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

/// Calls a function with every record and its place, in bytes from the file's start.
pub fn each(path: &Path, delimiter: u8, mut with: impl FnMut(u64, &ByteRecord)) -> Result<()> {
    let start = open(path)?
        .stream_position()
        .map_err(RunError::reading(path))?;
    let mut reader = reader(path, delimiter)?;
    let mut record = ByteRecord::new();
    while reader
        .read_byte_record(&mut record)
        .map_err(RunError::reading(path))?
    {
        let place = record.position().map_or(0, |position| position.byte());
        with(start + place, &record);
    }
    Ok(())
}

/// Reads the record at a place that [`each`] found.
pub fn at(
    path: &Path,
    delimiter: u8,
    columns: &[String],
    place: u64,
) -> Result<std::result::Result<Row, BadRow>> {
    let mut file = open(path)?;
    file.seek(SeekFrom::Start(place))
        .map_err(RunError::reading(path))?;
    let mut record = ByteRecord::new();
    let mut reader = builder(delimiter).has_headers(false).from_reader(file);
    let read = reader.read_byte_record(&mut record);
    read.map_err(RunError::reading(path))?;
    Ok(row(columns, &record))
}

fn row(columns: &[String], record: &ByteRecord) -> std::result::Result<Row, BadRow> {
    let line = record.position().map_or(0, |position| position.line());
    if record.len() != columns.len() {
        return Err(BadRow::new(format!(
            "line {line}: expected {} fields, one for each column, found {}",
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
        Err(_) => Err(BadRow::new(format!("line {line}: not valid UTF-8"))),
    }
}
