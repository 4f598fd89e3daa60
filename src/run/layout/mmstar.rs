//! MMStar: `index`, `question` including the options, `image` as bytes or base64, `answer` as a
//! letter, `category`, `l2_category`. The options follow the question as `Options: A: ..., B: ...`,
//! in a few rows in other notations, and in some copies of the data in columns `A`, `B` and so on.

use super::choices::{INSTRUCTION, as_letter, brackets, colon, right, split, stop, with_options};
use super::columns::{lettered, picture};
use super::{Ask, SampleResult, plain, required};
use crate::run::Right;
use crate::run::table::Row;

pub(super) fn sample(row: &Row, index: usize, ask: Ask) -> SampleResult {
    let id = row.text("index").unwrap_or_else(|| index.to_string());
    let whole = required(row, "question")?;
    let (head, tail) = match whole.find("Options:") {
        Some(at) => (whole[..at].trim(), &whole[at + "Options:".len()..]),
        None => ("", whole.as_str()),
    };
    let (before, mut choices) = split(tail.trim_start(), &[colon, brackets, stop]);
    let open = if head.is_empty() { &before } else { head };
    let mut question = match ask {
        Ask::Open => open.to_string(),
        Ask::Choice => format!("{whole}\n{INSTRUCTION}"),
    };
    if choices.is_empty() {
        choices = lettered(row);
        if ask == Ask::Choice && !choices.is_empty() {
            question = with_options(&whole, &choices);
        }
    }
    let mut sample = plain(index, id.clone(), question, picture(row, "image", &id)?);
    let answer = required(row, "answer")?;
    sample.right = Some(match as_letter(&answer) {
        // A question whose options are only in the picture.
        Some(letter) if choices.is_empty() => Right {
            letter: Some(letter),
            ..Right::default()
        },
        _ => right(&answer, &choices),
    });
    sample.choices = choices;
    sample.category = row.text("category");
    Ok(sample)
}
