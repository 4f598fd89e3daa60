//! The notation of the right answers of a table: words, or an option's text, letter or index. A
//! single row can be ambiguous, since `1` is both a text and an index; so the format is decided
//! from all rows, and all rows are read in the same way.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::choices::{as_letter, by_letter, by_text, clear, letter, right, unclear};
use super::literal;
use crate::run::Right;
use crate::run::table::Row;

/// The format of right answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AnswerFormat {
    /// Detected from all rows.
    #[default]
    Auto,
    /// An option's text, or words.
    Text,
    /// An option's letter.
    Letter,
    /// An option's index, from 0.
    Index,
    /// An option's number, from 1.
    Number,
}

impl AnswerFormat {
    pub(in crate::run) fn is_auto(&self) -> bool {
        *self == AnswerFormat::Auto
    }
}

/// A right answer as written in its cell.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Written {
    /// Its text, or the texts of a list of answers, each of which is right.
    texts: Vec<String>,
    /// Whether its type is integer, rather than text that looks like one.
    integer: bool,
}

impl Written {
    /// Reads a cell; returns `None` if it is empty.
    pub fn of(row: &Row, column: &str) -> Option<Written> {
        let value = row.cells.get(column);
        let texts = match value {
            Some(Value::Array(items)) => super::columns::texts(items),
            _ => {
                let text = row.text(column)?;
                let several = if text.trim_start().starts_with('[') {
                    literal::list(&text)
                } else {
                    None
                };
                Some(several.unwrap_or_else(|| vec![text]))
            }
        };
        let integer = value.is_some_and(Value::is_number);
        let texts = texts.filter(|texts| !texts.is_empty())?;
        Some(Written {
            integer: integer && index(&texts[0]).is_some(),
            texts,
        })
    }

    fn one(&self) -> Option<&str> {
        match self.texts.as_slice() {
            [one] => Some(one.trim()),
            _ => None,
        }
    }
}

/// Determines the format of a column's answers.
#[derive(Clone, Debug, Default)]
pub(super) struct Survey {
    /// Number of rows with an answer and options.
    rows: usize,
    /// Rows whose answer has an integer type, and whose options do not.
    integers: usize,
    /// Rows whose answer can be read as an option's text; likewise for the fields below.
    text: usize,
    letter: usize,
    either: usize,
    index: usize,
    number: usize,
    /// Answers to questions without options, and how many of them are letters.
    open: usize,
    letters: usize,
}

impl Survey {
    /// Counts a row's answer. `numbers` says whether its options are numbers by their type.
    pub fn add(&mut self, written: &Written, choices: &[String], numbers: bool) {
        let answer = written.one().unwrap_or_default();
        if choices.is_empty() {
            self.open += 1;
            self.letters += usize::from(
                as_letter(answer).is_some_and(|l| answer.contains(l) || answer.len() > 1),
            );
            return;
        }
        let (text, letter) = (by_text(answer, choices), by_letter(answer, choices));
        let place = index(answer);
        let has = |place: Option<usize>| usize::from(place.is_some_and(|p| p < choices.len()));
        self.rows += 1;
        self.integers += usize::from(written.integer && !numbers);
        self.text += has(text);
        self.letter += has(letter);
        self.either += has(text.or(letter));
        self.index += has(place);
        self.number += has(place.and_then(|p| p.checked_sub(1)));
    }

    /// Returns the format; words and letters may be mixed if it stays [`AnswerFormat::Auto`].
    pub fn format(&self) -> AnswerFormat {
        let indices = [
            (AnswerFormat::Index, self.index),
            (AnswerFormat::Number, self.number),
        ];
        let most = |all: &[(AnswerFormat, usize)]| {
            let mut best = all[0];
            for &one in &all[1..] {
                best = if one.1 > best.1 { one } else { best };
            }
            best.0
        };
        if self.rows == 0 {
            let letters = self.open > 0 && self.letters == self.open;
            return if letters {
                AnswerFormat::Letter
            } else {
                AnswerFormat::Text
            };
        }
        if self.integers == self.rows {
            return most(&[indices[0], indices[1], (AnswerFormat::Text, self.text)]);
        }
        match self.rows {
            rows if rows == self.text => AnswerFormat::Text,
            rows if rows == self.letter => AnswerFormat::Letter,
            _ => most(&[(AnswerFormat::Auto, self.either), indices[0], indices[1]]),
        }
    }
}

/// Parses an index in any notation: 3, 3.0.
fn index(text: &str) -> Option<usize> {
    let whole = match text.trim().split_once('.') {
        Some((whole, zeros)) if zeros.bytes().all(|b| b == b'0') => whole,
        Some(_) => return None,
        None => text.trim(),
    };
    whole
        .bytes()
        .all(|b| b.is_ascii_digit())
        .then(|| whole.parse().ok())?
}

/// Reads a right answer; `asked` says whether the question was asked with its options.
pub(super) fn read(
    written: &Written,
    choices: &[String],
    format: AnswerFormat,
    asked: bool,
) -> Right {
    let texts = &written.texts;
    if choices.is_empty() {
        return open(texts, format, asked);
    }
    let Some(answer) = written.one() else {
        return unclear(
            &texts.join(", "),
            "several answers, of which none is one option",
        );
    };
    let indexed = |first: usize| {
        let place = index(answer).and_then(|p| p.checked_sub(first));
        match place.filter(|&p| p < choices.len()) {
            Some(place) => Right {
                note: Some(format!("option {answer}, counted from {first}")),
                ..clear(place, choices)
            },
            None => unclear(
                answer,
                &format!(
                    "no number of one of {} options, counted from {first}",
                    choices.len()
                ),
            ),
        }
    };
    let of = |place: Option<usize>, what: &str| match place {
        Some(place) => clear(place, choices),
        None => unclear(answer, what),
    };
    match format {
        AnswerFormat::Auto => right(answer, choices),
        AnswerFormat::Text => of(by_text(answer, choices), "none of the options"),
        AnswerFormat::Letter => of(
            by_letter(answer, choices),
            "no letter of one of the options",
        ),
        AnswerFormat::Index => indexed(0),
        AnswerFormat::Number => indexed(1),
    }
}

/// Reads the right answer to a question without options.
fn open(texts: &[String], format: AnswerFormat, asked: bool) -> Right {
    let first = texts.first().map_or("", |text| text.trim());
    let named = as_letter(first).filter(|_| texts.len() == 1);
    match (format, named) {
        // The question text includes the options.
        (AnswerFormat::Letter, Some(named)) if asked && letter(0) <= Some(named) => Right {
            letter: Some(named),
            ..Right::default()
        },
        (AnswerFormat::Letter, Some(_)) => unclear(first, "a letter, and there are no options"),
        (AnswerFormat::Index | AnswerFormat::Number, _) if index(first).is_some() => {
            unclear(first, "an option's number, and there are no options")
        }
        _ => Right {
            text: Some(first.to_string()),
            others: texts
                .iter()
                .skip(1)
                .map(|text| text.trim().to_string())
                .collect(),
            ..Right::default()
        },
    }
}

#[cfg(test)]
mod tests;
