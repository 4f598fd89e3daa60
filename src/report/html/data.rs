//! What a page shows.

use serde::{Serialize, Serializer};

use super::MapCells;

/// What a page begins with.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// Its heading.
    pub title: String,
    /// Samples that the finished run has; [`Page::entries`] are fewer while it is not finished.
    pub expected: usize,
    /// What the run is: names and values, in the order in which they are shown.
    pub facts: Vec<(String, String)>,
    /// The samples, in the order of the data.
    pub entries: Vec<Entry>,
}

/// As much of a sample as searching, sorting and counting take. What is not known is `None`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Entry {
    /// Its row in the data, from 0.
    pub index: usize,
    /// What the data call it.
    pub id: String,
    /// The question as it was asked.
    pub question: String,
    /// The answer; empty where the sample failed.
    pub answer: String,
    /// The right answer, to be shown.
    pub right: Option<String>,
    /// The kind of question.
    pub category: Option<String>,
    /// Whether the answer is right.
    pub correct: Option<bool>,
    /// Whether any token is key.
    pub image_dependent: Option<bool>,
    /// Tokens that are key.
    pub key_tokens: usize,
    /// The largest log-ratio of a token, in nats.
    #[serde(serialize_with = "digits")]
    pub log_ratio: Option<f64>,
    /// Deletion score; low is good.
    #[serde(serialize_with = "digits")]
    pub deletion: Option<f64>,
    /// Insertion score; high is good.
    #[serde(serialize_with = "digits")]
    pub insertion: Option<f64>,
    /// The kind of reason for which the sample failed.
    pub cause: Option<String>,
}

/// The rest of a sample.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Detail {
    /// The picture, made small, as a `data:` address.
    pub picture: Option<String>,
    /// Why there is none.
    pub missing: Option<String>,
    /// What the picture is called.
    pub path: String,
    /// Columns of the picture before it was made small.
    pub width: Option<u32>,
    /// Rows likewise.
    pub height: Option<u32>,
    /// The map.
    pub map: Option<MapCells>,
    /// The answer's tokens.
    pub tokens: Vec<PageToken>,
    /// Deletion and insertion.
    pub curves: Option<CurveLines>,
    /// Why the scores are undefined.
    pub undefined: Option<String>,
    /// Where the answer is to be found: left, top, right, bottom, in pixels of the picture before
    /// it was made small.
    pub boxes: Vec<[f64; 4]>,
    /// The options' texts, in the order of their letters.
    pub choices: Vec<String>,
    /// The letter of the option that was chosen.
    pub chosen: Option<char>,
    /// The letter of the right one.
    pub letter: Option<char>,
    /// The seed that it was explained with, in decimal: a browser's numbers do not hold all of
    /// them.
    pub seed: String,
    /// Pictures sent through the model.
    pub evaluations: Option<usize>,
    /// Why the sample failed, in words.
    pub message: Option<String>,
}

/// One token of an answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PageToken {
    /// Its text, leading spaces included.
    pub text: String,
    /// Log-probability with the picture less that with the baseline, in nats.
    #[serde(serialize_with = "finite_digits")]
    pub llr: f64,
    /// Probability with the picture.
    #[serde(serialize_with = "finite_digits")]
    pub picture: f64,
    /// Probability with the baseline.
    #[serde(serialize_with = "finite_digits")]
    pub baseline: f64,
    /// Whether it is key.
    pub key: bool,
}

/// Mean probability of the key tokens against the share of cells replaced.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct CurveLines {
    /// Share of cells replaced, from 0 to 1.
    #[serde(serialize_with = "many_digits")]
    pub fraction: Vec<f64>,
    /// Probability while the most needed cells are removed.
    #[serde(serialize_with = "many_digits")]
    pub deletion: Vec<f64>,
    /// Probability while only they are revealed.
    #[serde(serialize_with = "many_digits")]
    pub insertion: Vec<f64>,
}

/// Four digits behind the point are more than a screen shows, and a third of the bytes.
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
