//! The data of a page.

use serde::{Serialize, Serializer};

use super::MapCells;

/// The data at the beginning of a page.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// Its heading.
    pub title: String,
    /// Samples in the finished run; [`Page::entries`] are fewer while the run is not finished.
    pub expected: usize,
    /// The properties of the run: names and values, in the order of display.
    pub facts: Vec<(String, String)>,
    /// The samples, in the order of the data.
    pub entries: Vec<Entry>,
}

/// The fields of a sample for searching, sorting and counting. Unknown ones are `None`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Entry {
    /// Its row in the data, from 0.
    pub index: usize,
    /// Its name in the data.
    pub id: String,
    /// The question as asked.
    pub question: String,
    /// The answer; empty if the sample failed.
    pub answer: String,
    /// The right answer, for display.
    pub right: Option<String>,
    /// The category of the question.
    pub category: Option<String>,
    /// Whether the answer is right.
    pub correct: Option<bool>,
    /// Whether any token is a key token.
    pub image_dependent: Option<bool>,
    /// Number of key tokens.
    pub key_tokens: usize,
    /// The largest log-ratio of a token, in nats.
    #[serde(serialize_with = "digits")]
    pub log_ratio: Option<f64>,
    /// Deletion score; lower is better.
    #[serde(serialize_with = "digits")]
    pub deletion: Option<f64>,
    /// Insertion score; higher is better.
    #[serde(serialize_with = "digits")]
    pub insertion: Option<f64>,
    /// The cause of the sample's failure.
    pub cause: Option<String>,
}

/// The remaining data of a sample.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Detail {
    /// The reduced picture as a `data:` URL.
    pub picture: Option<String>,
    /// The reason why there is no picture.
    pub missing: Option<String>,
    /// The name of the picture.
    pub path: String,
    /// Width of the picture before it was reduced.
    pub width: Option<u32>,
    /// Height of the picture before it was reduced.
    pub height: Option<u32>,
    /// The map.
    pub map: Option<MapCells>,
    /// The maps of words or tokens alone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub each: Vec<PageUnit>,
    /// The other pictures of the question.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<PagePicture>,
    /// The answer's tokens.
    pub tokens: Vec<PageToken>,
    /// The deletion and insertion curves.
    pub curves: Option<CurveLines>,
    /// The reason why the scores are undefined.
    pub undefined: Option<String>,
    /// The answer without and with only the most salient part.
    pub faithfulness: Option<PageFaithfulness>,
    /// The regions that show the answer: left, top, right, bottom, in pixels of the picture before
    /// it was reduced.
    pub boxes: Vec<[f64; 4]>,
    /// The options' texts, in the order of their letters.
    pub choices: Vec<String>,
    /// The letter of the option that was chosen.
    pub chosen: Option<char>,
    /// The letter of the right option.
    pub letter: Option<char>,
    /// The seed of the explanation, in decimal: a browser's numbers cannot represent all of them.
    pub seed: String,
    /// Pictures evaluated by the model.
    pub evaluations: Option<usize>,
    /// The message of the sample's failure.
    pub message: Option<String>,
}

/// The answer without and with only the most salient part of the picture. Shares are of the map's
/// cells, probabilities means over the key tokens.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PageFaithfulness {
    /// The share that is removed or revealed.
    #[serde(serialize_with = "finite_digits")]
    pub fraction: f64,
    /// Probability without it.
    #[serde(serialize_with = "finite_digits")]
    pub removed: f64,
    /// Probability with it alone.
    #[serde(serialize_with = "finite_digits")]
    pub revealed: f64,
    /// Whether the answer is lost without it.
    pub flipped: bool,
    /// Whether it keeps the answer.
    pub kept: bool,
    /// The smallest share that keeps the answer.
    #[serde(serialize_with = "finite_digits")]
    pub enough: f64,
    /// Probability with that share alone.
    #[serde(serialize_with = "finite_digits")]
    pub probability: f64,
}

/// A further picture of a question, with the fields of [`Detail`] that are about the picture.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct PagePicture {
    /// The picture, reduced, as a `data:` address.
    pub picture: Option<String>,
    /// The reason why there is none.
    pub missing: Option<String>,
    /// The name of the picture.
    pub path: String,
    /// Width of the picture before it was reduced.
    pub width: Option<u32>,
    /// Height of the picture before it was reduced.
    pub height: Option<u32>,
    /// The map; `None` for a picture that is not explained.
    pub map: Option<MapCells>,
    /// The maps of the words or tokens of [`Detail::each`].
    pub each: Vec<MapCells>,
}

/// A word or token of an answer with a map of its own.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PageUnit {
    /// Its text.
    pub text: String,
    /// The positions of its tokens in the answer.
    pub tokens: Vec<usize>,
    /// Its map.
    pub map: MapCells,
}

/// One token of an answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PageToken {
    /// Its text, leading spaces included.
    pub text: String,
    /// Log-probability with the picture minus that with the baseline, in nats.
    #[serde(serialize_with = "finite_digits")]
    pub llr: f64,
    /// Probability with the picture.
    #[serde(serialize_with = "finite_digits")]
    pub picture: f64,
    /// Probability with the baseline.
    #[serde(serialize_with = "finite_digits")]
    pub baseline: f64,
    /// Whether it is a key token.
    pub key: bool,
}

/// Mean probability of the key tokens against the share of cells replaced.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct CurveLines {
    /// Share of cells replaced, from 0 to 1.
    #[serde(serialize_with = "many_digits")]
    pub fraction: Vec<f64>,
    /// Probability while the most important cells are removed.
    #[serde(serialize_with = "many_digits")]
    pub deletion: Vec<f64>,
    /// Probability while only these cells are revealed.
    #[serde(serialize_with = "many_digits")]
    pub insertion: Vec<f64>,
}

/// Rounds to four decimals, which exceed a screen's resolution and take a third of the bytes.
fn rounded(value: f64) -> Option<f64> {
    value.is_finite().then(|| (value * 1e4).round() / 1e4)
}

fn finite_digits<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    rounded(*value).serialize(serializer)
}

fn digits<S: Serializer>(value: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
    value.and_then(rounded).serialize(serializer)
}

fn many_digits<S: Serializer>(values: &[f64], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(values.iter().map(|&value| rounded(value)))
}
