//! One question about a picture, or about several, from a data set.

use serde::{Deserialize, Serialize};

use super::{EvidenceMask, ImageFolder, Segmentation};
use crate::picture::{Limits, Picture, PictureError};

/// A rectangle in pixels of the picture: left, top, right, bottom.
pub type Rectangle = [f64; 4];

/// A sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Its row in the data, from 0.
    pub index: usize,
    /// Its name in the data.
    pub id: String,
    /// The question as asked, including options and instructions.
    pub question: String,
    /// Its picture, the first where there are several.
    pub picture: Source,
    /// The other pictures, in their order.
    pub more_pictures: Vec<Source>,
    /// The options' texts, in the order of their letters; empty if there are none.
    pub choices: Vec<String>,
    /// The right answer, if any.
    pub right: Option<Right>,
    /// The regions of the picture that show the answer, if given; of a question about one picture.
    pub boxes: Vec<Rectangle>,
    /// The source of a mask of the regions that show the answer, if given.
    pub evidence: Option<EvidenceSource>,
    /// The category of the question, if given.
    pub category: Option<String>,
    /// An answer to explain instead of the model's own.
    pub answer: Option<String>,
}

impl Sample {
    /// Returns its pictures, in their order.
    pub fn pictures(&self) -> impl Iterator<Item = &Source> {
        std::iter::once(&self.picture).chain(&self.more_pictures)
    }
}

/// A right answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Right {
    /// Its text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The option's letter, in upper case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub letter: Option<char>,
    /// Other texts that are also right.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<String>,
    /// The notation in the data, if it is neither text nor letter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The reason why it is unclear which option is right; answers are not judged in that case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unclear: Option<String>,
}

/// The source of a picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A file: its possible names below the folder of pictures, the most likely first.
    File(Vec<String>),
    /// Bytes in the data themselves, with a name for messages.
    Bytes(String, Vec<u8>),
}

/// The source of a mask of the evidence.
#[derive(Clone, Debug, PartialEq)]
pub enum EvidenceSource {
    /// A grey picture.
    Picture(Source),
    /// Polygons or run lengths.
    Segmentation(Segmentation),
}

/// A row that is not a valid sample.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRow {
    /// The reason.
    pub message: String,
}

/// A row of the data: a sample, or the error in it.
#[derive(Clone, Debug)]
pub struct Picked {
    /// Its row in the data, from 0.
    pub index: usize,
    /// The sample.
    pub sample: Result<Sample, BadRow>,
}

impl Source {
    /// Returns the name of the picture: of the file that exists below `folder`, otherwise the most
    /// likely one.
    pub fn name(&self, folder: &ImageFolder) -> String {
        match self {
            Source::File(names) => {
                let found = names.iter().find(|name| folder.has(name));
                found.or(names.first()).cloned().unwrap_or_default()
            }
            Source::Bytes(name, _) => name.clone(),
        }
    }

    /// Decodes the picture within limits.
    ///
    /// # Errors
    /// Returns the errors of [`ImageFolder::open`].
    pub fn picture(&self, folder: &ImageFolder, limits: &Limits) -> Result<Picture, PictureError> {
        match self {
            Source::File(_) => folder.open(&self.name(folder), limits),
            Source::Bytes(name, bytes) => Picture::decode_within(bytes, name, limits),
        }
    }
}

impl EvidenceSource {
    /// Returns the mask of a picture of `size`: width and height. A grey picture is decoded within
    /// limits.
    ///
    /// # Errors
    /// Returns an error if a grey picture cannot be read, or if the mask does not fit the picture.
    pub(super) fn mask(
        &self,
        size: (u32, u32),
        folder: &ImageFolder,
        limits: &Limits,
    ) -> Result<EvidenceMask, BadRow> {
        match self {
            EvidenceSource::Picture(source) => {
                let mask = source.picture(folder, limits);
                let mask = mask.map_err(|error| BadRow::new(format!("evidence: {error}")))?;
                EvidenceMask::of(&mask, size)
            }
            EvidenceSource::Segmentation(segmentation) => {
                EvidenceMask::of_segmentation(segmentation, size)
            }
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
