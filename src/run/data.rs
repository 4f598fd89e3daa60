//! A data set: a table and what its columns mean.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::layout::{Ask, Columns, Layout, Reading, references, references_beside};
use super::table::{Table, fingerprint};
use super::{DataIdentity, Picked, Result, RunError, Shard};

/// How a data set is read.
#[derive(Clone, Debug, Default)]
pub struct DataOptions {
    /// Its layout; found from its columns where it is not given.
    pub layout: Option<Layout>,
    /// How questions that have options are asked.
    pub ask: Ask,
    /// The columns of a table of no known layout.
    pub columns: Columns,
}

/// A data set.
#[derive(Clone, Debug)]
pub struct Data {
    path: PathBuf,
    images: PathBuf,
    table: Table,
    layout: Layout,
    reading: Reading,
    /// Of the data, and of reference answers that are in a file of their own.
    fingerprint: String,
}

impl Data {
    /// Opens a data file. Its pictures lie below `images`, or beside it where that is not given.
    ///
    /// # Errors
    /// A file that cannot be read, is of no known format, has no rows, or lacks a column.
    pub fn open(path: &Path, images: Option<&Path>, options: DataOptions) -> Result<Data> {
        let table = Table::open(path)?;
        let layout = options
            .layout
            .unwrap_or_else(|| Layout::detect(&table.columns));
        let needed = layout.required(&options.columns);
        if let Some(missing) = needed.iter().find(|n| !table.columns.contains(n)) {
            return Err(RunError::Data {
                path: path.display().to_string(),
                expected: format!("a column {missing:?} (layout {layout})"),
                found: format!("columns {}", table.columns.join(", ")),
            });
        }
        let images = images
            .or(path.parent())
            .unwrap_or(Path::new(""))
            .to_path_buf();
        let mut data = Data {
            path: path.to_path_buf(),
            images,
            fingerprint: table.fingerprint.clone(),
            table,
            layout,
            reading: Reading {
                ask: options.ask,
                columns: options.columns,
                ..Reading::default()
            },
        };
        if let (Layout::LlavaBench, Some(beside)) = (layout, references_beside(path)) {
            let lines = std::fs::read_to_string(&beside).map_err(RunError::reading(&beside))?;
            data.reading.references = references(&lines);
            data.fingerprint = format!("{}+{}", data.fingerprint, fingerprint(&beside)?);
        }
        Ok(data)
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Rows.
    pub fn len(&self) -> usize {
        self.table.rows
    }

    /// Whether there are no rows; [`Data::open`] refuses such data.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The folder of the pictures.
    pub fn images(&self) -> &Path {
        &self.images
    }

    /// What tells these data from others.
    pub fn identity(&self) -> DataIdentity {
        let name = self.path.file_name().unwrap_or_default();
        DataIdentity {
            file: name.to_string_lossy().into_owned(),
            fingerprint: self.fingerprint.clone(),
            samples: self.len(),
            layout: self.layout,
            ask: self.reading.ask,
            columns: self.reading.columns.clone(),
        }
    }

    /// A shard's samples from its sample number `from` on, read as they are asked for.
    ///
    /// # Errors
    /// A file that cannot be read. So does the iterator; what is wrong with one row is in [`Picked`].
    pub fn samples(
        &self,
        shard: Shard,
        from: usize,
    ) -> Result<impl Iterator<Item = Result<Picked>>> {
        let first = shard.sample(from);
        let wanted = move |index| index >= first && shard.has(index);
        let rows = self.table.read(Arc::new(wanted))?;
        let (layout, reading) = (self.layout, self.reading.clone());
        Ok(rows.map(move |row| {
            let (index, row) = row?;
            let make = |row| layout.sample(&row, index, &reading);
            Ok(Picked {
                index,
                sample: row.and_then(make),
            })
        }))
    }
}
