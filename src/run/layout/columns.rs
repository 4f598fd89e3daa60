//! Any table, with columns named by options or by custom.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::choices::{brackets, colon, letter, right, small_brackets, split, stop, with_options};
use super::{Ask, Made, plain, required};
use crate::run::table::Row;
use crate::run::{BadRow, Rectangle, Source};

/// The names of a table's columns; `None` stands for the usual one, where the table has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Columns {
    /// What a sample is called; else `id`, `index`, or the row's number.
    pub id: Option<String>,
    /// The picture: a path, bytes, or base64; else `image`.
    pub image: Option<String>,
    /// The question; else `question`.
    pub question: Option<String>,
    /// The right answer; else `answer`.
    pub right: Option<String>,
    /// The options: a JSON array or marked text; else `choices`, `options`, or columns `A`, `B` and so on.
    pub choices: Option<String>,
    /// One box or several, as a JSON array; else `boxes`, `box`, `bbox`.
    pub boxes: Option<String>,
    /// The kind of question; else `category`.
    pub category: Option<String>,
    /// An answer to explain instead of the model's own; none unless named.
    pub explain: Option<String>,
    /// What a box's numbers are.
    pub box_format: BoxFormat,
}

/// What a box's four numbers are, in pixels.
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
    /// Columns without which there is no sample, and those that were named.
    pub(super) fn required(&self) -> Vec<String> {
        let needed = [(&self.image, "image"), (&self.question, "question")];
        let needed = needed.map(|(named, usual)| named.clone().unwrap_or(usual.into()));
        let named = [
            &self.id,
            &self.right,
            &self.choices,
            &self.boxes,
            &self.category,
            &self.explain,
        ];
        needed
            .into_iter()
            .chain(named.into_iter().flatten().cloned())
            .collect()
    }

    pub(super) fn sample(&self, row: &Row, index: usize, ask: Ask) -> Made {
        let text = |named: &Option<String>, usual: &[&str]| match named {
            Some(column) => row.text(column),
            None => usual.iter().find_map(|column| row.text(column)),
        };
        let id = text(&self.id, &["id", "index"]).unwrap_or_else(|| index.to_string());
        let question = required(row, self.question.as_deref().unwrap_or("question"))?;
        let image = picture(row, self.image.as_deref().unwrap_or("image"), &id)?;
        let mut sample = plain(index, id, question, image);
        sample.choices = self.choices(row);
        if let Some(answer) = text(&self.right, &["answer"]) {
            sample.right = Some(right(&answer, &sample.choices));
        }
        sample.boxes = self.boxes(row)?;
        sample.category = text(&self.category, &["category"]);
        if let Some(column) = &self.explain {
            sample.answer = Some(required(row, column)?);
        }
        if ask == Ask::Choice && !sample.choices.is_empty() {
            sample.question = with_options(&sample.question, &sample.choices);
        }
        Ok(sample)
    }

    fn choices(&self, row: &Row) -> Vec<String> {
        let usual = ["choices", "options"];
        let named = self.choices.iter().map(String::as_str);
        let columns: Vec<&str> = match &self.choices {
            Some(_) => named.collect(),
            None => usual.to_vec(),
        };
        for column in columns {
            if let Some(choices) = texts(row.json(column)) {
                return choices;
            }
            if let Some(text) = row.text(column) {
                let marks: [fn(char) -> String; 4] = [small_brackets, brackets, stop, colon];
                return split(&text, &marks).1;
            }
        }
        if self.choices.is_some() {
            return Vec::new();
        }
        lettered(row)
    }

    fn boxes(&self, row: &Row) -> Result<Vec<Rectangle>, BadRow> {
        let usual = ["boxes", "box", "bbox"];
        let mut columns = match &self.boxes {
            Some(column) => vec![column.as_str()],
            None => usual.to_vec(),
        };
        columns.retain(|column| row.json(column).is_some() || row.text(column).is_some());
        let Some(&column) = columns.first() else {
            return Ok(Vec::new());
        };
        let boxes = boxes_of(row, column)?.into_iter();
        let corners = |[x, y, z, w]: Rectangle| match self.box_format {
            BoxFormat::Xyxy => [x, y, z, w],
            BoxFormat::Xywh => [x, y, x + z, y + w],
        };
        Ok(boxes.map(corners).collect())
    }
}

/// The boxes in a cell that has something in it.
pub(super) fn boxes_of(row: &Row, column: &str) -> Result<Vec<Rectangle>, BadRow> {
    let value = row.json(column);
    value.as_ref().and_then(rectangles).ok_or_else(|| {
        let found = value.map(|v| v.to_string()).or_else(|| row.text(column));
        BadRow::new(format!(
            "column {column:?}: expected a box of four numbers, or an array of such boxes, found {}",
            found.unwrap_or_default()
        ))
    })
}

/// The texts of columns `A`, `B` and so on, as far as there are some.
pub(super) fn lettered(row: &Row) -> Vec<String> {
    let texts = (0..).map_while(|place| row.text(&letter(place)?.to_string()));
    texts.collect()
}

/// An array of texts or numbers.
pub(super) fn texts(value: Option<Value>) -> Option<Vec<String>> {
    let items = value?.as_array()?.clone();
    let text = |item: Value| match item {
        Value::String(text) => Some(text),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    items.into_iter().map(text).collect()
}

/// One box, or an array of boxes.
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

/// The shortest text that is taken for base64: names of files are shorter, pictures longer.
const SHORTEST_BASE64: usize = 256;

/// A picture cell: bytes, base64, or a path.
pub(super) fn picture(row: &Row, column: &str, id: &str) -> Result<Source, BadRow> {
    if let Some(bytes) = row.bytes(column) {
        let named = row.cells.get(column).and_then(Value::as_str);
        let name = named.map_or_else(|| format!("{column} of {id}"), str::to_string);
        return Ok(Source::Bytes(name, bytes.to_vec()));
    }
    let text = row.text(column).ok_or_else(|| {
        BadRow::new(format!(
            "column {column:?}: expected a picture, found nothing"
        ))
    })?;
    let encoded = match text.split_once(";base64,") {
        Some((kind, encoded)) if kind.starts_with("data:") => Some(encoded),
        _ => (text.len() >= SHORTEST_BASE64).then_some(text.as_str()),
    };
    let Some(encoded) = encoded else {
        return Ok(Source::File(vec![text]));
    };
    use base64::Engine;
    let packed: String = encoded.split_ascii_whitespace().collect();
    match base64::engine::general_purpose::STANDARD.decode(packed) {
        Ok(bytes) => Ok(Source::Bytes(format!("{column} of {id}"), bytes)),
        Err(error) => Err(BadRow::new(format!(
            "column {column:?}: expected a path, or a picture in base64, found {} characters that are neither: {error}",
            text.len()
        ))),
    }
}
