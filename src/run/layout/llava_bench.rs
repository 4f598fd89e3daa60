//! LLaVA-Bench: `question_id`, `image`, `text`, `category`, in JSON lines as published, with
//! GPT-4's reference answers in a file beside them; or `question` and `gpt_answer` in Parquet, as
//! in other copies. There are no options.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::columns::picture;
use super::{SampleResult, plain, required};
use crate::run::table::Row;
use crate::run::{Right, Source};

/// Names of the files of reference answers: in the wild, and COCO.
const REFERENCES: [&str; 2] = ["answers_gpt4.jsonl", "qa90_gpt4_answer.jsonl"];

/// Returns the file of reference answers beside a file of questions.
pub fn references_beside(questions: &Path) -> Option<PathBuf> {
    let files = REFERENCES.map(|name| questions.with_file_name(name));
    files.into_iter().find(|path| path.is_file())
}

/// Reads reference answers by question.
pub fn references(lines: &str) -> HashMap<String, String> {
    let answer = |line: &str| {
        let value: Value = serde_json::from_str(line).ok()?;
        let id = value.get("question_id")?;
        let id = id.as_str().map_or_else(|| id.to_string(), str::to_string);
        Some((id, value.get("text")?.as_str()?.to_string()))
    };
    lines.lines().filter_map(answer).collect()
}

pub(super) fn sample(
    row: &Row,
    index: usize,
    references: &HashMap<String, String>,
) -> SampleResult {
    let id = row.text("question_id").unwrap_or_else(|| index.to_string());
    let question = match row.text("text") {
        Some(text) => text,
        None => required(row, "question")?,
    };
    let picture = match picture(row, "image", &id)? {
        // In the wild: a folder `images`. COCO: pictures of the 2014 validation set, with or
        // without the set's name.
        Source::File(names) => {
            let of = |name: String| {
                let places = ["images/", "COCO_val2014_", "val2014/COCO_val2014_"];
                let more = places.map(|place| format!("{place}{name}"));
                [vec![name], more.to_vec()].concat()
            };
            Source::File(names.into_iter().flat_map(of).collect())
        }
        bytes => bytes,
    };
    let answer = row
        .text("gpt_answer")
        .or_else(|| references.get(&id).cloned());
    let mut sample = plain(index, id, question, picture);
    sample.category = row.text("category");
    sample.right = answer.map(|text| Right {
        text: Some(text),
        ..Right::default()
    });
    Ok(sample)
}
