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
mod tests {
    use serde_json::json;

    use super::*;

    fn format(rows: &[(Value, &[&str])]) -> AnswerFormat {
        let mut survey = Survey::default();
        for (answer, choices) in rows {
            survey.add(&written(answer), &texts(choices), false);
        }
        survey.format()
    }

    fn written(answer: &Value) -> Written {
        let row = Row {
            cells: json!({"a": answer}).as_object().unwrap().clone(),
            bytes: Vec::new(),
        };
        Written::of(&row, "a").unwrap()
    }

    fn texts(choices: &[&str]) -> Vec<String> {
        choices.iter().map(|c| c.to_string()).collect()
    }

    #[test]
    fn a_column_is_read_in_one_way() {
        const COLOURS: &[&str] = &["red", "blue", "green"];
        const NUMBERS: &[&str] = &["1", "2", "3"];
        use AnswerFormat::*;
        for (rows, expected) in [
            (&[(json!(0), COLOURS), (json!(1), NUMBERS)][..], Index),
            (&[(json!(2.0), COLOURS)], Index),
            (&[(json!(3), COLOURS), (json!(1), COLOURS)], Number),
            // Text that looks like a number is an option's text if it is one in every row.
            (&[(json!("0"), COLOURS), (json!("1"), NUMBERS)], Index),
            (&[(json!("2"), NUMBERS), (json!("1"), NUMBERS)], Text),
            (&[(json!("blue"), COLOURS)], Text),
            (&[(json!("Blue "), COLOURS)], Text),
            (
                &[(json!("B"), COLOURS), (json!("A"), &["C", "A", "B"])],
                Letter,
            ),
            (&[(json!("(b)"), COLOURS), (json!("green"), COLOURS)], Auto),
            (&[(json!("purple"), COLOURS)], Auto),
            (&[(json!("B"), &[]), (json!("C"), &[])], Letter),
            (&[(json!("B"), &[]), (json!("yes"), &[])], Text),
            (&[(json!(3), &[])], Text),
        ] {
            assert_eq!(format(rows), expected, "{rows:?}");
        }
        // An integer among options that are also integers is an option's text.
        let mut survey = Survey::default();
        survey.add(&written(&json!(2)), &texts(NUMBERS), true);
        assert_eq!(survey.format(), Text);
    }

    #[test]
    fn what_is_none_of_the_options_is_unclear() {
        let choices = texts(&["red", "blue", "Blue"]);
        let of = |answer: Value, format| read(&written(&answer), &choices, format, true);
        use AnswerFormat::*;
        for (answer, format, expected) in [
            (json!(1), Index, Some('B')),
            (json!(1), Number, Some('A')),
            (json!(3), Index, None),
            (json!(0), Number, None),
            (json!("1.5"), Index, None),
            (json!("-1"), Index, None),
            (json!("B"), Letter, Some('B')),
            (json!("D"), Letter, None),
            (json!("B. blue"), Letter, Some('B')),
            (json!("B. red"), Auto, None),
            (json!("blue"), Text, Some('B')),
            (json!("BLUE"), Text, None),
            (json!("RED"), Text, Some('A')),
            (json!("purple"), Auto, None),
            (json!(["red"]), Auto, Some('A')),
            (json!(["red", "blue"]), Auto, None),
        ] {
            let right = of(answer.clone(), format);
            assert_eq!(right.letter, expected, "{answer} {format:?}");
            assert_eq!(
                right.unclear.is_none(),
                expected.is_some(),
                "{answer} {format:?}: {right:?}"
            );
        }
        let note = of(json!(1), Number).note.unwrap();
        assert_eq!(note, "option 1, counted from 1");
    }

    #[test]
    fn a_list_of_answers_has_several_right_ones() {
        for answer in [json!(["24/7", "3.429"]), json!("['24/7', '3.429']")] {
            let right = read(&written(&answer), &[], AnswerFormat::Text, false);
            assert_eq!(right.text.as_deref(), Some("24/7"));
            assert_eq!(right.others, ["3.429"]);
        }
        let asked = read(&written(&json!("B")), &[], AnswerFormat::Letter, true);
        assert_eq!((asked.letter, asked.unclear), (Some('B'), None));
        assert!(
            read(&written(&json!("B")), &[], AnswerFormat::Letter, false)
                .unclear
                .is_some()
        );
        assert!(
            read(&written(&json!("1")), &[], AnswerFormat::Index, true)
                .unclear
                .is_some()
        );
    }
}
