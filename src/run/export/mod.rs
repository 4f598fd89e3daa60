//! Export of a run to two Parquet files: one row per sample, and one row per token.

mod columns;
#[cfg(test)]
pub(super) mod testing;

use std::path::Path;

use columns::Writer;
pub use columns::{Cell, Kind};

use super::{Explained, Record, Result, Run, RunError};
use crate::explain::{AnswerToken, Curves, Iteration, Mask};
use crate::system::whole::Staging;

/// Name of the file of samples.
pub(super) const SAMPLES: &str = "samples.parquet";
pub(super) const TOKENS: &str = "tokens.parquet";

/// Number of rows in a row group, which are held in memory.
const GROUP: usize = 1000;

const SAMPLE_COLUMNS: [(&str, Kind); 46] = [
    ("index", Kind::Integer),
    ("id", Kind::Text),
    ("question", Kind::Text),
    ("image", Kind::Text),
    ("width", Kind::Integer),
    ("height", Kind::Integer),
    ("category", Kind::Text),
    ("choices", Kind::Texts),
    ("right_text", Kind::Text),
    ("right_letter", Kind::Text),
    ("right_unclear", Kind::Text),
    ("boxes", Kind::Numbers),
    ("seed", Kind::Unsigned),
    ("prompt", Kind::Text),
    ("answer", Kind::Text),
    ("baseline_answer", Kind::Text),
    ("tokens", Kind::Integer),
    ("key_tokens", Kind::Integer),
    ("image_dependent", Kind::Truth),
    ("chosen", Kind::Text),
    ("correct", Kind::Truth),
    ("evaluations", Kind::Integer),
    ("objective_deletion", Kind::Numbers),
    ("objective_insertion", Kind::Numbers),
    ("objective_regulariser", Kind::Numbers),
    ("curve_fraction", Kind::Numbers),
    ("curve_deletion", Kind::Numbers),
    ("curve_insertion", Kind::Numbers),
    ("deletion_score", Kind::Number),
    ("insertion_score", Kind::Number),
    ("score_reason", Kind::Text),
    ("flipped", Kind::Truth),
    ("kept", Kind::Truth),
    ("removed_probability", Kind::Number),
    ("revealed_probability", Kind::Number),
    ("region_fraction", Kind::Number),
    ("region_probability", Kind::Number),
    ("mask_size", Kind::Integer),
    ("mask", Kind::Singles),
    ("error_cause", Kind::Text),
    ("error_message", Kind::Text),
    ("model", Kind::Text),
    ("evidence_size", Kind::Integers),
    ("evidence_counts", Kind::Integers),
    ("more_images", Kind::Texts),
    ("explained_images", Kind::Integers),
];

const TOKEN_COLUMNS: [(&str, Kind); 9] = [
    ("index", Kind::Integer),
    ("id", Kind::Text),
    ("token", Kind::Integer),
    ("token_id", Kind::Integer),
    ("text", Kind::Text),
    ("logp_image", Kind::Number),
    ("logp_baseline", Kind::Number),
    ("llr", Kind::Number),
    ("key", Kind::Truth),
];

/// The rows of a table of a run, and its columns.
#[derive(Clone, Debug)]
pub struct Table {
    /// Names and kinds of the columns.
    pub columns: &'static [(&'static str, Kind)],
    /// The rows, with a cell for each column.
    pub rows: Vec<Vec<Cell>>,
}

/// Reads a run as the table that [`export`] writes as `samples.parquet`: a row per sample, with its
/// mask.
///
/// # Errors
/// Returns an error if the run cannot be read.
pub fn samples(run: &Run) -> Result<Table> {
    let model = &run.manifest().model.name;
    let row = |record: Record| Ok(sample(&record, run.mask(&record)?.as_ref(), model));
    let rows = run.records()?.map(|record| row(record?));
    Ok(Table {
        columns: &SAMPLE_COLUMNS,
        rows: rows.collect::<Result<_>>()?,
    })
}

/// Reads a run as the table that [`export`] writes as `tokens.parquet`: a row per token of an
/// answer.
///
/// # Errors
/// Returns an error if the run cannot be read.
pub fn tokens(run: &Run) -> Result<Table> {
    let mut rows = Vec::new();
    for record in run.records()? {
        rows.extend(token_rows(&record?));
    }
    Ok(Table {
        columns: &TOKEN_COLUMNS,
        rows,
    })
}

/// The numbers of exported rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exported {
    /// Rows of `samples.parquet`.
    pub samples: usize,
    /// Rows of `tokens.parquet`.
    pub tokens: usize,
}

/// Writes `samples.parquet` and `tokens.parquet` into `folder`, which is created if it does not
/// exist. Both appear complete, or neither is written; files of an earlier export are removed
/// first, and `samples.parquet` appears last. Their metadata hold the run's manifest under
/// `foveate.run`.
///
/// # Errors
/// Returns an error if the run cannot be read or the folder cannot be written to.
pub fn export(run: &Run, folder: &Path) -> Result<Exported> {
    std::fs::create_dir_all(folder).map_err(RunError::writing(folder))?;
    let manifest = serde_json::to_string(run.manifest()).map_err(RunError::writing(folder))?;
    let staging = Staging::new(folder).map_err(RunError::writing(folder))?;
    let within = staging.path();
    let mut samples = Writer::new(folder, &within, SAMPLES, &SAMPLE_COLUMNS, &manifest)?;
    let mut tokens = Writer::new(folder, &within, TOKENS, &TOKEN_COLUMNS, &manifest)?;
    let mut exported = Exported {
        samples: 0,
        tokens: 0,
    };
    for record in run.records()? {
        let record = record?;
        let mask = run.mask(&record)?;
        samples.row(sample(&record, mask.as_ref(), &run.manifest().model.name))?;
        exported.samples += 1;
        for row in token_rows(&record) {
            tokens.row(row)?;
            exported.tokens += 1;
        }
        if exported.samples.is_multiple_of(GROUP) {
            samples.flush()?;
            tokens.flush()?;
        }
    }
    samples.finish()?;
    tokens.finish()?;
    let placed = [SAMPLES, TOKENS]
        .iter()
        .try_for_each(|name| staging.finish(name))
        .and_then(|()| staging.place(SAMPLES, &[SAMPLES, TOKENS]));
    placed.map_err(RunError::writing(folder))?;
    Ok(exported)
}

fn sample(record: &Record, mask: Option<&Mask>, model: &str) -> Vec<Cell> {
    let explained = record.explanation.as_ref();
    let curves = explained.and_then(|e| e.curves.as_ref());
    let test = explained.and_then(|e| e.faithfulness.as_ref());
    let right = record.right.as_ref();
    let error = record.error.as_ref();
    let evidence = record.evidence.as_ref();
    let curve = |values: fn(&Curves) -> &Vec<f64>| Cell::Numbers(curves.map(|c| values(c).clone()));
    let objective = |part: fn(&Iteration) -> f64| {
        Cell::Numbers(explained.map(|e| e.iterations.iter().map(part).collect()))
    };
    let count = |count: fn(&Explained) -> usize| integer(explained.map(count));
    vec![
        integer(Some(record.index)),
        text(Some(&record.id)),
        text(Some(&record.question)),
        text(Some(&record.image.path)),
        Cell::Integer(record.image.width.map(i64::from)),
        Cell::Integer(record.image.height.map(i64::from)),
        text(record.category.as_deref()),
        Cell::Texts((!record.choices.is_empty()).then(|| record.choices.clone())),
        text(right.and_then(|r| r.text.as_deref())),
        letter(right.and_then(|r| r.letter)),
        text(right.and_then(|r| r.unclear.as_deref())),
        Cell::Numbers((!record.boxes.is_empty()).then(|| record.boxes.concat())),
        // The bits of an unsigned number, as Parquet stores it.
        Cell::Integer(Some(record.seed as i64)),
        text(explained.map(|e| e.prompt.as_str())),
        text(explained.map(|e| e.answer.text.as_str())),
        text(explained.and_then(|e| e.baseline_answer.as_deref())),
        count(|e| e.answer.tokens.len()),
        count(|e| e.answer.tokens.iter().filter(|t| t.key).count()),
        Cell::Truth(explained.map(|e| e.image_dependent)),
        letter(record.judgement.and_then(|j| j.chosen)),
        Cell::Truth(record.judgement.map(|j| j.correct)),
        count(|e| e.evaluations),
        objective(|i| i.deletion),
        objective(|i| i.insertion),
        objective(|i| i.regulariser),
        curve(|c| &c.fraction),
        curve(|c| &c.deletion),
        curve(|c| &c.insertion),
        Cell::Number(curves.and_then(|c| c.deletion_score)),
        Cell::Number(curves.and_then(|c| c.insertion_score)),
        text(curves.and_then(|c| c.reason.as_deref())),
        Cell::Truth(test.map(|t| t.flipped)),
        Cell::Truth(test.map(|t| t.kept)),
        Cell::Number(test.map(|t| t.removed)),
        Cell::Number(test.map(|t| t.revealed)),
        Cell::Number(test.map(|t| t.region.fraction)),
        Cell::Number(test.map(|t| t.region.probability)),
        integer(mask.map(Mask::size)),
        Cell::Singles(mask.map(|m| m.values().iter().map(|&v| v as f32).collect())),
        text(error.map(|e| e.cause.to_string()).as_deref()),
        text(error.map(|e| e.message.as_str())),
        text(Some(model)),
        Cell::Integers(evidence.map(|e| e.size().map(|side| side as i64).to_vec())),
        Cell::Integers(evidence.map(|e| e.counts().iter().copied().map(i64::from).collect())),
        Cell::Texts((!record.more_images.is_empty()).then(|| {
            let paths = record.more_images.iter().map(|image| image.path.clone());
            paths.collect()
        })),
        Cell::Integers((!record.explained_images.is_empty()).then(|| {
            let numbers = record.explained_images.iter();
            numbers.map(|&number| number as i64).collect()
        })),
    ]
}

/// Returns the rows of the answer's tokens.
fn token_rows(record: &Record) -> impl Iterator<Item = Vec<Cell>> {
    let answer = record.explanation.iter().flat_map(|e| &e.answer.tokens);
    answer
        .enumerate()
        .map(|(place, token)| self::token(record, place, token))
}

fn token(record: &Record, place: usize, token: &AnswerToken) -> Vec<Cell> {
    vec![
        integer(Some(record.index)),
        text(Some(&record.id)),
        integer(Some(place)),
        Cell::Integer(Some(token.id.into())),
        text(Some(&token.text)),
        Cell::Number(Some(token.logp_image)),
        Cell::Number(Some(token.logp_baseline)),
        Cell::Number(Some(token.llr)),
        Cell::Truth(Some(token.key)),
    ]
}

fn integer(value: Option<usize>) -> Cell {
    Cell::Integer(value.and_then(|v| i64::try_from(v).ok()))
}

fn text(value: Option<&str>) -> Cell {
    Cell::Text(value.map(str::to_string))
}

fn letter(value: Option<char>) -> Cell {
    Cell::Text(value.map(String::from))
}
