//! A general table, with columns named by options or by convention.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::answers::{self, AnswerFormat, Survey, Written};
use super::choices::{brackets, colon, letter, small_brackets, split, stop, unclear, with_options};
use super::{Ask, SampleResult, literal, plain, required};
use crate::lvlm::MOST_PICTURES;
use crate::run::table::{Row, Table};
use crate::run::{BadRow, EvidenceSource, Rectangle, Segmentation, Source};

/// The names of a table's columns; `None` means the default name, if the table has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Columns {
    /// The name of a sample; default `id`, `index`, or the row's number.
    pub id: Option<String>,
    /// The picture: a path, bytes, or base64; default `image`.
    pub image: Option<String>,
    /// The question; default `question`.
    pub question: Option<String>,
    /// The right answer; default `answer`.
    pub right: Option<String>,
    /// The options: a list in JSON or Python, or marked text; default `choices`, `options`, or
    /// columns `A`, `B` and so on.
    pub choices: Option<String>,
    /// One box or several, as a JSON array; default `boxes`, `box`, `bbox`.
    pub boxes: Option<String>,
    /// A mask of the evidence: a path, bytes, base64, or COCO's polygons or run lengths; no default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<String>,
    /// The category of the question; default `category`.
    pub category: Option<String>,
    /// An answer to explain instead of the model's own; no default.
    pub explain: Option<String>,
    /// The meaning of a box's numbers.
    pub box_format: BoxFormat,
    /// The format of right answers.
    #[serde(default, skip_serializing_if = "AnswerFormat::is_auto")]
    pub answers: AnswerFormat,
}

/// The meaning of a box's four numbers, in pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BoxFormat {
    /// Left, top, right, bottom.
    #[default]
    Xyxy,
    /// Left, top, width, height.
    Xywh,
}

impl Columns {
    /// Returns the columns that every sample requires, and those that were named.
    pub(super) fn required(&self) -> Vec<String> {
        let needed = [(&self.image, "image"), (&self.question, "question")];
        let needed = needed.map(|(named, usual)| named.clone().unwrap_or(usual.into()));
        let named = [
            &self.id,
            &self.right,
            &self.choices,
            &self.boxes,
            &self.evidence,
            &self.category,
            &self.explain,
        ];
        needed
            .into_iter()
            .chain(named.into_iter().flatten().cloned())
            .collect()
    }

    pub(super) fn sample(
        &self,
        row: &Row,
        index: usize,
        ask: Ask,
        answers: AnswerFormat,
    ) -> SampleResult {
        let text = |named: &Option<String>, usual: &[&str]| match named {
            Some(column) => row.text(column),
            None => usual.iter().find_map(|column| row.text(column)),
        };
        let id = text(&self.id, &["id", "index"]).unwrap_or_else(|| index.to_string());
        let question = required(row, self.question.as_deref().unwrap_or("question"))?;
        let column = self.image.as_deref().unwrap_or("image");
        let mut images = pictures(row, column, &id)?;
        let more_pictures = images.split_off(1);
        let mut sample = plain(index, id, question, images.remove(0));
        sample.more_pictures = more_pictures;
        let choices = self.choices(row);
        let written = Written::of(row, self.right_column());
        match choices {
            Ok(choices) => sample.choices = choices,
            // The options were requested but cannot be read.
            Err(message) if self.choices.is_some() || ask == Ask::Choice => {
                return Err(BadRow::new(message));
            }
            Err(message) => {
                let text = row.text(self.right_column());
                sample.right = text.map(|text| unclear(&text, &message));
            }
        }
        if let (None, Some(written)) = (&sample.right, written) {
            let asked = ask == Ask::Choice;
            sample.right = Some(answers::read(&written, &sample.choices, answers, asked));
        }
        sample.boxes = self.boxes(row)?;
        sample.evidence = match &self.evidence {
            Some(column) if !is_empty(row, column) => Some(evidence(row, column, &sample.id)?),
            _ => None,
        };
        let places = !sample.boxes.is_empty() || sample.evidence.is_some();
        if places && !sample.more_pictures.is_empty() {
            return Err(BadRow::new(format!(
                "boxes, evidence: expected a question about one picture, found {}",
                1 + sample.more_pictures.len()
            )));
        }
        sample.category = text(&self.category, &["category"]);
        if let Some(column) = &self.explain {
            sample.answer = Some(required(row, column)?);
        }
        if ask == Ask::Choice && !sample.choices.is_empty() {
            sample.question = with_options(&sample.question, &sample.choices);
        }
        Ok(sample)
    }

    fn right_column(&self) -> &str {
        self.right.as_deref().unwrap_or("answer")
    }

    fn choices_columns(&self) -> Vec<&str> {
        match &self.choices {
            Some(column) => vec![column],
            None => vec!["choices", "options"],
        }
    }

    /// Returns a row's options; empty if it has none.
    fn choices(&self, row: &Row) -> Result<Vec<String>, String> {
        for column in self.choices_columns() {
            if let Some(choices) = options(row, column)? {
                return Ok(choices);
            }
        }
        Ok(match self.choices {
            Some(_) => Vec::new(),
            None => lettered(row),
        })
    }

    /// Detects the format of the right answers of a table.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read.
    pub(super) fn answers_of(&self, table: &Table) -> crate::run::Result<AnswerFormat> {
        let right = self.right_column();
        if !self.answers.is_auto() || !table.columns.iter().any(|column| column == right) {
            return Ok(self.answers);
        }
        let letters: Vec<String> = (0..26).filter_map(letter).map(String::from).collect();
        let mut columns = self.choices_columns();
        columns.push(right);
        columns.extend(letters.iter().map(String::as_str));
        let mut survey = Survey::default();
        for row in table.read_columns(Arc::new(|_| true), Some(&columns))? {
            // Errors of a row are reported when the row is used.
            let (_, Ok(row)) = row? else { continue };
            if let (Some(written), Ok(choices)) = (Written::of(&row, right), self.choices(&row)) {
                let numbers = |column: &&str| match row.cells.get(*column) {
                    Some(Value::Array(items)) => items.iter().all(Value::is_number),
                    _ => false,
                };
                let numbers = self.choices_columns().iter().any(numbers);
                survey.add(&written, &choices, numbers);
            }
        }
        Ok(survey.format())
    }

    fn boxes(&self, row: &Row) -> Result<Vec<Rectangle>, BadRow> {
        let usual = ["boxes", "box", "bbox"];
        let mut columns = match &self.boxes {
            Some(column) => vec![column.as_str()],
            None => usual.to_vec(),
        };
        columns.retain(|column| row.json(column).is_some() || row.text(column).is_some());
        match columns.first() {
            Some(column) => boxes_of(row, column, self.box_format),
            None => Ok(Vec::new()),
        }
    }
}

/// Returns the options in a cell; `None` if it is empty.
///
/// # Errors
/// Returns a message if the cell holds something else.
pub(super) fn options(row: &Row, column: &str) -> Result<Option<Vec<String>>, String> {
    let read = match row.cells.get(column) {
        Some(Value::Array(items)) => texts(items),
        Some(Value::Object(members)) => labelled(members),
        _ => {
            let Some(text) = row.text(column) else {
                return Ok(None);
            };
            let json = serde_json::from_str(&text).ok();
            let json = json.and_then(|value| match value {
                Value::Array(items) => texts(&items),
                Value::Object(members) => labelled(&members),
                _ => None,
            });
            json.or_else(|| literal::list(&text)).or_else(|| {
                let marks: [fn(char) -> String; 4] = [small_brackets, brackets, stop, colon];
                Some(split(&text, &marks).1).filter(|options| !options.is_empty())
            })
        }
    };
    read.map(Some).ok_or_else(|| {
        format!(
            "column {column:?}: expected options as a list of texts in JSON or Python, or as text \
             such as (a) Yes (b) No, found {}",
            shown(row, column)
        )
    })
}

/// Reads options with their letters, in order: `{"A": "one", "B": "two"}`, or `{"label": ["A",
/// "B"], "text": ["one", "two"]}`.
fn labelled(members: &Map<String, Value>) -> Option<Vec<String>> {
    let in_order = |labels: &mut dyn Iterator<Item = &str>| {
        let mut places = labels.enumerate();
        places.all(|(place, label)| letter(place).is_some_and(|letter| label == letter.to_string()))
    };
    if let (Some(labels), Some(found)) = (members.get("label"), members.get("text")) {
        let labels = texts(labels.as_array()?)?;
        let found = texts(found.as_array()?)?;
        let alike = labels.len() == found.len() && in_order(&mut labels.iter().map(String::as_str));
        return alike.then_some(found);
    }
    let values: Vec<Value> = members.values().cloned().collect();
    in_order(&mut members.keys().map(String::as_str)).then(|| texts(&values))?
}

/// Formats a cell for messages.
pub(super) fn shown(row: &Row, column: &str) -> String {
    const LONGEST: usize = 200;
    let value = row.cells.get(column).filter(|value| !value.is_string());
    let text = value.map(Value::to_string).or_else(|| row.text(column));
    let text = text.unwrap_or_else(|| "nothing".into());
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

/// Reads the boxes in a non-empty cell, as left, top, right, bottom.
pub(super) fn boxes_of(
    row: &Row,
    column: &str,
    format: BoxFormat,
) -> Result<Vec<Rectangle>, BadRow> {
    let wrong = |expected: &str| {
        BadRow::new(format!(
            "column {column:?}: expected {expected}, found {}",
            shown(row, column)
        ))
    };
    let value = row.json(column);
    let boxes = value.as_ref().and_then(rectangles);
    let boxes = boxes.ok_or_else(|| wrong("a box of four numbers, or an array of such boxes"))?;
    let corners = |[x, y, z, w]: Rectangle| match format {
        BoxFormat::Xyxy => [x, y, z, w],
        BoxFormat::Xywh => [x, y, x + z, y + w],
    };
    let boxes: Vec<Rectangle> = boxes.into_iter().map(corners).collect();
    let holds = |corners: &Rectangle| {
        let [left, top, right, bottom] = *corners;
        corners.iter().all(|c| c.is_finite()) && left <= right && top <= bottom
    };
    match (boxes.iter().all(holds), format) {
        (true, _) => Ok(boxes),
        (false, BoxFormat::Xyxy) => Err(wrong(
            "boxes whose right and bottom are not before left and top",
        )),
        (false, BoxFormat::Xywh) => Err(wrong(
            "boxes of a width and a height of at least 0, and of finite corners",
        )),
    }
}

/// Returns the texts of columns `A`, `B` and so on, up to the first empty one.
pub(super) fn lettered(row: &Row) -> Vec<String> {
    let texts = (0..).map_while(|place| row.text(&letter(place)?.to_string()));
    texts.collect()
}

/// Reads an array of texts or numbers.
pub(super) fn texts(items: &[Value]) -> Option<Vec<String>> {
    let text = |item: &Value| match item {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        _ => None,
    };
    items.iter().map(text).collect()
}

/// Reads one box, or an array of boxes.
fn rectangles(value: &Value) -> Option<Vec<Rectangle>> {
    let items = value.as_array()?;
    let four = |value: &Value| -> Option<Rectangle> {
        let numbers: Option<Vec<f64>> = value.as_array()?.iter().map(Value::as_f64).collect();
        numbers?.try_into().ok()
    };
    match four(value) {
        Some(one) => Some(vec![one]),
        None => items.iter().map(four).collect(),
    }
}

/// The shortest text that is read as base64: file names are shorter, pictures longer.
const SHORTEST_BASE64: usize = 256;

/// Returns whether a picture cell holds nothing.
fn is_empty(row: &Row, column: &str) -> bool {
    let empty = match row.cells.get(column) {
        None | Some(Value::Null) => true,
        Some(Value::String(text)) => text.trim().is_empty(),
        Some(Value::Object(members)) => members.values().all(Value::is_null),
        Some(_) => false,
    };
    empty && row.bytes(column).is_none()
}

/// Reads a cell of evidence: a picture, or a segmentation as JSON.
fn evidence(row: &Row, column: &str, id: &str) -> Result<EvidenceSource, BadRow> {
    let wrong = |message: String| BadRow::new(format!("column {column:?}: {message}"));
    let parsed;
    let value = match row.cells.get(column) {
        // Text files other than JSON have no other form.
        Some(Value::String(text)) if text.trim_start().starts_with(['[', '{']) => {
            match serde_json::from_str(text) {
                Ok(value) => {
                    parsed = value;
                    Some(&parsed)
                }
                // No name of a picture begins in this way.
                Err(error) if is_nested(text) => {
                    return Err(wrong(format!(
                        "expected a segmentation in JSON, found {}: {error}",
                        shown(row, column)
                    )));
                }
                Err(_) => None,
            }
        }
        value => value,
    };
    match value.filter(|value| Segmentation::is_like(value)) {
        Some(value) => {
            let segmentation = Segmentation::of(value).map_err(wrong)?;
            Ok(EvidenceSource::Segmentation(segmentation))
        }
        None => Ok(EvidenceSource::Picture(picture(row, column, id)?)),
    }
}

/// Returns whether text begins as an object, or as an array of arrays or objects.
fn is_nested(text: &str) -> bool {
    let mut marks = text.bytes().filter(|byte| !byte.is_ascii_whitespace());
    match marks.next() {
        Some(b'{') => true,
        Some(b'[') => matches!(marks.next(), Some(b'[' | b'{')),
        _ => false,
    }
}

/// Reads a cell of one picture, as [`pictures`] does.
pub(super) fn picture(row: &Row, column: &str, id: &str) -> Result<Source, BadRow> {
    let mut all = pictures(row, column, id)?;
    match all.len() {
        1 => Ok(all.remove(0)),
        count => Err(BadRow::new(format!(
            "column {column:?}: expected a picture, found a list of {count}"
        ))),
    }
}

/// Reads a cell of pictures: bytes, base64, a path, an object with one of these as `bytes` and
/// `path`, or a list of these, which is not empty.
fn pictures(row: &Row, column: &str, id: &str) -> Result<Vec<Source>, BadRow> {
    let bytes: Vec<&[u8]> = row.all_bytes(column).collect();
    let default = |place: usize, count: usize| match count {
        1 => format!("{column} of {id}"),
        _ => format!("{column} {} of {id}", place + 1),
    };
    if !bytes.is_empty() {
        few_enough(column, bytes.len())?;
        let source = |(place, own): (usize, &&[u8])| {
            let named = match row.cells.get(column) {
                Some(Value::Array(names)) => names.get(place).and_then(Value::as_str),
                name => name.and_then(Value::as_str),
            };
            let name = named.map_or_else(|| default(place, bytes.len()), str::to_string);
            Source::Bytes(name, own.to_vec())
        };
        return Ok(bytes.iter().enumerate().map(source).collect());
    }
    let wrong = |found: &str| {
        BadRow::new(format!(
            "column {column:?}: expected a picture, found {found}"
        ))
    };
    let texts: Vec<Option<String>> = match row.cells.get(column) {
        Some(Value::Array(items)) => items.iter().map(path).collect(),
        Some(object @ Value::Object(_)) => vec![path(object)],
        // A list that JSON and CSV files store as text.
        _ => match row.text(column) {
            Some(text) if text.trim_start().starts_with('[') => match literal::list(&text) {
                Some(names) => names.into_iter().map(Some).collect(),
                None => vec![Some(text)],
            },
            text => vec![text],
        },
    };
    if texts.is_empty() {
        return Err(wrong("an empty list"));
    }
    let count = texts.len();
    few_enough(column, count)?;
    let source = |(number, text): (usize, Option<String>)| {
        let text = text
            .filter(|text| !text.trim().is_empty())
            .ok_or_else(|| wrong(&shown(row, column)))?;
        if text.len() < SHORTEST_BASE64 && of_data_address(&text).is_none() {
            return Ok(Source::File(vec![text]));
        }
        decoded(column, &text, default(number, count))
    };
    texts.into_iter().enumerate().map(source).collect()
}

/// Checks that a question has no more pictures than any model takes.
pub(super) fn few_enough(column: &str, pictures: usize) -> Result<(), BadRow> {
    match pictures <= MOST_PICTURES {
        true => Ok(()),
        false => Err(BadRow::new(format!(
            "column {column:?}: expected at most {MOST_PICTURES} pictures, found {pictures}"
        ))),
    }
}

/// Returns the base64 of a `data:` address; `None` for other text.
fn of_data_address(text: &str) -> Option<&str> {
    let (kind, encoded) = text.split_once(";base64,")?;
    kind.starts_with("data:").then_some(encoded)
}

/// Decodes a picture in base64, with or without the beginning of a `data:` address.
pub(super) fn decoded(column: &str, text: &str, name: String) -> Result<Source, BadRow> {
    let encoded = of_data_address(text).unwrap_or(text);
    use base64::Engine;
    let packed: String = encoded.split_ascii_whitespace().collect();
    match base64::engine::general_purpose::STANDARD.decode(packed) {
        Ok(bytes) => Ok(Source::Bytes(name, bytes)),
        Err(error) => Err(BadRow::new(format!(
            "column {column:?}: expected a path, or a picture in base64, found {} characters \
             that are neither: {error}",
            text.len()
        ))),
    }
}

/// Reads a picture's path, or its bytes in base64, from JSON.
fn path(value: &Value) -> Option<String> {
    let text = |value: &Value| value.as_str().map(str::to_string);
    match value {
        Value::Object(members) => {
            let of = |name: &str| members.get(name).and_then(text);
            of("bytes").or_else(|| of("path"))
        }
        value => text(value),
    }
}
