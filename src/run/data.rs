//! A data set: a table with the meaning of its columns.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::files::read_text;
use super::hub::{HubSplit, split_of};
use super::layout::{AnswerFormat, Ask, Columns, Layout, Reading, references, references_beside};
use super::table::{Table, fingerprint};
use super::{BadRow, DataIdentity, ImageFolder, Picked, Result, RunError, Sample, Shard};

/// The largest size of all texts of a sample together, in bytes; its record holds them too.
const LONGEST_TEXTS: usize = 4 << 20;
/// The largest size of a file of reference answers, in bytes.
const LONGEST_REFERENCES: u64 = 256 << 20;

/// Options for reading a data set.
#[derive(Clone, Debug, Default)]
pub struct DataOptions {
    /// The layout; detected from the columns if `None`.
    pub layout: Option<Layout>,
    /// How questions that have options are asked.
    pub ask: Ask,
    /// The columns of a table of no known layout.
    pub columns: Columns,
    /// The configuration of a folder of the Hugging Face hub, if there are several.
    pub config: Option<String>,
    /// The split of a folder of the Hugging Face hub, if there are several.
    pub split: Option<String>,
    /// Whether names of pictures may lead out of their folder.
    pub images_anywhere: bool,
}

/// A data set.
#[derive(Clone, Debug)]
pub struct Data {
    path: PathBuf,
    images: ImageFolder,
    table: Table,
    /// The split of a folder of the hub.
    split: Option<HubSplit>,
    layout: Layout,
    reading: Reading,
    /// Digest of the data, and of reference answers in a separate file.
    fingerprint: String,
}

impl Data {
    /// Opens a data file, or a folder of Parquet files as published on the Hugging Face hub. Its
    /// pictures are in `images`, or, if that is `None`, beside the file or in the folder.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read, has an unknown format, has no rows, or lacks a
    /// column; if a folder has several configurations or splits of which none is chosen, or one of
    /// a file is.
    pub fn open(path: &Path, images: Option<&Path>, options: DataOptions) -> Result<Data> {
        let (table, split) = open(path, &options)?;
        let layout = options
            .layout
            .unwrap_or_else(|| Layout::of(&table, &options.columns));
        if let (Some(column), false) = (&options.columns.evidence, layout == Layout::Table) {
            return Err(RunError::Data {
                path: path.display().to_string(),
                expected: format!("--layout table for the column of the evidence, {column:?}"),
                found: format!("layout {layout}"),
            });
        }
        let needed = layout.required(&options.columns);
        if let Some(missing) = needed.iter().find(|n| !table.columns.contains(n)) {
            return Err(RunError::Data {
                path: path.display().to_string(),
                expected: format!("a column {missing:?} (layout {layout})"),
                found: format!("columns {}", table.columns.join(", ")),
            });
        }
        let own = match split {
            Some(_) => Some(path),
            None => path.parent(),
        };
        let images = images.or(own).unwrap_or(Path::new(""));
        let images = ImageFolder::new(images, options.images_anywhere);
        let answers = layout.answers(&table, &options.columns)?;
        let shared = layout.shared(&table)?;
        let mut data = Data {
            path: path.to_path_buf(),
            images,
            fingerprint: table.fingerprint.clone(),
            table,
            split,
            layout,
            reading: Reading {
                ask: options.ask,
                columns: options.columns,
                answers,
                shared,
                ..Reading::default()
            },
        };
        if data.split.is_none()
            && let (Layout::LlavaBench, Some(beside)) = (layout, references_beside(path))
        {
            let lines =
                read_text(&beside, LONGEST_REFERENCES).map_err(RunError::reading(&beside))?;
            let lines = lines.strip_prefix('\u{feff}').unwrap_or(&lines);
            data.reading.references = references(lines);
            data.fingerprint = format!("{}+{}", data.fingerprint, fingerprint(&beside)?);
        }
        Ok(data)
    }

    /// Returns the path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the number of rows.
    pub fn len(&self) -> usize {
        self.table.rows
    }

    /// Returns whether there are no rows; [`Data::open`] refuses such data.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the folder of the pictures.
    pub fn images(&self) -> &ImageFolder {
        &self.images
    }

    /// Returns a note for the user about how the data are read: that right answers are indices.
    pub fn note(&self) -> Option<String> {
        let from = match self.reading.answers {
            AnswerFormat::Index => 0,
            AnswerFormat::Number => 1,
            _ => return None,
        };
        self.reading.columns.answers.is_auto().then(|| {
            format!(
                "right answers are taken for numbers of options, from {from} on; \
                 else give --answer-format"
            )
        })
    }

    /// Returns the values that identify these data.
    pub fn identity(&self) -> DataIdentity {
        // A folder may be given as `.`.
        let whole = self
            .split
            .as_ref()
            .and_then(|_| self.path.canonicalize().ok());
        let path = whole.as_ref().unwrap_or(&self.path);
        let name = path.file_name().unwrap_or_default();
        DataIdentity {
            file: name.to_string_lossy().into_owned(),
            split: self.split.clone(),
            fingerprint: self.fingerprint.clone(),
            samples: self.len(),
            layout: self.layout,
            ask: self.reading.ask,
            columns: self.reading.columns.clone(),
        }
    }

    /// Returns a shard's samples from its sample number `from` on, read lazily.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read; so does the iterator. Errors in a single row
    /// are in [`Picked`].
    pub fn samples(
        &self,
        shard: Shard,
        from: usize,
    ) -> Result<impl Iterator<Item = Result<Picked>>> {
        // No sample lies beyond the largest number.
        let first = shard.sample(from);
        let wanted = move |index| first.is_some_and(|first| index >= first) && shard.has(index);
        let rows = self.table.read(Arc::new(wanted))?;
        let (layout, reading) = (self.layout, self.reading.clone());
        Ok(rows.map(move |row| {
            let (index, row) = row?;
            let make = |row| layout.sample(&row, index, &reading).and_then(short);
            Ok(Picked {
                index,
                sample: row.and_then(make),
            })
        }))
    }
}

/// Opens a file or a split of a folder.
fn open(path: &Path, options: &DataOptions) -> Result<(Table, Option<HubSplit>)> {
    let (config, split) = (options.config.as_deref(), options.split.as_deref());
    if path.is_dir() {
        let found = split_of(path, config, split)?;
        let table = Table::open_all(path, &found.files)?;
        return Ok((table, Some(found.name)));
    }
    let table = Table::open(path)?;
    match config.or(split) {
        None => Ok((table, None)),
        Some(name) => Err(RunError::Data {
            path: path.display().to_string(),
            expected: format!("a folder, of which {name:?} is a configuration or a split"),
            found: "a file".into(),
        }),
    }
}

/// Returns an error for a sample with more text than a record should hold.
fn short(sample: Sample) -> std::result::Result<Sample, BadRow> {
    let right = sample.right.iter();
    let right = right.flat_map(|right| right.text.iter().chain(&right.others));
    let texts = [&sample.id, &sample.question].into_iter();
    let texts = texts.chain(&sample.choices).chain(right);
    let texts = texts.chain(&sample.category).chain(&sample.answer);
    match texts.map(String::len).sum() {
        0..=LONGEST_TEXTS => Ok(sample),
        found => Err(BadRow::new(format!(
            "expected texts of at most {LONGEST_TEXTS} bytes in all, found {found}"
        ))),
    }
}
