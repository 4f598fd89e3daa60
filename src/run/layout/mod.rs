//! The meaning of a data set's columns: a general table, or a benchmark as published.

mod answers;
mod choices;
mod columns;
mod cv_bench;
mod literal;
mod llava_bench;
mod mmstar;
mod mmvp;
#[cfg(test)]
mod tests;
mod vlmevalkit;

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::table::{Keyed, Row, Table};
use super::{BadRow, Sample, Source};

pub use answers::AnswerFormat;
pub use choices::letter;
pub use columns::{BoxFormat, Columns};
pub use llava_bench::{references, references_beside};

/// The result of reading a row.
type SampleResult = Result<Sample, BadRow>;

/// How questions that have options are asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ask {
    /// Without the options.
    #[default]
    Open,
    /// With the options, to be answered by a letter.
    Choice,
}

/// The settings for reading a row.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// How questions that have options are asked.
    pub ask: Ask,
    /// The columns of a table.
    pub columns: Columns,
    /// The format of a table's right answers, detected from all rows if the columns do not
    /// determine it.
    pub answers: AnswerFormat,
    /// Reference answers from a separate file, by sample.
    pub references: HashMap<String, String>,
    /// The rows whose pictures other rows refer to, of VLMEvalKit's data.
    pub shared: Option<Keyed>,
}

/// The layout of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// A general table, whose columns are named by options.
    Table,
    /// MMVP: `Questions.csv` and a folder of pictures (arXiv 2401.06209).
    Mmvp,
    /// CV-Bench, in JSON lines or Parquet (arXiv 2406.16860).
    CvBench,
    /// MMStar, in Parquet or TSV (arXiv 2403.20330).
    Mmstar,
    /// LLaVA-Bench, in the wild or COCO, in JSON lines (arXiv 2304.08485).
    LlavaBench,
    /// A TSV of VLMEvalKit (arXiv 2407.11691), of any of its data sets about pictures.
    Vlmevalkit,
}

impl Layout {
    /// Detects the layout of a table. A TSV of which no column is named is VLMEvalKit's if it has
    /// that program's columns.
    pub fn of(table: &Table, named: &Columns) -> Layout {
        let any = table.is_tsv() && *named == Columns::default();
        match Layout::detect(&table.columns) {
            Layout::Table if any && vlmevalkit::has_columns(&table.columns) => Layout::Vlmevalkit,
            layout => layout,
        }
    }

    /// Detects the layout of a file with these columns.
    pub fn detect(columns: &[String]) -> Layout {
        let has = |names: &[&str]| names.iter().all(|n| columns.iter().any(|c| c == n));
        // The published file names its first column `lndex`, with an l.
        if has(&["Question", "Options", "Correct Answer"]) {
            Layout::Mmvp
        } else if has(&["idx", "task", "choices", "prompt", "source_dataset"]) {
            Layout::CvBench
        } else if has(&["index", "question", "image", "answer", "l2_category"]) {
            Layout::Mmstar
        } else if has(&["question_id", "image", "text"])
            || has(&["question_id", "image", "gpt_answer"])
        {
            Layout::LlavaBench
        } else {
            Layout::Table
        }
    }

    /// Returns the columns that every sample requires.
    pub fn required(self, columns: &Columns) -> Vec<String> {
        let fixed = |names: &[&str]| names.iter().map(|n| n.to_string()).collect();
        match self {
            Layout::Table => columns.required(),
            Layout::Mmvp => fixed(&["Question", "Options", "Correct Answer"]),
            Layout::CvBench => fixed(&["question", "choices", "answer", "prompt"]),
            Layout::Mmstar => fixed(&["question", "image", "answer"]),
            Layout::LlavaBench => fixed(&["image"]),
            Layout::Vlmevalkit => fixed(&["index", "question"]),
        }
    }

    /// Returns the format of a file's right answers, detecting it if the columns do not determine
    /// it.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read.
    pub fn answers(self, table: &Table, columns: &Columns) -> super::Result<AnswerFormat> {
        match self {
            Layout::Table => columns.answers_of(table),
            _ => Ok(AnswerFormat::Auto),
        }
    }

    /// Finds the rows whose pictures other rows refer to.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read.
    pub fn shared(self, table: &Table) -> super::Result<Option<Keyed>> {
        match self {
            Layout::Vlmevalkit => vlmevalkit::shared(table),
            _ => Ok(None),
        }
    }

    /// Makes the sample of a row.
    ///
    /// # Errors
    /// Returns an error if the row has no question or no picture.
    pub fn sample(self, row: &Row, index: usize, reading: &Reading) -> SampleResult {
        let Reading {
            ask,
            columns,
            answers,
            references,
            shared,
        } = reading;
        let ask = *ask;
        match self {
            Layout::Table => columns.sample(row, index, ask, *answers),
            Layout::Mmvp => mmvp::sample(row, index, ask),
            Layout::CvBench => cv_bench::sample(row, index, ask),
            Layout::Mmstar => mmstar::sample(row, index, ask),
            Layout::LlavaBench => llava_bench::sample(row, index, references),
            Layout::Vlmevalkit => vlmevalkit::sample(row, index, ask, shared.as_ref()),
        }
    }
}

impl std::fmt::Display for Layout {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Layout::Table => "table",
            Layout::Mmvp => "mmvp",
            Layout::CvBench => "cv-bench",
            Layout::Mmstar => "mmstar",
            Layout::LlavaBench => "llava-bench",
            Layout::Vlmevalkit => "vlmevalkit",
        })
    }
}

/// Returns a sample with only a question and a picture.
fn plain(index: usize, id: String, question: String, picture: Source) -> Sample {
    Sample {
        index,
        id,
        question,
        picture,
        more_pictures: Vec::new(),
        choices: Vec::new(),
        right: None,
        boxes: Vec::new(),
        evidence: None,
        category: None,
        answer: None,
    }
}

/// Returns a cell's text.
fn required(row: &Row, column: &str) -> Result<String, BadRow> {
    row.text(column)
        .ok_or_else(|| BadRow::new(format!("column {column:?}: expected text, found nothing")))
}
