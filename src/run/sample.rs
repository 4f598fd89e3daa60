//! One question about one picture, as a data set has it.

use serde::{Deserialize, Serialize};

use super::ImageFolder;
use crate::picture::{Limits, Picture, PictureError};

/// A rectangle in pixels of the picture: left, top, right, bottom.
pub type Rectangle = [f64; 4];

/// A sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Its row in the data, from 0.
    pub index: usize,
    /// What the data call it.
    pub id: String,
    /// The question as it is asked, options and instructions included.
    pub question: String,
    /// Its picture.
    pub picture: Source,
    /// The options' texts, in the order of their letters; empty where there are none.
    pub choices: Vec<String>,
    /// The right answer, where there is one.
    pub right: Option<Right>,
    /// Where in the picture the answer is to be found, where the data say.
    pub boxes: Vec<Rectangle>,
    /// The kind of question, where the data say.
    pub category: Option<String>,
    /// An answer to explain instead of the model's own.
    pub answer: Option<String>,
}

/// A right answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Right {
    /// Its text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The letter of the option that it is, a capital.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub letter: Option<char>,
    /// Texts that are right too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<String>,
    /// How the data say it, where that is neither text nor letter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Why it cannot be told which option it is: no answer is judged then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unclear: Option<String>,
}

/// Where a picture is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A file: its names below the folder of pictures, the likeliest first.
    File(Vec<String>),
    /// In the data themselves; the name stands for it in messages.
    Bytes(String, Vec<u8>),
}

/// A row that makes no sample.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRow {
    /// What is wrong.
    pub message: String,
}

/// A row of the data: a sample, or what is wrong with it.
#[derive(Clone, Debug)]
pub struct Picked {
    /// Its row in the data, from 0.
    pub index: usize,
    /// The sample.
    pub sample: Result<Sample, BadRow>,
}

impl Source {
    /// What to call the picture: the name of the file that is there, below `folder`, or else the
    /// likeliest.
    pub fn name(&self, folder: &ImageFolder) -> String {
        match self {
            Source::File(names) => {
                let found = names.iter().find(|name| folder.has(name));
                found.or(names.first()).cloned().unwrap_or_default()
            }
            Source::Bytes(name, _) => name.clone(),
        }
    }

    /// Decodes it within limits.
    ///
    /// # Errors
    /// As [`ImageFolder::open`].
    pub fn picture(&self, folder: &ImageFolder, limits: &Limits) -> Result<Picture, PictureError> {
        match self {
            Source::File(_) => folder.open(&self.name(folder), limits),
            Source::Bytes(name, bytes) => Picture::decode_within(bytes, name, limits),
        }
    }
}

impl BadRow {
    pub(super) fn new(message: impl Into<String>) -> BadRow {
        BadRow {
            message: message.into(),
        }
    }
}
