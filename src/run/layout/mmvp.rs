//! MMVP: `Questions.csv` with `lndex,Question,Options,Correct Answer` (with an l, as published, or
//! an I), options as `(a) Open (b) Closed`, the right one as `(a)`; row n, from 1, is about `MMVP
//! Images/n.jpg`.

use super::choices::{brackets, right, small_brackets, split};
use super::{Ask, SampleResult, plain, required};
use crate::run::Source;
use crate::run::table::Row;

pub(super) fn sample(row: &Row, index: usize, ask: Ask) -> SampleResult {
    let number = index + 1;
    let names = ["MMVP Images/", ""]
        .map(|folder| ["jpg", "png"].map(|end| format!("{folder}{number}.{end}")));
    let id = ["Index", "lndex"]
        .into_iter()
        .find_map(|column| row.text(column));
    let id = id.unwrap_or_else(|| number.to_string());
    let (question, options) = (required(row, "Question")?, required(row, "Options")?);
    let mut sample = plain(index, id, question, Source::File(names.concat()));
    sample.choices = split(&options, &[small_brackets, brackets]).1;
    sample.right = Some(right(&required(row, "Correct Answer")?, &sample.choices));
    if ask == Ask::Choice {
        // As in the benchmark's own evaluation.
        sample.question = format!("{} {options}", sample.question);
    }
    Ok(sample)
}
