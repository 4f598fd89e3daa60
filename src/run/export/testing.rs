//! Parquet files for tests of readers.

use std::path::{Path, PathBuf};

use super::columns::{Cell, Kind, Writer};

/// Writes a file of text columns, `""` for null, in row groups of two rows.
pub fn parquet_of(folder: &Path, name: &str, columns: &[(&str, &[&str])]) -> PathBuf {
    let kinds: Vec<(&str, Kind)> = columns
        .iter()
        .map(|(name, _)| (*name, Kind::Text))
        .collect();
    let mut writer = Writer::new(folder, folder, name, &kinds, "").unwrap();
    for row in 0..columns[0].1.len() {
        let cells = columns.iter().map(|(_, texts)| texts[row]);
        let cell = |text: &str| Cell::Text((!text.is_empty()).then(|| text.to_string()));
        writer.row(cells.map(cell).collect()).unwrap();
        if row % 2 == 1 {
            writer.flush().unwrap();
        }
    }
    writer.finish().unwrap();
    folder.join(name)
}
