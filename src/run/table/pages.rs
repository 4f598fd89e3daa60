//! Checks of a Parquet file's structure before its library allocates what the file asks for: the
//! depth of the schema, and the sizes and counts in the headers of all pages, compared with the
//! bytes in the file. Implements as much of Thrift's compact protocol as that needs.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use parquet::basic::Compression;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};

/// The deepest nesting of columns.
const DEEPEST: usize = 64;
/// The largest size of the metadata at a file's end, in bytes.
const LONGEST_FOOTER: u64 = 256 << 20;
/// The largest size of a page, decompressed, in bytes. Writers aim at one MiB; a page of pictures
/// has a few of them.
const LARGEST_PAGE: u64 = 1 << 30;
/// The largest number of values of a list column in a row group: all of them may be in one row.
const MOST_ELEMENTS: u64 = 1 << 26;
/// The sizes in bytes that are tried for a page's header; the last is the largest size allowed.
const LONGEST_HEADER: [u64; 2] = [1 << 12, 1 << 23];

type Checked<T> = std::result::Result<T, String>;

/// Checks that the schema in a file's footer is not nested too deeply to be read.
pub fn check_schema(file: &mut File) -> Checked<()> {
    let length = file.metadata().map_err(|e| e.to_string())?.len();
    let tail = bytes_at(file, length.saturating_sub(8), 8)?;
    let [a, b, c, d, magic @ ..] = &tail[..] else {
        return Err("fewer than 8 bytes".into());
    };
    let footer = u64::from(u32::from_le_bytes([*a, *b, *c, *d]));
    if magic != b"PAR1" {
        return Err("no PAR1 at its end".into());
    }
    if footer + 12 > length || footer > LONGEST_FOOTER {
        return Err(format!(
            "metadata of {footer} bytes at its end, of {length} in all"
        ));
    }
    let bytes = bytes_at(file, length - 8 - footer, footer)?;
    let mut compact = Compact { bytes: &bytes };
    // Number of children still to come, by level.
    let mut open: Vec<u32> = vec![1];
    let mut deep = false;
    let mut element = |compact: &mut Compact| {
        let mut children = 0;
        compact.fields(&mut |compact, id, kind| match (id, kind) {
            (5, I32) => {
                children = u32::try_from(compact.integer()?).ok()?;
                Some(())
            }
            _ => compact.skip(kind, DEEPEST),
        })?;
        while open.last() == Some(&0) {
            open.pop();
        }
        *open.last_mut()? -= 1;
        open.push(children);
        deep |= open.len() > DEEPEST;
        (!deep).then_some(())
    };
    let read = compact.fields(&mut |compact, id, kind| match (id, kind) {
        (2, LIST) => {
            let (count, kind) = compact.list()?;
            (kind == STRUCT).then_some(())?;
            (0..count).try_for_each(|_| element(compact))
        }
        _ => compact.skip(kind, DEEPEST),
    });
    match read {
        _ if deep => Err(format!("columns nested more than {DEEPEST} deep")),
        None => Err("metadata that end too soon".into()),
        Some(()) => Ok(()),
    }
}

/// Checks that every row group has its rows, and every page the size in its header.
pub fn check_pages(file: &mut File, metadata: &ParquetMetaData) -> Checked<()> {
    let length = file.metadata().map_err(|e| e.to_string())?.len();
    let mut rows = 0_u64;
    for (number, group) in metadata.row_groups().iter().enumerate() {
        let of_group = u64::try_from(group.num_rows());
        let of_group =
            of_group.map_err(|_| format!("row group {number} of {} rows", group.num_rows()))?;
        rows = rows.saturating_add(of_group);
        for column in group.columns() {
            let checked = check_chunk(file, length, column, of_group);
            checked.map_err(|found| {
                format!(
                    "row group {number}, column {}: {found}",
                    column.column_path()
                )
            })?;
        }
        if group.columns().is_empty() && of_group > 0 {
            return Err(format!(
                "row group {number} of {of_group} rows without columns"
            ));
        }
    }
    match metadata.file_metadata().num_rows() {
        all if u64::try_from(all) == Ok(rows) => Ok(()),
        all => Err(format!("{rows} rows in row groups, {all} in all")),
    }
}

fn check_chunk(
    file: &mut File,
    length: u64,
    column: &ColumnChunkMetaData,
    rows: u64,
) -> Checked<()> {
    let start = column
        .dictionary_page_offset()
        .unwrap_or(column.data_page_offset());
    let (start, size) = (
        u64::try_from(start),
        u64::try_from(column.compressed_size()),
    );
    let (Ok(start), Ok(size)) = (start, size) else {
        return Err("an offset or a size below 0".into());
    };
    let end = start.checked_add(size).filter(|&end| end <= length);
    let end =
        end.ok_or_else(|| format!("{size} bytes from byte {start} on, of {length} in all"))?;
    let repeated = column.column_descr().max_rep_level() > 0;
    let (mut at, mut values) = (start, 0_u64);
    while at < end {
        let (page, header) = header_at(file, at, end - at)?;
        let wrong = |found: String| format!("the page at byte {at}: {found}");
        let left = end - at - header;
        if page.compressed > left {
            return Err(wrong(format!("{} bytes, of {left} left", page.compressed)));
        }
        if page.uncompressed > LARGEST_PAGE
            || page.uncompressed > largest(page.compressed, column.compression())
        {
            return Err(wrong(format!(
                "{} bytes made of {}",
                page.uncompressed, page.compressed
            )));
        }
        // Every value of a dictionary takes at least one byte.
        if page.dictionary > page.uncompressed {
            return Err(wrong(format!(
                "a dictionary of {} values in {} bytes",
                page.dictionary, page.uncompressed
            )));
        }
        values = values.saturating_add(page.values);
        at += header + page.compressed;
    }
    if repeated && values > MOST_ELEMENTS {
        return Err(format!(
            "{values} elements of lists; smaller row groups are needed"
        ));
    }
    if values < rows {
        return Err(format!("{values} values for {rows} rows"));
    }
    Ok(())
}

/// Returns the largest size that `compressed` bytes can decompress to. Snappy has at most 64 bytes
/// for 3, LZ4 255 for 1, deflate 1032 for 1, and Zstandard a block of 128 KiB for 4.
fn largest(compressed: u64, compression: Compression) -> u64 {
    let ratio = match compression {
        Compression::UNCOMPRESSED => return u64::MAX,
        Compression::SNAPPY => 22,
        Compression::LZ4 | Compression::LZ4_RAW => 256,
        Compression::GZIP(_) => 1040,
        _ => 1 << 15,
    };
    compressed.saturating_add(64).saturating_mul(ratio)
}

/// The contents of a page's header.
#[derive(Default)]
struct Page {
    uncompressed: u64,
    compressed: u64,
    /// Number of values of a data page.
    values: u64,
    /// Number of values of a dictionary.
    dictionary: u64,
}

/// Returns the page whose header is at an offset of a file, and the header's length.
fn header_at(file: &mut File, at: u64, left: u64) -> Checked<(Page, u64)> {
    for most in LONGEST_HEADER {
        let bytes = bytes_at(file, at, left.min(most))?;
        let mut compact = Compact { bytes: &bytes };
        if let Some(page) = page(&mut compact) {
            return Ok((page, (bytes.len() - compact.bytes.len()) as u64));
        }
        if most >= left {
            break;
        }
    }
    Err(format!("the page at byte {at}: a header that cannot be"))
}

fn page(compact: &mut Compact) -> Option<Page> {
    let mut page = Page::default();
    let (mut values, mut dictionary) = (0, 0);
    let count = |into: &mut u64, compact: &mut Compact| {
        compact.fields(&mut |compact, id, kind| match (id, kind) {
            (1, I32) => {
                *into = u64::try_from(compact.integer()?).ok()?;
                Some(())
            }
            _ => compact.skip(kind, DEEPEST),
        })
    };
    compact.fields(&mut |compact, id, kind| {
        match (id, kind) {
            (2, I32) => page.uncompressed = u64::try_from(compact.integer()?).ok()?,
            (3, I32) => page.compressed = u64::try_from(compact.integer()?).ok()?,
            // Data pages of either version, and dictionaries.
            (5 | 8, STRUCT) => count(&mut values, compact)?,
            (7, STRUCT) => count(&mut dictionary, compact)?,
            _ => compact.skip(kind, DEEPEST)?,
        }
        Some(())
    })?;
    (page.values, page.dictionary) = (values, dictionary);
    Some(page)
}

fn bytes_at(file: &mut File, at: u64, count: u64) -> Checked<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = file
        .seek(SeekFrom::Start(at))
        .and_then(|_| file.take(count).read_to_end(&mut bytes));
    match read {
        Ok(read) if read as u64 == count => Ok(bytes),
        Ok(_) => Err("a file that ends too soon".into()),
        Err(error) => Err(error.to_string()),
    }
}

const I32: u8 = 5;
const LIST: u8 = 9;
const STRUCT: u8 = 12;

/// Reads Thrift's compact protocol. Methods return `None` for invalid input.
struct Compact<'a> {
    bytes: &'a [u8],
}

impl Compact<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (&first, rest) = self.bytes.split_first()?;
        self.bytes = rest;
        Some(first)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7F) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    fn integer(&mut self) -> Option<i64> {
        let value = self.varint()?;
        Some((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// Reads the length of a list, and the type of its elements.
    fn list(&mut self) -> Option<(u64, u8)> {
        let head = self.byte()?;
        match head >> 4 {
            15 => Some((self.varint()?, head & 15)),
            count => Some((count.into(), head & 15)),
        }
    }

    /// Calls `visit` for each field of a struct, with the field's number and type, to read its
    /// value.
    fn fields(&mut self, visit: &mut dyn FnMut(&mut Self, i64, u8) -> Option<()>) -> Option<()> {
        let mut id = 0_i64;
        loop {
            let head = self.byte()?;
            if head == 0 {
                return Some(());
            }
            id = match head >> 4 {
                0 => self.integer()?,
                more => id.checked_add(more.into())?,
            };
            visit(self, id, head & 15)?;
        }
    }

    fn skip(&mut self, kind: u8, deepest: usize) -> Option<()> {
        let deepest = deepest.checked_sub(1)?;
        match kind {
            // Boolean values are encoded in the field's type.
            1 | 2 => {}
            3 => drop(self.byte()?),
            4..=6 => drop(self.varint()?),
            7 => self.bytes = self.bytes.get(8..)?,
            8 => {
                let length = usize::try_from(self.varint()?).ok()?;
                self.bytes = self.bytes.get(length..)?;
            }
            LIST | 10 => {
                let (count, kind) = self.list()?;
                for _ in 0..count {
                    self.element(kind, deepest)?;
                }
            }
            11 => {
                let count = self.varint()?;
                let kinds = if count > 0 { self.byte()? } else { 0 };
                for _ in 0..count {
                    self.element(kinds >> 4, deepest)?;
                    self.element(kinds & 15, deepest)?;
                }
            }
            STRUCT => self.fields(&mut |compact, _, kind| compact.skip(kind, deepest))?,
            _ => return None,
        }
        Some(())
    }

    /// Skips an element of a list or a map, in which a boolean takes one byte.
    fn element(&mut self, kind: u8, deepest: usize) -> Option<()> {
        match kind {
            1 | 2 => self.byte().map(drop),
            kind => self.skip(kind, deepest),
        }
    }
}

#[cfg(test)]
mod tests;
