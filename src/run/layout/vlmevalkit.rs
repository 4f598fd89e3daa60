//! VLMEvalKit: a TSV with `index`, `question`, the picture in base64 as `image` or its name as
//! `image_path`, and, if there are any, `answer`, `category`, `hint` and the options as columns `A`,
//! `B` and so on. Prompts are those of its `ImageMCQDataset` and `ImageVQADataset`.

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::Value;

use super::answers::{self, AnswerFormat, Written};
use super::choices::{as_letter, clear, letter, right, stop};
use super::columns::{decoded, few_enough, shown};
use super::{Ask, SampleResult, literal, plain};
use crate::run::table::{Keyed, Row, Table};
use crate::run::{BadRow, Right, Source};

/// The largest number of characters in the column of pictures that are the index of another row.
const LONGEST_INDEX: usize = 64;
/// What pandas reads as a missing value.
const MISSING: [&str; 19] = [
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN",
    "<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null",
];

/// Returns whether a table has the columns that every such data set has.
pub fn has_columns(columns: &[String]) -> bool {
    let has = |name: &str| columns.iter().any(|column| column == name);
    has("index") && has("question") && (has("image") || has("image_path"))
}

/// Finds the rows whose pictures other rows refer to by their index.
///
/// # Errors
/// Returns an error if the file cannot be read.
pub fn shared(table: &Table) -> crate::run::Result<Option<Keyed>> {
    let mut indices = HashSet::new();
    for row in table.read_columns(Arc::new(|_| true), Some(&["image"]))? {
        // Errors of a row are reported when the row is used.
        if let (_, Ok(row)) = row?
            && let Some(text) = present(&row, "image")
            && is_index(&text)
        {
            indices.insert(text);
        }
    }
    table.keyed("index", &indices)
}

pub(super) fn sample(row: &Row, index: usize, ask: Ask, shared: Option<&Keyed>) -> SampleResult {
    let id = present(row, "index").unwrap_or_else(|| index.to_string());
    let question = present(row, "question").ok_or_else(|| missing("question", "text"))?;
    let mut pictures = pictures(row, &id, shared)?;
    let more_pictures = pictures.split_off(1);
    let choices = choices(row)?;
    let asked = match (ask, choices.is_empty()) {
        (Ask::Open, _) => question,
        (Ask::Choice, true) => {
            format!("{question}\nAnswer the question using a single word or phrase.")
        }
        (Ask::Choice, false) => prompt(present(row, "hint").as_deref(), &question, &choices),
    };
    let mut sample = plain(index, id, asked, pictures.remove(0));
    sample.more_pictures = more_pictures;
    sample.right = answer(row, &choices, ask);
    sample.choices = choices;
    sample.category = present(row, "category");
    Ok(sample)
}

/// Returns a cell's text, also of white space; `None` if pandas reads it as missing.
fn present(row: &Row, column: &str) -> Option<String> {
    let text = match row.cells.get(column) {
        Some(Value::String(text)) => Some(text.clone()),
        _ => row.text(column),
    };
    text.filter(|text| !MISSING.contains(&text.as_str()))
}

fn missing(column: &str, expected: &str) -> BadRow {
    BadRow::new(format!(
        "column {column:?}: expected {expected}, found nothing, or what pandas reads as missing"
    ))
}

/// Writes a question with its options as `ImageMCQDataset.build_prompt` does.
fn prompt(hint: Option<&str>, question: &str, choices: &[String]) -> String {
    let mut text = hint.map_or_else(String::new, |hint| format!("Hint: {hint}\n"));
    text += &format!("Question: {question}\nOptions:\n");
    for (place, choice) in choices.iter().enumerate() {
        let mark = letter(place).map(stop).unwrap_or_default();
        text += &format!("{mark}{choice}\n");
    }
    text + "Please select the correct answer from the options above. \n"
}

/// Reads the options, which may only be missing behind the last one: letters stand for places.
fn choices(row: &Row) -> Result<Vec<String>, BadRow> {
    let all: Vec<Option<String>> = (0..26)
        .filter_map(letter)
        .map(|letter| present(row, &letter.to_string()))
        .collect();
    let count = all.iter().take_while(|choice| choice.is_some()).count();
    let behind = (count..all.len()).find(|&place| all[place].is_some());
    if let Some(behind) = behind {
        let name = |place| letter(place).map(String::from).unwrap_or_default();
        return Err(BadRow::new(format!(
            "column {:?}: expected an option, since there is one in column {:?}, found {}",
            name(count),
            name(behind),
            shown(row, &name(count)),
        )));
    }
    Ok(all.into_iter().flatten().collect())
}

fn answer(row: &Row, choices: &[String], ask: Ask) -> Option<Right> {
    let text = present(row, "answer")?;
    if choices.is_empty() {
        let written = Written::of(row, "answer")?;
        let asked = ask == Ask::Choice;
        return Some(answers::read(&written, &[], AnswerFormat::Text, asked));
    }
    // A letter, even if it is also the text of another option.
    let named = as_letter(&text).filter(|_| text.trim().len() == 1);
    let place = (0..choices.len()).find(|&place| named.is_some() && letter(place) == named);
    Some(match place {
        Some(place) => clear(place, choices),
        None => right(&text, choices),
    })
}

/// Reads the pictures, one at least: in base64, by the index of the row that has them, or by their
/// names.
fn pictures(row: &Row, id: &str, shared: Option<&Keyed>) -> Result<Vec<Source>, BadRow> {
    if !row.cells.contains_key("image") && row.bytes("image").is_none() {
        let text = present(row, "image_path").ok_or_else(|| missing("image_path", "a name"))?;
        let names = all("image_path", text)?.into_iter();
        return Ok(names.map(|name| Source::File(vec![name])).collect());
    }
    let mut text = present(row, "image").ok_or_else(|| missing("image", "a picture"))?;
    if is_index(&text) {
        let wrong = |found: String| {
            BadRow::new(format!(
                "column \"image\": expected a picture in base64, or the index of a row that has \
                 one, found {text:?}: {found}"
            ))
        };
        let shared = shared.ok_or_else(|| wrong("only CSV and TSV can have an index".into()))?;
        let other = shared.row(&text).map_err(|bad| wrong(bad.message))?;
        let found = present(&other, "image").filter(|text| !is_index(text));
        text = found.ok_or_else(|| wrong("that row has no picture of its own".into()))?;
    }
    let texts = all("image", text)?;
    // Names of pictures that are here are for messages only.
    let names = present(row, "image_path").and_then(|names| all("image_path", names).ok());
    let names = names.filter(|names| names.len() == texts.len());
    let name = |place: usize| match (&names, texts.len()) {
        (Some(names), _) => names[place].clone(),
        (None, 1) => format!("image of {id}"),
        (None, _) => format!("image {} of {id}", place + 1),
    };
    let pictures = texts.iter().enumerate();
    pictures
        .map(|(place, text)| decoded("image", text, name(place)))
        .collect()
}

/// Returns whether a text in the column of pictures is the index of another row.
fn is_index(text: &str) -> bool {
    text.chars().nth(LONGEST_INDEX).is_none()
}

/// Returns the items of a list as Python writes it, one at least, or the text if it is no list.
fn all(column: &str, text: String) -> Result<Vec<String>, BadRow> {
    if !(text.starts_with('[') && text.ends_with(']')) {
        return Ok(vec![text]);
    }
    let found = match literal::list(&text) {
        Some(items) if !items.is_empty() => {
            few_enough(column, items.len())?;
            return Ok(items);
        }
        Some(_) => "an empty list",
        None => "a list that Python does not read",
    };
    Err(BadRow::new(format!(
        "column {column:?}: expected a picture, found {found}"
    )))
}
